"""From a job file and a profile to a `SparkApplication`: the one source of every submission."""

import hashlib
import re
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import yaml

from ubspark.errors import ParameterError
from ubspark.kubernetes.clock import validate_clock
from ubspark.kubernetes.places import validate_places
from ubspark.kubernetes.profile import ExecutorSize, PodSize, Profile
from ubspark.kubernetes.queues import (
    build_queue_labels,
    build_queue_settings,
    build_scheduler,
    validate_queue_settings,
)
from ubspark.kubernetes.secrecy import validate_no_credentials
from ubspark.kubernetes.templates import CONTAINERS, build_template
from ubspark.lineage.spec import to_canonical_json
from ubspark.recipes.match_params import ScorerParams, read_scorer
from ubspark.runtime.config import JobConfig, validate_model
from ubspark.runtime.freeze import find_recipe, validate_names
from ubspark.runtime.session import SPARK_SETTINGS

__all__ = ["NAME_LABEL", "build_application", "build_schedule", "name_submission", "validate_name"]

#: Labels all pods of a submission with its name.
NAME_LABEL = "ubspark/name"
#: With `-driver-svc` and the ids that Spark adds, names stay below the 63 characters of DNS.
_MAX_ARGUMENT = 100_000
_OURS = re.compile(
    r"spark\.(?:master|app\.name|submit\..*|(?:driver|executor)\.(?:cores|memory|memoryOverhead|instances)"
    r"|kubernetes\.(?:namespace|context|container\.image.*|authenticate\..*|submission\..*"
    r"|driver\.pod\.name|executor\.podNamePrefix"
    r"|(?:driver|executor)\.(?:podTemplate.*|container\.image|label\..*|(?:request|limit)\.cores))"
    r"|(?:executorEnv|kubernetes\.driverEnv)\.(?:UBSPARK_HOME|UBSPARK_IMAGE))"
)
_REDACTION = ("spark.redaction.regex", "spark.sql.redaction.options.regex")
_MAX_NAME = 40
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_JOBS_FOLDER = "/opt/ubspark/jobs"

#: What makes Spark fit a cluster where pods come late, are refused, and are taken away.
_CLUSTER_SETTINGS: Mapping[str, str] = {
    # A pod that a quota refuses counts as a failed executor; by default a few of them end the job.
    "spark.executor.maxNumFailures": "1000",
    "spark.executor.failuresValidityInterval": "10m",
    "spark.kubernetes.allocation.batch.size": "10",
    "spark.kubernetes.allocation.batch.delay": "3s",
    "spark.decommission.enabled": "true",
    "spark.storage.decommission.enabled": "true",
    "spark.storage.decommission.rddBlocks.enabled": "true",
    "spark.storage.decommission.shuffleBlocks.enabled": "true",
    "spark.task.maxFailures": "8",
    "spark.ui.prometheus.enabled": "true",
    # Else spark-submit names the Python of the machine that it runs on.
    "spark.pyspark.python": "/opt/ubspark/venv/bin/python3",
    "spark.pyspark.driver.python": "/opt/ubspark/venv/bin/python3",
    "spark.redaction.regex": "(?i)secret|password|token|access[.]?key|credential",
    "spark.log.level": "WARN",
}
_DYNAMIC_SETTINGS: Mapping[str, str] = {
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.shuffleTracking.enabled": "true",
    "spark.dynamicAllocation.shuffleTracking.timeout": "10min",
    "spark.dynamicAllocation.executorIdleTimeout": "90s",
}


def name_submission(config: JobConfig) -> str:
    """Return the name of a submission: the same job file, the same name."""
    content = to_canonical_json(config.model_dump(mode="json", exclude_defaults=True))
    return f"{config.job}-{hashlib.sha256(content.encode()).hexdigest()[:10]}"


def build_application(config: JobConfig, profile: Profile, *, name: str) -> dict[str, Any]:
    """Return the `SparkApplication` of a job.

    Parameters
    ----------
    config
        The job; its master and memory are those of another machine and left out.
    profile
        The cluster.
    name
        Of the submission. Submitting again under one name never makes a second result.

    Raises
    ------
    ParameterError
        If the job is wrong as far as that shows without its tables, holds a credential, or names
        places that no pod can see or keep.
    """
    validate_name(name)
    # First: other errors show what came.
    validate_no_credentials(config, profile)
    validate_model(find_recipe(config.job).params, config.params, "params.")
    validate_names(config)
    environment = _build_environment(profile)
    templates = {role: build_template(profile, role, environment) for role in CONTAINERS}
    validate_places(config, profile, templates)
    labels = {"app.kubernetes.io/part-of": "ubspark", NAME_LABEL: name, "ubspark/job": config.job}
    labels |= {f"ubspark/{key}": value for key, value in profile.labels.items()}
    # On the application alone: pods of their own wait by what `build_submission` makes of it.
    queued = {**labels, **build_queue_labels(profile)}
    return {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "metadata": {"name": name, "namespace": profile.namespace, "labels": queued},
        "spec": {
            "type": "Python",
            "pythonVersion": "3",
            "mode": "cluster",
            "sparkVersion": metadata.version("pyspark"),
            "image": profile.image,
            "imagePullPolicy": profile.pull_policy,
            **({"imagePullSecrets": profile.pull_secrets} if profile.pull_secrets else {}),
            "mainApplicationFile": f"local://{_JOBS_FOLDER}/{config.job}.py",
            "arguments": ["--job", _write_job(config, name)],
            "restartPolicy": {
                "type": "OnFailure",
                "onFailureRetries": profile.restart.retries,
                "onFailureRetryInterval": profile.restart.interval_seconds,
                "onSubmissionFailureRetries": profile.restart.retries,
                "onSubmissionFailureRetryInterval": profile.restart.interval_seconds,
            },
            "timeToLiveSeconds": profile.ttl_seconds,
            **build_scheduler(profile),
            "sparkConf": _build_settings(config, profile),
            "driver": {
                **_build_size(profile.driver),
                "serviceAccount": profile.service_account,
                "labels": labels,
                "template": templates["driver"],
            },
            "executor": {
                **_build_size(profile.executor),
                "instances": profile.executor.instances,
                "serviceAccount": profile.executor_service_account,
                "labels": labels,
                "template": templates["executor"],
            },
        },
    }


def build_schedule(application: Mapping[str, Any], cron: str) -> dict[str, Any]:
    """Return the `ScheduledSparkApplication` that runs an application by the clock, UTC.

    A run waits for the one before it: a table has one writer at a time. An append under the name of
    the schedule lands once for each content of its inputs.

    Raises
    ------
    ParameterError
        If the clock is none that cron knows.
    """
    return {
        "apiVersion": application["apiVersion"],
        "kind": "ScheduledSparkApplication",
        "metadata": application["metadata"],
        "spec": {
            "schedule": validate_clock(cron),
            "timeZone": "UTC",
            "concurrencyPolicy": "Forbid",
            "successfulRunHistoryLimit": 3,
            "failedRunHistoryLimit": 3,
            "template": application["spec"],
        },
    }


def _build_size(size: PodSize) -> dict[str, Any]:
    return {
        "cores": size.cores,
        "coreRequest": size.request or str(size.cores),
        "memory": size.memory,
        "memoryOverhead": size.overhead,
    }


def _build_environment(profile: Profile) -> dict[str, str]:
    return {"UBSPARK_HOME": profile.home, "UBSPARK_IMAGE": profile.image_name, **profile.env}


def _build_settings(config: JobConfig, profile: Profile) -> dict[str, str]:
    settings = {**SPARK_SETTINGS, **_CLUSTER_SETTINGS}
    settings |= _spread(profile.executor) | _request_gpus(profile.executor)
    settings |= build_queue_settings(profile)
    if profile.event_log:
        settings |= {
            "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": profile.event_log,
            "spark.eventLog.rolling.enabled": "true",
            "spark.eventLog.compress": "true",
        }
    further = {"k8s.spark": profile.spark, "resources.spark": config.resources.spark}
    for section, given in further.items():
        _validate_settings(section, given)
        validate_queue_settings(profile, given)
        settings |= given
    return dict(sorted(settings.items()))


def _validate_settings(section: str, given: Mapping[str, str]) -> None:
    """Refuse settings by which a submission would be another one than its name says."""
    for key in given:
        if key in _REDACTION:
            msg = (
                f"`{section}` cannot set `{key}`, which keeps credentials out of Spark's pages and "
                f"event logs."
            )
            raise ParameterError(msg)
        if _OURS.fullmatch(key):
            msg = (
                f"`{section}` cannot set `{key}`: it follows from the name and the profile, whose "
                f"keys say image, namespace, accounts, sizes, labels and pod templates."
            )
            raise ParameterError(msg)


def _spread(executor: ExecutorSize) -> dict[str, str]:
    """Return the settings of a number of executors that changes."""
    if executor.max_instances is None:
        return {}
    if executor.max_instances < executor.instances:
        msg = (
            f"`k8s.executor.max_instances` must be at least `k8s.executor.instances`, "
            f"{executor.instances}, got {executor.max_instances}."
        )
        raise ParameterError(msg)
    return {
        **_DYNAMIC_SETTINGS,
        "spark.dynamicAllocation.minExecutors": str(executor.instances),
        "spark.dynamicAllocation.maxExecutors": str(executor.max_instances),
    }


def _request_gpus(executor: ExecutorSize) -> dict[str, str]:
    """Return the settings by which Spark asks Kubernetes for GPUs, and gives them to tasks."""
    if not executor.gpus:
        return {}
    if executor.gpus > executor.cores:
        msg = (
            f"`k8s.executor.gpus` must be at most `k8s.executor.cores`, {executor.cores}, for a "
            f"task takes a core and a share of a GPU; got {executor.gpus}."
        )
        raise ParameterError(msg)
    return {
        "spark.executor.resource.gpu.amount": str(executor.gpus),
        "spark.executor.resource.gpu.vendor": "nvidia.com",
        "spark.executor.resource.gpu.discoveryScript": "/opt/gpus.sh",
        "spark.task.resource.gpu.amount": f"{_share(executor):g}",
    }


def _share(executor: ExecutorSize) -> float:
    """Return the part of one GPU that a task takes, so that no core waits for another one's."""
    tasks = -(-executor.cores // executor.gpus)
    # Rounded down: Spark counts how often the share fits into one.
    return 1_000_000 // tasks / 1_000_000


def _write_job(config: JobConfig, name: str) -> str:
    """Return the job as YAML, as small as it was given."""
    content = config.model_dump(mode="json", exclude_defaults=True)
    _inline_scorer(content.get("params", {}))
    resources = content.get("resources", {})
    for key in ("master", "memory"):
        resources.pop(key, None)
    if not resources:
        content.pop("resources", None)
    if any(output.mode == "append" for output in config.outputs.values()):
        content.setdefault("run", {}).setdefault("submission", name)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=80)
    if len(text.encode()) > _MAX_ARGUMENT:
        msg = (
            f"The job is {len(text.encode()):,} bytes as text, and a command takes "
            f"{_MAX_ARGUMENT:,}. Put long lists into a table, or into a file on the volume."
        )
        raise ParameterError(msg)
    # Kubernetes would put the value of a variable in its place, and takes `$$` for one `$`.
    return text.replace("$", "$$")


def _inline_scorer(params: dict[str, Any]) -> None:
    """Put the text of a scorer in the place of its file, which no pod has."""
    if params.get("scorer"):
        scorer = read_scorer(validate_model(ScorerParams, params["scorer"], "params.scorer."))
        params["scorer"] = scorer and scorer.model_dump(mode="json", exclude_defaults=True)


def validate_name(name: str, *, longest: int = _MAX_NAME) -> str:
    """Refuse what cannot be the name of a submission; a run of a schedule has a longer one.

    Raises
    ------
    ParameterError
        Saying what a name is.
    """
    if len(name) > longest or not _NAME.fullmatch(name):
        msg = (
            f"`name` must be lower-case letters, digits and `-`, begin with a letter and have at "
            f"most {longest} characters, got {name!r}."
        )
        raise ParameterError(msg)
    return name
