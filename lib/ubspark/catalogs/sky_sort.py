"""Sorting rows on the sky: tasks cut their rows into pieces of Arrow, and Spark moves the pieces.

Spark's own sort moves rows, one by one, between its form and Arrow's; a record of this shuffle is
thousands of rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_type

from ubspark.catalogs.gathering import gather
from ubspark.catalogs.sources.pieces import PieceReader
from ubspark.columns import HEALPIX_29
from ubspark.sky.healpix import compute_healpix_29
from ubspark.workers import settle_worker

__all__ = ["PieceTask", "SkyKey", "count_parts", "sort_on_sky"]

IntArray = NDArray[np.int64]
_Task = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
#: Bytes of rows that one part should hold.
_PART_BYTES = 96 << 20
#: Arrow bytes that a task cuts at a time, and that it yields at a time when they are sorted.
_CUT_BYTES = 48 << 20
_SORTED_BYTES = 16 << 20
#: Arrow bytes of a piece at most, so that Java needs no large buffers.
_PIECE_BYTES = 256 << 10
#: Rows of each task that tell where to cut.
_SAMPLE_ROWS = 2048
_SEED = 0x5C1A07
_PIECE = "part int, piece binary"


@dataclass(frozen=True)
class SkyKey:
    """By what rows are sorted: the spatial index, and where that is equal the id.

    Attributes
    ----------
    id
        Column of the id; of any type that Arrow sorts.
    position
        Columns of right ascension and declination, numbers in ICRS degrees, where null and NaN
        are no position; None where the rows have their index.
    """

    id: str
    position: tuple[str, str] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are looked at, each once."""
        return tuple(dict.fromkeys((*(self.position or (HEALPIX_29.name,)), self.id)))

    def find_index(self, rows: pa.Table) -> IntArray:
        """Return the spatial index of rows, shape (n,)."""
        if self.position is None:
            return np.asarray(rows[HEALPIX_29.name])
        ra, dec = (np.asarray(rows[name].cast(pa.float64())) for name in self.position)
        return compute_healpix_29(ra, dec)

    def sort(self, index: IntArray, rows: pa.Table) -> IntArray:
        """Return the places of rows in their order, shape (n,)."""
        order = np.argsort(index, kind="stable")
        is_equal = index[order][1:] == index[order][:-1]
        if not is_equal.any():
            return order
        tied = np.append(is_equal, False) | np.append(False, is_equal)
        places = order[tied]
        keys = pa.table({"index": index[places], "id": rows[self.id].take(pa.array(places))})
        by_both = pc.sort_indices(keys, sort_keys=[("index", "ascending"), ("id", "ascending")])
        order[tied] = places[by_both.to_numpy()]
        return order


def count_parts(n_bytes: int, n_rows: int, schema: pa.Schema) -> int:
    """Return into how many parts to cut rows, so that a task can hold one.

    Parameters
    ----------
    n_bytes
        What the rows take, as far as their files tell.
    n_rows
        Their number, 0 where it is not known: columns of one value take no place in a file.
    """
    widths: list[int] = [kind.bit_width for kind in schema.types if pa.types.is_primitive(kind)]
    return max(1, -(-max(n_bytes, n_rows * sum(widths) // 8) // _PART_BYTES))


def sort_on_sky(
    rows: DataFrame | PieceReader, key: SkyKey, n_parts: int, spark: SparkSession
) -> DataFrame:
    """Return pieces of rows, whose partitions hold ranges of the sky one after the other.

    Parameters
    ----------
    rows
        Rows in any order, or what the tasks shall read. With more than one part their keys are
        read twice: the first time for a sample that tells where to cut.
    n_parts
        Partitions of the result, of about equal numbers of rows.

    Returns
    -------
    DataFrame
        What `PieceTask` turns into rows.
    """
    bounds = _Bounds(np.zeros(0, dtype=np.int64), pa.nulls(0))
    if n_parts > 1:
        bounds = _choose_bounds(rows, key, n_parts, spark)
    pieces = _run(rows, _Cutter(key, bounds), _PIECE, spark)
    return pieces.repartitionById(n_parts, "part").select("piece")


@dataclass
class PieceTask:
    """Makes sorted rows of the pieces of one partition."""

    key: SkyKey
    summary: Any = None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Yield the rows, sorted, with ``_healpix_29`` as the last column."""
        pieces = [
            pa.ipc.open_stream(piece.as_buffer()).read_all()
            for batch in batches
            for piece in batch.column(0)
        ]
        if not pieces:
            return
        rows = pa.concat_tables(pieces)
        order = pa.array(self.key.sort(rows[HEALPIX_29.name].to_numpy(), rows))
        # Column by column: the rows are here twice, not three times.
        columns = [column.combine_chunks().take(order) for column in rows.columns]
        ordered = pa.table(columns, schema=rows.schema)
        step = max(1, _SORTED_BYTES * len(ordered) // max(ordered.nbytes, 1))
        for start in range(0, len(ordered), step):
            yield ordered.slice(start, step)


@dataclass(frozen=True)
class _Bounds:
    """The first key of each part but the first, in order."""

    index: IntArray
    id: pa.Array

    def find_parts(self, index: IntArray, ids: pa.ChunkedArray) -> IntArray:
        """Return the part of each row, shape (n,)."""
        below = np.searchsorted(self.index, index, side="left")
        is_bound = np.append(self.index, -2)[below] == index
        part = below.copy()
        # Where many rows have one index, as those without a position, the id decides.
        for first in np.unique(below[is_bound]):
            places = np.flatnonzero(is_bound & (below == first))
            last = np.searchsorted(self.index, self.index[first], side="right")
            ends, given = self.id.slice(first, last - first), ids.take(pa.array(places))
            part[places] += sum(
                np.asarray(pc.fill_null(pc.greater_equal(given, end), False), dtype=np.int64)
                for end in ends
            )
        return part


@dataclass(frozen=True)
class _Cutter:
    """Cuts the rows of a task at the bounds of the parts."""

    key: SkyKey
    bounds: _Bounds

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tables = (pa.table(batch) for batch in batches if batch.num_rows)
        for rows in gather(tables, _CUT_BYTES):
            yield self._cut(rows)

    def _cut(self, rows: pa.Table) -> pa.RecordBatch:
        index = self.key.find_index(rows)
        part = self.bounds.find_parts(index, rows[self.key.id])
        if HEALPIX_29.name not in rows.column_names:
            rows = rows.append_column(HEALPIX_29.name, pa.array(index))
        # Sorting numbers of 16 bits takes a tenth of the time.
        narrow = np.uint16 if len(self.bounds.index) <= np.iinfo(np.uint16).max else np.int64
        order = np.argsort(part.astype(narrow), kind="stable")
        rows = rows.take(pa.array(order))
        found, starts = np.unique(part[order], return_index=True)
        ends = np.append(starts[1:], len(rows))
        step = max(1, _PIECE_BYTES * len(rows) // max(rows.nbytes, 1))
        places = [
            (number, place, min(step, end - place))
            for number, start, end in zip(found, starts, ends, strict=True)
            for place in range(start, end, step)
        ]
        parts = pa.array([number for number, _, _ in places], pa.int32())
        pieces = [_write_piece(rows.slice(start, n)) for _, start, n in places]
        return pa.record_batch([parts, pa.array(pieces, pa.binary())], names=["part", "piece"])


def _run(rows: DataFrame | PieceReader, task: _Task, schema: str, spark: SparkSession) -> DataFrame:
    """Return what a task makes of rows, which it may have to read itself."""
    read = None if isinstance(rows, DataFrame) else rows

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        settle_worker()
        yield from task(batches if read is None else read(batches))

    if isinstance(rows, DataFrame):
        return rows.mapInArrow(run, schema)
    return rows.create_numbers(spark).mapInArrow(run, schema)


def _write_piece(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())


def _choose_bounds(
    rows: DataFrame | PieceReader, key: SkyKey, n_parts: int, spark: SparkSession
) -> _Bounds:
    """Return the bounds of parts of about equal numbers of rows, judged by a sample."""
    keys: DataFrame | PieceReader
    if isinstance(rows, DataFrame):
        keys = rows.select(*(f"`{name}`" for name in key.columns))
        id_type = rows.schema[key.id].dataType
    else:
        keys = rows.select(key.columns)
        id_type = from_arrow_type(rows.schema.field(key.id).type)
    schema = f"index long, id {id_type.simpleString()}, weight double"
    sampled = _run(keys, _Sampler(key), schema, spark).toArrow()
    order = pc.sort_indices(sampled, sort_keys=[("index", "ascending"), ("id", "ascending")])
    sampled = sampled.take(order)
    reached = np.cumsum(sampled["weight"].to_numpy())
    if len(reached) == 0:
        return _Bounds(np.zeros(0, dtype=np.int64), pa.nulls(0))
    wanted = np.arange(1, n_parts) / n_parts * reached[-1]
    places = np.minimum(np.searchsorted(reached, wanted), len(reached) - 1)
    bounds = sampled.take(pa.array(places))
    return _Bounds(bounds["index"].to_numpy(), bounds["id"].combine_chunks())


@dataclass(frozen=True)
class _Sampler:
    """Draws rows of a task, each with the number of rows it stands for."""

    key: SkyKey

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        # Rows may have been drawn by the generators of small numbers: these lots are their own.
        rng = np.random.default_rng([_SEED, context.partitionId() if context is not None else 0])
        drawn = pa.table({"index": pa.array([], pa.int64())})
        n_rows = 0
        for batch in batches:
            rows = pa.table(batch)
            ids = rows[self.key.id]
            index = self.key.find_index(rows)
            n_rows += len(rows)
            more = pa.table({"index": index, "id": ids, "lot": rng.random(len(rows))})
            drawn = _keep_lowest(more if len(drawn) == 0 else pa.concat_tables([drawn, more]))
        if n_rows:
            weight = np.full(len(drawn), n_rows / len(drawn))
            drawn = drawn.drop_columns("lot").append_column("weight", pa.array(weight))
            yield from drawn.combine_chunks().to_batches()


def _keep_lowest(drawn: pa.Table) -> pa.Table:
    if len(drawn) <= _SAMPLE_ROWS:
        return drawn
    lots = drawn["lot"].to_numpy()
    return drawn.take(pa.array(np.argpartition(lots, _SAMPLE_ROWS)[:_SAMPLE_ROWS]))
