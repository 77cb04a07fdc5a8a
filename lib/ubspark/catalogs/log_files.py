"""Which data files each version of a Delta table consists of, from its log on a local disk."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ubspark.errors import SourceError

__all__ = ["LOG_FOLDER", "LogEntry", "find_named_files", "list_version_files", "read_log"]

LOG_FOLDER = "_delta_log"


@dataclass(frozen=True)
class LogEntry:
    """What one commit did to the files of a table; paths are relative to its folder."""

    version: int
    path: Path
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def is_relative(self) -> bool:
        """Whether every file lies in the folder of the table."""
        return not any(p.startswith(("/", "file:")) or "://" in p for p in self.added)


def read_log(folder: Path) -> Sequence[LogEntry]:
    """Return every commit of a table, the oldest first.

    Raises
    ------
    SourceError
        If the log does not reach back to the first version: then nobody knows what it named.
    """
    paths = sorted(p for p in (folder / LOG_FOLDER).glob("*.json") if p.stem.isdigit())
    versions = [int(path.stem) for path in paths]
    gap = next((i for i, version in enumerate(versions) if version != i), None)
    if not versions or gap is not None:
        msg = (
            f"The log of `{folder}` lacks `{gap or 0:020}.json`, so that nobody knows what it "
            f"named; its files are kept."
        )
        raise SourceError(msg)
    return [_read_entry(version, path) for version, path in zip(versions, paths, strict=True)]


def list_version_files(log: Sequence[LogEntry]) -> Mapping[int, frozenset[str]]:
    """Return the files of each version."""
    active: set[str] = set()
    found = {}
    for entry in log:
        active = (active - set(entry.removed)) | set(entry.added)
        found[entry.version] = frozenset(active)
    return found


def find_named_files(log: Sequence[LogEntry]) -> set[str]:
    """Return every file that any commit has ever named."""
    return {path for entry in log for path in (*entry.added, *entry.removed)}


def _read_entry(version: int, path: Path) -> LogEntry:
    added: list[str] = []
    removed: list[str] = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            action: dict[str, Any] = json.loads(line) if line.strip() else {}
            for kind, listed in (("add", added), ("remove", removed), ("cdc", added)):
                if action.get(kind) is not None:
                    listed.append(unquote(str(action[kind]["path"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"The log entry `{path}` cannot be read."
        raise SourceError(msg) from error
    return LogEntry(version, path, tuple(added), tuple(removed))
