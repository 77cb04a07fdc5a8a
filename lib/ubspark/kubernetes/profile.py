"""The profile of a cluster: image, places and sizes that every job on it shares."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ubspark.errors import ParameterError
from ubspark.runtime.config import (
    Text,
    merge,
    parse_setting,
    validate_model,
    validate_no_secrets,
)
from ubspark.runtime.yaml_text import parse_yaml, read_text

__all__ = ["OWN_VARIABLES", "PodSize", "Profile", "Queue", "Restart", "Volume", "load_profile"]

_SIZE = re.compile(r"[1-9]\d*[mg]")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?)?")
#: They get the prefix ``ubspark/``.
_LABEL_KEY = re.compile(r"[A-Za-z0-9](?:[-\w.]{0,61}[A-Za-z0-9])?")
_OWN_LABELS = frozenset({"name", "job"})
#: Variables of all pods, and the keys that say them.
OWN_VARIABLES: Mapping[str, str] = {
    "UBSPARK_HOME": "`k8s.home`",
    "UBSPARK_IMAGE": "`k8s.image` and `k8s.digest`",
}
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _validate_size(value: str | None) -> str | None:
    if value is not None and not _SIZE.fullmatch(value):
        msg = f"must be a size such as `4g` or `900m`, got {value!r}"
        raise ValueError(msg)
    return value


def _validate_label(value: str) -> str:
    if not _DNS_LABEL.fullmatch(value):
        msg = f"must be lower-case letters, digits and `-`, at most 63, got {value!r}"
        raise ValueError(msg)
    return value


def _validate_mount(value: str) -> str:
    if not value.startswith("/") or ".." in PurePosixPath(value).parts:
        msg = f"must be an absolute path, got {value!r}"
        raise ValueError(msg)
    return value


def _match(pattern: str, what: str) -> AfterValidator:
    """Return the check of a text against a pattern."""

    def validate(value: str | None) -> str | None:
        if value is not None and not re.fullmatch(pattern, value):
            msg = f"must be {what}, got {value!r}"
            raise ValueError(msg)
        return value

    return AfterValidator(validate)


def _validate_environment(variables: dict[str, str]) -> dict[str, str]:
    for name in variables:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            msg = f"must hold names of variables, got {name!r}"
            raise ValueError(msg)
        if name in OWN_VARIABLES:
            msg = f"cannot set {name}, which follows from {OWN_VARIABLES[name]}"
            raise ValueError(msg)
    return validate_no_secrets(variables)


def _validate_pod_labels(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        if not (_LABEL_KEY.fullmatch(key) and _LABEL_VALUE.fullmatch(value)):
            msg = f"must be labels: letters, digits, `-._`, up to 63 of them, got {key}={value!r}"
            raise ValueError(msg)
        if key in _OWN_LABELS:
            msg = f"cannot set {key!r}, by which submissions are found"
            raise ValueError(msg)
    return labels


Size = Annotated[str, AfterValidator(_validate_size)]
Label = Annotated[str, AfterValidator(_validate_label)]
Mount = Annotated[str, AfterValidator(_validate_mount)]
_DIGEST = r"sha256:[0-9a-f]{64}"
Image = Annotated[
    str,
    _match(
        rf"[\w.-]+(:\d+)?(/[\w.-]+)*(:[\w.-]+)?(@{_DIGEST})?",
        "an image such as `registry/ubspark:0.1` or `registry/ubspark@sha256:…`",
    ),
]
Digest = Annotated[str | None, _match(_DIGEST, "`sha256:` and 64 hexadecimal digits")]
Request = Annotated[
    Text | None, _match(r"\d+m|\d+(\.\d+)?", "a number of cores such as `500m` or `1.5`")
]
QueueName = Annotated[
    str,
    _match(
        r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?",
        "the name of a queue such as `lmc` or `root.ubspark.lmc`",
    ),
]
Place = Annotated[str | None, _match(r"(/|[a-z][a-z0-9+.-]*:).+", "an absolute path or a URI")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Volume(_Section):
    """A claim that driver and executors mount at one place."""

    claim: Label
    path: Mount
    read_only: bool = False


class PodSize(_Section):
    """What a driver or an executor asks for."""

    #: Tasks at once.
    cores: int = Field(default=1, ge=1)
    #: What is asked of the scheduler, such as ``500m``; ``cores`` by default.
    request: Request = None
    #: Heap of Java.
    memory: Size = "2g"
    #: Memory beside the heap, where Python and its kernels work.
    overhead: Size = "1g"
    #: A piece of a pod, laid over the one that is made here; lists of named things are joined.
    template: dict[str, Any] = Field(default_factory=dict)


class ExecutorSize(PodSize):
    """Executors: their number, or the range it moves in."""

    instances: int = Field(default=2, ge=1)
    #: With it, executors come and go with the work: between ``instances`` and this.
    max_instances: int | None = Field(default=None, ge=1)
    #: GPUs of each executor, which its tasks share.
    gpus: int = Field(default=0, ge=0)


class Queue(_Section):
    """The queue that holds pods back until there is room."""

    #: With Kueue applications wait whole, with Apache YuniKorn pods do.
    kind: Literal["kueue", "yunikorn"]
    #: A LocalQueue of the namespace, or a path such as ``root.ubspark.lmc``.
    name: QueueName


class Restart(_Section):
    """What the operator does when a driver fails; `spark-submit` starts once."""

    retries: int = Field(default=3, ge=0)
    interval_seconds: int = Field(default=30, ge=1)


class Profile(_Section):
    """A cluster, as the jobs of a group see it."""

    #: URL of the API server for spark-submit; that of kubectl's context by default.
    master: str | None = None
    namespace: Label = "ubspark"
    #: Image of all pods, best pinned by its digest.
    image: Image
    #: Digest that the run record keeps, where `image` does not say it.
    digest: Digest = None
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    pull_secrets: list[Label] = Field(default_factory=list)
    service_account: Label = "ubspark-driver"
    executor_service_account: Label = "ubspark-executor"
    #: `UBSPARK_HOME` of the pods: a folder on a volume that all of them mount.
    home: Mount
    volumes: list[Volume] = Field(default_factory=list)
    #: Environment of all pods; not for secrets.
    env: Annotated[dict[str, Text], AfterValidator(_validate_environment)] = Field(
        default_factory=dict
    )
    #: Secrets whose keys become environment variables.
    secrets: list[Label] = Field(default_factory=list)
    driver: PodSize = PodSize()
    executor: ExecutorSize = ExecutorSize()
    priority_class: Label | None = None
    queue: Queue | None = None
    #: User of the processes; null leaves it to the cluster, as on OpenShift.
    user_id: int | None = Field(default=185, ge=1)
    labels: Annotated[dict[str, Text], AfterValidator(_validate_pod_labels)] = Field(
        default_factory=dict
    )
    #: Folder or URI where Spark's event logs go, for a history server.
    event_log: Place = None
    restart: Restart = Restart()
    #: How long the operator keeps a finished application.
    ttl_seconds: int = Field(default=86_400, ge=0)
    #: Further Spark settings.
    spark: Annotated[dict[str, Text], AfterValidator(validate_no_secrets)] = Field(
        default_factory=dict
    )

    @property
    def image_name(self) -> str:
        """The image as the run record names it."""
        return f"{self.image}@{self.digest}" if self.digest else self.image


def load_profile(path: str | Path, settings: Iterable[str] = ()) -> Profile:
    """Read the block ``k8s`` of a profile.

    Parameters
    ----------
    path
        YAML file.
    settings
        ``k8s.key=value`` pairs that win over the file.

    Raises
    ------
    InputMissingError
        If the file is not there.
    ParameterError
        If it is no YAML, or a key or value is wrong.
    """
    name = f"profile `{path}`"
    content = parse_yaml(read_text(path, name), name)
    if not isinstance(content, dict) or set(content) != {"k8s"}:
        msg = f"The {name} must hold one key, `k8s`, with `image` and `home` in it."
        raise ParameterError(msg)
    for setting in settings:
        merge(content, parse_setting(setting))
    profile = validate_model(Profile, content["k8s"], "k8s.")
    _validate_places(profile)
    return profile


def _validate_places(profile: Profile) -> None:
    """Refuse mounts that no pod can have, and a home that would vanish with its pod."""
    for key in ("path", "claim"):
        given = [str(getattr(volume, key)) for volume in profile.volumes]
        if len(set(given)) < len(given):
            msg = f"`k8s.volumes` must differ in `{key}`, got {', '.join(given)}."
            raise ParameterError(msg)
    # A template may mount more than is known here.
    has_templates = bool(profile.driver.template or profile.executor.template)
    home = PurePosixPath(profile.home)
    under = [volume for volume in profile.volumes if home.is_relative_to(volume.path)]
    if any(volume.read_only for volume in under) or not (under or has_templates):
        msg = (
            f"`k8s.home` must be a folder on one of `k8s.volumes` that can be written to, got "
            f"{profile.home!r}."
        )
        raise ParameterError(msg)
