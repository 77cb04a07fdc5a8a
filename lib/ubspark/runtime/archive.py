"""Copying a table version to a safe place, and bringing it back.

An archive is a Delta table itself: the log up to the version, and the files of that version. It
has the id of its table, so lineage and replay find it where it lies.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ubspark.catalogs.delta import is_delta_table, open_table
from ubspark.catalogs.export.manifest import compute_sha256
from ubspark.catalogs.log_files import LOG_FOLDER, list_version_files, read_log
from ubspark.errors import (
    ConflictError,
    InputMissingError,
    SourceError,
    TransientError,
    UbsparkError,
)
from ubspark.lineage.entities import Entity
from ubspark.runtime.content import compute_content, find_stated
from ubspark.runtime.folders import create_folder
from ubspark.runtime.tables import validate_outside_tables

__all__ = ["Archived", "archive_version", "restore_version"]

_MANIFEST = "ubspark-archive.json"
#: Begins the name of a file that is being copied.
_PART = ".part-"


@dataclass(frozen=True)
class Archived:
    """An archive, or what was brought back from one."""

    folder: Path
    uri: str
    version: int
    digest: str
    n_files: int


class ArchiveDamagedError(UbsparkError):
    """A copy does not hold what it should."""

    exit_code = 6


def archive_version(entity: Entity, target: Path) -> Archived:
    """Copy a version into a new folder, and check the copy by its content digest.

    Raises
    ------
    ConflictError
        If the folder is not empty.
    InputMissingError
        If the version cannot be read any more.
    ArchiveDamagedError
        If the copy does not have the digest of the version.
    """
    source, version = Path(entity.uri), int(entity.version or 0)
    log = read_log(source)
    files = sorted(list_version_files(log)[version])
    if not all(entry.is_relative for entry in log):
        msg = f"`{source}` holds files of other tables; copy it with `ubspark ingest` first."
        raise SourceError(msg)
    _validate_there(source, files, entity)
    validate_outside_tables(str(target.absolute()), "the archive")
    create_folder(target, "the archive")
    # Beside its place until it is whole; what an attempt that was killed left there goes.
    work = target.with_name(f".{target.name}.ubspark-archive")
    with _writing(work):
        if work.exists():
            shutil.rmtree(work)
        sums = {name: _copy(source / name, work / name) for name in files}
        commits = {
            entry.path.name: _copy(entry.path, work / LOG_FOLDER / entry.path.name)
            for entry in log[: version + 1]
        }
        digest = _validate_copy(entity, work)
        content = {
            "ubspark_archive": 1,
            "uri": entity.uri,
            "table_id": entity.identity,
            "version": version,
            "digest": digest,
            "files": sums,
            "commits": commits,
        }
        (work / _MANIFEST).write_text(json.dumps(content, indent=1), encoding="utf-8")
        work.replace(target)
    return Archived(target, entity.uri, version, digest, len(files))


def restore_version(folder: Path, target: Path | None = None) -> Archived:
    """Put the files of an archive back where the table lacks them, or make the table anew.

    Parameters
    ----------
    target
        Another place for the table, where the old one is not wanted.

    Raises
    ------
    ConflictError
        If another table is in its place.
    ArchiveDamagedError
        If a file of the archive is not what was archived.
    """
    content = _read_manifest(folder)
    place = Path(str(content["uri"])) if target is None else target
    if place.is_file():
        msg = f"`{place}` is a file; name another place with `--to`."
        raise ConflictError(msg)
    validate_outside_tables(str(place.absolute()), "the table")
    commits = {f"{LOG_FOLDER}/{name}": sha for name, sha in content["commits"].items()}
    for name, digest in (*content["files"].items(), *commits.items()):
        if _compute_sha256(folder / name) != digest:
            msg = f"The file `{name}` of the archive `{folder}` is not what was archived."
            raise ArchiveDamagedError(msg)
    _validate_target(place, str(content["table_id"]), {*content["files"], *commits})
    lacking = [name for name, sha in content["files"].items() if not _is_file(place / name, sha)]
    with _writing(place):
        for name in lacking:
            _copy(folder / name, place / name)
        _restore_log(folder, place, int(content["version"]), sorted(content["commits"]))
    if compute_content(str(place), int(content["version"])) != content["digest"]:
        msg = f"`{place}@v{content['version']}` does not hold the rows that were archived."
        raise ArchiveDamagedError(msg)
    return Archived(folder, str(place), content["version"], content["digest"], len(lacking))


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say in one sentence where files cannot be copied to."""
    try:
        yield
    except OSError as error:
        msg = f"The folder `{folder}` cannot be written: {error.strerror or error}."
        raise TransientError(msg) from error


def _restore_log(folder: Path, place: Path, version: int, commits: Sequence[str]) -> None:
    """Give a table the commits of the archive that its own log lacks."""
    log = place / LOG_FOLDER
    own = [int(path.stem) for path in log.glob("*.json") if path.stem.isdigit()]
    if min(own, default=0) > version + 1:
        # Delta forgot the first commits, on purpose; these would not reach those that are left.
        return
    if all((log / name).exists() for name in commits):
        return
    for path in (folder / LOG_FOLDER / name for name in commits):
        target = log / path.name
        if not target.exists():
            _copy(path, target)
        elif target.read_bytes() != path.read_bytes():
            msg = (
                f"`{place}` went another way after it was archived; name another place with `--to`."
            )
            raise ConflictError(msg)


def _is_file(path: Path, sha256: str) -> bool:
    return path.is_file() and _compute_sha256(path) == sha256


def _validate_target(place: Path, table_id: str, own: set[str]) -> None:
    """Refuse a place that holds anything but the table, or what a killed attempt put there."""
    if is_delta_table(str(place)):
        if open_table(str(place)).table_id == table_id:
            return
    elif not place.exists() or all(_is_own(path, place, own) for path in place.rglob("*")):
        return
    msg = f"`{place}` is not the table of this archive; name another place with `--to`."
    raise ConflictError(msg)


def _is_own(path: Path, place: Path, own: set[str]) -> bool:
    is_folder = path.is_dir() and not path.is_symlink()
    name = path.with_name(path.name.removeprefix(_PART)).relative_to(place).as_posix()
    return name in own or (is_folder and any(file.startswith(f"{name}/") for file in own))


def _validate_there(source: Path, files: list[str], entity: Entity) -> None:
    gone = [name for name in files if not (source / name).is_file()]
    if gone:
        msg = f"`{entity.place}` was removed; {len(gone)} of its {len(files)} files are gone."
        raise InputMissingError(msg)


def _validate_copy(entity: Entity, target: Path) -> str:
    """Return the content digest of a copy that is the same as that of the original."""
    version = int(entity.version or 0)
    wanted, found = (compute_content(place, version) for place in (entity.uri, str(target)))
    if found != wanted or find_stated(entity.uri, version) not in (None, found):
        msg = f"The copy in `{target}` does not hold the rows of `{entity.place}`."
        raise ArchiveDamagedError(msg)
    return found


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / _MANIFEST
    if not path.is_file():
        msg = f"`{folder}` is no archive of ubspark: it has no `{_MANIFEST}`."
        raise InputMissingError(msg)
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        names = [Path(name) for name in (*content["files"].keys(), *content["commits"].keys())]
        is_complete = isinstance(content["version"], int) and {"digest", "table_id"} <= set(content)
        is_complete &= isinstance(content["uri"], str)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"`{path}` is damaged."
        raise SourceError(msg) from error
    if not is_complete or any(name.is_absolute() or ".." in name.parts for name in names):
        msg = f"`{path}` is damaged."
        raise SourceError(msg)
    return content


def _copy(source: Path, target: Path) -> str:
    """Copy a file by way of a part file; return its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(_PART + target.name)
    # A time of its own: to `gc`, a file that has just come back is no old one.
    shutil.copyfile(source, part)
    part.replace(target)
    return _compute_sha256(target)


def _compute_sha256(path: Path) -> str:
    try:
        return compute_sha256(path)
    except OSError as error:
        msg = f"The file `{path}` cannot be read: {error.strerror}."
        raise InputMissingError(msg) from error
