"""Reading the rows of a catalog by ranges of ``_healpix_29``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ubspark.catalogs.hats.footers import Footers, read_footers
from ubspark.catalogs.hats.spatial_index import SpatialIndex, find_places
from ubspark.catalogs.layout import (
    Bounds,
    Groups,
    conform,
    join_sorted,
    may_hold,
    naming,
    open_filesystem,
    read_inside,
)
from ubspark.catalogs.recent import RecentReads
from ubspark.columns import HEALPIX_29
from ubspark.sky.cover import meets_ranges

__all__ = ["MAX_FOOTERS", "HatsLayout"]

IntArray = NDArray[np.int64]
#: Up to this many files the driver opens the footers, for ranges as fine as row groups.
MAX_FOOTERS = 400


@dataclass(frozen=True, eq=False)
class HatsLayout:
    """The files or row groups of a catalog; each array has one value for each of them.

    Attributes
    ----------
    paths, groups
        File, and number of the row group in it, -1 for all.
    low, high
        Smallest and largest ``_healpix_29`` that it may hold, both inclusive.
    n_rows, n_bytes
        Its rows and compressed bytes; rows of whole files are estimated.
    schema, stored
        Arrow schema of the table, ``_healpix_29`` included, and of the files.
    index
        How rows get their index.
    needed
        Columns that every file must have.
    bounds
        By column: row groups that state minima and maxima outside are not read.
    recent
        What was read last, for layouts that `remember`.
    """

    paths: tuple[str, ...]
    groups: IntArray
    low: IntArray
    high: IntArray
    n_rows: IntArray
    n_bytes: IntArray
    schema: pa.Schema
    stored: pa.Schema
    index: SpatialIndex
    needed: tuple[str, ...] = ()
    bounds: Bounds = field(default_factory=dict)
    recent: RecentReads | None = None

    def remember(self) -> "HatsLayout":
        """Return the layout with a memory of what it read last, for ranges side by side."""
        return replace(self, recent=RecentReads())

    def refine(self) -> "HatsLayout":
        """Return the layout of row groups, where there are not too many files.

        Raises
        ------
        SourceError
            If a file is damaged.
        SchemaError
            If its columns do not fit those of the catalog.
        """
        if len(self.paths) > MAX_FOOTERS or np.all(self.groups >= 0):
            return self
        footers = read_footers(self.paths)
        footers.validate(self.stored, needed=self.needed)
        return self._split(footers)

    def narrow(self, bounds: Bounds) -> "HatsLayout":
        """Return the layout without row groups whose statistics lie outside of some bounds."""
        return replace(self, bounds=bounds)

    def find_files(self, ranges: IntArray) -> IntArray:
        """Return the entries that meet any of the ranges."""
        return np.flatnonzero(meets_ranges(self.low, self.high, ranges))

    def select(self, rows: IntArray) -> "HatsLayout":
        """Return the layout of some of the entries."""
        return replace(
            self,
            paths=tuple(self.paths[i] for i in rows),
            groups=self.groups[rows],
            low=self.low[rows],
            high=self.high[rows],
            n_rows=self.n_rows[rows],
            n_bytes=self.n_bytes[rows],
        )

    def estimate_share(self, columns: Sequence[str]) -> float:
        """Return the share of the files' bytes that some columns take, judged by the first file."""
        if not self.paths:
            return 1.0
        sizes = _count_column_bytes(read_footers(self.paths[:1]).files[0])
        wanted = set(self._to_stored(columns))
        total = sum(sizes.values())
        return sum(n for name, n in sizes.items() if name in wanted) / total if total else 1.0

    def read(self, ranges: IntArray, columns: Sequence[str]) -> pa.Table:
        """Read the rows whose index lies in the ranges, sorted by it.

        Parameters
        ----------
        ranges
            Half-open ranges, shape (k, 2).
        columns
            Columns to read; ``_healpix_29`` is always among the result's.

        Returns
        -------
        pyarrow.Table
            Empty, with the right schema, where nothing lies in the ranges.
        """
        wanted = list(dict.fromkeys([HEALPIX_29.name, *columns]))
        schema = pa.schema([self.schema.field(name) for name in wanted])
        by_file: dict[str, list[int]] = {}
        for i in self.find_files(ranges):
            by_file.setdefault(self.paths[i], []).append(int(self.groups[i]))
        parts = [
            part
            for path, groups in by_file.items()
            for part in self._read_file(path, groups, ranges, schema)
        ]
        return join_sorted(parts, schema)

    def _read_file(
        self, path: str, groups: list[int], ranges: IntArray, schema: pa.Schema
    ) -> Iterator[pa.Table]:
        """Yield the rows of one file that lie in the ranges, if it may have any."""
        filesystem, name = open_filesystem(path)
        with naming(path), pq.ParquetFile(name, filesystem=filesystem, pre_buffer=True) as file:
            kept = list(self._choose_groups(file.metadata, groups, ranges))
            if not kept:
                return
            there = set(file.schema_arrow.names)
            stored = [column for column in self._to_stored(schema.names) if column in there]
            rows, index = read_inside(
                Groups(file, path, kept, self.recent),
                ranges,
                stored,
                self.index.sources,
                self.index.compute,
            )
        if not self.index.is_stored:
            rows = rows.append_column(HEALPIX_29.name, pa.array(index))
        yield conform(rows, schema, safe=False)

    def _choose_groups(
        self, file: pq.FileMetaData, groups: list[int], ranges: IntArray
    ) -> Iterator[int]:
        """Yield the row groups, of some or of all, that may hold rows that are asked for."""
        places = find_places(file)
        for i in range(file.num_row_groups) if groups[0] < 0 else groups:
            group = file.row_group(i)
            bounds = self.index.read_bounds(group, places) if groups[0] < 0 else None
            if bounds is not None:
                low, high = (np.array([bound]) for bound in bounds)
                if not meets_ranges(low, high, ranges)[0]:
                    continue
            if may_hold(group, self.bounds):
                yield i

    def _to_stored(self, columns: Sequence[str]) -> list[str]:
        """Return the columns of the files that are read for some columns of the table."""
        own = [name for name in columns if name != HEALPIX_29.name]
        return list(dict.fromkeys([*self.index.sources, *own]))

    def _split(self, footers: Footers) -> "HatsLayout":
        """Return the layout of the row groups of these very files."""
        limits = np.stack([self.low, self.high], axis=1).tolist()
        entries = [
            (path, *entry)
            for path, file, pair in zip(footers.paths, footers.files, limits, strict=True)
            for entry in _read_groups(file, pair, self.index)
        ]
        facts = np.array([entry[1:] for entry in entries], dtype=np.int64).reshape(-1, 5)
        groups, low, high, n_rows, n_bytes = facts.T
        return replace(
            self,
            paths=tuple(entry[0] for entry in entries),
            groups=groups,
            low=low,
            high=high,
            n_rows=n_rows,
            n_bytes=n_bytes,
        )


def _read_groups(
    file: pq.FileMetaData, limits: list[int], index: SpatialIndex
) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield number, bounds, rows and bytes of each row group that has rows."""
    places = find_places(file)
    for i in range(file.num_row_groups):
        group = file.row_group(i)
        if group.num_rows == 0:
            continue
        low, high = index.read_bounds(group, places) or limits
        sizes = (group.column(j).total_compressed_size for j in range(group.num_columns))
        yield i, low, high, group.num_rows, sum(sizes)


def _count_column_bytes(file: pq.FileMetaData) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for i in range(file.num_row_groups):
        group = file.row_group(i)
        for j in range(group.num_columns):
            column = group.column(j)
            name = column.path_in_schema.split(".")[0]
            sizes[name] = sizes.get(name, 0) + column.total_compressed_size
    return sizes
