"""Catalogs of every form are exported as they lie, without a table between."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.hats import open_hats
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job
from ubspark.sky.healpix import compute_healpix_29

pytestmark = pytest.mark.spark
PARTITION = ("Norder", "Dir", "Npix")


def test_catalog_of_any_form_becomes_a_plain_one(
    form: Path, rows: pa.Table, home: Home, spark: SparkSession, tmp_path: Path
) -> None:
    content = {
        "job": "export",
        "inputs": {"table": {"table": str(form)}},
        "params": {"format": "hats", "max_rows": 400, "name": "copy"},
        "outputs": {"folder": {"path": str(tmp_path / "copy")}},
    }
    run_job(parse_job(content), home=home, spark=spark)
    copy = open_hats(str(tmp_path / "copy"))
    files = [pq.ParquetFile(copy.folder.join(file.path)) for file in copy.files]
    found = pa.concat_tables([file.read() for file in files]).sort_by("id")
    wanted = rows.sort_by("id")
    for name in {*wanted.column_names} - {*PARTITION}:
        assert found[name].to_pylist() == wanted[name].to_pylist(), name
    index = compute_healpix_29(wanted["ra"].to_numpy(), wanted["dec"].to_numpy())
    assert found["_healpix_29"].to_pylist() == index.tolist()
    stored = open_hats(str(form)).stored
    made = ("_healpix_29", "hpx", *PARTITION)
    kept = [name for name in stored.names if name not in made]
    # The copy has partitions of its own.
    assert not {*PARTITION} & {*found.column_names}
    assert {n: found.schema.field(n).type for n in kept} == {n: stored.field(n).type for n in kept}
