"""Killed runs: nothing is lost, nothing lands twice, and the same command goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from mlflow import MlflowClient
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table, read_history
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.records import RunRecord, iterate_records
from ubspark.runtime.run_job import RunOutcome, run_job

pytestmark = pytest.mark.spark

Job = dict[str, Any]
_SCRIPT = Path(__file__).with_name("stop_at.py")
_PATIENCE_S = 180
_SENTENCES = {
    "java": "The Java process of Spark was killed. Run again.",
    "worker": "A Python worker was killed, perhaps for lack of memory. Run again.",
}


@dataclass
class StoppedRun:
    """A run in a process of its own that waits at a moment."""

    process: subprocess.Popen[str]
    folder: Path
    #: The process that waits: a Python worker during the write, else the driver.
    waiting: int
    java: psutil.Process

    def go_on(self) -> None:
        (self.folder / "go").touch()

    def wait_for_end(self) -> tuple[int, str]:
        _, said = self.process.communicate(timeout=_PATIENCE_S)
        return self.process.returncode, said


@contextmanager
def stopped_run(moment: str, job: Job, home: Home, folder: Path) -> Iterator[StoppedRun]:
    folder.mkdir()
    file = folder / "job.yaml"
    file.write_text(yaml.safe_dump(job))
    process = subprocess.Popen(
        [sys.executable, _SCRIPT, moment, folder, "run", file],
        env={**os.environ, "UBSPARK_HOME": str(home.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        ready = wait_until(lambda: (folder / "ready").exists() or process.poll() is not None)
        assert ready, "The run did not come to the moment."
        assert process.poll() is None, process.communicate()[1]
        below = psutil.Process(process.pid).children(recursive=True)
        java = next(child for child in below if child.name() == "java")
        yield StoppedRun(process, folder, int((folder / "ready").read_text()), java)
    finally:
        # The run leads a session of its own; no process of it may outlive the test.
        for left in (child for child in psutil.process_iter() if _has_session(child, process.pid)):
            left.kill()
        process.communicate()


def _has_session(process: psutil.Process, leader: int) -> bool:
    try:
        return os.getsid(process.pid) == leader
    except ProcessLookupError:
        return False


def wait_until(holds: Callable[[], bool], seconds: float = _PATIENCE_S) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.1)
    return holds()


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended; nobody may have asked for its exit code yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(run: StoppedRun, whom: str) -> None:
    if whom == "python":
        run.process.kill()
    elif whom == "java":
        run.java.kill()
        assert wait_until(lambda: is_gone(run.java), 20)
        run.go_on()
    elif whom == "worker":
        os.kill(run.waiting, signal.SIGKILL)
    else:
        os.killpg(run.process.pid, signal.SIGKILL)


def find_record(home: Home, table: str) -> RunRecord:
    """Return the newest record of a run that makes a table."""
    for record in iterate_records(home.runs):
        spec = json.loads((record.folder / "spec.json").read_text())
        if any(Path(output["uri"]).name == table for output in spec["outputs"].values()):
            return record
    raise AssertionError(table)


def read_status(home: Home, record: RunRecord) -> str:
    assert record.mlflow_run is not None
    return str(MlflowClient(home.tracking_uri).get_run(record.mlflow_run).info.status)


def again(job: Job, home: Home, spark: SparkSession) -> RunOutcome:
    return run_job(parse_job(job), home=home, spark=spark)


def count_rows(home: Home, table: str, version: int | None = None) -> int:
    return open_table(str(home.warehouse / table), version=version).to_dataset().count_rows()


def list_versions(home: Home, table: str) -> list[int]:
    return [commit.version for commit in read_history(str(home.warehouse / table))]


def check_kill(
    moment: str, whom: str, build: Callable[..., Job], home: Home, spark: SparkSession, folder: Path
) -> None:
    """Kill a run that replaces a table, and run it again."""
    table = f"killed_{moment}_{whom}"
    again(build(table, radius="0.1 arcsec"), home, spark)
    assert count_rows(home, table) == 0
    job = build(table, mode="overwrite")
    expected = again(build("not_killed"), home, spark).outputs["matches"]
    with stopped_run(moment, job, home, folder) as run:
        n_versions = 2 if moment == "record" else 1
        assert len(list_versions(home, table)) == n_versions
        assert count_rows(home, table, 0) == 0
        kill(run, whom)
        code, said = run.wait_for_end()
        assert wait_until(lambda: is_gone(run.java), 30), "The JVM lives on."
    if whom in ("java", "worker") and moment != "record":
        assert code == 75, said
        assert said == f"ubspark: {_SENTENCES[whom]}\n"
    assert len(list_versions(home, table)) == n_versions

    outcome = again(job, home, spark)
    assert outcome.already_made == (moment == "record")
    assert outcome.outputs["matches"]["digest"] == expected["digest"]
    assert list_versions(home, table) == [1, 0]
    assert count_rows(home, table) == expected["n_rows"]
    assert count_rows(home, table, 0) == 0
    records = [r for r in iterate_records(home.runs) if r.key == outcome.record.key]
    killed = next(r for r in records if _makes(r, table) and r.pid != os.getpid())
    phase = "COMPLETED" if moment == "record" else "ERROR"
    statuses = {"COMPLETED": {"FINISHED"}, "ERROR": {"KILLED", "FAILED"}}
    assert killed.phase == phase
    assert read_status(home, killed) in statuses[phase]


def _makes(record: RunRecord, table: str) -> bool:
    return f'/{table}"' in (record.folder / "spec.json").read_text()


# `test_random_kills.py` kills at any moment; here the worst ones are waited for.
@pytest.mark.parametrize(("moment", "whom"), [("commit", "java")])
def test_same_command_goes_on_after_a_kill(
    moment: str,
    whom: str,
    match_job: Callable[..., Job],
    small_home: Home,
    spark: SparkSession,
    tmp_path: Path,
) -> None:
    check_kill(moment, whom, match_job, small_home, spark, tmp_path / "stop")


_TOLD = {("commit", "java")}
_MATRIX = [
    (moment, whom)
    for moment in ("first_task", "write", "commit", "record")
    for whom in ("python", "java", "worker", "group")
    # Only during the write a worker is at work.
    if (moment, whom) not in _TOLD and (whom != "worker" or moment == "write")
]


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "whom"), _MATRIX)
def test_same_command_goes_on_after_every_kill(
    moment: str,
    whom: str,
    match_job: Callable[..., Job],
    small_home: Home,
    spark: SparkSession,
    tmp_path: Path,
) -> None:
    check_kill(moment, whom, match_job, small_home, spark, tmp_path / "stop")


def test_append_of_one_name_lands_once_where_two_work_at_it(
    match_job: Callable[..., Job], small_home: Home, spark: SparkSession, tmp_path: Path
) -> None:
    """Neither knew of the other when it looked what was there."""
    job = {**match_job("nights", mode="append"), "run": {"submission": "night42"}}
    again(match_job("nights"), small_home, spark)
    n_rows = count_rows(small_home, "nights")
    with stopped_run("commit", job, small_home, tmp_path / "stop") as run:
        first = again(job, small_home, spark)
        run.go_on()
        code, said = run.wait_for_end()
    assert code == 0, said
    assert f"Already made by run {first.record.run_id}" in said
    assert list_versions(small_home, "nights") == [1, 0]
    assert count_rows(small_home, "nights") == 2 * n_rows
    files = open_table(str(small_home.warehouse / "nights")).n_files
    assert len(list((small_home.warehouse / "nights").glob("part-*"))) == files


def test_interrupt_leaves_an_aborted_record(
    match_job: Callable[..., Job], small_home: Home, spark: SparkSession, tmp_path: Path
) -> None:
    check_signal(signal.SIGINT, match_job("interrupted"), small_home, tmp_path / "stop")
    assert not again(match_job("interrupted"), small_home, spark).already_made


@pytest.mark.slow
def test_sigterm_leaves_an_aborted_record(
    match_job: Callable[..., Job], small_home: Home, tmp_path: Path
) -> None:
    check_signal(signal.SIGTERM, match_job("terminated"), small_home, tmp_path / "stop")


def check_signal(number: signal.Signals, job: Job, home: Home, folder: Path) -> None:
    with stopped_run("write", job, home, folder) as run:
        run.process.send_signal(number)
        code, said = run.wait_for_end()
        assert wait_until(lambda: is_gone(run.java), 30), "The JVM lives on."
    assert code == 130
    assert said == "ubspark: Stopped by the user; nothing was committed.\n"
    record = find_record(home, job["outputs"]["matches"]["table"])
    assert record.phase == "ABORTED"
    assert read_status(home, record) == "KILLED"
