"""Writing the rows of one task as Parquet files of a Delta table, not yet part of it.

A failed or repeated attempt leaves files that no log names; readers never see them.
"""

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ubspark.catalogs.digests import ContentDigest, compute_digest
from ubspark.catalogs.encoding import has_repeats
from ubspark.catalogs.gathering import gather
from ubspark.catalogs.layout import open_filesystem
from ubspark.errors import SchemaError

__all__ = ["Constraint", "ParquetSink", "WrittenFile"]

#: Arrow bytes that are worth a piece of their own.
_PIECE_BYTES = 16 << 20
_MAX_TEXT = 32
_LAST_CHARACTER = "\U0010ffff"
_BEGINNING = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Constraint:
    """A lower bound on a column that ubspark computes itself; null passes."""

    column: str
    minimum: int

    @property
    def rule(self) -> str:
        """The condition as a person reads it."""
        return f"{self.column} >= {self.minimum}"

    @property
    def sql(self) -> str:
        """The condition as Delta keeps it, which unlike SQL takes unknown for broken."""
        return f"{self.column} IS NULL OR {self.rule}"

    def validate(self, rows: pa.Table) -> None:
        """Refuse rows that break the bound.

        Raises
        ------
        SchemaError
            With the number of rows that do.
        """
        broken = pc.sum(pc.less(rows[self.column], self.minimum)).as_py() or 0
        if broken:
            msg = f"Column `{self.column}` breaks `{self.rule}` in {broken} rows; nothing was kept."
            raise SchemaError(msg)


@dataclass(frozen=True)
class WrittenFile:
    """A file that a task wrote."""

    #: Name below the folder of the table.
    path: str
    n_bytes: int
    n_rows: int
    #: Delta's statistics, JSON.
    stats: str


@dataclass(frozen=True)
class ParquetSink:
    """Where and how the tasks of a job write.

    Attributes
    ----------
    folder
        Path or URI of the table.
    schema
        Arrow schema of the rows; a field that is not nullable must hold no null.
    constraints
        Bounds that every row must keep.
    file_bytes
        Arrow bytes that are gathered into one file.
    """

    folder: str
    schema: pa.Schema
    constraints: tuple[Constraint, ...] = ()
    file_bytes: int = 192 << 20
    row_group_rows: int = 65_536

    def write(
        self, batches: Iterable[pa.RecordBatch | pa.Table]
    ) -> Iterator[tuple[WrittenFile | None, ContentDigest]]:
        """Write batches in their order, as few files.

        Yields
        ------
        file, digest
            Each file with the digest of its rows; a task without rows yields None once, with the
            digest of nothing.
        """
        waiting: list[pa.Table] = []
        wrote, n_bytes = False, 0
        tables = (pa.table(b) if isinstance(b, pa.RecordBatch) else b for b in batches)
        parts = (self._conform(table) for table in tables if table.num_rows)
        for rows in gather(parts, min(_PIECE_BYTES, self.file_bytes)):
            waiting.append(rows)
            n_bytes += rows.nbytes
            if n_bytes >= self.file_bytes:
                yield self._write_file(pa.concat_tables(waiting))
                waiting, wrote, n_bytes = [], True, 0
        if waiting:
            yield self._write_file(pa.concat_tables(waiting))
        elif not wrote:
            yield None, ContentDigest.empty(self.schema)

    def _conform(self, rows: pa.Table) -> pa.Table:
        """Return the rows with exactly the columns, order and types of the schema."""
        rows = rows.select(self.schema.names)
        for field in self.schema:
            if not field.nullable and rows[field.name].null_count:
                msg = (
                    f"Column `{field.name}` may not be null, but {rows[field.name].null_count} "
                    f"rows have no value in it; nothing was kept."
                )
                raise SchemaError(msg)
        for constraint in self.constraints:
            constraint.validate(rows)
        if rows.schema.types == self.schema.types:
            # To cast hundreds of columns takes its time, even if nothing changes.
            return pa.Table.from_arrays(rows.columns, schema=self.schema)
        return rows.cast(self.schema)

    def _write_file(self, rows: pa.Table) -> tuple[WrittenFile, ContentDigest]:
        filesystem, folder = open_filesystem(self.folder)
        name = f"part-{uuid.uuid4()}.zstd.parquet"
        with_nan = {field.name for field in self.schema if _holds_nan(rows[field.name])}
        made: list[pq.FileMetaData] = []
        with filesystem.open_output_stream(f"{folder}/{name}") as stream:
            pq.write_table(
                rows,
                stream,
                row_group_size=self.row_group_rows,
                compression="zstd",
                # Spark prunes by these, and takes NaN for the largest number; Parquet skips it.
                write_statistics=[f.name for f in self.schema if f.name not in with_nan],
                # It prunes by dictionaries too, and there takes -0.0 and 0.0 for two numbers.
                use_dictionary=[path for f in rows.schema for path in _find_coded(rows, f)],
                metadata_collector=made,
            )
            n_bytes = stream.tell()
        stats = json.dumps(_compute_stats(rows, with_nan, made[0]), ensure_ascii=False)
        return WrittenFile(name, n_bytes, rows.num_rows, stats), compute_digest(rows)


def _holds_nan(column: pa.ChunkedArray) -> bool:
    return pa.types.is_floating(column.type) and bool(pc.any(pc.is_nan(column)).as_py())


def _find_coded(rows: pa.Table, field: pa.Field) -> list[str]:
    """Return the paths of the parts of a column that get a dictionary.

    Those whose values repeat; never floats with zeros.
    """
    column = rows[field.name]
    if not pa.types.is_nested(field.type) and not has_repeats(column):
        return []
    if pa.types.is_floating(field.type):
        return [] if pc.any(pc.equal(column, 0.0)).as_py() else [field.name]
    return [path for path, kind in _walk(field.name, field.type) if not pa.types.is_floating(kind)]


def _walk(path: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    """Yield the paths in Parquet, and the types, of the flat parts of a column."""
    if pa.types.is_list(kind):
        yield from _walk(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for part in kind:
            yield from _walk(f"{path}.{part.name}", part.type)
    else:
        yield path, kind


def _compute_stats(rows: pa.Table, with_nan: set[str], made: pq.FileMetaData) -> dict[str, Any]:
    """Return Delta's statistics of a file: rows, minima, maxima and nulls of flat columns."""
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    places = {made.schema.column(i).path: i for i in range(made.num_columns)}
    for field in rows.schema:
        if pa.types.is_nested(field.type):
            continue
        column = rows[field.name]
        nulls[field.name] = column.null_count
        if field.name in with_nan or column.null_count == rows.num_rows:
            continue
        kind = field.type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            bounds = _read_bounds(made, places[field.name])
        else:
            bounds = _compute_bounds(column)
        if bounds is not None:
            low[field.name], high[field.name] = bounds
    return {"numRecords": rows.num_rows, "minValues": low, "maxValues": high, "nullCount": nulls}


def _read_bounds(made: pq.FileMetaData, place: int) -> tuple[float, float] | None:
    """Return the bounds of a column of numbers from those of its row groups."""
    groups = (made.row_group(i).column(place).statistics for i in range(made.num_row_groups))
    stated = [(group.min, group.max) for group in groups if group.has_min_max]
    low, high = min(low for low, _ in stated), max(high for _, high in stated)
    # JSON does not know infinity.
    return (low, high) if abs(low) != float("inf") != abs(high) else None


def _compute_bounds(column: pa.ChunkedArray) -> tuple[Any, Any] | None:
    """Return the bounds of a column in JSON, or None where JSON or Delta cannot hold them."""
    kind = column.type
    if pa.types.is_string(kind):
        low, high = pc.min_max(column).as_py().values()
        return low[:_MAX_TEXT], _bound_text(high)
    try:
        if pa.types.is_date32(kind):
            low, high = pc.min_max(column.cast(pa.int32())).as_py().values()
            return _to_day(low), _to_day(high)
        if pa.types.is_timestamp(kind):
            low, high = pc.min_max(column.cast(pa.int64())).as_py().values()
            return _to_millis(low, up=False), _to_millis(high, up=True)
    except OverflowError:
        # Outside the years 1 to 9999.
        return None
    return None


def _bound_text(text: str) -> str:
    """Return a short text that sorts after every text with the same beginning, as Delta does."""
    end = _MAX_TEXT
    # Nothing that is appended sorts after the last character itself.
    while text[end : end + 1] == _LAST_CHARACTER:
        end += 1
    return text if len(text) <= end else text[:end] + _LAST_CHARACTER


def _to_day(days: int) -> str:
    return (_BEGINNING + timedelta(days=days)).date().isoformat()


def _to_millis(microseconds: int, *, up: bool) -> str:
    """Return a time in the milliseconds of Delta's statistics, rounded outwards."""
    millis = -(-microseconds // 1000) if up else microseconds // 1000
    return (_BEGINNING + timedelta(milliseconds=millis)).isoformat(timespec="milliseconds") + "Z"
