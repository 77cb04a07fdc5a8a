"""Reading the rows of a catalog by ranges of ``_healpix_29``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ubspark.catalogs.hats.footers import Footers
from ubspark.catalogs.hats.spatial_index import SpatialIndex, find_places
from ubspark.catalogs.layout import conform, meets_ranges, open_filesystem
from ubspark.columns import HEALPIX_29
from ubspark.sky.healpix import find_in_ranges

__all__ = ["HatsLayout", "build_layout"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class HatsLayout:
    """The row groups of a catalog; each array has shape (n row groups,).

    Attributes
    ----------
    paths, groups
        File, and number of the row group in it.
    low, high
        Smallest and largest ``_healpix_29`` that it may hold, both inclusive.
    n_rows, n_bytes
        Its rows and compressed bytes.
    schema
        Arrow schema of the table, ``_healpix_29`` included.
    index
        How rows get their index.
    column_bytes
        Compressed bytes of each column in the first file.
    """

    paths: tuple[str, ...]
    groups: IntArray
    low: IntArray
    high: IntArray
    n_rows: IntArray
    n_bytes: IntArray
    schema: pa.Schema
    index: SpatialIndex
    column_bytes: dict[str, int] = field(default_factory=dict)

    def refine(self) -> "HatsLayout":
        """Return the layout of row groups, which this is."""
        return self

    def estimate_share(self, columns: Sequence[str]) -> float:
        """Return the share of the files' bytes that some columns take, judged by the first file."""
        total = sum(self.column_bytes.values())
        wanted = {*self._to_stored(columns)}
        kept = sum(n for name, n in self.column_bytes.items() if name in wanted)
        return kept / total if total else 1.0

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
        entries = np.flatnonzero(meets_ranges(self.low, self.high, ranges))
        by_file: dict[str, list[int]] = {}
        for i in entries:
            by_file.setdefault(self.paths[i], []).append(int(self.groups[i]))
        parts = [self._read_file(path, groups, ranges, schema) for path, groups in by_file.items()]
        if not parts:
            return schema.empty_table()
        table = pa.concat_tables(parts)
        index = table[HEALPIX_29.name].to_numpy()
        if np.any(index[1:] < index[:-1]):
            table = table.take(pa.array(np.argsort(index, kind="stable")))
        return table

    def _read_file(
        self, path: str, groups: list[int], ranges: IntArray, schema: pa.Schema
    ) -> pa.Table:
        """Return the rows of one file that lie in the ranges."""
        filesystem, name = open_filesystem(path)
        with pq.ParquetFile(name, filesystem=filesystem, pre_buffer=True) as file:
            there = set(file.schema_arrow.names)
            stored = [column for column in self._to_stored(schema.names) if column in there]
            rows = file.read_row_groups(groups, columns=stored, use_threads=False)
        index = self.index.compute(rows)
        inside = find_in_ranges(index, ranges)
        if not inside.all():
            rows, index = rows.filter(pa.array(inside)), index[inside]
        if not self.index.is_stored:
            rows = rows.append_column(HEALPIX_29.name, pa.array(index))
        return conform(rows, schema)

    def _to_stored(self, columns: Sequence[str]) -> list[str]:
        """Return the columns of the files that are read for some columns of the table."""
        own = [name for name in columns if name != HEALPIX_29.name]
        return list(dict.fromkeys([*self.index.sources, *own]))


def build_layout(
    footers: Footers, ranges: IntArray, schema: pa.Schema, index: SpatialIndex
) -> HatsLayout:
    """Return the layout of some files.

    Parameters
    ----------
    ranges
        Half-open range of ``_healpix_29`` that each file can hold at most, shape (n files, 2).
    """
    entries = []
    for path, file, limits in zip(footers.paths, footers.files, ranges.tolist(), strict=True):
        entries += [(path, *entry) for entry in _read_groups(file, limits, index)]
    paths = tuple(entry[0] for entry in entries)
    facts = np.array([entry[1:] for entry in entries], dtype=np.int64).reshape(-1, 5)
    groups, low, high, n_rows, n_bytes = facts.T
    sizes = _count_column_bytes(footers.files[0]) if footers.files else {}
    return HatsLayout(paths, groups, low, high, n_rows, n_bytes, schema, index, sizes)


def _read_groups(
    file: pq.FileMetaData, limits: list[int], index: SpatialIndex
) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield number, bounds, rows and bytes of each row group that has rows."""
    places = find_places(file)
    for i in range(file.num_row_groups):
        group = file.row_group(i)
        if group.num_rows == 0:
            continue
        low, high = index.read_bounds(group, places) or (limits[0], limits[1] - 1)
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
