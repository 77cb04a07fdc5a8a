"""What must hold for any light curve: shift, scale, order, duplicates, neighbours."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ubspark.features import DEFAULT_FEATURES, FeatureTable, compute_features
from ubspark.timeseries import LightCurves

FloatArray = NDArray[np.float64]
BANDS = ("g", "r")
COLUMNS = ("period",)
REGISTRY = DEFAULT_FEATURES.select(columns=COLUMNS)
#: Moves with the values.
LOCATIONS = {"mean", "{y}Min", "{y}Max", "{y}Mean", "{y}LinearIntercept", "parabola_fit_m0"} | {
    f"{{y}}Percentile{share:02d}" for share in (5, 25, 50, 75, 95)
}
#: Ratios to a location.
RELATIVE = {"mean_variance", "percent_difference_magnitude_percentile_5", "excess_variance"}
#: Its iteration stops at a change of 1e-6 in the unit of the values.
ITERATED = {"{y}StetsonJ"}


@st.composite
def light_curves(draw: st.DrawFn) -> LightCurves:
    """One to three objects of up to 40 epochs, on a grid so that ties occur."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    sizes = draw(st.lists(st.integers(0, 40), min_size=1, max_size=3))
    offsets = np.cumsum([0, *sizes])
    n = int(offsets[-1])
    parts = [np.sort(rng.choice(4000, size, replace=False)) / 4.0 for size in sizes]
    t = 59_000.0 + np.concatenate(parts)
    # Powers of two: a shift of the values is then exact, and so are ties.
    levels = draw(st.sampled_from([2, 4, 1024]))
    y = 10.0 + rng.integers(0, levels, n) / levels
    band = rng.integers(0, 2, n).astype(np.int8)
    return LightCurves(offsets, t, y, rng.uniform(0.01, 0.2, n), band, BANDS)


def compute(curves: LightCurves) -> FeatureTable:
    columns = {"period": np.full(len(curves), 2.3)}
    return compute_features(curves, REGISTRY, columns=columns, is_magnitude=True, quantity="{y}")


def change(curves: LightCurves, **arrays: Any) -> LightCurves:
    parts = {name: getattr(curves, name) for name in ("offsets", "t", "y", "dy", "band")}
    return LightCurves(**{**parts, **arrays}, bands=curves.bands)


def assert_equal(one: FeatureTable, two: FeatureTable) -> None:
    for name, values in one.values.items():
        np.testing.assert_array_equal(values, two.values[name], err_msg=name)
    np.testing.assert_array_equal(one.status & ~16, two.status & ~16)


@given(light_curves(), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=60)
def test_the_order_of_epochs_does_not_matter(curves: LightCurves, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = np.concatenate(
        [curves.offsets[i] + rng.permutation(curves.counts[i]) for i in range(len(curves))]
    ).astype(np.int64)
    parts = {name: getattr(curves, name)[order] for name in ("t", "y", "dy", "band")}
    assert_equal(compute(curves), compute(change(curves, **parts)))


@given(light_curves())
@settings(deadline=None, max_examples=40)
def test_objects_do_not_know_their_neighbours(curves: LightCurves) -> None:
    together = compute(curves)
    for i in range(len(curves)):
        here = slice(curves.offsets[i], curves.offsets[i + 1])
        parts = {name: getattr(curves, name)[here] for name in ("t", "y", "dy", "band")}
        alone = compute(change(curves, offsets=np.array([0, curves.counts[i]]), **parts))
        for name, values in alone.values.items():
            np.testing.assert_array_equal(values[0], together.values[name][i], err_msg=name)


@given(light_curves())
@settings(deadline=None, max_examples=40)
def test_unusable_epochs_do_not_matter(curves: LightCurves) -> None:
    """An epoch without time or value between any two others changes nothing but the status."""
    n = int(curves.offsets[-1])
    slots = np.repeat(np.arange(n), 2)[1:] if n else np.empty(0, dtype=np.int64)
    parts = {name: np.repeat(getattr(curves, name), 2) for name in ("t", "y", "dy", "band")}
    parts["y"][1::4], parts["y"][3::4] = np.nan, np.inf
    assert slots.size == max(2 * n - 1, 0)
    more = compute(change(curves, offsets=2 * curves.offsets, **parts))
    for name, values in compute(curves).values.items():
        np.testing.assert_array_equal(values, more.values[name], err_msg=name)
    assert np.all((more.status[curves.counts > 0] & 2) == 2)


@given(light_curves(), st.sampled_from([-3.0, 64.0, 1000.0]))
@settings(deadline=None, max_examples=60)
def test_a_shift_moves_locations_alone(curves: LightCurves, shift: float) -> None:
    before, after = compute(curves).values, compute(change(curves, y=curves.y + shift)).values
    for part in REGISTRY:
        for feature in part.features if part.scope == "band" else ():
            if feature.name in RELATIVE | ITERATED | {"iar_phi"}:
                continue
            for band in BANDS:
                name = f"{band}_{feature.name}"
                expected = before[name] + (shift if feature.name in LOCATIONS else 0.0)
                assert_close(name, after[name], expected)


@given(light_curves(), st.sampled_from([0.25, 2.0, 1024.0]))
@settings(deadline=None, max_examples=60)
def test_a_scale_acts_by_the_unit(curves: LightCurves, scale: float) -> None:
    """A feature in ``{y}**k`` scales with the k-th power; powers of two leave every bit."""
    before = compute(curves).values
    after = compute(change(curves, y=curves.y * scale, dy=curves.dy * scale)).values
    for part in REGISTRY:
        for feature in part.features if part.scope == "band" else ():
            if feature.name in ITERATED:
                continue
            unit = feature.unit or ""
            power = 0 if "{y}" not in unit else 2 if unit.startswith("{y}**2") else 1
            for band in BANDS:
                name = f"{band}_{feature.name}"
                assert_close(name, after[name], before[name] * scale**power, tolerance=1e-12)


@given(light_curves())
@settings(deadline=None, max_examples=40)
def test_a_mirror_swaps_least_and_largest(curves: LightCurves) -> None:
    before, after = compute(curves).values, compute(change(curves, y=-curves.y)).values
    for band in BANDS:
        for name in ("Min", "Percentile05", "Percentile25"):
            other = {"Min": "Max", "Percentile05": "Percentile95", "Percentile25": "Percentile75"}
            opposite = -after[f"{band}_{{y}}{other[name]}"]
            assert_close(name, before[f"{band}_{{y}}{name}"], opposite, tolerance=1e-12)
        for name in ("{y}Skew", "{y}LinearSlope", "gskew", "mean"):
            assert_close(name, before[f"{band}_{name}"], -after[f"{band}_{name}"])
        for name in ("{y}Sigma", "{y}MAD", "eta", "stetson_K", "sf_gamma", "psi_eta", "amplitude"):
            assert_close(name, before[f"{band}_{name}"], after[f"{band}_{name}"])


@given(light_curves())
@settings(deadline=None, max_examples=40)
def test_an_object_twice_gives_its_row_twice(curves: LightCurves) -> None:
    parts = {name: np.tile(getattr(curves, name), 2) for name in ("t", "y", "dy", "band")}
    offsets = np.concatenate([curves.offsets, curves.offsets[-1] + curves.offsets[1:]])
    once, twice = compute(curves), compute(change(curves, offsets=offsets, **parts))
    for name, values in once.values.items():
        np.testing.assert_array_equal(np.tile(values, 2), twice.values[name], err_msg=name)


@given(light_curves())
@settings(deadline=None, max_examples=40)
def test_epochs_twice_leave_the_distribution(curves: LightCurves) -> None:
    """Each epoch twice: same values, half the variance of the mean, and a status that says so."""
    parts = {name: np.repeat(getattr(curves, name), 2) for name in ("t", "y", "dy", "band")}
    before = compute(curves)
    after = compute(change(curves, offsets=2 * curves.offsets, **parts))
    assert np.all((after.status[curves.counts > 0] & 8) == 8)
    for band in BANDS:
        for name in (
            "{y}Min",
            "{y}Max",
            "{y}Percentile50",
            "{y}MAD",
            "mean",
            "{y}Mean",
            "{y}ErrMean",
            "duration",
            "{y}MaxSlope",
            "maximum_slope",
            "{y}LinearSlope",
            "amplitude",
        ):
            assert_close(name, after.values[f"{band}_{name}"], before.values[f"{band}_{name}"])
        n = before.counts[:, BANDS.index(band)]
        np.testing.assert_array_equal(after.values[f"{band}_n_epochs"], 2 * n)
        error = before.values[f"{band}_{{y}}MeanErr"] / np.sqrt(2.0)
        assert_close("MeanErr", after.values[f"{band}_{{y}}MeanErr"], error)


@pytest.mark.parametrize("bands", [("r", "g"), ("r",), ("g", "z", "r")])
def test_bands_may_be_chosen_and_ordered(simulate: Any, bands: tuple[str, ...]) -> None:
    curves = simulate(6, 40, "gr")
    registry = DEFAULT_FEATURES.select(["moments", "weighted"])
    all_of_them = compute_features(curves, registry).values
    chosen = compute_features(curves, registry, bands=bands)
    assert chosen.counts.shape == (6, len(bands))
    for name, values in chosen.values.items():
        if name.startswith("z_"):
            is_count = name in ("z_n_epochs", "z_psfFluxNdata")
            np.testing.assert_array_equal(values, 0.0 if is_count else np.nan)
        else:
            np.testing.assert_array_equal(values, all_of_them[name])


def assert_close(
    name: str, found: FloatArray, expected: FloatArray, tolerance: float = 1e-6
) -> None:
    # Values lie in a range of about one, at times of a thousand days.
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=name)
