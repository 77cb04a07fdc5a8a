"""Where a job reads and writes, as its pods see it: on a volume that outlives them, or a store."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ubspark.catalogs.addresses import parse_address, to_local_path
from ubspark.errors import ParameterError
from ubspark.kubernetes.profile import Profile
from ubspark.kubernetes.templates import CONTAINERS, Role
from ubspark.runtime.config import JobConfig, OutputConfig, TableRef
from ubspark.runtime.freeze import find_recipe, get_output_kind

__all__ = ["validate_places"]

_STORE = re.compile(r"[a-z][a-z0-9+.-]+://[^/]+(/.*)?", re.DOTALL)
#: Volumes that end with their pod, and those that hold what a manifest says.
_FLEETING = frozenset(
    {"emptyDir", "ephemeral", "configMap", "secret", "downwardAPI", "projected", "image"}
)


@dataclass(frozen=True)
class _Mount:
    """A folder of the container that Spark runs in."""

    path: str
    #: Whether it is there when the pod is gone.
    lasts: bool
    read_only: bool


def validate_places(
    config: JobConfig, profile: Profile, templates: Mapping[Role, Mapping[str, Any]]
) -> None:
    """Refuse places that are on this machine, or that the pods would not find or keep.

    Parameters
    ----------
    templates
        Pod templates, which say what is mounted where.

    Raises
    ------
    ParameterError
        Naming the key.
    """
    mounts = {role: list(_list_mounts(template, role)) for role, template in templates.items()}
    everywhere = list(mounts.values())
    _validate_kept("k8s.home", profile.home, everywhere)
    if profile.event_log:
        _validate_kept("k8s.event_log", profile.event_log, [mounts["driver"]])
    recipe = find_recipe(config.job)
    for name, entry in config.inputs.items():
        if entry.table is not None:
            place, _ = _read_table(f"inputs.{name}.table", entry.table)
            _validate_seen(f"inputs.{name}.table", place, everywhere)
        _validate_seen(f"inputs.{name}.path", _read_path(f"inputs.{name}.path", entry), everywhere)
    for name, output in config.outputs.items():
        if get_output_kind(recipe, name) == "folder":
            _validate_folder(f"outputs.{name}.path", output, everywhere)
        else:
            _validate_table(f"outputs.{name}.table", output, everywhere)
    model = str(config.params.get("model") or "")
    if not model.startswith("models:"):
        _validate_here("params.model", model)
        _validate_seen("params.model", model, everywhere)


def _validate_table(key: str, output: OutputConfig, mounts: list[list[_Mount]]) -> None:
    if output.table is None:
        msg = f"`{key}` is missing; it names the table to make."
        raise ParameterError(msg)
    place, version = _read_table(key, output.table)
    if version is not None:
        msg = f"`{key}` must not name a version, got {place}@v{version}."
        raise ParameterError(msg)
    _validate_kept(key, place, mounts)


def _validate_folder(key: str, output: OutputConfig, mounts: list[list[_Mount]]) -> None:
    if not output.path:
        msg = f"`{key}` is missing; it names the folder to make."
        raise ParameterError(msg)
    place = _read_path(key, output)
    if not place.startswith("/"):
        msg = f"`{key}` must be a folder on a volume of the profile, got {place!r}."
        raise ParameterError(msg)
    _validate_kept(key, place, mounts)


def _read_table(key: str, table: str | TableRef) -> tuple[str, int | None]:
    """Return the place and the version of a table, refusing what names none."""
    given = table.path if isinstance(table, TableRef) else table
    if given.startswith((".", "~")):
        _validate_here(key, given)
    try:
        version = table.version if isinstance(table, TableRef) else None
        address = parse_address(given, version=version)
    except ParameterError as error:
        msg = f"`{key}`: {error}"
        raise ParameterError(msg) from error
    place = to_local_path(address.place)
    if "://" in place:
        _validate_here(key, place)
    return place, address.version


def _read_path(key: str, entry: Any) -> str:
    place = to_local_path(entry.path or "")
    _validate_here(key, place)
    return place


def _validate_here(key: str, place: str) -> None:
    """Refuse what is relative to a folder of this machine, and URIs that name no bucket."""
    if not place or place.startswith("/") or _STORE.fullmatch(place):
        return
    if "://" in place:
        msg = f"`{key}` must be a URI such as s3a://bucket/folder, in lower case, got {place!r}."
        raise ParameterError(msg)
    msg = (
        f"`{key}` is {place!r}, which is on this machine; give a place on a volume of the profile, "
        f"such as /data/…, or a URI."
    )
    raise ParameterError(msg)


def _validate_kept(key: str, place: str, mounts: list[list[_Mount]]) -> None:
    """Refuse a place to write to that vanishes with its pod."""
    path = to_local_path(place)
    if path.startswith("/") and not all(_keeps(_find_mount(path, found)) for found in mounts):
        folders = sorted({mount.path for found in mounts for mount in found if _keeps(mount)})
        where = (
            f"under {' or '.join(folders)}" if folders else "on a claim that `k8s.volumes` names"
        )
        msg = (
            f"`{key}` is {place!r}, which is on no volume that can be written to and outlives the "
            f"pods; give a place {where}, or a URI of an object store."
        )
        raise ParameterError(msg)


def _validate_seen(key: str, place: str, mounts: list[list[_Mount]]) -> None:
    """Refuse a place to read from that is on no volume."""
    if place.startswith("/") and not all(_sees(_find_mount(place, found)) for found in mounts):
        folders = sorted({mount.path for found in mounts for mount in found if mount.lasts})
        msg = (
            f"`{key}` is {place!r}, which is on no volume of the pods; the profile mounts "
            f"{', '.join(folders) or 'none'}."
        )
        raise ParameterError(msg)


def _keeps(mount: _Mount | None) -> bool:
    return mount is not None and mount.lasts and not mount.read_only


def _sees(mount: _Mount | None) -> bool:
    return mount is not None and mount.lasts


def _find_mount(place: str, mounts: list[_Mount]) -> _Mount | None:
    """Return the innermost mount that a place lies in."""
    path = PurePosixPath(posixpath.normpath(place))
    around = [mount for mount in mounts if path.is_relative_to(mount.path)]
    return max(around, key=lambda mount: len(PurePosixPath(mount.path).parts), default=None)


def _list_mounts(template: Mapping[str, Any], role: Role) -> Iterator[_Mount]:
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    containers = template["spec"]["containers"]
    container = next(found for found in containers if found["name"] == CONTAINERS[role])
    for mount in container["volumeMounts"]:
        volume = volumes.get(mount["name"], {})
        lasts = bool(volume) and not _FLEETING & set(volume)
        claim = volume.get("persistentVolumeClaim", {})
        read_only = bool(mount.get("readOnly") or claim.get("readOnly"))
        yield _Mount(mount["mountPath"], lasts, read_only)
