"""A home with a table that has every trouble: crowds, poles, RA 0, no positions, odd types."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import TableVersion, open_table
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import RunOutcome, run_job

N_ROWS = 3000
N_UNPLACED = 5


def make_stars() -> pa.Table:
    rng = np.random.default_rng(20261122)
    ra = rng.uniform(0, 360, N_ROWS)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, N_ROWS)))
    ra[:900], dec[:900] = rng.normal(56.75, 0.3, 900), rng.normal(24.1, 0.3, 900)
    ra[900:1000], dec[900:1000] = rng.normal(0, 0.02, 100) % 360, rng.normal(0, 0.02, 100)
    dec[1000:1100] = 90 - rng.exponential(0.05, 100)
    # Two hundred rows at one place: no pixel is fine enough to part them.
    ra[1100:1300], dec[1100:1300] = 200.0, -30.0
    dec[-N_UNPLACED:] = np.nan
    curves = [
        {"mjd": [50_000.0 + j for j in range(i % 4)], "band": list(range(i % 4))}
        for i in range(N_ROWS)
    ]
    curve = pa.struct([("mjd", pa.list_(pa.float64())), ("band", pa.list_(pa.int32()))])
    schema = pa.schema(
        [
            pa.field("id", pa.int64(), metadata={"ucd": "meta.id;meta.main"}),
            pa.field("ra", pa.float64(), metadata={"unit": "deg", "ucd": "pos.eq.ra"}),
            pa.field("dec", pa.float64(), metadata={"unit": "deg", "ucd": "pos.eq.dec"}),
            pa.field("mag", pa.float32(), metadata={"unit": "mag", "description": "G, Vega"}),
            pa.field("pmra", pa.float64(), metadata={"unit": "mas/yr"}),
            pa.field("n_obs", pa.int16()),
            pa.field("is_variable", pa.bool_()),
            pa.field("name", pa.string()),
            pa.field("seen", pa.timestamp("us", "UTC")),
            pa.field("big", pa.decimal128(20, 0)),
            pa.field("curve", curve),
        ]
    )
    hidden = rng.random(N_ROWS) < 0.1
    columns = [
        rng.permutation(N_ROWS).astype(np.int64),
        ra,
        dec,
        pa.array(rng.normal(18, 2, N_ROWS).astype(np.float32), mask=hidden),
        rng.normal(0, 5, N_ROWS),
        pa.array(rng.integers(-32_768, 32_767, N_ROWS).astype(np.int16), mask=hidden),
        rng.random(N_ROWS) < 0.5,
        [None if i % 7 == 0 else f"star {i}" for i in range(N_ROWS)],
        pa.array(1_700_000_000_000_000 + np.arange(N_ROWS) * 1_000_001).cast(schema[8].type),
        pa.array([2**63 + i for i in range(N_ROWS)], schema[9].type),
        pa.array(curves, curve),
    ]
    return pa.table(columns, schema=schema)


@dataclass(frozen=True)
class Workplace:
    """A home, and how to export from it."""

    home: Home
    spark: SparkSession
    folder: Path

    @property
    def stars(self) -> TableVersion:
        return open_table(str(self.home.warehouse / "stars"))

    def export(
        self, to: Path, *, table: str = "stars", mode: str = "error", **params: Any
    ) -> RunOutcome:
        chosen = ("columns", "region", "where")
        given: dict[str, Any] = {key: params.pop(key) for key in chosen if key in params}
        content = {
            "job": "export",
            "inputs": {"table": {"table": table, **given}},
            "params": params,
            "outputs": {"folder": {"path": str(to), "mode": mode}},
        }
        return run_job(parse_job(content), home=self.home, spark=self.spark)

    def ingest(self, source: Path, table: str, **params: Any) -> RunOutcome:
        content = {
            "job": "ingest",
            "inputs": {"source": {"path": str(source)}},
            "params": params,
            "outputs": {"table": {"table": table}},
        }
        return run_job(parse_job(content), home=self.home, spark=self.spark)


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Workplace:
    """A home with the table `stars`."""
    folder = tmp_path_factory.mktemp("workplace")
    pq.write_table(make_stars(), folder / "stars.parquet", row_group_size=500)
    place = Workplace(Home(folder / "home"), spark, folder)
    params = {"roles": {"id": "id"}, "epoch": 2016.0, "units": {"pmra": "mas/yr"}}
    place.ingest(folder / "stars.parquet", "stars", **params)
    return place


@pytest.fixture(scope="session")
def expected() -> pa.Table:
    """The rows of `stars`, by id."""
    return make_stars().sort_by("id")


Compare = Callable[[pa.Table, pa.Table], None]


@pytest.fixture(scope="session")
def assert_same() -> Compare:
    """Compares rows by id, and all values; NaN equals NaN, null null alone."""

    def compare(found: pa.Table, wanted: pa.Table) -> None:
        assert found.num_rows == wanted.num_rows
        ordered = found.sort_by("id")
        for name in wanted.column_names:
            assert repr(ordered[name].to_pylist()) == repr(wanted[name].to_pylist()), name

    return compare
