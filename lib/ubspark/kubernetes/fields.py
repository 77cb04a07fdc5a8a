"""What the values of a profile may be: what Kubernetes takes, so that no pod is refused later."""

import posixpath
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from ubspark.kubernetes.overlay import validate_piece
from ubspark.runtime.config import Text, validate_no_secrets

__all__ = [
    "Digest",
    "Environment",
    "Folder",
    "Image",
    "Label",
    "Labels",
    "Master",
    "Mount",
    "Name",
    "Overhead",
    "Piece",
    "Place",
    "QueueName",
    "Request",
    "Settings",
    "Size",
]

_URL = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?(/[^\s?#@]*)?")
_SIZE = re.compile(r"([1-9][0-9]*)([mg])")
#: Spark starts with no less than 450 MiB of what a heap leaves.
_MIN_HEAP_MB = 512
_MIN_OVERHEAD_MB = 64
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
#: They get the prefix ``ubspark/``.
_LABEL_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_OWN_LABELS = frozenset({"name", "job"})
#: Variables of all pods, and the keys that say them.
_OWN_VARIABLES: Mapping[str, str] = {
    "UBSPARK_HOME": "`k8s.home`",
    "UBSPARK_IMAGE": "`k8s.image` and `k8s.digest`",
}
#: What the image and its processes use: a volume there would hide it.
_USED_FOLDERS = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/opt/spark", "/opt/ubspark", "/proc"),
    *("/run", "/sbin", "/sys", "/tmp", "/usr", "/var"),  # noqa: S108 - of the container
)
#: Below these there is room.
_SHARED_FOLDERS = ("/run", "/tmp", "/var")  # noqa: S108 - of the container


def _validate_size(value: str, least_mb: int) -> str:
    found = _SIZE.fullmatch(value)
    if not found:
        msg = f"must be a size such as `4g` or `900m`, got {value!r}"
        raise ValueError(msg)
    if int(found[1]) * (1024 if found[2] == "g" else 1) < least_mb:
        msg = f"must be at least `{least_mb}m`, got {value!r}"
        raise ValueError(msg)
    return value


def _validate_mount(value: str) -> str:
    """Return an absolute path without a slash at its end."""
    if not value.startswith("/") or ".." in PurePosixPath(value).parts:
        msg = f"must be an absolute path, got {value!r}"
        raise ValueError(msg)
    return posixpath.normpath(f"/{value.lstrip('/')}")


def _validate_free(value: str) -> str:
    path = PurePosixPath(value)
    for folder in _USED_FOLDERS:
        is_inside = path.is_relative_to(folder) and folder not in _SHARED_FOLDERS
        if is_inside or PurePosixPath(folder).is_relative_to(path):
            msg = f"must not hide {folder} of the image, got {value!r}; /data is a good place"
            raise ValueError(msg)
    return value


def _validate_master(value: str) -> str:
    """Return the URL of an API server without Spark's own scheme."""
    url = value.removeprefix("k8s://")
    if not _URL.fullmatch(url):
        # A user and a password before the `@` are not told.
        got = "" if "@" in url else f", got {value!r}"
        msg = f"must be the URL of an API server such as `https://10.0.0.1:6443`{got}"
        raise ValueError(msg)
    return url


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
        _validate_foreign(name)
    return validate_no_secrets(variables)


def _validate_foreign(variable: str) -> None:
    if variable in _OWN_VARIABLES:
        msg = f"cannot set {variable}, which follows from {_OWN_VARIABLES[variable]}"
        raise ValueError(msg)


def _validate_pod_labels(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        if not (_LABEL_KEY.fullmatch(key) and _LABEL_VALUE.fullmatch(value)):
            msg = f"must be labels: letters, digits, `-._`, up to 63 of them, got {key}={value!r}"
            raise ValueError(msg)
        if key in _OWN_LABELS:
            msg = f"cannot set {key!r}, by which submissions are found"
            raise ValueError(msg)
    return labels


def _validate_template(template: dict[str, Any]) -> dict[str, Any]:
    validate_piece(template)
    for key in ("initContainers", "containers"):
        for container in template.get("spec", {}).get(key, []):
            for variable in container.get("env", []):
                _validate_foreign(variable["name"])
    return template


Size = Annotated[str, AfterValidator(lambda value: _validate_size(value, _MIN_HEAP_MB))]
Overhead = Annotated[str, AfterValidator(lambda value: _validate_size(value, _MIN_OVERHEAD_MB))]
Label = Annotated[
    str,
    _match(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", "lower-case letters, digits and `-`, at most 63"),
]
Name = Annotated[
    str,
    Field(max_length=253),
    _match(
        r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
        "lower-case letters, digits, `-` and `.`",
    ),
]
Folder = Annotated[str, AfterValidator(_validate_mount)]
Mount = Annotated[str, AfterValidator(_validate_mount), AfterValidator(_validate_free)]
Master = Annotated[str, AfterValidator(_validate_master)]
_DIGEST = r"sha256:[0-9a-f]{64}"
_HOST = r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]+)?"
_PART = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
Image = Annotated[
    str,
    _match(
        rf"({_HOST}/)?{_PART}(/{_PART})*(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(@{_DIGEST})?",
        "an image such as `registry/ubspark:0.1` or `registry/ubspark@sha256:…`",
    ),
]
Digest = Annotated[str | None, _match(_DIGEST, "`sha256:` and 64 hexadecimal digits")]
Request = Annotated[
    Text | None,
    _match(r"[0-9]+m|[0-9]+(\.[0-9]+)?", "a number of cores such as `500m` or `1.5`"),
]
QueueName = Annotated[
    str,
    _match(
        r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?",
        "the name of a queue such as `lmc` or `root.ubspark.lmc`",
    ),
]
Place = Annotated[str | None, _match(r"(/|[a-z][a-z0-9+.-]*:).+", "an absolute path or a URI")]
Environment = Annotated[dict[str, Text], AfterValidator(_validate_environment)]
Labels = Annotated[dict[str, Text], AfterValidator(_validate_pod_labels)]
Settings = Annotated[dict[str, Text], AfterValidator(validate_no_secrets)]
#: A piece of a pod, to be laid over another.
Piece = Annotated[dict[str, Any], AfterValidator(_validate_template)]
