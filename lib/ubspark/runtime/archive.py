"""Copying a table version to a safe place, and bringing it back.

An archive is a Delta table itself: the log up to the version, and the files of that version. It
has the id of its table, so lineage and replay find it where it lies.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ubspark.catalogs.delta import is_delta_table, open_table, read_history
from ubspark.catalogs.digests import ContentDigest, compute_digest
from ubspark.catalogs.export.manifest import compute_sha256
from ubspark.catalogs.log_files import LOG_FOLDER, list_version_files, read_log
from ubspark.errors import ConflictError, InputMissingError, SourceError, UbsparkError
from ubspark.lineage.entities import Entity, is_whole
from ubspark.runtime.folders import create_folder
from ubspark.runtime.tables import validate_outside_tables

__all__ = ["Archived", "archive_version", "restore_version"]

_MANIFEST = "ubspark-archive.json"


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
    (target / LOG_FOLDER).mkdir(parents=True)
    sums = {name: _copy(source / name, target / name) for name in files}
    commits = {
        entry.path.name: _copy(entry.path, target / LOG_FOLDER / entry.path.name)
        for entry in log[: version + 1]
    }
    digest = _validate_copy(entity, target)
    content = {
        "ubspark_archive": 1,
        "uri": entity.uri,
        "table_id": entity.identity,
        "version": version,
        "digest": digest,
        "files": sums,
        "commits": commits,
    }
    (target / _MANIFEST).write_text(json.dumps(content, indent=1), encoding="utf-8")
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
    commits = {f"{LOG_FOLDER}/{name}": sha for name, sha in content.get("commits", {}).items()}
    for name, digest in (*content["files"].items(), *commits.items()):
        if _compute_sha256(folder / name) != digest:
            msg = f"The file `{name}` of the archive `{folder}` is not what was archived."
            raise ArchiveDamagedError(msg)
    _validate_target(place, str(content["table_id"]))
    lacking = [name for name, sha in content["files"].items() if not _is_file(place / name, sha)]
    for name in lacking:
        _copy(folder / name, place / name)
    _restore_log(folder, place, int(content["version"]))
    if _digest(str(place), int(content["version"])) != content["digest"]:
        msg = f"`{place}@v{content['version']}` does not hold the rows that were archived."
        raise ArchiveDamagedError(msg)
    return Archived(folder, str(place), content["version"], content["digest"], len(lacking))


def _restore_log(folder: Path, place: Path, version: int) -> None:
    """Give a table the commits of the archive, where its own do not reach so far."""
    latest = open_table(str(place)).version if is_delta_table(str(place)) else -1
    if latest >= version:
        return
    for path in sorted((folder / LOG_FOLDER).iterdir()):
        target = place / LOG_FOLDER / path.name
        if not target.exists():
            _copy(path, target)
        elif target.read_bytes() != path.read_bytes():
            msg = (
                f"`{place}` went another way after it was archived; name another place with `--to`."
            )
            raise ConflictError(msg)


def _is_file(path: Path, sha256: str) -> bool:
    return path.is_file() and _compute_sha256(path) == sha256


def _validate_target(place: Path, table_id: str) -> None:
    if is_delta_table(str(place)):
        if open_table(str(place)).table_id == table_id:
            return
    elif not place.exists() or not any(place.iterdir()):
        return
    msg = f"`{place}` is not the table of this archive; name another place with `--to`."
    raise ConflictError(msg)


def _validate_there(source: Path, files: list[str], entity: Entity) -> None:
    gone = [name for name in files if not (source / name).is_file()]
    if gone:
        msg = f"`{entity.place}` was removed; {len(gone)} of its {len(files)} files are gone."
        raise InputMissingError(msg)


def _validate_copy(entity: Entity, target: Path) -> str:
    """Return the content digest of a copy that is the same as that of the original."""
    version = int(entity.version or 0)
    wanted, found = (_digest(place, version) for place in (entity.uri, str(target)))
    stated = [
        _get_stated(commit) for commit in read_history(entity.uri) if commit.version == version
    ]
    if found != wanted or any(digest not in (None, found) for digest in stated):
        msg = f"The copy in `{target}` does not hold the rows of `{entity.place}`."
        raise ArchiveDamagedError(msg)
    return found


def _get_stated(commit: Any) -> str | None:
    """Return the digest that the commit states of the whole version, if it does."""
    record = commit.record
    if record is None or not is_whole(record):
        return None
    if record["spec"]["outputs"][record["output"]]["mode"] == "append":
        return None
    return str(record["digest"])


def _digest(uri: str, version: int) -> str:
    table = open_table(uri, version=version)
    digest = ContentDigest.empty(table.schema.to_arrow())
    try:
        for batch in table.to_dataset().to_batches():
            digest = digest + compute_digest(batch)
    except (pa.ArrowException, OSError) as error:
        first = str(error).partition("\n")[0].rstrip(".")
        msg = f"`{uri}@v{version}` cannot be read whole: {first}."
        raise SourceError(msg) from error
    return str(digest)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / _MANIFEST
    if not path.is_file():
        msg = f"`{folder}` is no archive of ubspark: it has no `{_MANIFEST}`."
        raise InputMissingError(msg)
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        places = [Path(name) for name in (*content["files"].keys(), content["uri"])]
        is_complete = isinstance(content["version"], int) and {"digest", "table_id"} <= set(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"`{path}` is damaged."
        raise SourceError(msg) from error
    if not is_complete or any(name.is_absolute() or ".." in name.parts for name in places[:-1]):
        msg = f"`{path}` is damaged."
        raise SourceError(msg)
    return content


def _copy(source: Path, target: Path) -> str:
    """Copy a file by way of a part file; return its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".part-{target.name}")
    shutil.copy2(source, part)
    part.replace(target)
    return _compute_sha256(target)


def _compute_sha256(path: Path) -> str:
    try:
        return compute_sha256(path)
    except OSError as error:
        msg = f"The file `{path}` cannot be read: {error.strerror}."
        raise InputMissingError(msg) from error
