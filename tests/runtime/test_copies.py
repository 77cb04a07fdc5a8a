"""Copies of a table share its id and versions, and may hold other rows under them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table, read_history
from ubspark.errors import ConflictError, InputMissingError
from ubspark.lineage.audit import audit
from ubspark.lineage.graph import LineageGraph, trace_down, trace_up
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.places import find_entity, open_ledger
from ubspark.runtime.replay import create_sandbox, find_original, prepare_replay, replay
from ubspark.runtime.run_job import RunOutcome, run_job

pytestmark = pytest.mark.spark

Match = Callable[..., RunOutcome]


@pytest.fixture
def match(home: Home, spark: SparkSession, tmp_path: Path) -> Match:
    """Two copies, `stars` and `twin`, each with a version 1 of its own; matches one with itself."""

    def ingest(table: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows = Table({"id": np.arange(9), "ra": rng.uniform(0, 360, 9), "dec": np.zeros(9)})
        rows.write(tmp_path / f"{seed}.csv")
        content = {
            "job": "ingest",
            "inputs": {"source": {"path": str(tmp_path / f"{seed}.csv")}},
            "params": {"roles": {"id": "id"}},
            "outputs": {"table": {"table": table, "mode": "overwrite"}},
            "resources": {"cells": 1},
        }
        run_job(parse_job(content), home=home, spark=spark)

    ingest("stars", 0)
    shutil.copytree(home.warehouse / "stars", home.warehouse / "twin")
    ingest("stars", 1)
    ingest("twin", 2)

    def run(table: str, output: str, **changes: Any) -> RunOutcome:
        content = {
            "job": "crossmatch",
            "inputs": {"left": {"table": table}, "right": {"table": table}},
            "params": {"radius": "1 arcsec", "suffixes": ["_a", "_b"]},
            "outputs": {"matches": {"table": output, **changes}},
            "resources": {"cells": 1},
        }
        return run_job(parse_job(content), home=home, spark=spark)

    return run


def names(graph: LineageGraph) -> set[str]:
    return {entity.name for entity in graph.entities.values()}


def trace(home: Home, what: str, *, down: bool = False) -> LineageGraph:
    ledger = open_ledger(home)
    graph = LineageGraph(find_entity(what, home, ledger))
    return trace_down(ledger, graph) if down else trace_up(ledger, graph)


def test_copy_that_went_another_way_is_another_input(match: Match) -> None:
    first = match("stars", "pairs")
    assert match("stars", "pairs").already_made
    assert not match("stars@v0", "old").already_made
    assert match("twin@v0", "old").already_made, "up to there the two are one"
    with pytest.raises(ConflictError, match="holds another result"):
        match("twin", "pairs")
    other = match("twin", "pairs", mode="overwrite")
    assert not other.already_made
    assert other.record.key != first.record.key
    assert other.outputs["matches"]["digest"] != first.outputs["matches"]["digest"]


def test_lineage_and_replay_tell_copies_apart(home: Home, match: Match) -> None:
    match("stars", "pairs")
    match("twin", "others")
    assert names(trace(home, "stars@v1", down=True)) == {"stars@v1", "pairs@v0"}
    assert names(trace(home, "twin@v1", down=True)) == {"twin@v1", "others@v0"}
    assert {"twin@v1", "2.csv"} <= names(trace(home, "others@v0"))
    (home.warehouse / "twin").rename(home.warehouse / "moved")
    assert trace(home, "others@v0").is_closed
    assert audit(open_ledger(home)).closed_percent == 100.0
    match(str(home.warehouse / "moved"), "both")
    shutil.rmtree(home.warehouse / "moved")
    apart = "a copy of the table, with its id, went another way"
    reasons = set(trace(home, "others@v0").unresolved.values())
    assert len(reasons) == 1
    assert apart in reasons.pop()
    (said,) = trace(home, "stars@v1", down=True).unresolved.values()
    assert "was made from other rows under this id and version" in said
    ledger = open_ledger(home)
    original = find_original("others@v0", home, ledger)
    with pytest.raises(InputMissingError, match=apart):
        prepare_replay(original, home, ledger, sandbox=create_sandbox(home))


def test_record_from_before_inputs_said_their_content_counts_as_it_did(
    home: Home, spark: SparkSession, match: Match
) -> None:
    match("stars", "pairs")
    (log,) = (home.warehouse / "pairs" / "_delta_log").glob("*.json")
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    info = next(action["commitInfo"] for action in actions if "commitInfo" in action)
    record = json.loads(info["userMetadata"])
    for entry in record["spec"]["inputs"].values():
        assert entry.pop("content") == str(read_digest(home, "stars", 1))
    ledger = open_ledger(home)
    key = find_original("pairs@v0", home, ledger).spec["key"]
    config, _ = prepare_replay(
        find_original("pairs@v0", home, ledger), home, ledger, sandbox=create_sandbox(home)
    )
    older = run_job(config, home=home, spark=spark, force=True, like=record["spec"]).record
    assert older.key != key
    record["key"] = record["spec"]["key"] = older.key
    info["userMetadata"] = json.dumps(record)
    log.write_text("".join(json.dumps(action) + "\n" for action in actions))
    for path in log.parent.glob(".*.crc"):
        path.unlink()
    assert match("stars", "pairs").already_made
    assert trace(home, "pairs@v0").is_closed
    assert "pairs@v0" in names(trace(home, "stars@v1", down=True))
    ledger = open_ledger(home)
    original = find_original("pairs@v0", home, ledger)
    config, _ = prepare_replay(original, home, ledger, sandbox=create_sandbox(home))
    done = replay(original, config, [], home=home, spark=spark)
    assert (done.verdict, done.record.key) == ("EXACT", older.key)


def read_digest(home: Home, table: str, version: int) -> str:
    place = str(home.warehouse / table)
    (commit,) = (commit for commit in read_history(place) if commit.version == version)
    assert commit.content == str(open_table(place, version=version).read_digest())
    return commit.content
