"""The profile of a cluster: image, places and sizes that every job on it shares."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ubspark.errors import ParameterError
from ubspark.kubernetes.fields import (
    Digest,
    Environment,
    Folder,
    Image,
    Label,
    Labels,
    Master,
    Mount,
    Name,
    Overhead,
    Piece,
    Place,
    QueueName,
    Request,
    Settings,
    Size,
)
from ubspark.runtime.config import merge, parse_setting, validate_model
from ubspark.runtime.yaml_text import parse_yaml, read_text

__all__ = ["PodSize", "Profile", "Queue", "Restart", "Volume", "load_profile"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Volume(_Section):
    """A claim that driver and executors mount at one place."""

    claim: Name
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
    overhead: Overhead = "1g"
    #: A piece of a pod, laid over the one that is made here; lists of named things are joined.
    template: Piece = Field(default_factory=dict)


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
    master: Master | None = None
    namespace: Label = "ubspark"
    #: Image of all pods, best pinned by its digest.
    image: Image
    #: Digest that the run record keeps, where `image` does not say it.
    digest: Digest = None
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    pull_secrets: list[Name] = Field(default_factory=list)
    service_account: Name = "ubspark-driver"
    executor_service_account: Name = "ubspark-executor"
    #: `UBSPARK_HOME` of the pods: a folder on a volume that all of them mount.
    home: Folder
    volumes: list[Volume] = Field(default_factory=list)
    #: Environment of all pods; not for secrets.
    env: Environment = Field(default_factory=dict)
    #: Secrets whose keys become environment variables.
    secrets: list[Name] = Field(default_factory=list)
    driver: PodSize = PodSize()
    executor: ExecutorSize = ExecutorSize()
    priority_class: Name | None = None
    queue: Queue | None = None
    #: User of the processes; null leaves it to the cluster, as on OpenShift.
    user_id: int | None = Field(default=185, ge=1)
    labels: Labels = Field(default_factory=dict)
    #: Folder or URI where Spark's event logs go, for a history server.
    event_log: Place = None
    restart: Restart = Restart()
    #: How long the operator keeps a finished application.
    ttl_seconds: int = Field(default=86_400, ge=0)
    #: Further Spark settings.
    spark: Settings = Field(default_factory=dict)

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
    _validate_together(profile)
    return profile


def _validate_together(profile: Profile) -> None:
    """Refuse mounts that no pod can have, two digests, and a home that vanishes with its pod."""
    for key in ("path", "claim"):
        given = [str(getattr(volume, key)) for volume in profile.volumes]
        if len(set(given)) < len(given):
            msg = f"`k8s.volumes` must differ in `{key}`, got {', '.join(given)}."
            raise ParameterError(msg)
    if profile.digest and "@" in profile.image:
        msg = "`k8s.digest` must be left out where `k8s.image` has a digest of its own."
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
