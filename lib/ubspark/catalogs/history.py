"""The commits of a Delta table, each by the version that its file is named for.

delta-rs counts versions down from the newest; where a file of the log is missing behind a
checkpoint, it tells of all older commits under the wrong version.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pyarrow import fs

from ubspark.catalogs.layout import open_filesystem
from ubspark.catalogs.log_files import LOG_FOLDER
from ubspark.catalogs.object_store import validate_bucket
from ubspark.errors import SourceError, TransientError

__all__ = ["Commit", "find_commit", "read_history"]

_OPERATIONS_WITHOUT_DATA = frozenset(
    {"OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "ADD CONSTRAINT"}
)
#: Each file of an object store is one more request.
_N_THREADS = 8


@dataclass(frozen=True)
class Commit:
    """One entry of a table's history."""

    version: int
    timestamp_ms: int
    operation: str
    #: What ubspark wrote into the commit; None for a commit of somebody else.
    record: Mapping[str, Any] | None
    #: SHA-256 of all that the commit says of itself.
    sha256: str = ""

    @property
    def content(self) -> str:
        """What tells the version from that of a copy of the table which went another way.

        The digest of its rows, where the commit states it of all of them; else the commit's own.
        """
        try:
            record = dict(self.record or {})
            if record["spec"]["outputs"][record["output"]]["mode"] != "append":
                return str(record["digest"])
            facts = json.dumps([record["run"], record["output"], record["digest"]])
            return f"commit:{hashlib.sha256(facts.encode()).hexdigest()[:32]}"
        # A commit of somebody else, or one whose record is damaged.
        except (KeyError, TypeError, AttributeError):
            return f"commit:{self.sha256[:32]}"

    @property
    def changed_data(self) -> bool:
        """Whether the commit may have changed the rows of the table."""
        return self.operation not in _OPERATIONS_WITHOUT_DATA


def read_history(uri: str) -> list[Commit]:
    """Return the commits of a table, the newest first, as far back as its log reaches.

    Raises
    ------
    SourceError
        If the log lacks a file between others, or one is damaged.
    TransientError
        If a file, or the store, cannot be read now.
    """
    filesystem, found = _list_commits(uri)
    with ThreadPoolExecutor(_N_THREADS) as pool:
        return list(
            pool.map(
                lambda version: _read_commit(filesystem, found[version], version),
                sorted(found, reverse=True),
            )
        )


def find_commit(uri: str, version: int) -> Commit | None:
    """Return the commit of one version; None where the log does not reach back to it.

    Raises
    ------
    SourceError
        If the log lacks a file between others, or that of the version is damaged.
    TransientError
        If the file, or the store, cannot be read now.
    """
    filesystem, found = _list_commits(uri)
    return _read_commit(filesystem, found[version], version) if version in found else None


def _list_commits(uri: str) -> tuple[fs.FileSystem, dict[int, fs.FileInfo]]:
    """Return the files of the commits by version, refusing a log that lacks one between others."""
    validate_bucket(uri)
    filesystem, root = open_filesystem(uri)
    folder = fs.FileSelector(f"{root.rstrip('/')}/{LOG_FOLDER}", allow_not_found=True)
    entries = {entry.base_name: entry for entry in filesystem.get_file_info(folder)}
    found = {int(name[:-5]): entry for name, entry in entries.items() if _is_commit(name)}
    marks = (name.partition(".checkpoint")[0] for name in entries if ".checkpoint" in name)
    known = {*found, *(int(mark) for mark in marks if mark.isdigit())}
    for version in range(min(found, default=0), max(known, default=-1) + 1):
        if version not in found:
            msg = (
                f"Table `{uri}` is damaged: its log lacks `{version:020}.json`, so that nobody "
                f"knows what its versions were made from. `ubspark restore` brings the file back "
                f"from an archive of version {version} or a later one."
            )
            raise SourceError(msg)
    return filesystem, found


def _is_commit(name: str) -> bool:
    return name.endswith(".json") and name[:-5].isdigit()


def _read_commit(filesystem: fs.FileSystem, entry: fs.FileInfo, version: int) -> Commit:
    try:
        info = _read_info(filesystem, entry.path)
        # A commit need not say when it was made, nor how.
        moment = info.get("timestamp", info.get("inCommitTimestamp", entry.mtime_ns // 1_000_000))
        operation, record = str(info.get("operation")), _read_record(info.get("userMetadata"))
        text = json.dumps(info, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Commit(version, int(moment), operation, record, digest)
    except OSError as error:
        first = str(error).strip().partition("\n")[0].rstrip(".")
        msg = f"The log entry `{entry.path}` cannot be read: {first}."
        raise TransientError(msg) from error
    except (ValueError, TypeError, AttributeError) as error:
        msg = f"The log entry `{entry.path}` is damaged."
        raise SourceError(msg) from error


def _read_info(filesystem: fs.FileSystem, path: str) -> Mapping[str, Any]:
    """Return what a commit says of itself, without reading on once it is there."""
    line = b""
    with filesystem.open_input_file(path) as file:
        for line in io.BufferedReader(file):
            if b'"commitInfo"' in line:
                info: Mapping[str, Any] | None = json.loads(line).get("commitInfo")
                if info is not None:
                    return info
    # A commit need not say anything of itself, but it ends with a whole action.
    json.loads(line)
    return {}


def _read_record(text: str | None) -> Mapping[str, Any] | None:
    try:
        record = json.loads(text or "")
    except ValueError:
        return None
    return record if isinstance(record, dict) and "ubspark" in record else None
