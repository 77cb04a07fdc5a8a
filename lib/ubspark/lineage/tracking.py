"""Showing runs in MLflow: the only module that imports it.

Tracking never stops science: what the store does not take is put into the spool, and the commits
of the output tables say the essentials anyway.
"""

import json
import logging
import os
import re
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ubspark.lineage.models import RegisteredModel, find_model, register_models
from ubspark.lineage.spec import FrozenSpec, to_canonical_json

__all__ = ["FolderRecord", "OutputRecord", "Tracker", "describe_place", "is_refusal", "load_output"]

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]

#: What MLflow's stores hold.
_MAX_DIGEST = 36
#: Most values that MLflow takes in one call.
_MAX_BATCH = 100
_MAX_PARAM = 6000
_MAX_TAG = 8000
_MAX_KEY = 250
#: By which MLflow's pages put runs below another.
_PARENT_TAG = "mlflow.parentRunId"
_CAMPAIGN_TAG = "ubspark.campaign"
#: Makes MLflow's pages show runs with parameters and metrics, not conversations.
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


@dataclass(frozen=True)
class OutputRecord:
    """A table version that a run made."""

    uri: str
    table_id: str
    version: int
    digest: str
    n_rows: int
    n_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return it for records."""
        return dict(vars(self))


@dataclass(frozen=True)
class FolderRecord:
    """A folder of files that a run made."""

    uri: str
    #: Format of the files.
    kind: str
    #: SHA-256 over the manifest's names, sizes and digests.
    digest: str
    n_rows: int
    n_bytes: int
    n_files: int

    def to_json(self) -> dict[str, Any]:
        """Return it for records."""
        return dict(vars(self))


def load_output(output: Mapping[str, Any]) -> OutputRecord | FolderRecord:
    """Return the record of an output from its JSON."""
    return OutputRecord(**output) if "version" in output else FolderRecord(**output)


def describe_place(output: Mapping[str, Any]) -> str:
    """Return where an output of a record is: a table with its version, or a folder."""
    return f"{output['uri']}@v{output['version']}" if "version" in output else str(output["uri"])


class Tracker:
    """One run in the MLflow store, or a spool file where the store does not answer.

    Parameters
    ----------
    tracking_uri
        MLflow store.
    artifact_root
        Where a new experiment keeps its artifacts; None leaves it to the server.
    spool
        Folder for what could not be delivered.
    mlflow_run
        An MLflow run to go on with.
    """

    def __init__(
        self,
        tracking_uri: str,
        *,
        artifact_root: str | None,
        spool: Path,
        mlflow_run: str | None = None,
    ) -> None:
        self._tracking_uri = tracking_uri
        self._artifact_root = artifact_root
        self._spool = spool
        self.mlflow_run = mlflow_run
        self._waiting: list[dict[str, Any]] = []

    def start(self, spec: FrozenSpec, *, run_id: str, tags: Mapping[str, str]) -> None:
        """Create the MLflow run with its parameters and input tables."""
        content = {"spec": spec.to_json(), "tags": dict(tags), "time_ms": _now()}
        self._deliver("start", {"run": run_id, **content})

    def finish(
        self,
        status: RunStatus,
        *,
        run_id: str,
        metrics: Mapping[str, float],
        outputs: Mapping[str, OutputRecord | FolderRecord],
        artifacts: Path,
    ) -> None:
        """Record the end: metrics, outputs, and the files of the run's folder."""
        self._deliver(
            "finish",
            {
                "run": run_id,
                "status": status,
                "time_ms": _now(),
                "metrics": dict(metrics),
                "outputs": {name: output.to_json() for name, output in outputs.items()},
                "artifacts": str(artifacts),
            },
        )

    def redeliver(self, run_id: str, messages: Sequence[Mapping[str, Any]]) -> None:
        """Send the messages of one run, adding to what the store has of it already.

        Raises
        ------
        Exception
            Of whatever kind the store raises.
        """
        client = self._open()
        if self.mlflow_run is None:
            self.mlflow_run = _find_run(client, run_id)
        for message in messages:
            if message["event"] not in ("start", "finish"):
                msg = f"it has the event `{message['event']}`, which nobody knows here"
                raise ValueError(msg)
            if message["event"] == "finish" and self.mlflow_run is None:
                msg = "its start was lost, and the store does not know the run"
                raise ValueError(msg)
            self._send(message)

    def list_runs(self) -> set[str]:
        """Return the ids of our runs that the store has to their end."""
        return _list_runs(self._open())

    def set_tag(self, key: str, value: str) -> bool:
        """Set a tag of the run; False where the store does not take it."""
        try:
            if self.mlflow_run is not None:
                self._open().set_tag(self.mlflow_run, _to_key(key), _clip(value, _MAX_TAG))
        # As in `_deliver`.
        except Exception:
            return False
        return self.mlflow_run is not None

    def find_model(self, address: str, *, copies: Path) -> RegisteredModel:
        """Return the version of the model registry that an address names."""
        return find_model(self._open(), address, copies=copies)

    def _deliver(self, event: str, content: dict[str, Any]) -> None:
        """Send one event to the store; spool it, and those that wait before it, on failure."""
        self._waiting.append({"event": event, **content})
        try:
            while self._waiting:
                self._send(self._waiting[0])
                self._waiting.pop(0)
            # What an earlier event of this run left there has been delivered with this one.
            (self._spool / f"{content['run']}.json").unlink(missing_ok=True)
        # Whatever goes wrong in a tracking store is no reason to lose a run.
        except Exception as error:
            self._spool.mkdir(parents=True, exist_ok=True)
            path = self._spool / f"{content['run']}.json"
            path.write_text(json.dumps(self._waiting), encoding="utf-8")
            sentence = (
                f"MLflow at {self._tracking_uri} did not take the record of run "
                f"{content['run']} ({type(error).__name__}: {error}); it waits in {path}."
            )
            # The address of a server may hold a password.
            warnings.warn(re.sub(r"://[^/@\s]*@", "://…@", sentence), stacklevel=3)

    def _open(self) -> Any:
        os.environ.setdefault("MLFLOW_TRUNCATE_LONG_VALUES", "false")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        # Else it prints its address where the JSON of a command belongs.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        # MLflow's own patience is minutes per call.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.WARNING)
        from mlflow import MlflowClient

        # Left open, MLflow would ask the Spark session for the registry, which may be dead.
        return MlflowClient(self._tracking_uri, registry_uri=self._tracking_uri)

    def _send(self, message: Mapping[str, Any]) -> None:
        client = self._open()
        if message["event"] == "start":
            self._create_run(client, message)
        elif self.mlflow_run is not None:
            _close_run(client, self.mlflow_run, message)
            register_models(client, self.mlflow_run, message)

    def _create_run(self, client: Any, message: Mapping[str, Any]) -> None:
        spec = message["spec"]
        tags = {"ubspark.run_id": message["run"], "ubspark.key": spec["key"], **message["tags"]}
        # A message is sent again where the store failed in the middle of it.
        if self.mlflow_run is None:
            experiment = self._find_experiment(client, spec["job"])
            name = f"{spec['job']}-{message['run'][-8:]}"
            campaign = spec["run"].get("campaign")
            if campaign:
                tags[_PARENT_TAG] = _find_campaign(client, experiment, str(campaign))
            tags = {_to_key(key): _clip(value, _MAX_TAG) for key, value in tags.items()}
            began = message.get("time_ms")
            run = client.create_run(experiment, start_time=began, run_name=name, tags=tags)
            self.mlflow_run = str(run.info.run_id)
        _log_params(client, self.mlflow_run, _flatten(spec["params"]))
        client.log_dict(self.mlflow_run, spec, "spec.json")
        inputs = [_to_dataset(name, record) for name, record in spec["inputs"].items()]
        client.log_inputs(self.mlflow_run, inputs)

    def _find_experiment(self, client: Any, name: str) -> str:
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = f"{self._artifact_root}/{name}" if self._artifact_root else None
        return str(client.create_experiment(name, artifact_location=place, tags=_EXPERIMENT_TAGS))


def _find_campaign(client: Any, experiment: str, name: str) -> str:
    """Return the parent of the runs of a campaign in an experiment; it is made with the first."""
    shown = name.replace("'", "")
    known = f"tags.`{_CAMPAIGN_TAG}` = '{shown}' and tags.`ubspark.kind` = 'campaign'"
    runs = client.search_runs([experiment], filter_string=known, max_results=1)
    if runs:
        return str(runs[0].info.run_id)
    tags = {_CAMPAIGN_TAG: shown, "ubspark.kind": "campaign"}
    return str(client.create_run(experiment, run_name=shown, tags=tags).info.run_id)


def _close_run(client: Any, run: str, message: Mapping[str, Any]) -> None:
    _log_metrics(client, run, message["metrics"], message.get("time_ms") or _now())
    for name, output in message["outputs"].items():
        place = f"{describe_place(output)}#{output.get('table_id', output['digest'])}"
        client.set_tag(run, f"ubspark.output.{name}", place)
    datasets = [
        _to_dataset(name, {"kind": "delta", **output}, context="output")
        for name, output in message["outputs"].items()
    ]
    if datasets:
        client.log_inputs(run, datasets)
    if Path(message["artifacts"]).is_dir():
        client.log_artifacts(run, message["artifacts"])
    client.set_terminated(run, message["status"], end_time=message.get("time_ms"))
    parent = client.get_run(run).data.tags.get(_PARENT_TAG)
    if parent is not None:
        # A campaign has ended when its last run has.
        client.set_terminated(parent, "FINISHED", end_time=message.get("time_ms"))


def _log_params(client: Any, run: str, params: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    given = [Param(_to_key(key), _clip(value, _MAX_PARAM)) for key, value in params.items()]
    _log_batches(client, run, params=given)


def is_refusal(error: Exception) -> bool:
    """Whether a record was refused for what is in it, and would be again."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return error.get_http_status_code() in (400, 404)
    return isinstance(error, ValueError | LookupError | TypeError | AttributeError)


def _log_metrics(client: Any, run: str, metrics: Mapping[str, float], time_ms: int) -> None:
    from mlflow.entities import Metric

    given = [Metric(_to_key(name), float(value), time_ms, 0) for name, value in metrics.items()]
    _log_batches(client, run, metrics=given)


def _log_batches(client: Any, run: str, **given: list[Any]) -> None:
    for kind, entities in given.items():
        for start in range(0, len(entities), _MAX_BATCH):
            client.log_batch(run, **{kind: entities[start : start + _MAX_BATCH]})


def _find_run(client: Any, run_id: str) -> str | None:
    """Return the MLflow run of one of ours, None if the store has none."""
    experiments = [found.experiment_id for found in client.search_experiments()]
    known = f"tags.`ubspark.run_id` = '{run_id}'"
    runs = client.search_runs(experiments, filter_string=known, max_results=1)
    return str(runs[0].info.run_id) if runs else None


def _list_runs(client: Any) -> set[str]:
    experiments = [found.experiment_id for found in client.search_experiments()]
    found: set[str] = set()
    token = None
    while True:
        runs = client.search_runs(experiments, max_results=1000, page_token=token)
        ended = (run for run in runs if run.info.end_time is not None)
        found |= {str(run.data.tags.get("ubspark.run_id")) for run in ended}
        token = runs.token
        if not token:
            return found


def _now() -> int:
    return int(time.time() * 1000)


def _to_dataset(name: str, record: Mapping[str, Any], *, context: str = "input") -> Any:
    """Return an MLflow dataset of a table version or of files; no Spark job is run for it."""
    from mlflow.data.delta_dataset_source import DeltaDatasetSource
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.entities import DatasetInput, InputTag

    tags = {"mlflow.data.context": context, "ubspark.role": name}
    if record["kind"] == "delta":
        # The version must be text: MLflow drops the number 0.
        source = DeltaDatasetSource(path=record["uri"], delta_table_version=str(record["version"]))
        title = f"{record['uri'].rstrip('/').rsplit('/', 1)[-1]}@v{record['version']}"
        digest = f"v{record['version']}-{record['table_id']}"
        tags |= {"ubspark.table_id": record["table_id"], "ubspark.version": str(record["version"])}
    else:
        from mlflow.data.sources import LocalArtifactDatasetSource

        source = LocalArtifactDatasetSource(record["uri"])
        title, digest = Path(record["uri"]).name, record["digest"]
    dataset = MetaDataset(source, name=title, digest=digest[:_MAX_DIGEST])
    listed = [InputTag(key, value) for key, value in tags.items()]
    return DatasetInput(dataset=dataset._to_mlflow_entity(), tags=listed)


def _clip(text: str, longest: int) -> str:
    """Return a text that fits, and where the whole of it is."""
    end = " … (whole in spec.json)"
    return text if len(text) <= longest else text[: longest - len(end)] + end


def _to_key(name: str) -> str:
    """Return a name of the characters that MLflow takes; columns may be called anything."""
    return re.sub(r"[^\w.:/ -]", "_", name)[:_MAX_KEY]


def _flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested parameters under dotted names, as text."""
    flat: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value if isinstance(value, str) else to_canonical_json(value)
    return flat
