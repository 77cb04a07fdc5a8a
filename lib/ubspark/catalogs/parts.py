"""Reading a catalog a part at a time, for rows too long to be held together.

Parts use the same memory one after the other: to touch new pages can cost more than to decode what
is put there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow import fs

from ubspark.catalogs.layout import FileLayout, choose_groups, conform, open_filesystem
from ubspark.catalogs.selection import SelectedSource
from ubspark.columns import HEALPIX_29
from ubspark.crossmatch.plan import CatalogSource
from ubspark.sky.healpix import find_in_ranges

__all__ = ["PartReader"]

IntArray = NDArray[np.int64]
#: Bytes of a column that are read from a local file at a time.
_NEAR_BYTES = 1 << 20


@dataclass(frozen=True, eq=False)
class PartReader:
    """Reads a source a part at a time."""

    source: CatalogSource

    def read_parts(
        self, ranges: IntArray, columns: Sequence[str], *, n_bytes: int, coded: Sequence[str] = ()
    ) -> Iterator[pa.Table]:
        """Yield the rows that the `read` of the source gives, in its order.

        Parameters
        ----------
        ranges
            Half-open ranges, shape (k, 2).
        n_bytes
            Decoded bytes of a part, about. Files that overlap, and those of other formats, come
            as one part.
        coded
            Columns whose text, within lists too, may come in dictionaries.
        """
        source = self.source
        if isinstance(source, SelectedSource):
            yield from _read_selected(source, ranges, columns, n_bytes, coded)
            return
        stretches = _find_stretches(source, ranges) if isinstance(source, FileLayout) else None
        if stretches is None or not isinstance(source, FileLayout):
            yield source.read(ranges, columns)
            return
        names = list(dict.fromkeys([HEALPIX_29.name, *columns]))
        schema = pa.schema([source.schema.field(name) for name in names])
        for stretch in stretches:
            yield from stretch.read(schema, n_bytes=n_bytes, coded=coded)


def _read_selected(
    selected: SelectedSource,
    ranges: IntArray,
    columns: Sequence[str],
    n_bytes: int,
    coded: Sequence[str],
) -> Iterator[pa.Table]:
    """Yield the selected ones of the parts of the whole source."""
    wanted = [*columns, *selected.needed]
    # Conditions are evaluated on text as it is.
    plain = [name for name in coded if name not in selected.needed]
    whole = PartReader(selected.source)
    for part in whole.read_parts(selected.cut(ranges), wanted, n_bytes=n_bytes, coded=plain):
        yield selected.keep(part, columns)


@dataclass(frozen=True, eq=False)
class _Stretch:
    """The rows of one file that lie in some ranges.

    Attributes
    ----------
    groups
        Row groups that hold them.
    inside
        Whether each row of these row groups is one of them.
    low, high
        Index of the first and of the last.
    """

    path: str
    groups: tuple[int, ...]
    inside: NDArray[np.bool_]
    low: int
    high: int

    def read(self, schema: pa.Schema, *, n_bytes: int, coded: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the rows."""
        filesystem, name = open_filesystem(self.path)
        metadata = pq.read_metadata(name, filesystem=filesystem)
        n_rows = self._count_rows(metadata, schema.names, n_bytes)
        # Arrow reads lists in dictionaries from one row group at a time.
        is_long = len(self.inside) >= n_rows * len(self.groups)
        texts = _find_texts(metadata, coded) if is_long else {}
        kept = pa.schema([field for field in schema if field.name not in texts.values()])
        # What is near is read bit by bit; far away each request takes its time.
        is_near = isinstance(filesystem, fs.LocalFileSystem)
        ahead: dict[str, Any] = {"buffer_size": _NEAR_BYTES} if is_near else {"pre_buffer": True}
        with pq.ParquetFile(
            name, filesystem=filesystem, read_dictionary=list(texts), **ahead
        ) as file:
            there = set(file.schema_arrow.names)
            columns = [name for name in schema.names if name in there]
            runs = [[i] for i in self.groups] if is_long else [list(self.groups)]
            for rows in self._iterate(file, runs, columns, n_rows):
                found = conform(rows, kept)
                for column in texts.values():
                    found = found.append_column(column, rows[column])
                yield found.select(schema.names)

    def _iterate(
        self, file: pq.ParquetFile, runs: list[list[int]], columns: list[str], n_rows: int
    ) -> Iterator[pa.Table]:
        """Yield the rows of runs of row groups, as they are in the file."""
        start = 0
        for groups in runs:
            for batch in file.iter_batches(
                n_rows, row_groups=groups, columns=columns, use_threads=False
            ):
                inside = self.inside[start : start + batch.num_rows]
                start += batch.num_rows
                rows = pa.table(batch)
                yield rows if inside.all() else rows.filter(pa.array(inside))

    def _count_rows(self, metadata: pq.FileMetaData, columns: Sequence[str], n_bytes: int) -> int:
        """Return how many rows have so many bytes, on average."""
        total = n_rows = 0
        for i in self.groups:
            group = metadata.row_group(i)
            n_rows += group.num_rows
            for j in range(group.num_columns):
                if group.column(j).path_in_schema.split(".")[0] in columns:
                    total += group.column(j).total_uncompressed_size
        return max(1, n_bytes * n_rows // max(total, 1))


def _find_stretches(source: FileLayout, ranges: IntArray) -> list[_Stretch] | None:
    """Return the rows of each file, in sky order; None where they have to be sorted."""
    # A refined layout names a file once per row group.
    paths = dict.fromkeys(source.paths[i] for i in source.find_files(ranges))
    found = [_find_stretch(path, ranges, source) for path in paths]
    if any(stretch is not None and stretch.low > stretch.high for stretch in found):
        return None
    stretches = sorted((s for s in found if s is not None), key=attrgetter("low"))
    is_in_order = all(before.high <= after.low for before, after in pairwise(stretches))
    return stretches if is_in_order else None


def _find_stretch(path: str, ranges: IntArray, source: FileLayout) -> _Stretch | None:
    """Return the rows of a file, None where there are none; with low > high if unsorted."""
    filesystem, name = open_filesystem(path)
    with pq.ParquetFile(name, filesystem=filesystem, pre_buffer=True) as file:
        groups = choose_groups(file.metadata, ranges, source.bounds)
        if not groups:
            return None
        column = file.read_row_groups(groups, columns=[HEALPIX_29.name], use_threads=False)
        sizes = [file.metadata.row_group(i).num_rows for i in groups]
    index = column[HEALPIX_29.name].to_numpy()
    inside = find_in_ranges(index, ranges)
    has_some = [bool(part.any()) for part in np.split(inside, np.cumsum(sizes)[:-1])]
    if not any(has_some):
        return None
    chosen = tuple(group for group, some in zip(groups, has_some, strict=True) if some)
    rows = index[inside]
    is_sorted = not np.any(rows[1:] < rows[:-1])
    ends = (int(rows[0]), int(rows[-1])) if is_sorted else (1, 0)
    return _Stretch(path, chosen, inside[np.repeat(has_some, sizes)], *ends)


def _find_texts(metadata: pq.FileMetaData, columns: Sequence[str]) -> dict[str, str]:
    """Return the path of each text that Parquet can give in dictionaries, and its column."""
    found = {}
    for i in range(len(metadata.schema)):
        part = metadata.schema.column(i)
        column = part.path.split(".")[0]
        if column in columns and part.physical_type == "BYTE_ARRAY":
            found[part.path] = column
    return found
