"""Trained classifiers in MLflow: logged with their run, registered by name, version and alias.

The folder that a training made stays the truth. MLflow holds a copy that its ``pyfunc`` flavour
opens, and says where the folder is and what its digest must be.
"""

import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ubspark import __version__
from ubspark.catalogs.export.manifest import Manifest, read_manifest
from ubspark.errors import InputMissingError, ParameterError, UbsparkError
from ubspark.features.model import LABEL, ModelCard, load_card

__all__ = ["RegisteredModel", "find_model", "register_models"]

_ADDRESS = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[\w-]+)|/(?P<version>\d+))")
#: Module whose `_load_pyfunc` opens the copy.
_LOADER = "ubspark.lineage.pyfunc"
#: Name of the copy, which MLflow puts below `data`.
_COPY = "classifier"
_SHA256, _FOLDER, _RUN = "ubspark.sha256", "ubspark.folder", "ubspark.run_id"


@dataclass(frozen=True)
class RegisteredModel:
    """A version in the model registry.

    Attributes
    ----------
    address
        ``models:/NAME/VERSION``.
    folder
        Where its files are.
    sha256
        Digest of the model, as it was registered.
    """

    address: str
    folder: Path
    sha256: str


def name_model(folder: Path) -> str:
    """Return the name of a folder as the registry takes it."""
    return re.sub(r"[^\w-]+", "_", folder.name).strip("_") or "model"


def register_models(client: Any, run: str, message: Mapping[str, Any]) -> None:
    """Log and register the models among the outputs of a run; those that are there already stay.

    Parameters
    ----------
    client
        An `MlflowClient`.
    run
        Id of the MLflow run.
    message
        The end of the run, as it was sent to the store.
    """
    for folder, manifest in _find_models(message):
        known = client.search_model_versions(f"run_id = '{run}'")
        params = manifest.record["spec"]["params"]
        name = str(params.get("registered_name") or name_model(folder))
        version = known[0] if known else _register(client, run, folder, name, manifest)
        alias = params.get("alias")
        if alias and not _is_newer(client, name, alias, str(message["run"])):
            client.set_registered_model_alias(name, alias, version.version)


def find_model(client: Any, address: str, *, copies: Path) -> RegisteredModel:
    """Return the version of the registry that an address names.

    Parameters
    ----------
    address
        ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.
    copies
        Where the copy of a model goes whose folder is gone.

    Raises
    ------
    ParameterError
        If the address is written otherwise, or the model was not made by a training of ours.
    InputMissingError
        If the registry does not have it.
    """
    from mlflow.exceptions import MlflowException

    parts = _ADDRESS.fullmatch(address)
    if parts is None:
        msg = (
            "A registered model must be written `models:/NAME@ALIAS` or `models:/NAME/VERSION`, "
            f"got `{address}`."
        )
        raise ParameterError(msg)
    name, alias, number = parts["name"], parts["alias"], parts["version"]
    try:
        found = (
            client.get_model_version_by_alias(name, alias)
            if alias
            else client.get_model_version(name, number)
        )
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        msg = f"The model registry does not have `{address}`."
        raise InputMissingError(msg) from error
    exact = f"models:/{name}/{found.version}"
    if _SHA256 not in found.tags:
        msg = f"The model `{exact}` was not registered by a `train` job."
        raise ParameterError(msg)
    return RegisteredModel(exact, _find_folder(client, found, copies), found.tags[_SHA256])


def _find_models(message: Mapping[str, Any]) -> Iterator[tuple[Path, Manifest]]:
    """Yield the folders of models that this very run made; a replay's are not to be used."""
    for output in message["outputs"].values():
        if output.get("kind") != "model":
            continue
        folder = Path(output["uri"])
        try:
            manifest = read_manifest(folder)
        except UbsparkError:
            continue
        tags = manifest.record["spec"]["run"].get("tags", {})
        if manifest.record["run"] == message["run"] and "ubspark.replay_of" not in tags:
            yield folder, manifest


def _register(client: Any, run: str, folder: Path, name: str, manifest: Manifest) -> Any:
    """Log a copy as a model of the run, and make it a version of a registered model."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    card, sha256 = load_card(folder)
    about = _describe(card, manifest)
    made = client.get_run(run)
    logged = client.create_logged_model(
        made.info.experiment_id,
        name=name,
        source_run_id=run,
        tags={_SHA256: sha256, _FOLDER: str(folder), _RUN: card.run},
        params=about,
        model_type="classifier",
    )
    with tempfile.TemporaryDirectory(prefix="ubspark-") as scratch:
        _save_pyfunc(card, folder, Path(scratch) / "model", about)
        client.log_model_artifacts(logged.model_id, str(Path(scratch) / "model"))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run, [LoggedModelOutput(logged.model_id, 0)])
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.create_model_version(
        name,
        # `models:/` and the id would be looked up in whatever store MLflow has set globally.
        source=logged.artifact_location,
        run_id=run,
        model_id=logged.model_id,
        tags={_SHA256: sha256, _FOLDER: str(folder), _RUN: card.run},
        description=f"Trained on {card.training_table} by run {card.run}.",
    )


def _describe(card: ModelCard, manifest: Manifest) -> dict[str, str]:
    """Return what the model was trained on, as text."""
    inputs = manifest.record["spec"]["inputs"]
    tables = {f"input.{name}": f"{i['uri']}@v{i['version']}" for name, i in inputs.items()}
    ids = {f"table_id.{name}": str(i["table_id"]) for name, i in inputs.items()}
    return {**tables, **ids, "registry": card.registry, "classes": ", ".join(card.classes)}


def _save_pyfunc(card: ModelCard, folder: Path, target: Path, about: Mapping[str, str]) -> None:
    """Write the MLflow model: signature, metadata and a copy of the folder."""
    import sklearn  # type: ignore[import-untyped]  # has no stubs
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    scores = [ColSpec("double", name) for name in card.probability_columns]
    signature = ModelSignature(
        inputs=Schema([ColSpec("double", name) for name in card.columns]),
        outputs=Schema([ColSpec("string", LABEL), *scores]),
    )
    with tempfile.TemporaryDirectory(prefix="ubspark-") as scratch, warnings.catch_warnings():
        # MLflow warns of the type hints of its own classes, and asks for an example of the input.
        warnings.simplefilter("ignore")
        from mlflow import pyfunc

        copy = shutil.copytree(folder, Path(scratch) / _COPY)
        pyfunc.save_model(
            str(target),
            loader_module=_LOADER,
            data_path=str(copy),
            signature=signature,
            # What MLflow would find by opening the model in another process.
            pip_requirements=[f"ubspark=={__version__}", f"scikit-learn=={sklearn.__version__}"],
            metadata=dict(about),
        )


def _is_newer(client: Any, name: str, alias: str, run_id: str) -> bool:
    """Whether an alias is at the model of a later run: records may come late, from the spool."""
    aliases = client.get_registered_model(name).aliases
    if alias not in aliases:
        return False
    # Ids of runs sort by time.
    return str(client.get_model_version(name, aliases[alias]).tags.get(_RUN, "")) > run_id


def _find_folder(client: Any, version: Any, copies: Path) -> Path:
    """Return the folder that the training made, or where it is gone or changed, a copy."""
    folder, sha256 = Path(version.tags[_FOLDER]), version.tags[_SHA256]
    if _holds(folder, sha256):
        return folder
    copy = copies / str(sha256)
    if not _holds(copy, sha256):
        from mlflow.artifacts import download_artifacts

        source = client.get_model_version_download_uri(version.name, version.version)
        with tempfile.TemporaryDirectory(prefix="ubspark-") as scratch:
            uri = client.tracking_uri
            got = Path(download_artifacts(artifact_uri=source, dst_path=scratch, tracking_uri=uri))
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(got / "data" / _COPY, copy)
    return copy


def _holds(folder: Path, sha256: str) -> bool:
    """Whether a folder holds the model of a digest."""
    try:
        return load_card(folder)[1] == sha256
    except (UbsparkError, OSError):
        return False
