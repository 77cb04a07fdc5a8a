"""Row groups that were read a moment ago: the cells of a task ask for some of them again.

A cell needs a row or two of each neighbour, for which the whole row group is read; the next cell is
often that neighbour.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["RecentReads"]

#: Of one catalog: some row groups of common size.
_LIMIT_BYTES = 96 << 20


class RecentReads:
    """Row groups as they were last read, as many as fit. Empty again in another process."""

    def __init__(self, limit_bytes: int = _LIMIT_BYTES) -> None:
        """Start with nothing."""
        self._limit_bytes = limit_bytes
        self._tables: dict[tuple[object, ...], pa.Table] = {}
        self._n_bytes = 0

    def __reduce__(self) -> tuple[type["RecentReads"], tuple[int]]:
        """Leave the rows behind."""
        return RecentReads, (self._limit_bytes,)

    def read(
        self, file: pq.ParquetFile, path: str, groups: Sequence[int], columns: Sequence[str]
    ) -> pa.Table:
        """Return columns of row groups of a file that nobody changes meanwhile.

        Several row groups at once are not kept: the next cell asks for others of the file.
        """
        key = (path, tuple(groups), tuple(columns))
        found = self._tables.pop(key, None)
        if found is None:
            found = file.read_row_groups(groups, columns=list(columns), use_threads=False)
            if len(groups) > 1:
                return found
            self._n_bytes += found.nbytes
        # Those used last stand last.
        self._tables[key] = found
        while self._n_bytes > self._limit_bytes:
            self._n_bytes -= self._tables.pop(next(iter(self._tables))).nbytes
        return found
