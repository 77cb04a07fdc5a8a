"""Runs in a real MLflow server: what a user finds there, and what happens when it goes away."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from pyspark.sql import SparkSession

import ubspark.runtime.run_job as runner
from ubspark.errors import TransientError
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import RunOutcome, run_job
from ubspark.runtime.sync import rebuild_tracking, sync_spool

pytestmark = pytest.mark.spark

_PATIENCE_S = 300


class Server:
    """An MLflow server on a free port of the loopback, with its artifacts behind it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        store = f"sqlite:///{self._folder / 'server.db'}"
        program = Path(sys.executable).with_name("mlflow")
        words = ["server", "--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"]
        words += ["--backend-store-uri", store, "--serve-artifacts"]
        words += ["--artifacts-destination", str(self._folder / "artifacts")]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, *words], stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + _PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "server.log").read_text()
            assert time.monotonic() < end, (self._folder / "server.log").read_text()
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it take connections, and never answer."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("mlflow") / "server")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(autouse=True)
def _tracked_by_server(
    server: Server, small_home: Home, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    yield
    mlflow.set_tracking_uri(None)
    _ = small_home


@pytest.fixture
def run(
    small_home: Home, spark: SparkSession, match_job: Callable[..., dict[str, Any]]
) -> Callable[..., RunOutcome]:
    def start(table: str, **who: Any) -> RunOutcome:
        job = match_job(table) | {"run": {"user": "ana", **who}}
        return run_job(parse_job(job), home=small_home, spark=spark)

    return start


def find(server: Server, condition: str) -> list[Run]:
    client = MlflowClient(server.uri)
    experiments = [found.experiment_id for found in client.search_experiments()]
    return list(client.search_runs(experiments, filter_string=condition))


def find_run(server: Server, outcome: RunOutcome) -> Run:
    (shown,) = find(server, f"tags.`ubspark.run_id` = '{outcome.record.run_id}'")
    return shown


def test_run_is_found_by_its_inputs_and_says_what_it_used(
    server: Server, run: Callable[..., RunOutcome], capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = run("served")
    assert "View run" not in capfd.readouterr().out, "The JSON of a command stands alone."
    shown = find_run(server, outcome)
    for condition in ("datasets.name = 'stars@v0'", "datasets.context = 'output'"):
        assert shown.info.run_id in [run.info.run_id for run in find(server, condition)]
    assert find(server, "datasets.name = 'stars@v1'") == []
    assert shown.data.params["radius"] == "1.0 arcsec"
    metrics = shown.data.metrics
    assert metrics["input_rows"] == 800
    assert metrics["output_rows"] == outcome.outputs["matches"]["n_rows"] == 400
    assert metrics["input_bytes"] > 0
    assert metrics["output_bytes"] > 0
    # All tasks of a run on two cores together, but no more than both for its whole length.
    assert 0 < metrics["core_seconds"] < 3 * metrics["seconds"] + 1
    assert 1e8 < metrics["peak_memory_bytes"] < 3e10
    assert {"spilled_disk_bytes", "spilled_memory_bytes", "shuffle_read_bytes"} <= set(metrics)
    assert metrics["matched_rows"] == 400
    assert shown.data.tags["ubspark.attempt"] == "1"
    assert shown.info.status == "FINISHED"


def test_artifacts_come_through_the_server(
    server: Server, run: Callable[..., RunOutcome], tmp_path: Path
) -> None:
    outcome = run("with_files")
    shown = find_run(server, outcome)
    assert shown.info.artifact_uri.startswith("mlflow-artifacts:/")
    client = MlflowClient(server.uri)
    names = {file.path for file in client.list_artifacts(shown.info.run_id)}
    files = {"spec.json", "environment.json", "requirements.lock", "plan.json", "run.log"}
    assert files | {"report.html"} <= names
    folder = Path(client.download_artifacts(shown.info.run_id, "", str(tmp_path)))
    assert "pyspark==" in (folder / "requirements.lock").read_text()
    assert json.loads((folder / "plan.json").read_text())[0]["name"]
    assert json.loads((folder / "spec.json").read_text())["key"] == outcome.record.key


def test_runs_of_a_campaign_are_below_one_run(
    server: Server, run: Callable[..., RunOutcome]
) -> None:
    children = [find_run(server, run(f"cell_{i}", campaign="deep field")) for i in range(2)]
    parents = {child.data.tags["mlflow.parentRunId"] for child in children}
    (parent,) = find(server, "tags.`ubspark.kind` = 'campaign'")
    assert parents == {parent.info.run_id}
    assert parent.info.run_name == "deep field"
    assert parent.info.status == "FINISHED"


def test_server_that_dies_during_a_run_gets_its_end_later(
    server: Server,
    run: Callable[..., RunOutcome],
    small_home: Home,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = runner.write_output

    def write_without_server(*given: Any) -> Any:
        server.stop()
        return write(*given)

    monkeypatch.setattr(runner, "write_output", write_without_server)
    with pytest.warns(UserWarning, match="did not take the record"):
        outcome = run("orphaned")
    assert outcome.record.phase == "COMPLETED"
    assert outcome.outputs["matches"]["n_rows"] == 400
    with pytest.raises(TransientError, match="does not take records"):
        sync_spool(small_home)
    server.start()
    assert find_run(server, outcome).info.status == "RUNNING"
    assert sync_spool(small_home) == {"delivered": 1, "broken": 0}
    shown = find_run(server, outcome)
    assert shown.info.status == "FINISHED"
    assert shown.data.metrics["output_rows"] == 400
    assert abs(shown.info.end_time / 1000 - (outcome.record.ended or 0)) < 30


def test_server_that_never_answers_does_not_stop_a_run(
    server: Server,
    run: Callable[..., RunOutcome],
    small_home: Home,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server.freeze()
    try:
        with pytest.warns(UserWarning, match="did not take the record"):
            outcome = run("patient")
        assert outcome.record.phase == "COMPLETED"
    finally:
        server.thaw()
    assert sync_spool(small_home) == {"delivered": 1, "broken": 0}
    assert find_run(server, outcome).info.status == "FINISHED"


def test_failed_runs_are_made_anew_too(
    server: Server,
    run: Callable[..., RunOutcome],
    small_home: Home,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> Any:
        msg = "The disk is full."
        raise TransientError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "write_output", fail)
        for _ in range(2):
            with pytest.raises(TransientError):
                run("unlucky")
    outcome = run("unlucky")
    assert outcome.record.attempt == 3
    assert find_run(server, outcome).data.tags["ubspark.attempt"] == "3"
    failed = find(server, "attributes.status = 'FAILED'")
    assert len(failed) == 2
    client = MlflowClient(server.uri)
    for shown in failed:
        client.delete_run(shown.info.run_id)
    assert rebuild_tracking(small_home)["rebuilt"] >= 2
    anew = find(server, "attributes.status = 'FAILED'")
    assert {shown.data.tags["ubspark.rebuilt"] for shown in anew} == {"true"}
    # Other tests may have left failed runs in this home.
    lost, found = ([one.data.tags["ubspark.run_id"] for one in runs] for runs in (failed, anew))
    assert set(lost) <= set(found)
    assert len(found) == len(set(found))
    assert {shown.data.params["radius"] for shown in anew} == {"1.0 arcsec"}
