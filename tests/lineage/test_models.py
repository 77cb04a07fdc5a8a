"""Models in MLflow's registry: what is registered when, and what is found by an address."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression

from ubspark.catalogs.export.manifest import ExportFile, Manifest, write_manifest
from ubspark.errors import ParameterError
from ubspark.features.calibration import Calibration
from ubspark.features.model import ClassifierModel, ModelCard, save_model
from ubspark.lineage.models import find_model, register_models

RUNS = ("01a0-first", "01a1-second")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    found = MlflowClient(uri, registry_uri=uri)
    found.create_experiment("train", artifact_location=(folder / "artifacts").as_uri())
    return found


def make_folder(folder: Path, run: str, **tags: str) -> dict[str, Any]:
    """Write a model as `train` does; return the message of the end of its run."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 2))
    card = ModelCard(("a", "b"), (None, "mag"), "r1", ("no", "yes"), "/t/features@v3", run)
    model = ClassifierModel(
        card,
        LogisticRegression().fit(x, (x[:, 0] > 0).astype(int)),
        Calibration(1.0, np.zeros(2)),
        np.array([0.5, 0.5]),
    )
    save_model(model, folder, facts={})
    files = tuple(ExportFile.describe(folder, path.name) for path in sorted(folder.iterdir()))
    table = {"uri": "/t/features", "version": 3, "table_id": "id", "kind": "delta"}
    spec = {"params": {"alias": "best"}, "run": {"tags": tags}, "inputs": {"features": table}}
    write_manifest(folder, Manifest("model", files, {"run": run, "spec": spec}, 40))
    return {"run": run, "outputs": {"model": {"kind": "model", "uri": str(folder)}}}


def create_run(client: MlflowClient) -> str:
    experiment = client.get_experiment_by_name("train")
    assert experiment is not None
    return str(client.create_run(experiment.experiment_id).info.run_id)


def test_a_message_sent_twice_makes_one_version(client: MlflowClient, tmp_path: Path) -> None:
    message = make_folder(tmp_path / "twice", RUNS[0])
    run = create_run(client)
    for _ in range(2):
        register_models(client, run, message)
    found = client.search_model_versions("name = 'twice'")
    assert [int(version.version) for version in found] == [1]


def test_the_alias_does_not_go_back_to_an_earlier_run(client: MlflowClient, tmp_path: Path) -> None:
    """Records may come late, from the spool."""
    for run in reversed(RUNS):
        register_models(client, create_run(client), make_folder(tmp_path / "late", run))
    found = client.get_model_version_by_alias("late", "best")
    assert found.tags["ubspark.run_id"] == RUNS[1]
    assert len(client.search_model_versions("name = 'late'")) == 2


def test_a_replay_registers_nothing(client: MlflowClient, tmp_path: Path) -> None:
    message = make_folder(tmp_path / "replay", RUNS[0], **{"ubspark.replay_of": "01a0"})
    register_models(client, create_run(client), message)
    assert client.search_model_versions("name = 'replay'") == []


def test_a_folder_that_was_replaced_is_not_taken_for_the_first(
    client: MlflowClient, tmp_path: Path
) -> None:
    message = make_folder(tmp_path / "replaced", RUNS[0])
    make_folder(tmp_path / "replaced", RUNS[1])
    register_models(client, create_run(client), message)
    assert client.search_model_versions("name = 'replaced'") == []


def test_a_model_of_others_is_refused(client: MlflowClient, tmp_path: Path) -> None:
    client.create_registered_model("foreign")
    client.create_model_version("foreign", source=(tmp_path / "x").as_uri())
    with pytest.raises(ParameterError, match="was not registered by a `train` job"):
        find_model(client, "models:/foreign/1", copies=tmp_path)
