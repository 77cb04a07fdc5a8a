"""kill -9 at random moments of runs of many jobs: nothing is lost, nothing lands twice.

``make test-kill`` goes through fifty; each has a seed, which its name says. The clock begins when
the run has its record, so that most moments fall into the work, the commit and the report.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table, read_history
from ubspark.catalogs.export.verify import verify_export
from ubspark.lineage.graph import LineageGraph, trace_up
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.places import find_entity, open_ledger
from ubspark.runtime.records import RunRecord, iterate_records
from ubspark.runtime.run_job import RunOutcome, run_job

pytestmark = pytest.mark.spark

_N_IN_CI, _N_ALL = 10, 50
_PATIENCE_S = 300
_VICTIMS = ("driver", "java", "worker", "all")
_RESOURCES = {"master": "local[2]", "memory": "1g", "cells": 3}
_MATCH = {"left": {"table": "stars"}, "right": {"table": "moved"}}
_RADIUS = {"radius": "1 arcsec"}
#: Name to job, inputs, parameters, output and mode.
JOBS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str, str]] = {
    "ingest": ("ingest", {"source": {"path": "stars.csv"}}, {"roles": {"id": "id"}}, "table", ""),
    "crossmatch": ("crossmatch", _MATCH, _RADIUS, "matches", "error"),
    "append": ("crossmatch", _MATCH, _RADIUS, "matches", "append"),
    "overwrite": ("crossmatch", _MATCH, _RADIUS, "matches", "overwrite"),
    "neighbors": ("neighbors", {"table": {"table": "stars"}}, {"radius": "1 deg"}, "neighbors", ""),
    "multimatch": (
        "multimatch",
        {"anchor": {"table": "stars"}, "moved": {"table": "moved"}},
        _RADIUS,
        "matches",
        "",
    ),
    "export": ("export", {"table": {"table": "stars"}}, {"format": "parquet"}, "folder", ""),
}


@dataclass(frozen=True)
class Expected:
    """What a job makes when nobody kills it."""

    digest: str
    n_rows: int


@pytest.fixture(scope="module")
def build(small_home: Home) -> Callable[[str, str], dict[str, Any]]:
    def make(kind: str, name: str) -> dict[str, Any]:
        job, inputs, params, output, mode = JOBS[kind]
        folder = small_home.path.parent
        given = {
            role: {**entry, **({"path": str(folder / entry["path"])} if "path" in entry else {})}
            for role, entry in inputs.items()
        }
        place = {"path": str(folder / name)} if output == "folder" else {"table": name}
        return {
            "job": job,
            "inputs": given,
            "params": params,
            "outputs": {output: {**place, "mode": mode or "error"}},
            "resources": _RESOURCES,
        }

    return make


@pytest.fixture(scope="module")
def expected(
    small_home: Home, spark: SparkSession, build: Callable[[str, str], dict[str, Any]]
) -> Callable[[str], Expected]:
    known: dict[str, Expected] = {}

    def find(kind: str) -> Expected:
        if kind not in known:
            outcome = run_job(parse_job(build(kind, f"whole_{kind}")), home=small_home, spark=spark)
            (output,) = outcome.outputs.values()
            known[kind] = Expected(str(output["digest"]), int(output["n_rows"]))
        return known[kind]

    return find


@pytest.fixture(scope="module")
def seconds(
    small_home: Home,
    build: Callable[[str, str], dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> float:
    """How long a run takes on this machine from its record to its end."""
    before = set(small_home.runs.iterdir())
    process = start(
        build("crossmatch", "timed"), small_home, tmp_path_factory.mktemp("timed") / "job.yaml"
    )
    wait_for_record(process, small_home, before)
    began = time.monotonic()
    assert process.wait(_PATIENCE_S) == 0
    return time.monotonic() - began


def start(job: dict[str, Any], home: Home, file: Path) -> subprocess.Popen[bytes]:
    file.write_text(yaml.safe_dump(job))
    return subprocess.Popen(
        [sys.executable, "-m", "ubspark", "run", file],
        env={**os.environ, "UBSPARK_HOME": str(home.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for_record(process: subprocess.Popen[bytes], home: Home, before: set[Path]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not set(home.runs.iterdir()) - before and process.poll() is None:
        assert time.monotonic() < end, "The run has no record."
        time.sleep(0.05)


def kill(process: subprocess.Popen[bytes], victim: str) -> str:
    """Kill one process of a run, or all; return whom."""
    if victim == "all":
        os.killpg(process.pid, signal.SIGKILL)
        return victim
    below = list(iterate_children(process.pid))
    java = [child for child in below if child[1] == "java"]
    workers = [child for child in below if child[2] in {pid for pid, _, _ in java}]
    found = {"java": java, "worker": workers}.get(victim, [])
    # Before there is a JVM, or a worker, there is only the driver to kill.
    pid = found[0][0] if found else process.pid
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return "nobody"
    return victim if found else "driver"


def iterate_children(pid: int) -> Iterator[tuple[int, str, int]]:
    """Yield id, name and parent of the processes below one."""
    try:
        for child in psutil.Process(pid).children(recursive=True):
            try:
                yield child.pid, child.name(), child.ppid()
            except psutil.NoSuchProcess:
                continue
    except psutil.NoSuchProcess:
        return


def end_all(process: subprocess.Popen[bytes]) -> None:
    """Wait until the run has ended, and everything that it started."""
    process.wait(_PATIENCE_S)
    end = time.monotonic() + 60
    while any(_is_of(child, process.pid) for child in psutil.process_iter()):
        assert time.monotonic() < end, "The JVM lives on."
        time.sleep(0.1)


def _is_of(process: psutil.Process, leader: int) -> bool:
    try:
        return os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def list_records(home: Home, name: str) -> list[RunRecord]:
    """Return the runs that make a table or folder, the newest first."""
    mine = []
    for record in iterate_records(home.runs):
        spec = json.loads((record.folder / "spec.json").read_text())
        if any(Path(output["uri"]).name == name for output in spec["outputs"].values()):
            mine.append(record)
    return mine


def check_result(home: Home, kind: str, name: str, outcome: RunOutcome, expected: Expected) -> None:
    """Check that the output is there once, whole, and says where it came from."""
    (output,) = outcome.outputs.values()
    assert output["digest"] == expected.digest
    if kind == "export":
        place = str(home.path.parent / name)
        assert verify_export(Path(place)).is_good
        assert not list(home.path.parent.glob(f".{name}*")), "An unfinished copy is left."
    else:
        place = name
        uri = str(home.warehouse / name)
        commits = [c for c in read_history(uri) if c.record and c.record["output"]]
        assert len(commits) == 1
        assert open_table(uri).to_dataset().count_rows() == expected.n_rows
    ledger = open_ledger(home)
    assert trace_up(ledger, LineageGraph(find_entity(place, home, ledger))).is_closed


def check_records(home: Home, name: str, outcome: RunOutcome) -> str:
    """Check that every run has ended, and that attempts were counted; return what was killed."""
    records = list_records(home, name)
    assert {record.phase for record in records} <= {"COMPLETED", "ERROR"}
    failed = [record for record in records if record.phase == "ERROR"]
    assert outcome.record.phase == "COMPLETED"
    assert outcome.record.attempt == 1 + len(failed)
    assert len(records) <= 2
    ids = {
        json.loads((record.folder / "spec.json").read_text())["submission"] for record in records
    }
    assert len(ids) == 1, "The second start is of the same submission."
    if outcome.already_made:
        assert failed == []
        return "after its commit"
    assert len(failed) == 1
    return "at work"


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(seed, marks=[] if seed < _N_IN_CI else pytest.mark.slow)
        for seed in range(_N_ALL)
    ],
)
def test_killed_run_is_made_once_by_the_next_start(
    seed: int,
    small_home: Home,
    spark: SparkSession,
    build: Callable[[str, str], dict[str, Any]],
    expected: Callable[[str], Expected],
    seconds: float,
    tmp_path: Path,
) -> None:
    dice = random.Random(seed)
    kind, victim = dice.choice(list(JOBS)), dice.choice(_VICTIMS)
    delay = dice.uniform(0, 1.1 * seconds)
    name = f"random_{seed}"
    job = build(kind, name)
    before = set(small_home.runs.iterdir())
    process = start(job, small_home, tmp_path / "job.yaml")
    try:
        wait_for_record(process, small_home, before)
        time.sleep(delay)
        killed = kill(process, victim) if process.poll() is None else "nobody"
    finally:
        if process.poll() is None and victim == "driver":
            process.kill()
        end_all(process)
    outcome = run_job(parse_job(job), home=small_home, spark=spark)
    check_result(small_home, kind, name, outcome, expected(kind))
    moment = check_records(small_home, name, outcome)
    print(f"seed {seed}: {kind}, killed {killed} after {delay:.1f} s, {moment}")
