"""One Parquet file of an export, written piece by piece."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ubspark.catalogs.encoding import has_repeats
from ubspark.columns import HEALPIX_29
from ubspark.errors import ParameterError

__all__ = ["CODECS", "ParquetForm"]

CODECS = ("zstd", "snappy", "gzip", "lz4", "none")


@dataclass(frozen=True)
class ParquetForm:
    """How the Parquet files of an export are written.

    Attributes
    ----------
    level
        Of the codec; its own default if None.
    row_group_rows
        Largest number of rows in a row group.
    """

    codec: str = "zstd"
    level: int | None = None
    row_group_rows: int = 65_536

    def validate(self) -> None:
        """Refuse a level that the codec does not have.

        Raises
        ------
        ParameterError
            With those that it has.
        """
        if self.level is None:
            return
        if self.codec == "none" or not pa.Codec.supports_compression_level(self.codec):
            msg = f"`compression_level` does not go with `{self.codec}`, which has no levels."
            raise ParameterError(msg)
        low = pa.Codec.minimum_compression_level(self.codec)
        high = pa.Codec.maximum_compression_level(self.codec)
        if not low <= self.level <= high:
            msg = (
                f"`compression_level` of `{self.codec}` must be in [{low}, {high}], "
                f"got {self.level}."
            )
            raise ParameterError(msg)

    def write(self, path: Path, pieces: Iterable[pa.Table], schema: pa.Schema) -> int:
        """Write tables, one after the other, as one file, and return its rows."""
        n_rows = 0
        groups = _regroup(pieces, self.row_group_rows)
        first = next(groups, schema.empty_table())
        with pq.ParquetWriter(
            path,
            schema,
            compression=self.codec,
            compression_level=self.level,
            use_dictionary=_find_coded(first),
            sorting_columns=_find_sorting(schema),
        ) as writer:
            for group in chain([first], groups):
                writer.write_table(group, row_group_size=self.row_group_rows)
                n_rows += group.num_rows
        return n_rows


def _regroup(pieces: Iterable[pa.Table], n_rows: int) -> Iterator[pa.Table]:
    """Yield the rows of some tables in tables of whole row groups, and the rest."""
    waiting: list[pa.Table] = []
    for piece in pieces:
        waiting.append(piece)
        n_waiting = sum(table.num_rows for table in waiting)
        if n_waiting >= n_rows:
            joined = pa.concat_tables(waiting)
            n_whole = n_waiting // n_rows * n_rows
            yield joined.slice(0, n_whole)
            waiting = [joined.slice(n_whole)] if n_whole < n_waiting else []
    if waiting:
        yield pa.concat_tables(waiting)


def _find_sorting(schema: pa.Schema) -> list[pq.SortingColumn] | None:
    # Leaves are counted, not columns; the index comes first wherever it is.
    is_first = schema.names[:1] == [HEALPIX_29.name]
    return [pq.SortingColumn(0)] if is_first else None


def _find_coded(rows: pa.Table) -> list[str]:
    """Return the leaves that get a dictionary: not floats, and only values that repeat."""
    return [
        path
        for field in rows.schema
        if pa.types.is_nested(field.type) or has_repeats(rows[field.name])
        for path in _walk(field.name, field.type)
    ]


def _walk(path: str, kind: pa.DataType) -> Iterator[str]:
    if pa.types.is_floating(kind) or path == HEALPIX_29.name:
        return
    if pa.types.is_struct(kind):
        for part in kind:
            yield from _walk(f"{path}.{part.name}", part.type)
    elif any(
        test(kind)
        for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    ):
        yield from _walk(f"{path}.list.element", kind.value_type)
    elif pa.types.is_dictionary(kind):
        yield from _walk(path, kind.value_type)
    else:
        yield path
