"""The spatial index of a catalog: which file holds which range of ``_healpix_29``, and reading it.

A range is a half-open pair of order-29 indices; an array of ranges has shape (k, 2), is sorted
and its ranges do not overlap.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import fs

from ubspark.catalogs.object_store import is_object_store, open_object_store
from ubspark.catalogs.recent import RecentReads
from ubspark.columns import HEALPIX_29
from ubspark.errors import SourceError
from ubspark.sky.cover import meets_ranges
from ubspark.sky.healpix import find_in_ranges

__all__ = [
    "FileLayout",
    "Groups",
    "choose_groups",
    "conform",
    "join_sorted",
    "may_hold",
    "naming",
    "open_filesystem",
    "read_inside",
]

IntArray = NDArray[np.int64]
#: Lowest and highest value, both inclusive, by column.
Bounds = Mapping[str, tuple[float, float]]
#: Up to this many files the driver opens the footers, for ranges as fine as row groups.
_MAX_FOOTERS = 400


@dataclass(frozen=True, eq=False)
class FileLayout:
    """The files of a catalog table, in sky order; each array has shape (n files,).

    Attributes
    ----------
    paths
        Path or URI of each Parquet file.
    low, high
        Smallest and largest ``_healpix_29`` in the file, both inclusive.
    n_rows, n_bytes
        Rows and bytes of the file.
    schema
        Arrow schema of the table.
    bounds
        By column: row groups that state minima and maxima outside are not read.
    recent
        What was read last, for layouts that `remember`.
    """

    paths: tuple[str, ...]
    low: IntArray
    high: IntArray
    n_rows: IntArray
    n_bytes: IntArray
    schema: pa.Schema
    bounds: Bounds = field(default_factory=dict)
    recent: RecentReads | None = None

    def remember(self) -> "FileLayout":
        """Return the layout with a memory of what it read last, for ranges side by side."""
        return replace(self, recent=RecentReads())

    def find_files(self, ranges: IntArray) -> IntArray:
        """Return the rows of the files that meet any of the ranges."""
        return np.flatnonzero(meets_ranges(self.low, self.high, ranges))

    def refine(self) -> "FileLayout":
        """Return the layout of row groups, one entry each, where there are not too many files.

        The planner cuts the sky the finer for it; the paths repeat.
        """
        if len(self.paths) > _MAX_FOOTERS:
            return self
        with ThreadPoolExecutor(8) as pool:
            parts = list(pool.map(partial(_read_footer, within=self.bounds), self.paths))
        groups = [
            (path, *group) for path, part in zip(self.paths, parts, strict=True) for group in part
        ]
        if not groups:
            return self.select(np.zeros(0, dtype=np.int64))
        paths, low, high, n_rows, n_bytes = zip(*groups, strict=True)
        return replace(
            self,
            paths=tuple(paths),
            low=np.asarray(low, dtype=np.int64),
            high=np.asarray(high, dtype=np.int64),
            n_rows=np.asarray(n_rows, dtype=np.int64),
            n_bytes=np.asarray(n_bytes, dtype=np.int64),
        )

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
        # A refined layout names a file once per row group.
        paths = dict.fromkeys(self.paths[i] for i in self.find_files(ranges))
        schema = pa.schema([self.schema.field(name) for name in wanted])
        parts = [part for path in paths for part in self._read_file(path, ranges, schema)]
        return join_sorted(parts, schema)

    def _read_file(self, path: str, ranges: IntArray, schema: pa.Schema) -> Iterator[pa.Table]:
        """Yield the rows of one file that lie in the ranges, if it may have any."""
        filesystem, name = open_filesystem(path)
        with naming(path), pq.ParquetFile(name, filesystem=filesystem, pre_buffer=True) as file:
            groups = choose_groups(file.metadata, ranges, self.bounds)
            if len(groups) == 0:
                return
            there = set(file.schema_arrow.names)
            columns = [name for name in schema.names if name in there]
            own = Groups(file, path, groups, self.recent)
            rows, _ = read_inside(own, ranges, columns, [HEALPIX_29.name], _get_index)
            yield conform(rows, schema)

    def estimate_share(self, columns: Sequence[str]) -> float:
        """Return the share of the files' bytes that some columns take, judged by the first file."""
        if not self.paths:
            return 1.0
        filesystem, name = open_filesystem(self.paths[0])
        metadata = pq.read_metadata(name, filesystem=filesystem)
        wanted = {HEALPIX_29.name, *columns}
        total = kept = 0
        for i in range(metadata.num_row_groups):
            group = metadata.row_group(i)
            for j in range(group.num_columns):
                column = group.column(j)
                total += column.total_compressed_size
                if column.path_in_schema.split(".")[0] in wanted:
                    kept += column.total_compressed_size
        return kept / total if total else 1.0

    def narrow(self, bounds: Bounds) -> "FileLayout":
        """Return the layout without row groups whose statistics lie outside of some bounds.

        Parameters
        ----------
        bounds
            Lowest and highest value by column, both inclusive; rows outside of them may stay.
        """
        return replace(self, bounds=bounds)

    def select(self, rows: IntArray) -> "FileLayout":
        """Return the layout of some of the files."""
        return replace(
            self,
            paths=tuple(self.paths[i] for i in rows),
            low=self.low[rows],
            high=self.high[rows],
            n_rows=self.n_rows[rows],
            n_bytes=self.n_bytes[rows],
        )


def join_sorted(parts: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """Return the rows of several files sorted by ``_healpix_29``."""
    # Files hardly overlap: put in their order, they seldom leave rows to sort.
    filled = [part for part in parts if part.num_rows]
    filled.sort(key=lambda part: part[HEALPIX_29.name][0].as_py())
    if not filled:
        return schema.empty_table()
    table = pa.concat_tables(filled).combine_chunks()
    index = table[HEALPIX_29.name].to_numpy()
    if np.any(index[1:] < index[:-1]):
        table = table.take(pa.array(np.argsort(index, kind="stable")))
    return table


def open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the Arrow file system of a path or URI, and the path in it."""
    if "://" not in uri:
        return fs.LocalFileSystem(), uri
    if is_object_store(uri):
        return open_object_store(uri)
    filesystem, path = fs.FileSystem.from_uri(uri)
    return filesystem, path


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Name the file in what Arrow says of damaged pages.

    Raises
    ------
    SourceError
        If the file cannot be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowInvalid, OSError) as error:
        said = str(error).strip().partition("\n")[0].rstrip(".")
        if said.startswith("Expected all lists to be of size"):
            msg = (
                f"`{path}` has a column of lists of fixed size with null rows, which Arrow writes "
                f"and cannot read ({said}). Write it again with lists of any size."
            )
            raise SourceError(msg) from error
        msg = f"`{path}` cannot be read: it is cut or damaged ({said})."
        raise SourceError(msg) from error


def _read_footer(path: str, within: Bounds) -> list[tuple[int, int, int, int]]:
    """Return (low, high, rows, bytes) of each row group."""
    filesystem, name = open_filesystem(path)
    metadata = pq.read_metadata(name, filesystem=filesystem)
    return [
        (*bounds, group.num_rows, _count_bytes(group))
        for group, bounds in _bounds(metadata)
        if may_hold(group, within)
    ]


def _count_bytes(group: Any) -> int:
    return sum(group.column(i).total_compressed_size for i in range(group.num_columns))


def _bounds(metadata: pq.FileMetaData) -> Iterator[tuple[Any, tuple[int, int]]]:
    """Yield each row group with the bounds of its index; all of int64 where it states none."""
    column = metadata.schema.names.index(HEALPIX_29.name)
    everything = np.iinfo(np.int64)
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        statistics = group.column(column).statistics
        stated = statistics is not None and statistics.has_min_max
        bounds = (statistics.min, statistics.max) if stated else (everything.min, everything.max)
        yield group, bounds


def may_hold(group: pq.RowGroupMetaData, within: Bounds) -> bool:
    """Whether a row group may hold rows within some bounds, as far as its statistics tell.

    NaN and null count in no minimum or maximum, and meet no bound either.
    """
    for i in range(group.num_columns if within else 0):
        column = group.column(i)
        bounds = within.get(column.path_in_schema)
        statistics = column.statistics if bounds is not None else None
        if bounds is None or statistics is None or not statistics.has_min_max:
            continue
        low, high = statistics.min, statistics.max
        if not all(isinstance(end, int | float) and end == end for end in (low, high)):
            continue
        # The comparison is one of float64 where the bounds are floats: round as it does.
        if any(isinstance(end, float) and np.isfinite(end) for end in bounds):
            low, high = float(low), float(high)
        if low > bounds[1] or high < bounds[0]:
            return False
    return True


def choose_groups(metadata: pq.FileMetaData, ranges: IntArray, within: Bounds) -> list[int]:
    """Return the row groups that may hold rows of some ranges and within some bounds."""
    bounds = np.array([pair for _, pair in _bounds(metadata)], dtype=np.int64)
    if len(bounds) == 0:
        return []
    meets = np.flatnonzero(meets_ranges(bounds[:, 0], bounds[:, 1], ranges))
    return [i for i in meets.tolist() if may_hold(metadata.row_group(i), within)]


def _get_index(rows: pa.Table) -> IntArray:
    index: IntArray = rows[HEALPIX_29.name].to_numpy()
    return index


class Groups(NamedTuple):
    """Some row groups of a file."""

    file: pq.ParquetFile
    path: str
    numbers: Sequence[int]
    recent: RecentReads | None
    """What was read last, where that is kept."""

    def select(self, numbers: Sequence[int]) -> "Groups":
        """Return some of them."""
        return self._replace(numbers=numbers)

    def read(self, columns: Sequence[str]) -> pa.Table:
        """Read columns; without row groups it gives the columns alone."""
        if self.recent is not None and self.numbers:
            return self.recent.read(self.file, self.path, self.numbers, columns)
        return self.file.read_row_groups(self.numbers, columns=list(columns), use_threads=False)


def read_inside(
    groups: Groups,
    ranges: IntArray,
    columns: Sequence[str],
    sources: Sequence[str],
    compute_index: Callable[[pa.Table], IntArray],
) -> tuple[pa.Table, IntArray]:
    """Read the rows of some row groups whose index lies in the ranges.

    The columns of the index come first: of a row group without such a row nothing else is read.

    Parameters
    ----------
    groups
        At least one.
    ranges
        Half-open ranges, shape (k, 2).
    columns, sources
        Columns wanted, and those from which ``compute_index`` makes the index.

    Returns
    -------
    rows, index
        The rows with all these columns, and their index, shape (n,).
    """
    rows = groups.read(sources)
    index = compute_index(rows)
    inside = find_in_ranges(index, ranges)
    sizes = [groups.file.metadata.row_group(i).num_rows for i in groups.numbers]
    counts = [np.count_nonzero(part) for part in np.split(inside, np.cumsum(sizes)[:-1])]
    kept = [group for group, n in zip(groups.numbers, counts, strict=True) if n]
    opened = np.repeat(np.array(counts) > 0, sizes)
    if not opened.all():
        rows, index, inside = rows.filter(pa.array(opened)), index[opened], inside[opened]
    others = [name for name in columns if name not in sources]
    if others:
        more = groups.select(kept).read(others)
        for name in more.column_names:
            rows = rows.append_column(more.schema.field(name), more[name])
    if not inside.all():
        rows, index = rows.filter(pa.array(inside)), index[inside]
    return rows, index


def conform(rows: pa.Table, schema: pa.Schema, *, safe: bool = True) -> pa.Table:
    """Return the rows of one file as those of the table.

    A file may be older than a column of the table, and Spark writes times as INT96. Only where
    not ``safe`` are nanoseconds cut.
    """
    columns = [
        rows[field.name].cast(field.type, safe=safe)
        if field.name in rows.column_names
        else pa.chunked_array([pa.nulls(rows.num_rows, field.type)])
        for field in schema
    ]
    return pa.table(columns, schema=schema)
