"""What MLflow and the commits remember of a run."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table, read_history
from ubspark.lineage.environment import describe_code
from ubspark.lineage.tracking import Tracker
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import RunOutcome, run_job

pytestmark = pytest.mark.spark


def build_job(output: str, *, mode: str = "error", **params: Any) -> dict[str, Any]:
    return {
        "job": "crossmatch",
        "inputs": {"left": {"table": "hipparcos2"}, "right": {"table": "gaia_dr3@v0"}},
        "params": {"radius": "1 arcsec", "epoch": 2016.0, "association_only": True, **params},
        "outputs": {"matches": {"table": output, "mode": mode}},
        "run": {"user": "ana", "group": "lmc", "tags": {"paper": "first"}},
    }


@pytest.fixture(scope="module")
def run_it(demo_home: Home, spark: SparkSession) -> Callable[..., RunOutcome]:
    def run(output: str, *, force: bool = False, **changes: Any) -> RunOutcome:
        job = parse_job(build_job(output, **changes))
        return run_job(job, home=demo_home, spark=spark, force=force)

    return run


@pytest.fixture(scope="module")
def outcome(run_it: Callable[..., RunOutcome]) -> RunOutcome:
    return run_it("recorded")


@pytest.fixture(scope="module")
def shown(outcome: RunOutcome, demo_home: Home) -> Run:
    assert outcome.record.mlflow_run is not None
    return MlflowClient(demo_home.tracking_uri).get_run(outcome.record.mlflow_run)


def test_run_has_parameters_metrics_and_status(shown: Run, outcome: RunOutcome) -> None:
    assert shown.info.status == "FINISHED"
    assert shown.data.params["radius"] == "1.0 arcsec"
    assert shown.data.params["epoch"] == "2016.0"
    assert shown.data.params["how"] == "inner"
    assert shown.data.metrics == pytest.approx(outcome.record.metrics)
    assert shown.data.metrics["output_rows"] == outcome.outputs["matches"]["n_rows"]


def test_run_has_tags_of_code_user_and_key(shown: Run, outcome: RunOutcome) -> None:
    tags = shown.data.tags
    code = describe_code()
    assert tags["mlflow.user"] == "ana"
    assert tags["ubspark.group"] == "lmc"
    assert tags["paper"] == "first"
    assert tags["ubspark.run_id"] == outcome.record.run_id
    assert tags["ubspark.key"] == outcome.record.key
    assert tags["ubspark.code.sha256"] == code["sha256"]
    assert tags.get("mlflow.source.git.commit") == code.get("git")


def test_run_has_the_versions_of_its_tables(shown: Run, outcome: RunOutcome) -> None:
    found = {}
    for entry in shown.inputs.dataset_inputs:
        tags = {tag.key: tag.value for tag in entry.tags}
        found[tags["ubspark.role"]] = (tags, json.loads(entry.dataset.source), entry.dataset)
    assert found.keys() == {"left", "right", "matches"}
    for role, (tags, source, dataset) in found.items():
        # Version 0 must not read as "the latest".
        assert tags["ubspark.version"] == "0"
        assert source["delta_table_version"] == "0"
        assert tags["mlflow.data.context"] == ("output" if role == "matches" else "input")
        assert dataset.digest == f"v0-{tags['ubspark.table_id']}"[:36]
    assert found["matches"][0]["ubspark.table_id"] == outcome.outputs["matches"]["table_id"]


def test_run_has_its_files(shown: Run, demo_home: Home) -> None:
    client = MlflowClient(demo_home.tracking_uri)
    names = {file.path for file in client.list_artifacts(shown.info.run_id)}
    expected = {"spec.json", "environment.json", "run.log", "report.html"}
    assert expected | {"separations.png", "match_fraction.png"} <= names
    folder = Path(client.download_artifacts(shown.info.run_id, ""))
    assert json.loads((folder / "spec.json").read_text())["inputs"]["left"]["version"] == 0
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["packages"]["pyspark"]
    assert "Committed" in (folder / "run.log").read_text()


def test_run_is_found_by_its_output(outcome: RunOutcome, demo_home: Home) -> None:
    output = outcome.outputs["matches"]
    place = f"{output['uri']}@v0#{output['table_id']}"
    client = MlflowClient(demo_home.tracking_uri)
    experiment = client.get_experiment_by_name("crossmatch")
    assert experiment is not None
    found = client.search_runs(
        [experiment.experiment_id], f"tags.`ubspark.output.matches` = '{place}'"
    )
    assert [run.info.run_id for run in found] == [outcome.record.mlflow_run]


def test_commit_tells_the_run_without_any_store(outcome: RunOutcome, demo_home: Home) -> None:
    output = outcome.outputs["matches"]
    record = read_history(output["uri"])[0].record
    assert record is not None
    assert record["run"] == outcome.record.run_id
    assert record["key"] == outcome.record.key
    assert record["digest"] == output["digest"]
    assert record["code"] == describe_code()
    for role, name in (("left", "hipparcos2"), ("right", "gaia_dr3")):
        table = open_table(str(demo_home.warehouse / name))
        told = record["spec"]["inputs"][role]
        assert (told["uri"], told["table_id"], told["version"]) == (table.uri, table.table_id, 0)
    assert record["spec"] == json.loads((outcome.record.folder / "spec.json").read_text())


def test_equal_run_computes_nothing(
    outcome: RunOutcome, run_it: Callable[..., RunOutcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ubspark.runtime.run_job._execute", None)
    again = run_it("recorded")
    assert again.already_made
    assert again.record.run_id == outcome.record.run_id
    assert again.outputs == outcome.outputs


def test_force_overwrite_and_append_make_the_versions_they_should(
    run_it: Callable[..., RunOutcome],
) -> None:
    first = run_it("versions", radius="0.1 arcsec")
    forced = run_it("versions", radius="0.1 arcsec", force=True)
    other = run_it("versions", radius="0.2 arcsec", mode="overwrite")
    assert [run.outputs["matches"]["version"] for run in (first, forced, other)] == [0, 1, 2]
    assert forced.outputs["matches"]["digest"] == first.outputs["matches"]["digest"]
    assert run_it("versions", radius="0.2 arcsec", mode="overwrite").already_made

    # Each append is meant: both land.
    n_rows = [
        run_it("versions", radius="0.1 arcsec", mode="append").outputs["matches"]["n_rows"]
        for _ in range(2)
    ]
    n_first, n_other = (run.outputs["matches"]["n_rows"] for run in (first, other))
    assert n_rows == [n_other + n_first, n_other + 2 * n_first]


def test_append_that_failed_after_its_commit_lands_once(
    run_it: Callable[..., RunOutcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ubspark.runtime.run_job.describe_run", fail)
        with pytest.raises(KeyboardInterrupt, match="@v0 was committed"):
            run_it("appended", mode="append")
    resumed = run_it("appended", mode="append")
    assert resumed.already_made
    assert resumed.record.phase == "ABORTED"
    assert run_it("appended", mode="append").outputs["matches"]["version"] == 1


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Names an MLflow server that is not there."""
    uri = "http://127.0.0.1:9"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    yield uri
    mlflow.set_tracking_uri(None)


def test_store_that_is_down_does_not_stop_a_run(
    unreachable: str, run_it: Callable[..., RunOutcome], demo_home: Home
) -> None:
    started = time.monotonic()
    shown = unreachable.replace("//", "//…@")
    with pytest.warns(UserWarning, match=f"MLflow at {shown} did not take the record") as told:
        made = run_it("untracked")
    assert not any("hunter2" in str(warning.message) for warning in told)
    assert "hunter2" not in (demo_home.runs / made.record.run_id / "run.log").read_text()
    assert time.monotonic() - started < 60
    assert made.record.phase == "COMPLETED"
    waiting = json.loads((demo_home.spool / f"{made.record.run_id}.json").read_text())
    assert [message["event"] for message in waiting] == ["start", "finish"]
    assert waiting[0]["spec"]["key"] == made.record.key
    assert waiting[1]["outputs"]["matches"] == dict(made.outputs["matches"])


def test_long_parameter_reaches_the_store_whole_or_is_named(
    outcome: RunOutcome, demo_home: Home, tmp_path: Path
) -> None:
    spec = json.loads((outcome.record.folder / "spec.json").read_text())
    spec["params"]["nulls"] = ["x" * 9000]

    class LongSpec:
        def to_json(self) -> dict[str, Any]:
            return dict(spec)

    tracker = Tracker(demo_home.tracking_uri, artifact_root=demo_home.artifact_root, spool=tmp_path)
    tracker.start(LongSpec(), run_id=outcome.record.run_id, tags={"long": "y" * 9000})  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())
    client = MlflowClient(demo_home.tracking_uri)
    run = client.get_run(str(tracker.mlflow_run))
    assert "spec.json" in run.data.params["nulls"]
    kept = Path(client.download_artifacts(run.info.run_id, "spec.json")).read_text()
    assert json.loads(kept)["params"]["nulls"] == spec["params"]["nulls"]
