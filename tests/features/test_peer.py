"""The same numbers by light-curve, live and as kept from the last run of it.

``python tests/features/test_peer.py PYTHON`` writes the kept numbers anew, by a Python that has
light-curve.
"""

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ubspark.features import DEFAULT_FEATURES, compute_features
from ubspark.timeseries import LightCurves

HERE = Path(__file__).parent
KEPT = HERE / "light_curve.json"

BANDS = ("g", "r")
#: Slopes and curvatures near zero: what the rounding of either side is measured by.
SCALES = {
    "linear_fit_slope": "linear_fit_slope_sigma",
    "linear_trend": "linear_trend_sigma",
}
#: The same for pure numbers near zero.
ABSOLUTE = {"skew": 1.0, "kurtosis": 1.0, "chi2_pvar": 1e-6}
#: light-curve holds the shares of its quantiles in single precision: 0.05 as 0.0500000007.
BY_SINGLE_SHARES = {
    "magnitude_percentage_ratio_40_5": 1e-4,
    "percent_difference_magnitude_percentile_5": 1e-5,
}
#: light-curve has no count of nothing, and no slope through two epochs.
OURS_ONLY = {"observation_count": 1, "linear_fit_slope": 3}


def make_curves() -> LightCurves:
    """Return 12 objects of 6 to 160 epochs: noise, sinusoids, steps, outliers."""
    rng = np.random.default_rng(20)
    sizes = np.array([0, 6, 7, 9, 12, 20, 31, 48, 64, 97, 130, 160])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    n = int(offsets[-1])
    # Rounded, so that the kept numbers do not hang on the last bit of a library's sine.
    t = np.round(rng.uniform(59_000.0, 59_900.0, n), 5)
    for first, last in itertools.pairwise(offsets):
        t[first:last].sort()
    dy = np.round(rng.uniform(0.01, 0.09, n), 5)
    y = 18.0 + 0.3 * np.sin(2 * np.pi * t / 3.3) + 2.0 * dy * rng.normal(size=n)
    y += np.where(rng.random(n) < 0.03, rng.normal(0.0, 3.0, n), 0.0)
    y += 0.5 * (t > 59_500.0)
    band = rng.integers(0, 2, n).astype(np.int8)
    return LightCurves(offsets, t, np.round(y, 5), dy, band, BANDS)


def ask_light_curve(python: str, curves: LightCurves, folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the version of light-curve and its features by name."""
    source, target = folder / "in.npz", folder / "out.npz"
    np.savez(
        source,
        offsets=curves.offsets,
        t=curves.t,
        y=curves.y,
        dy=curves.dy,
        band=curves.band,
        bands=np.array(curves.bands),
    )
    call = [python, str(HERE / "peer.py"), str(source), str(target)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    answer = np.load(target)
    found = dict(zip(answer["names"].tolist(), answer["values"].T, strict=True))
    return done.stdout.split()[0], found


def validate_equal(curves: LightCurves, theirs: dict[str, NDArray[np.float64]]) -> int:
    """Compare all features that both have; return their number."""
    found = compute_features(curves, DEFAULT_FEATURES.select(columns=()))
    checked = 0
    for feature in DEFAULT_FEATURES.features:
        if feature.peer is None:
            continue
        for k, band in enumerate(curves.bands):
            ours = found.values[f"{band}_{feature.name.replace('{y}', 'psfFlux')}"]
            expected = theirs[f"{feature.peer}_{band}"]
            scale = np.full(len(curves), ABSOLUTE.get(feature.peer, 0.0))
            if feature.peer in SCALES:
                scale = np.nan_to_num(theirs[f"{SCALES[feature.peer]}_{band}"])
            tolerance = BY_SINGLE_SHARES.get(feature.peer, 1e-9)
            kept = found.counts[:, k] >= OURS_ONLY.get(feature.peer, 0)
            np.testing.assert_array_equal(
                np.isnan(ours[kept]), np.isnan(expected[kept]), err_msg=feature.peer
            )
            difference = np.abs(ours - expected)[kept]
            allowed = (tolerance * (np.abs(expected) + scale))[kept]
            assert np.all((difference <= allowed) | np.isnan(difference)), feature.peer
            checked += int(kept.sum())
    return checked


def test_features_equal_the_kept_numbers() -> None:
    kept = json.loads(KEPT.read_text())
    theirs = {name: np.array(column, dtype=np.float64) for name, column in kept["values"].items()}
    assert validate_equal(make_curves(), theirs) > 1000


@pytest.mark.peer
@pytest.mark.parametrize("n_epochs", [8, 30, 300])
def test_features_equal_light_curve(simulate: Any, tmp_path: Path, n_epochs: int) -> None:
    python = HERE.parents[1] / ".peers" / "light-curve" / "bin" / "python"
    if not python.exists():
        pytest.skip("There is no `.peers/light-curve`; `make peer-light-curve` makes it.")
    curves = simulate(200, n_epochs)
    _, theirs = ask_light_curve(str(python), curves, tmp_path)
    assert validate_equal(curves, theirs) > 47 * 200


@pytest.mark.peer
def test_the_engine_gives_the_same_names_and_numbers(simulate: Any, tmp_path: Path) -> None:
    python = HERE.parents[1] / ".peers" / "light-curve" / "bin" / "python"
    if not python.exists():
        pytest.skip("There is no `.peers/light-curve`; `make peer-light-curve` makes it.")
    curves = simulate(50, 200)
    # Segments that light-curve cannot judge: no error, and two epochs at one time.
    curves.dy[5] = np.nan
    curves.t[301], curves.band[301] = curves.t[300], curves.band[300]
    arrays = {name: getattr(curves, name) for name in ("offsets", "t", "y", "dy", "band")}
    np.savez(tmp_path / "in.npz", **arrays, bands=np.array(curves.bands))
    call = [str(python), str(HERE / "peer_engine.py"), str(tmp_path / "in.npz")]
    path = {"PYTHONPATH": str(HERE.parents[1] / "lib"), "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(call, capture_output=True, text=True, check=True, env=path)
    answer = json.loads(done.stdout)
    assert answer["replaced"] > 100
    assert answer["worst"] < 1e-5


def test_the_engine_says_what_it_needs(monkeypatch: Any) -> None:
    from ubspark.errors import ParameterError
    from ubspark.features.light_curve import with_light_curve

    monkeypatch.setitem(sys.modules, "light_curve", None)
    with pytest.raises(ParameterError, match="pip install light-curve"):
        with_light_curve(DEFAULT_FEATURES)


def write_kept(python: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        version, found = ask_light_curve(python, make_curves(), Path(folder))
    values = {
        name: [None if np.isnan(value) else float(value) for value in column]
        for name, column in found.items()
    }
    content = {"made_by": f"light-curve {version} (PyPI)", "values": values}
    KEPT.write_text(json.dumps(content, indent=0) + "\n")


if __name__ == "__main__":
    write_kept(sys.argv[1])
