"""Inputs that ubspark did not make: what identifies them, how long they last, what has changed."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table, read_history
from ubspark.errors import InputMissingError, ParameterError
from ubspark.lineage.graph import LineageGraph, trace_up
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.places import find_entity, open_ledger
from ubspark.runtime.replay import create_sandbox, find_original, prepare_replay, replay
from ubspark.runtime.run_job import RunOutcome, plan_job, run_job

pytestmark = pytest.mark.spark

Run = Callable[[dict[str, Any]], RunOutcome]
ROWS = {"id": [1, 2, 3], "ra": [10.0, 20.0, 30.0], "dec": [0.0, 5.0, -5.0]}


@pytest.fixture
def run(home: Home, spark: SparkSession) -> Run:
    return lambda content: run_job(parse_job(content), home=home, spark=spark)


def ingest(path: Path, table: str) -> dict[str, Any]:
    return {
        "job": "ingest",
        "inputs": {"source": {"path": str(path)}},
        "params": {"roles": {"id": "id"}},
        "outputs": {"table": {"table": table}},
    }


def match(right: dict[str, Any], table: str = "pairs") -> dict[str, Any]:
    return {
        "job": "crossmatch",
        "inputs": {"left": {"table": "stars"}, "right": right},
        "params": {"radius": "1 arcsec"},
        "outputs": {"matches": {"table": table}},
    }


@pytest.fixture
def stars(run: Run, tmp_path: Path) -> str:
    """The table `stars`, made by ubspark."""
    pq.write_table(pa.table(ROWS), tmp_path / "stars.parquet")
    return str(run(ingest(tmp_path / "stars.parquet", "stars")).outputs["table"]["uri"])


def prepare(home: Home, what: str) -> tuple[Any, ...]:
    ledger = open_ledger(home)
    original = find_original(what, home, ledger)
    return original, *prepare_replay(original, home, ledger, sandbox=create_sandbox(home))


def test_foreign_delta_table_has_a_date_in_plan_run_and_record(
    home: Home, spark: SparkSession, run: Run, stars: str, tmp_path: Path
) -> None:
    theirs = str(tmp_path / "theirs")
    write_deltalake(theirs, open_table(stars).to_dataset().to_table())
    made = read_history(theirs)[0].timestamp_ms / 1000
    day = f"{datetime.fromtimestamp(made, UTC) + timedelta(days=7):%Y-%m-%d}"
    roles = {"id": "id", "ra": "ra", "dec": "dec"}
    job = match({"table": theirs, "roles": roles})
    said = rf"`inputs\.right`: Delta keeps version 0 of `{theirs}` until {day} only"
    with pytest.warns(UserWarning, match=said):
        plan_job(parse_job(job), home=home)
    with pytest.warns(UserWarning, match=said):
        outcome = run(job)
    assert sum("Delta keeps version" in note for note in outcome.record.notes) == 1
    committed = read_history(str(outcome.outputs["matches"]["uri"]))[0].record
    assert committed is not None
    inputs = committed["spec"]["inputs"]
    assert inputs["right"]["readable_until"] == day
    assert (inputs["right"]["table_id"], inputs["right"]["version"]) == (
        open_table(theirs).table_id,
        0,
    )
    assert "readable_until" not in inputs["left"], "ubspark keeps its own for ten years"

    ledger = open_ledger(home)
    graph = trace_up(ledger, LineageGraph(find_entity("pairs@v0", home, ledger)))
    assert graph.is_closed
    assert [graph.entities[key].name for key in graph.foreign] == ["theirs@v0"]

    # Replaced by its owner, the version that was read is still found, and replayed.
    write_deltalake(theirs, open_table(stars).to_dataset().to_table().slice(1), mode="overwrite")
    original, config, changes = prepare(home, "pairs@v0")
    done = replay(original, config, changes, home=home, spark=spark)
    assert (done.verdict, done.outputs["matches"].n_replay) == ("EXACT", 3)
    open_table(theirs)._table.vacuum(0, enforce_retention_duration=False, dry_run=False)
    with pytest.raises(InputMissingError, match="was removed"):
        prepare(home, "pairs@v0")


def test_changed_byte_in_a_parquet_folder_is_noticed(home: Home, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    for part, rows in enumerate((pa.table(ROWS).slice(0, 1), pa.table(ROWS).slice(1))):
        (folder / f"part{part}").mkdir(parents=True)
        pq.write_table(rows, folder / f"part{part}" / "rows.parquet")
    run(ingest(folder, "both"))
    original, _, changes = prepare(home, "both@v0")
    assert changes == []
    listed = original.spec["inputs"]["source"]["files"]
    assert [file[0] for file in listed] == ["part0/rows.parquet", "part1/rows.parquet"]

    # What the files are called does not count.
    (folder / "part1").rename(folder / "part2")
    prepare(home, "both@v0")
    flip_byte(folder / "part2" / "rows.parquet")
    with pytest.raises(InputMissingError, match=r"file `part1/rows\.parquet` of .* is not there"):
        prepare(home, "both@v0")
    (folder / "part2").rename(folder / "part1")
    said = r"the file `part1/rows\.parquet` of .* has changed since the run"
    with pytest.raises(InputMissingError, match=said):
        prepare(home, "both@v0")
    flip_byte(folder / "part1" / "rows.parquet")
    prepare(home, "both@v0")


def test_changed_byte_in_a_hats_catalog_is_noticed_and_its_file_named(
    home: Home, spark: SparkSession, run: Run, stars: str, tmp_path: Path
) -> None:
    catalog = export_hats(run, tmp_path)
    outcome = run(match({"table": str(catalog)}))
    kept = json.loads((outcome.record.folder / "manifest-right.json").read_text())
    data = next(path for path in catalog.rglob("Npix=*.parquet"))
    name = data.relative_to(catalog).as_posix()
    assert kept[name][0] == data.stat().st_size

    original, config, changes = prepare(home, "pairs@v0")
    done = replay(original, config, changes, home=home, spark=spark)
    assert done.verdict == "EXACT"
    flip_byte(data)
    with pytest.raises(InputMissingError, match=rf"has changed since the run in `{name}`;"):
        prepare(home, "pairs@v0")
    # Without the folder of the run the digest in the commit still tells.
    (outcome.record.folder / "manifest-right.json").unlink()
    with pytest.raises(InputMissingError, match="has changed since the run; the digest"):
        prepare(home, "pairs@v0")
    _ = stars


def test_catalog_that_is_known_by_its_footers_is_said_to_be(
    home: Home, spark: SparkSession, run: Run, stars: str, tmp_path: Path
) -> None:
    catalog = export_hats(run, tmp_path)
    given = {"table": str(catalog), "known_by": "footers"}
    outcome = run(match(given, "by_footers"))
    assert any("are known by their sizes and Parquet footers" in n for n in outcome.record.notes)
    run(match(given | {"known_by": "files"}, "by_files"))
    data = next(path for path in catalog.rglob("Npix=*.parquet"))
    flip_byte(data)
    with pytest.raises(InputMissingError, match="has changed since the run"):
        prepare(home, "by_files@v0")
    original, _, _ = prepare(home, "by_footers@v0")
    assert original.spec["inputs"]["right"]["known_by"] == "footers"
    flip_byte(data)
    original, config, changes = prepare(home, "by_footers@v0")
    done = replay(original, config, changes, home=home, spark=spark)
    (remark,) = done.to_json()["remarks"]
    assert (done.verdict, remark) == ("EXACT", outcome.record.notes[0])
    # Footers do tell of files that were written anew.
    rows = pq.read_table(data)
    pq.write_table(rows.set_column(1, "ra", pa.array([11.0] * rows.num_rows)), data)
    with pytest.raises(InputMissingError, match="has changed since the run"):
        prepare(home, "by_footers@v0")
    with pytest.raises(ParameterError, match=r"`inputs\.right\.known_by` is for HATS catalogs"):
        run(match({"table": stars, "known_by": "files"}, "never"))


def export_hats(run: Run, folder: Path) -> Path:
    """Return the table `stars` as a catalog of somebody else."""
    job = {
        "job": "export",
        "inputs": {"table": {"table": "stars"}},
        "params": {"format": "hats"},
        "outputs": {"folder": {"path": str(folder / "exported")}},
    }
    run(job)
    shutil.copytree(folder / "exported", folder / "catalog")
    (folder / "catalog" / "ubspark-manifest.json").unlink()
    return folder / "catalog"


def flip_byte(path: Path) -> None:
    """Change one bit of the first data page, and nothing that a reader looks at when it opens."""
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
