"""The same jobs on tables in an object store: what Spark writes there, delta-rs and Arrow read."""

import json
from pathlib import Path

import numpy as np
import pytest
from bucket import BUCKET, N_STARS, describe_match, run
from pyarrow import fs
from pyspark.sql import SparkSession
from typer.testing import CliRunner

import ubspark
from ubspark.catalogs.delta import open_table, read_history
from ubspark.catalogs.digests import ContentDigest, compute_digest
from ubspark.catalogs.object_store import open_object_store
from ubspark.cli.app import app
from ubspark.runtime.home import Home

pytestmark = [pytest.mark.s3, pytest.mark.spark]


def find_digest(home: Home, table: str) -> str:
    uri = table if "://" in table else str(home.warehouse / table)
    record = read_history(uri)[0].record
    assert record is not None
    return str(record["digest"])


@pytest.mark.parametrize("name", ["stars", "moved"])
def test_a_table_in_the_bucket_is_the_local_one(home_with_tables: Home, name: str) -> None:
    local, remote = (
        find_digest(home_with_tables, f"{at}{name}") for at in ("", f"s3a://{BUCKET}/")
    )
    assert local == remote
    table = open_table(f"s3a://{BUCKET}/{name}")
    assert (table.n_rows, table.version) == (N_STARS, 0)
    # What is in the files is what the commit says of them.
    rows = table.to_dataset().to_table()
    found = sum((compute_digest(b) for b in rows.to_batches()), ContentDigest.empty(rows.schema))
    assert str(found) == local


def test_a_match_of_tables_in_the_bucket_is_the_local_one(
    home_with_tables: Home, spark: SparkSession
) -> None:
    out = f"s3a://{BUCKET}/pairs"
    run(describe_match("stars", "moved", "pairs"), home_with_tables, spark)
    run(
        describe_match(f"s3://{BUCKET}/stars", f"s3a://{BUCKET}/moved", out),
        home_with_tables,
        spark,
    )
    assert find_digest(home_with_tables, out) == find_digest(home_with_tables, "pairs")
    # Hadoop's client sees the table that Arrow wrote.
    assert spark.read.format("delta").load(out).count() == N_STARS


def test_show_and_read_table_read_the_bucket(
    home_with_tables: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UBSPARK_HOME", str(home_with_tables.path))
    shown = CliRunner().invoke(app, ["show", f"s3a://{BUCKET}/stars", "--limit", "3", "--json"])
    assert shown.exit_code == 0, shown.output
    assert len(json.loads(shown.stdout)) == 3
    rows = ubspark.read_table(f"s3a://{BUCKET}/stars@v0", columns=["id", "mag"], where="mag < 15")
    whole = ubspark.read_table("stars", columns=["id", "mag"])
    assert sorted(rows["id"]) == sorted(whole["id"][np.asarray(whole["mag"]) < 15])


def test_versions_and_appends(home_with_tables: Home, spark: SparkSession) -> None:
    place = f"s3a://{BUCKET}/grown"
    job = describe_match(f"s3a://{BUCKET}/stars", f"s3a://{BUCKET}/moved", place)
    job["outputs"]["matches"]["mode"] = "append"
    for _ in range(2):
        run(job, home_with_tables, spark)
    assert [commit.version for commit in read_history(place)] == [1, 0]
    assert [open_table(place, version=v).n_rows for v in (0, 1)] == [N_STARS, 2 * N_STARS]


def test_an_equal_run_computes_nothing(home_with_tables: Home, spark: SparkSession) -> None:
    job = describe_match(f"s3a://{BUCKET}/stars", f"s3a://{BUCKET}/moved", f"s3a://{BUCKET}/once")
    first, second = (run(job, home_with_tables, spark) for _ in range(2))
    assert (first.already_made, second.already_made) == (False, True)
    assert second.record.run_id == first.record.run_id


def test_a_hats_catalog_in_the_bucket_is_an_input(
    home_with_tables: Home, spark: SparkSession, tmp_path: Path
) -> None:
    """An export is put into the bucket as any program would, and matched from there."""
    export = {
        "job": "export",
        "inputs": {"table": {"table": "moved"}},
        "params": {"format": "hats"},
        "outputs": {"folder": {"path": str(tmp_path / "moved")}},
    }
    run(export, home_with_tables, spark)
    filesystem, path = open_object_store(f"s3a://{BUCKET}/hats/moved")
    fs.copy_files(str(tmp_path / "moved"), path, destination_filesystem=filesystem)
    one, other = f"s3a://{BUCKET}/by_hats", "by_local_hats"
    run(describe_match("stars", f"s3://{BUCKET}/hats/moved", one), home_with_tables, spark)
    run(describe_match("stars", str(tmp_path / "moved"), other), home_with_tables, spark)
    assert find_digest(home_with_tables, one) == find_digest(home_with_tables, other)
