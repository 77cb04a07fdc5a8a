"""Matching HATS catalogs where they lie gives the pairs that ingesting them first gives."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table
from ubspark.errors import InputMissingError, ParameterError, SchemaError
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import RunOutcome, plan_job, run_job

pytestmark = pytest.mark.spark

Write = Callable[..., Path]


@pytest.fixture
def partners(rows: pa.Table) -> pa.Table:
    """Rows within some arcseconds of those of the forms, poles and RA 0 among them, and others."""
    rng = np.random.default_rng(7)
    dec = np.clip(rows["dec"].to_numpy() + rng.normal(0, 2 / 3600, rows.num_rows), -90, 90)
    shift = rng.normal(0, 2 / 3600, rows.num_rows) / np.cos(np.radians(dec))
    moved = rows.set_column(1, "ra", pa.array((rows["ra"].to_numpy() + shift) % 360))
    moved = moved.set_column(2, "dec", pa.array(dec)).select(["id", "ra", "dec", "mag"])
    return moved.slice(0, 1200)


def ingest(home: Home, spark: SparkSession, rows: pa.Table, table: str, folder: Path) -> None:
    path = folder / f"{table}.parquet"
    pq.write_table(rows.select(["id", "ra", "dec", "mag"]), path)
    content = {
        "job": "ingest",
        "inputs": {"source": {"path": str(path)}},
        "params": {"roles": {"id": "id"}},
        "outputs": {"table": {"table": table}},
    }
    run_job(parse_job(content), home=home, spark=spark)


def describe(left: str, right: str, output: str, **params: Any) -> dict[str, Any]:
    return {
        "job": "crossmatch",
        "inputs": {
            "left": {"table": left, "roles": {"id": "id"}},
            "right": {"table": right, "roles": {"id": "id"}},
        },
        "params": {"radius": "4 arcsec", "association_only": True, **params},
        "outputs": {"matches": {"table": output}},
    }


def match(home: Home, spark: SparkSession, *names: str, **params: Any) -> RunOutcome:
    return run_job(parse_job(describe(*names, **params)), home=home, spark=spark)


def read(outcome: RunOutcome) -> pa.Table:
    table = open_table(str(outcome.outputs["matches"]["uri"]))
    return table.to_dataset().to_table().sort_by([("left_id", "ascending")])


def test_hats_and_delta_in_any_pair_match_alike(
    home: Home,
    spark: SparkSession,
    forms: dict[str, Path],
    rows: pa.Table,
    partners: pa.Table,
    write: Write,
    tmp_path: Path,
) -> None:
    ingest(home, spark, rows, "stars", tmp_path)
    ingest(home, spark, partners, "partners", tmp_path)
    expected = read(match(home, spark, "stars", "partners", "expected", how="left"))
    assert expected.num_rows == rows.num_rows
    assert 800 < expected["right_id"].drop_null().length() < 1200
    stars = {name: str(folder) for name, folder in forms.items()}
    plain = str(write(partners, name="partners_plain"))
    bare = str(write(partners, name="partners_bare", index=None, suffix="/"))
    coarse = str(write(partners, name="partners_coarse", index=("healpix13", 13)))
    cases = [
        (stars["plain"], "partners"),
        ("stars", bare),
        (stars["no index"], coarse),
        (stars["folders"], plain),
        (stars["hipscat"], bare),
    ]
    for i, (left, right) in enumerate(cases):
        found = read(match(home, spark, left, right, f"found_{i}", how="left"))
        assert found.equals(expected), (left, right)


def test_published_pairs_of_the_maintainers(
    conformance: Path, home: Home, spark: SparkSession
) -> None:
    left = str(conformance / "small_sky_order1_collection")
    right = str(conformance / "small_sky_xmatch")
    outcome = match(home, spark, left, right, "found", radius="36 arcsec")
    rows = read(outcome)
    with (conformance / "raw/xmatch_expected/xmatch_correct.csv").open() as file:
        published = {
            (int(float(row["ss_id"])), int(float(row["xmatch_id"]))): float(row["dist"]) * 3600
            for row in csv.DictReader(file)
        }
    pairs = zip(rows["left_id"].to_pylist(), rows["right_id"].to_pylist(), strict=True)
    found = dict(zip(pairs, rows["dist_arcsec"].to_pylist(), strict=True))
    assert len(published) == 103
    assert found.keys() == published.keys()
    for pair, dist_arcsec in published.items():
        assert found[pair] == pytest.approx(dist_arcsec, abs=1e-6)


def test_the_spec_knows_the_catalog_by_its_content(
    made: Path, home: Home, spark: SparkSession
) -> None:
    content = describe(str(made), str(made), "self_match")
    job, facts = plan_job(parse_job(content), home=home)
    record = job.spec.inputs["left"].to_json()
    assert record["kind"] == "hats"
    assert record["uri"] == str(made)
    assert len(record["digest"]) == 64
    assert {fact.name: fact.value for fact in facts}["left rows"] == 200
    first = run_job(parse_job(content), home=home, spark=spark)
    assert run_job(parse_job(content), home=home, spark=spark).already_made
    assert first.record.metrics["matched_rows"] == 200
    file = made / "hats.properties"
    file.write_text(file.read_text() + "obs_title=changed\n")
    assert plan_job(parse_job(content), home=home)[0].spec.key != job.spec.key


def test_columns_of_nested_light_curves_come_along(
    made: Path, home: Home, spark: SparkSession
) -> None:
    content = describe(str(made), str(made), "self_match", association_only=False)
    outcome = run_job(parse_job(content), home=home, spark=spark)
    rows = read(outcome)
    lengths = {len(curve["mjd"]) for curve in rows["curve_made_left"].to_pylist()}
    assert lengths == {0, 1, 2, 3}


def test_broken_catalogs_stop_the_job_before_spark(made: Path, home: Home) -> None:
    content = describe(str(made), f"{made}@v3", "found")
    with pytest.raises(ParameterError, match="is a HATS catalog, which keeps no versions"):
        plan_job(parse_job(content), home=home)
    (made / "dataset/Norder=0/Dir=0/Npix=0.parquet").unlink()
    with pytest.raises(InputMissingError, match="names the partition Norder=0, Npix=0"):
        plan_job(parse_job(describe(str(made), str(made), "found")), home=home)


def test_an_index_catalog_cannot_be_matched(conformance: Path, home: Home) -> None:
    index = conformance / "small_sky_order1_collection" / "small_sky_order1_id_index"
    with pytest.raises(SchemaError, match="is not a catalog table"):
        plan_job(parse_job(describe(str(index), str(index), "found")), home=home)
