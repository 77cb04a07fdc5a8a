"""kill -9 at random moments of runs of many jobs: nothing is lost, nothing lands twice.

``make test-kill`` goes through fifty; each has a seed, which its name says. A moment is a step that
the run has done, by its log, and a time after that: on a slow machine too the moments are spread
over start, work, commit and report.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
import yaml
from pyarrow.csv import read_csv, write_csv
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table, read_history
from ubspark.catalogs.export.manifest import compute_sha256
from ubspark.catalogs.export.verify import verify_export
from ubspark.features.out_of_fold import OUT_OF_FOLD_FILE
from ubspark.lineage.graph import LineageGraph, trace_up
from ubspark.recipes import RECIPES
from ubspark.runtime.config import parse_job
from ubspark.runtime.freeze import get_output_kind
from ubspark.runtime.home import Home
from ubspark.runtime.places import find_entity, open_ledger
from ubspark.runtime.records import RunRecord, iterate_records
from ubspark.runtime.run_job import RunOutcome, run_job

pytestmark = pytest.mark.spark

_N_IN_CI, _N_ALL = 10, 50
_PATIENCE_S = 300
#: What the log of a run says of each step once it is done, the last first.
_STEPS = ("Counts", "Committed", "Written", "Prepared", "Spark is there")
_VICTIMS = ("driver", "java", "worker", "all")
_RESOURCES = {"master": "local[2]", "memory": "1g", "cells": 3}
_MATCH = {"left": {"table": "stars"}, "right": {"table": "moved"}}
_RADIUS = {"radius": "1 arcsec"}
_NIGHTS = {
    "sources": {"path": "second.csv", "roles": {"id": "star"}},
    "objects": {"table": "stars"},
}
_CURVES = {"lightcurves": {"table": "whole_lightcurves"}}
_BAND = {"bands": ["V"]}
_MAGNITUDES = {**_BAND, "is_magnitude": True}


@dataclass(frozen=True)
class Kind:
    """A job that is killed."""

    job: str
    inputs: dict[str, Any]
    params: dict[str, Any]
    output: str
    mode: str = "error"
    #: Kinds whose result it reads.
    needs: tuple[str, ...] = ()
    #: A kind that makes the version which this one updates.
    base: str | None = None
    is_named: bool = False


#: Every job is among them; the first ten are killed in CI.
KINDS = {
    "ingest": Kind("ingest", {"source": {"path": "labels.csv"}}, {"roles": {"id": "id"}}, "table"),
    "crossmatch": Kind("crossmatch", _MATCH, _RADIUS, "matches"),
    "append": Kind("crossmatch", _MATCH, _RADIUS, "matches", "append"),
    "overwrite": Kind("crossmatch", _MATCH, _RADIUS, "matches", "overwrite"),
    "export": Kind("export", {"table": {"table": "stars"}}, {"format": "parquet"}, "folder"),
    "lightcurves": Kind(
        "lightcurves",
        {**_NIGHTS, "sources": {"path": "first.csv", "roles": {"id": "star"}}},
        _BAND,
        "lightcurves",
    ),
    "update": Kind("lightcurves", _NIGHTS, _BAND, "lightcurves", "update", base="lightcurves"),
    "periodograms": Kind(
        "periodograms",
        _CURVES,
        {**_MAGNITUDES, "fmin": 0.2, "fmax": 2.0},
        "periods",
        needs=("lightcurves",),
    ),
    "features": Kind("features", _CURVES, _MAGNITUDES, "features", needs=("lightcurves",)),
    "named_append": Kind("crossmatch", _MATCH, _RADIUS, "matches", "append", is_named=True),
    "neighbors": Kind("neighbors", {"table": {"table": "stars"}}, {"radius": "1 deg"}, "neighbors"),
    "multimatch": Kind(
        "multimatch",
        {"anchor": {"table": "stars"}, "moved": {"table": "moved"}},
        _RADIUS,
        "matches",
    ),
    "idjoin": Kind(
        "idjoin", {"ids": {"path": "list.csv"}, "table": {"table": "stars"}}, {}, "rows"
    ),
    "train": Kind(
        "train",
        {"features": {"table": "whole_features"}, "labels": {"table": "whole_ingest"}},
        {"folds": 2, "shuffles": 0},
        "model",
        needs=("ingest", "features"),
    ),
    "classify": Kind(
        "classify",
        {"features": {"table": "whole_features"}},
        {"model": "whole_train"},
        "scores",
        needs=("train",),
    ),
}


@dataclass(frozen=True)
class Expected:
    """What a job makes when nobody kills it."""

    content: str
    n_rows: int


@pytest.fixture(scope="module", autouse=True)
def files(small_home: Home) -> None:
    """The files that the jobs read, beside those of the small home."""
    folder, rng = small_home.path.parent, np.random.default_rng(8)
    labels = read_csv(folder / "stars.csv")
    names = np.where(labels["id"].to_numpy() % 2, "odd", "even")
    write_csv(labels.append_column("class", pa.array(names)), folder / "labels.csv")
    for night, name in enumerate(("first", "second")):
        epochs = {"star": rng.integers(0, 60, 900), "time": rng.uniform(0, 30, 900) + 30 * night}
        epochs |= {"flux": rng.normal(100, 3, 900), "flux_error": np.full(900, 3.0)}
        write_csv(pa.table(epochs | {"band": np.full(900, "V")}), folder / f"{name}.csv")
    (folder / "list.csv").write_text("id\n5\n3\n1000\n")


@pytest.fixture(scope="module")
def build(small_home: Home) -> Callable[[str, str], dict[str, Any]]:
    folder = small_home.path.parent

    def locate(given: dict[str, Any], key: str) -> dict[str, Any]:
        return given | ({key: str(folder / given[key])} if key in given else {})

    def make(name: str, output: str) -> dict[str, Any]:
        kind = KINDS[name]
        inputs = {role: locate(entry, "path") for role, entry in kind.inputs.items()}
        inputs |= {"lightcurves": {"table": output}} if kind.mode == "update" else {}
        is_folder = get_output_kind(RECIPES[kind.job], kind.output) == "folder"
        place = {"path": str(folder / output)} if is_folder else {"table": output}
        return {
            "job": kind.job,
            "inputs": inputs,
            "params": locate(kind.params, "model"),
            "outputs": {kind.output: {**place, "mode": kind.mode}},
            "resources": _RESOURCES,
            "run": {"submission": output} if kind.is_named else {},
        }

    return make


@pytest.fixture(scope="module")
def expected(
    small_home: Home, spark: SparkSession, build: Callable[[str, str], dict[str, Any]]
) -> Callable[[str], Expected]:
    known: dict[str, Expected] = {}

    def find(name: str) -> Expected:
        if name not in known:
            for other in KINDS[name].needs:
                find(other)
            for step in filter(None, (KINDS[name].base, name)):
                job = parse_job(build(step, f"whole_{name}"))
                outcome = run_job(job, home=small_home, spark=spark)
            known[name] = describe(outcome)
        return known[name]

    return find


def describe(outcome: RunOutcome) -> Expected:
    """Return what an output holds: its digest, of a model what it said of rows held out."""
    (output,) = outcome.outputs.values()
    predicted = Path(str(output["uri"])) / OUT_OF_FOLD_FILE
    content = compute_sha256(predicted) if predicted.is_file() else str(output["digest"])
    return Expected(content, int(output["n_rows"]))


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
    with file.with_suffix(".out").open("w") as told:
        return subprocess.Popen(
            [sys.executable, "-m", "ubspark", "run", file],
            env={**os.environ, "UBSPARK_HOME": str(home.path)},
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def has_told(file: Path) -> bool:
    """Whether the run of a job file has told its user that it is done."""
    return "report: " in file.with_suffix(".out").read_text()


def wait_for_record(process: subprocess.Popen[bytes], home: Home, before: set[Path]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not set(home.runs.iterdir()) - before and process.poll() is None:
        assert time.monotonic() < end, "The run has no record."
        time.sleep(0.05)


def wait_for_step(
    process: subprocess.Popen[bytes], home: Home, before: set[Path], step: str
) -> None:
    """Wait until the log of a run says that a step is done, if the run comes so far."""
    end = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < end:
        if any(step in read_log(run) for run in set(home.runs.iterdir()) - before):
            return
        time.sleep(0.02)


def read_log(run: Path) -> str:
    log = run / "run.log"
    return log.read_text() if log.is_file() else ""


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


def list_records(home: Home, name: str, mode: str) -> list[RunRecord]:
    """Return the runs that make a table or folder in a mode, the newest first."""
    return [
        record
        for record in iterate_records(home.runs)
        for output in json.loads((record.folder / "spec.json").read_text())["outputs"].values()
        if (Path(output["uri"]).name, output["mode"]) == (name, mode)
    ]


def check_result(
    home: Home, kind: str, name: str, outcome: RunOutcome, expected: Expected, n_runs: int = 1
) -> None:
    """Check that the output is there once, whole, and says where it came from."""
    assert describe(outcome) == expected
    (output,) = outcome.outputs.values()
    if output.get("version") is None:
        place = str(home.path.parent / name)
        assert verify_export(Path(place)).is_good
        assert not list(home.path.parent.glob(f".{name}*")), "An unfinished copy is left."
    else:
        place = name
        uri = str(home.warehouse / name)
        commits = [c for c in read_history(uri) if c.record and c.record["output"]]
        assert len(commits) == n_runs + (KINDS[kind].base is not None)
        assert open_table(uri).to_dataset().count_rows() == expected.n_rows
    ledger = open_ledger(home)
    assert trace_up(ledger, LineageGraph(find_entity(place, home, ledger))).is_closed


def check_records(home: Home, name: str, mode: str, outcome: RunOutcome) -> str:
    """Check that every run has ended, and that attempts were counted; return what was killed."""
    records = list_records(home, name, mode)
    assert {record.phase for record in records} <= {"COMPLETED", "ERROR"}
    failed = [record for record in records if record.phase == "ERROR"]
    assert outcome.record.phase == "COMPLETED"
    assert outcome.record.attempt == 1 + len(failed)
    assert len(records) <= 2
    ids = {
        json.loads((record.folder / "spec.json").read_text())["submission"] for record in records
    }
    assert len(ids) == 1, "The second start is of the same submission."
    moment = find_moment(records[-1].folder)
    if outcome.already_made:
        assert failed == []
        return f"after its commit, {moment}"
    assert len(failed) == 1
    return f"at work, {moment}"


def find_moment(run: Path) -> str:
    """Return how far a run came, by its log."""
    said = read_log(run)
    return next((f"{step} was said" for step in _STEPS if f": {step}" in said), "before Spark")


def test_every_job_is_killed() -> None:
    assert {kind.job for kind in KINDS.values()} == set(RECIPES)


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
    dice, kind = random.Random(seed), list(KINDS)[seed % len(KINDS)]
    victim, step = dice.choice(_VICTIMS), dice.choice(("", *_STEPS))
    delay = dice.uniform(0, seconds / 4)
    name = f"random_{seed}"
    wanted, base = expected(kind), KINDS[kind].base
    if base is not None:
        run_job(parse_job(build(base, name)), home=small_home, spark=spark)
    job = build(kind, name)
    before = set(small_home.runs.iterdir())
    file = tmp_path / "job.yaml"
    process = start(job, small_home, file)
    try:
        wait_for_record(process, small_home, before)
        wait_for_step(process, small_home, before, step)
        time.sleep(delay)
        killed = kill(process, victim) if process.poll() is None else "nobody"
    finally:
        if process.poll() is None and victim == "driver":
            process.kill()
        end_all(process)
    outcome = run_job(parse_job(job), home=small_home, spark=spark)
    if kind == "append" and has_told(file):
        # The command was carried out; given again it appends again, unless its run has a name.
        wanted = replace(wanted, n_rows=2 * wanted.n_rows)
        check_result(small_home, kind, name, outcome, wanted, n_runs=2)
        moment = "after its end: appended once more"
    else:
        check_result(small_home, kind, name, outcome, wanted)
        moment = check_records(small_home, name, KINDS[kind].mode, outcome)
    print(f"seed {seed}: {kind}, killed {killed} after {delay:.1f} s past {step!r}, {moment}")
