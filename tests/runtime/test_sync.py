"""A tracking store that was away gets what it missed, once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from astropy.table import Table
from mlflow import MlflowClient
from pyspark.sql import SparkSession

from ubspark.errors import TransientError
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import RunOutcome, run_job
from ubspark.runtime.sync import sync_spool

pytestmark = pytest.mark.spark

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def untracked(
    home: Home, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunOutcome]:
    """A run while the store was away; it is back now."""
    Table({"id": [1, 2], "ra": [1.0, 2.0], "dec": [0.0, 0.0]}).write(tmp_path / "stars.csv")
    content = {
        "job": "ingest",
        "inputs": {"source": {"path": str(tmp_path / "stars.csv")}},
        "params": {"roles": {"id": "id"}},
        "outputs": {"table": {"table": "stars"}},
    }
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
        with pytest.warns(UserWarning, match="did not take the record"):
            outcome = run_job(parse_job(content), home=home, spark=spark)
    yield outcome
    mlflow.set_tracking_uri(None)


def find_runs(home: Home) -> list[Any]:
    client = MlflowClient(home.tracking_uri)
    experiment = client.get_experiment_by_name("ingest")
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))


def test_spooled_run_is_delivered_once(home: Home, untracked: RunOutcome) -> None:
    (path,) = home.spool.iterdir()
    messages = path.read_bytes()
    assert sync_spool(home) == {"delivered": 1, "broken": 0}
    assert list(home.spool.iterdir()) == []
    (run,) = find_runs(home)
    record = json.loads((untracked.record.folder / "record.json").read_text())
    assert run.info.run_id == record["mlflow_run"]
    assert run.info.status == "FINISHED"
    assert abs(run.info.end_time / 1000 - record["ended"]) < 30, "when it ran, not when it came"
    assert run.data.metrics["output_rows"] == 2
    assert {d.dataset.name for d in run.inputs.dataset_inputs} == {"stars.csv", "stars@v0"}
    # As if the machine had died between the delivery and the removal of the file.
    path.write_bytes(messages)
    assert sync_spool(home)["delivered"] == 1
    assert len(find_runs(home)) == 1
    assert sync_spool(home) == {"delivered": 0, "broken": 0}


def test_store_that_is_still_away_keeps_the_spool(
    home: Home, untracked: RunOutcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    with pytest.raises(TransientError, match=f"MLflow at {NOWHERE} does not take records"):
        sync_spool(home)
    assert [path.stem for path in home.spool.iterdir()] == [untracked.record.run_id]


def test_broken_file_does_not_hold_up_the_others(home: Home, untracked: RunOutcome) -> None:
    (home.spool / "0.json").write_text("[{")
    with pytest.warns(UserWarning, match=r"0\.json` stays: it is no record"):
        assert sync_spool(home) == {"delivered": 1, "broken": 1}
    assert [path.name for path in home.spool.iterdir()] == ["0.json"]
    assert len(find_runs(home)) == 1
    _ = untracked


def test_record_that_is_refused_for_good_does_not_hold_up_the_others(
    home: Home, untracked: RunOutcome
) -> None:
    (path,) = home.spool.iterdir()
    messages = json.loads(path.read_text())
    for message in messages:
        message["run"] = "0000"
    # No experiment can have this name.
    messages[0]["spec"]["job"] = ""
    (home.spool / "0000.json").write_text(json.dumps(messages))
    with pytest.warns(UserWarning, match=r"0000\.json` stays: MLflow at"):
        assert sync_spool(home) == {"delivered": 1, "broken": 1}
    assert [left.name for left in home.spool.iterdir()] == ["0000.json"]
    _ = untracked


@pytest.mark.parametrize(
    "messages",
    [
        [{"run": "0000"}],
        [{"run": "0000", "event": "dance"}],
        [{"run": "0000", "event": "finish", "status": "FINISHED", "metrics": {}, "outputs": {}}],
    ],
    ids=["no event", "unknown event", "start lost"],
)
def test_record_that_cannot_be_delivered_stays(
    home: Home, untracked: RunOutcome, messages: list[Any]
) -> None:
    """It is not thrown away, and holds up no other."""
    (home.spool / "0000.json").write_text(json.dumps(messages))
    (home.spool / "00.json").mkdir()
    with (
        pytest.warns(UserWarning, match=r"/00\.json` stays: it is no record"),
        pytest.warns(UserWarning, match=r"/0000\.json` stays: "),
    ):
        assert sync_spool(home) == {"delivered": 1, "broken": 2}
    assert {left.name for left in home.spool.iterdir()} == {"0000.json", "00.json"}
    _ = untracked


def test_run_that_never_told_its_end_is_closed(home: Home, untracked: RunOutcome) -> None:
    (path,) = home.spool.iterdir()
    path.write_text(json.dumps(json.loads(path.read_text())[:1]))
    sync_spool(home)
    (run,) = find_runs(home)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["output_rows"] == 2
    _ = untracked
