"""Ingest: what a table gets from a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.time import Time
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table
from ubspark.recipes.ingest import IngestParams
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import RunOutcome, run_job

pytestmark = pytest.mark.spark


def ingest(home: Home, spark: SparkSession, rows: dict[str, Any], **params: Any) -> RunOutcome:
    path = home.path / "source.parquet"
    pq.write_table(pa.table(rows), path)
    content = {
        "job": "ingest",
        "inputs": {"source": {"path": str(path)}},
        "params": {"roles": {"id": "id"}, **params},
        "outputs": {"table": {"table": "t", "mode": "overwrite"}},
    }
    return run_job(parse_job(content), home=home, spark=spark)


def read(home: Home) -> pa.Table:
    return open_table(str(home.warehouse / "t")).to_dataset().to_table().sort_by("id")


def test_rows_without_a_position_are_kept_and_counted(home: Home, spark: SparkSession) -> None:
    rows = {
        "id": np.arange(6),
        "ra": [10.0, np.nan, None, np.inf, 10.0, 370.0],
        "dec": [5.0, 5.0, 5.0, 5.0, 90.5, 5.0],
    }
    outcome = ingest(home, spark, rows)
    table = read(home)
    assert outcome.record.metrics["rows_without_position"] == 4
    index = table["_healpix_29"].to_pylist()
    assert index[1:5] == [-1] * 4
    # 370 degrees is 10 degrees; the value stays as it came.
    assert index[5] == index[0] >= 0
    assert table["ra"].to_pylist()[5] == 370.0


def test_whole_numbers_are_doubles_and_can_be_added(
    home: Home, spark: SparkSession, tmp_path: Path
) -> None:
    """Whether a CSV file says 10 or 10.0 must not decide what its table can take."""
    options: dict[str, Any] = {
        "roles": {"id": "id", "pmra": "pm", "pmdec": "pm", "epoch": "year"},
        "units": {"pm": "mas/yr"},
        "pm_includes_cos_dec": True,
    }
    texts = ("id,ra,dec,pm,year,n\n1,10,5,3,2016,7\n", "id,ra,dec,pm,year,n\n2,10.5,5,3.5,2016,8\n")
    for name, text in zip(("whole", "broken"), texts, strict=True):
        (tmp_path / f"{name}.csv").write_text(text)
        content = {
            "job": "ingest",
            "inputs": {"source": {"path": str(tmp_path / f"{name}.csv")}},
            "params": options,
            "outputs": {"table": {"table": "t", "mode": "append"}},
        }
        # The epochs of the second file are whole as well.
        run_job(parse_job(content), home=home, spark=spark)
    table = read(home)
    assert table["ra"].to_pylist() == [10.0, 10.5]
    assert table["year"].to_pylist() == [2016.0, 2016.0]
    kinds = [str(table.schema.field(name).type) for name in ("id", "ra", "dec", "pm", "year", "n")]
    assert kinds == ["int64", "double", "double", "double", "double", "int64"]


def test_source_without_rows_makes_an_empty_table_and_says_so(
    home: Home, spark: SparkSession
) -> None:
    rows = {"id": pa.array([], pa.int64()), "ra": np.empty(0), "dec": np.empty(0)}
    outcome = ingest(home, spark, rows)
    assert read(home).num_rows == 0
    assert any("has no rows; the table is empty." in note for note in outcome.record.notes)


@pytest.mark.parametrize(
    ("words", "year"), [("J2000", 2000.0), ("2015.5", 2015.5), ("B1950", 1949.9997904422)]
)
def test_epoch_may_be_julian_or_besselian(words: str, year: float) -> None:
    given = IngestParams.model_validate({"epoch": words}).epoch
    assert given == pytest.approx(year, abs=1e-9)
    assert given == pytest.approx(Time(words if words[0] in "JB" else f"J{words}").jyear, abs=1e-6)


def test_an_index_of_the_source_is_computed_anew(home: Home, spark: SparkSession) -> None:
    rows = {"id": [1], "_healpix_29": [-5], "ra": [10.0], "dec": [5.0]}
    ingest(home, spark, rows)
    assert read(home)["_healpix_29"].to_pylist()[0] > 0


def test_sentinels_become_null(home: Home, spark: SparkSession) -> None:
    rows = {"id": [1, 2], "ra": [10.0, 11.0], "dec": [5.0, 6.0], "mag": [99.99, 12.0]}
    ingest(home, spark, rows, nulls=["mag=99.99"])
    assert read(home)["mag"].to_pylist() == [None, 12.0]


def test_galactic_positions_become_icrs(home: Home, spark: SparkSession) -> None:
    rows = {"id": [1], "l": [0.0], "b": [90.0]}
    roles = {"id": "id", "ra": "l", "dec": "b"}
    outcome = ingest(home, spark, rows, roles=roles, frame="galactic")
    table = read(home)
    assert table["ra"].to_pylist() == pytest.approx([192.859508], abs=1e-4)
    assert table["dec"].to_pylist() == pytest.approx([27.128336], abs=1e-4)
    assert any("GALACTIC" in note for note in outcome.record.notes)


def test_positions_that_could_be_radians_are_pointed_out(home: Home, spark: SparkSession) -> None:
    rng = np.random.default_rng(1)
    rows = {
        "id": np.arange(500),
        "ra": rng.uniform(0, 6.28, 500),
        "dec": rng.uniform(-1.5, 1.5, 500),
    }
    outcome = ingest(home, spark, rows)
    assert any("would fit the unit rad" in note for note in outcome.record.notes)


def test_files_are_sorted_and_prune(home: Home, spark: SparkSession, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    n = 20_000
    rows = {"id": np.arange(n), "ra": rng.uniform(0, 360, n), "dec": rng.uniform(-90, 90, n)}
    path = tmp_path / "wide.parquet"
    pq.write_table(pa.table(rows), path)
    content = {
        "job": "ingest",
        "inputs": {"source": {"path": str(path)}},
        "params": {"roles": {"id": "id"}},
        "outputs": {"table": {"table": "t"}},
        "resources": {"cells": 5},
    }
    run_job(parse_job(content), home=home, spark=spark)
    layout = open_table(str(home.warehouse / "t")).read_layout()
    assert len(layout.paths) == 5
    assert np.all(layout.low[1:] > layout.high[:-1])
    for path_of_file in layout.paths:
        index = pq.read_table(path_of_file)["_healpix_29"].to_numpy()
        assert np.all(np.diff(index) >= 0)
