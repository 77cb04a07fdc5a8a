"""Until when a version of a Delta table can be read, once a newer one has taken its place.

Delta refuses a version that is not the newest when its commit is older than
``delta.deletedFileRetentionDuration``, whether or not VACUUM ran, and forgets commits that are
older than ``delta.logRetentionDuration``.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from ubspark.catalogs.delta import TableVersion, read_history

__all__ = ["find_deadline", "read_retention"]

#: Property to what Delta takes where a table does not say.
_DEFAULTS: Mapping[str, str] = {
    "delta.deletedFileRetentionDuration": "interval 1 week",
    "delta.logRetentionDuration": "interval 30 days",
}
_PART = re.compile(r"(\d+)\s+(week|day|hour|minute|second)s?")
#: A version that is kept longer than this needs no warning.
_LONG = timedelta(days=365)


def find_deadline(table: TableVersion) -> datetime | None:
    """Return until when a version can surely be read; None for more than a year from its commit.

    That may be past: then it is refused as soon as the table has a newer version.
    """
    kept = read_retention(table.properties)
    if kept >= _LONG:
        return None
    moments = {commit.version: commit.timestamp_ms for commit in read_history(table.uri)}
    committed_ms = moments.get(table.version)
    if committed_ms is None:
        return None
    return datetime.fromtimestamp(committed_ms / 1000, UTC) + kept


def read_retention(properties: Mapping[str, str]) -> timedelta:
    """Return how long a table keeps the files and the log of a version that was replaced."""
    stated = (properties.get(name, default) for name, default in _DEFAULTS.items())
    return min(_parse(text) for text in stated)


def _parse(text: str) -> timedelta:
    """Return an interval as Delta's properties state it, such as ``interval 1 week``."""
    parts = _PART.findall(text.lower())
    return sum((timedelta(**{f"{unit}s": int(n)}) for n, unit in parts), timedelta())
