"""Five million stars in a square degree, on either side: a task stays below a gigabyte."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ubspark.sky.healpix import compute_healpix_29

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

_SCRIPT = Path(__file__).with_name("match_in_task.py")
N = 5_000_000


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("crowded")
    rng = np.random.default_rng(1)
    ra, dec = 270 + rng.uniform(0, 1.15, N), -30 + rng.uniform(0, 1, N)
    paths = []
    for name, sigma in (("left", 0.0), ("right", 0.05)):
        seen = ra + rng.normal(0, 1, N) * sigma / 3000, dec + rng.normal(0, 1, N) * sigma / 3600
        index = compute_healpix_29(*seen)
        order = np.argsort(index, kind="stable")
        rows = {"_healpix_29": index, "id": np.arange(N), "ra": seen[0], "dec": seen[1]}
        table = pa.table({key: values[order] for key, values in rows.items()})
        paths.append(folder / f"{name}.parquet")
        pq.write_table(table, paths[-1], row_group_size=65_536)
    return paths


@pytest.mark.parametrize(
    ("radius", "select"), [(1.0, "nearest"), (3.0, "all"), (1.0, "one_to_one"), (10.0, "k")]
)
def test_crowded_field_fits_a_task(crowded: list[Path], radius: float, select: str) -> None:
    command = [sys.executable, _SCRIPT, *crowded, radius, select]
    words = [str(word) for word in command]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    peak, n_rows = (int(word) for word in told.split())
    print(f"{select} within {radius} arcsec: {peak / 1e9:.2f} GB, {n_rows:,} rows")
    assert n_rows >= N * 0.9
    assert peak < 1e9
