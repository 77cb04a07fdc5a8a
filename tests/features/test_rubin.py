"""Rubin's own DiaObject statistics, recomputed from the DiaSources of Data Preview 1."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from ubspark.features import DEFAULT_FEATURES, compute_features
from ubspark.timeseries import LightCurves

BANDS = "ugrizy"
RUBIN = DEFAULT_FEATURES.select(["moments", "quantiles", "weighted", "slopes", "fits"])
#: Published in single precision or nearly zero: a flux of one epoch minus itself.
CHI2_NOISE = 1e-9
#: Object-bands of the forty objects and of the forty of their margins.
N_OBJECT_BANDS = 110

Curves = tuple[Any, LightCurves]


@pytest.fixture(scope="module")
def rows(data: Path) -> Any:
    """The objects of all partitions, margins too, with their sources."""
    folder = data / "rubin_dp1_hats" / "dia_object_collection"
    if not folder.is_dir():
        pytest.skip("`rubin_dp1_hats` is not in UBSPARK_DATA.")
    files = sorted(folder.glob("dia_object_lc*/dataset/Norder=*/Dir=*/Npix=*.parquet"))
    tables = [pq.ParquetFile(file).read() for file in files]
    return [row for table in tables for row in table.to_pylist()]


def to_curves(rows: Any, flux: str) -> LightCurves:
    sources = [row["diaSource"] for row in rows]
    offsets = np.cumsum([0, *(len(source["band"]) for source in sources)])

    def join(name: str) -> NDArray[np.float64]:
        return np.concatenate([np.array(source[name], dtype=np.float64) for source in sources])

    band = [BANDS.index(name) for source in sources for name in source["band"]]
    t, y, dy = (join(name) for name in ("midpointMjdTai", flux, f"{flux}Err"))
    return LightCurves(offsets, t, y, dy, np.array(band, dtype=np.int8), tuple(BANDS))


def compare(rows: Any, flux: str) -> Iterator[tuple[str, list[bool], list[tuple[float, float]]]]:
    """Yield for each statistic which object-bands are equal to 1e-4, and the unequal ones."""
    found = compute_features(to_curves(rows, flux), RUBIN, quantity=flux)
    for feature in RUBIN.features:
        name = feature.name.replace("{y}", flux)
        if "{y}" not in feature.name or f"r_{name}" not in rows[0]:
            continue
        equal, unequal = [], []
        for k, band in enumerate(BANDS):
            for i in np.flatnonzero(found.counts[:, k]):
                published = rows[i][f"{band}_{name}"]
                expected = np.nan if published is None else float(published)
                ours = float(found.values[f"{band}_{name}"][i])
                noise = CHI2_NOISE if name.endswith("Chi2") else 0.0
                equal.append(
                    bool(np.isclose(ours, expected, rtol=1e-4, atol=noise, equal_nan=True))
                )
                if not equal[-1]:
                    unequal.append((ours, expected))
        yield name, equal, unequal


@pytest.mark.parametrize(("flux", "n_statistics"), [("psfFlux", 19), ("scienceFlux", 3)])
def test_statistics_equal_the_published_ones(rows: Any, flux: str, n_statistics: int) -> None:
    table = list(compare(rows, flux))
    print(f"\n{'statistic':32s} equal of object-bands")
    for name, equal, _ in table:
        print(f"{name:32s} {sum(equal):5d} of {len(equal)}")
    assert len(table) == n_statistics
    for name, equal, unequal in table:
        assert len(equal) == N_OBJECT_BANDS
        if "Linear" not in name:
            assert all(equal), (name, unequal)


def test_published_lines_were_fitted_in_single_precision(rows: Any) -> None:
    """Rubin's plugin divides by float32 errors, which shifts each time by up to 0.004 d.

    Its formula on float32 gives the published slopes; the same formula on float64 gives ours.
    """
    found = compute_features(to_curves(rows, "psfFlux"), RUBIN).values
    single, double, n = 0, 0, 0
    for i, row in enumerate(rows):
        source = row["diaSource"]
        for band in BANDS:
            here = [k for k, name in enumerate(source["band"]) if name == band]
            if len(here) < 2:
                continue
            t = np.array(source["midpointMjdTai"])[here]
            for kind in (np.float32, np.float64):
                y, dy = (np.array(source[c], dtype=kind)[here] for c in ("psfFlux", "psfFluxErr"))
                matrix = np.array([t / dy, 1 / dy]).transpose()
                slope = lsq_linear(matrix, y / dy).x[0]
                if kind is np.float32:
                    single += bool(np.isclose(slope, row[f"{band}_psfFluxLinearSlope"], rtol=1e-4))
                else:
                    ours = found[f"{band}_psfFluxLinearSlope"][i]
                    double += bool(np.isclose(slope, ours, rtol=1e-6))
            n += 1
    print(f"\nslopes by float32: {single} of {n} as published; by float64: {double} of {n} as ours")
    assert (single, double) == (n, n)
    assert n == 30
