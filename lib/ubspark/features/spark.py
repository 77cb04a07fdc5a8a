"""Where features meet Spark: a task reads its light curves and what is joined, and yields rows.

No row passes through a shuffle or the JVM on its way in: a task opens the files itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from ubspark.columns import HEALPIX_29, Column
from ubspark.crossmatch.plan import CatalogSource, plan_cells
from ubspark.features.arrow import (
    CurveColumns,
    CurveScale,
    find_uneven,
    split_by_epochs,
    to_arrays,
    to_light_curves,
)
from ubspark.features.compute import compute_features
from ubspark.features.joining import KeyedRows, key_rows
from ubspark.features.quality import FeatureQuality
from ubspark.features.registry import Registry
from ubspark.features.segments import UNEVEN, FloatArray
from ubspark.sky.cover import intersect_ranges

__all__ = [
    "BYTES_PER_PART",
    "STATUS",
    "CurveSource",
    "FeatureTask",
    "JoinedTable",
    "KeptRows",
    "create_task_frame",
    "cut_cells",
]

#: Column of `ubspark.features.segments.STATUS_BITS`.
STATUS = "feature_status"
#: Decoded bytes of light curves that are read at a time, and epochs turned into features at a
#: time: some 300,000 epochs, arrays of a few tens of megabytes.
BYTES_PER_PART = 7_500_000
_EPOCHS_PER_BATCH = 600_000
#: Fewer are done before a task has started.
_ROWS_WORTH_A_TASK = 2000


class CurveSource(Protocol):
    """Where a task reads light curves; can be pickled."""

    def read_parts(
        self,
        ranges: NDArray[np.int64],
        columns: Sequence[str],
        *,
        n_bytes: int,
        coded: Sequence[str] = (),
    ) -> Iterator[pa.Table]:
        """Yield the rows inside half-open ranges, sorted by index, so many bytes at a time.

        The text of the columns ``coded`` may come in dictionaries.
        """


@dataclass(frozen=True)
class JoinedTable:
    """A table whose rows are joined to the objects by id.

    Its rows must have the ``_healpix_29`` of their object, as tables made from the light curves
    or from the catalog of the objects have, and be one for each (`ubspark.features.joining`).

    Attributes
    ----------
    id
        Column of the object's id.
    values
        Input column of the kernels to column of this table.
    factors
        What the values are multiplied by, by input column; 1 where it is not there.
    payload
        Columns of this table carried along, to their names in the output.
    """

    source: CatalogSource
    id: str
    values: Mapping[str, str] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)
    payload: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class KeptRows:
    """Rows of an earlier table of the same columns, and where they do not hold any more.

    Attributes
    ----------
    touched
        Half-open ranges of ``_healpix_29``, sorted and disjoint, shape (k, 2).
    """

    source: CatalogSource
    touched: NDArray[np.int64]

    def split(self, ranges: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], bool]]:
        """Yield the parts of one range, in order, and whether the rows there hold."""
        low, high = ranges[0]
        for start, end in intersect_ranges(ranges, self.touched):
            if low < start:
                yield np.array([[low, start]]), True
            yield np.array([[start, end]]), False
            low = end
        if low < high:
            yield np.array([[low, high]]), True


@dataclass
class FeatureTask:
    """What a Spark task runs: the cells of the task ids it is given, in sky order.

    Attributes
    ----------
    cells
        Half-open ranges of ``_healpix_29``, shape (k, 2); a task id is a row.
    carried
        Columns of the light curves carried along; the first is the id.
    quantity
        Stands for ``{y}`` in names.
    scale
        What the numbers of the lists are multiplied by; None for nothing.
    kept
        Rows that need not be computed.
    edges
        Bins in which the values of a column are counted, by its name.
    """

    source: CurveSource
    cells: NDArray[np.int64]
    columns: CurveColumns
    carried: tuple[str, ...]
    joined: Mapping[str, JoinedTable]
    registry: Registry
    bands: tuple[str, ...]
    quantity: str
    is_magnitude: bool
    scale: CurveScale | None = None
    kept: KeptRows | None = None
    edges: Mapping[str, FloatArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start counting."""
        self.summary = FeatureQuality(edges=self.edges)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Yield the rows of each cell."""
        # Arrow's own allocator gives pages back between two parts, and gets them anew: a tenth of
        # the time of a task. That of the C library is set to keep them.
        pa.set_memory_pool(pa.system_memory_pool())
        for batch in batches:
            for cell in batch.column(0).to_pylist():
                yield from self._make_cell(self.cells[cell : cell + 1])

    def _make_cell(self, ranges: NDArray[np.int64]) -> Iterator[pa.Table]:
        """Yield the rows of a cell: those that hold as they are, the others computed."""
        if self.kept is None:
            yield from self.compute_cell(ranges)
            return
        for part, holds in self.kept.split(ranges):
            yield from (self._copy(self.kept.source, part) if holds else self.compute_cell(part))

    def compute_cell(self, ranges: NDArray[np.int64]) -> Iterator[pa.Table]:
        """Yield the feature rows of the objects in some ranges of the index."""
        others = {name: self._read(name, ranges) for name in self.joined}
        wanted = [*self.carried, *self.columns.names]
        band = [] if self.columns.band is None else [self.columns.band]
        coded = [name for name in band if name not in self.carried]
        for rows in self.source.read_parts(ranges, wanted, n_bytes=BYTES_PER_PART, coded=coded):
            for part in split_by_epochs(rows, self.columns.time, _EPOCHS_PER_BATCH):
                yield self._compute(part, others)

    def _copy(self, source: CatalogSource, ranges: NDArray[np.int64]) -> Iterator[pa.Table]:
        features = [column.name for column in self._declared]
        payload = [name for other in self.joined.values() for name in other.payload.values()]
        names = [*dict.fromkeys([HEALPIX_29.name, *self.carried]), STATUS, *features, *payload]
        rows = source.read(ranges, names)
        values = {name: _to_floats(rows[name]) for name in features}
        self.summary.add(values, rows[STATUS].to_numpy())
        self.summary.n_kept += rows.num_rows
        yield rows.select(names)

    @cached_property
    def _declared(self) -> list[Column]:
        return list(self.registry.to_columns(self.bands, quantity=self.quantity))

    def _read(self, name: str, ranges: NDArray[np.int64]) -> KeyedRows:
        other = self.joined[name]
        names = dict.fromkeys([other.id, *other.values.values(), *other.payload])
        return key_rows(other.source.read(ranges, list(names)), other.id, name=name)

    def _compute(self, rows: pa.Table, others: Mapping[str, KeyedRows]) -> pa.Table:
        ids, index = rows[self.carried[0]], rows[HEALPIX_29.name].to_numpy()
        values: dict[str, FloatArray] = {}
        payload: dict[str, pa.ChunkedArray] = {}
        for name, other in others.items():
            place, table = other.find(ids, index), other.rows
            n = int(np.count_nonzero(place >= 0))
            self.summary.joined[name] = self.summary.joined.get(name, 0) + n
            for key, column in self.joined[name].values.items():
                factor = self.joined[name].factors.get(key, 1.0)
                values[key] = factor * _take_floats(table[column], place)
            for column, shown in self.joined[name].payload.items():
                payload[shown] = _take(table[column], place)
        found = compute_features(
            to_light_curves(rows, self.columns, self.bands, self.scale),
            self.registry,
            bands=self.bands,
            columns=values,
            is_magnitude=self.is_magnitude,
            quantity=self.quantity,
        )
        status = found.status | np.where(find_uneven(rows, self.columns), UNEVEN, 0)
        self.summary.add(found.values, status.astype(np.int16))
        features = to_arrays(found, [str(column.type) for column in self._declared])
        kept = {name: rows[name] for name in dict.fromkeys([HEALPIX_29.name, *self.carried])}
        names = [*kept, STATUS, *found.values, *payload]
        return pa.table(
            [*kept.values(), pa.array(status, pa.int16()), *features, *payload.values()],
            names=names,
        )


def cut_cells(
    source: CatalogSource,
    *,
    cell_bytes: int,
    n_cells: int | None,
    parallelism: int,
    cell_rows: int = 10_000_000,
) -> NDArray[np.int64]:
    """Cut the rows of one table into the cells of its tasks, of about equal numbers.

    Parameters
    ----------
    cell_bytes
        Compressed bytes that a task should read: rows may be long, so bytes decide.
    n_cells
        Number of cells wanted; None for as many as the bytes need, or as can run at once where
        there are rows enough.
    cell_rows
        Rows that a task should read, however few bytes they are.

    Returns
    -------
    NDArray
        Half-open ranges of ``_healpix_29``, shape (k, 2); rows without a position have their own.
    """
    n_bytes, n_rows = int(np.sum(source.n_bytes)), int(np.sum(source.n_rows))
    at_once = min(parallelism, n_rows // _ROWS_WORTH_A_TASK)
    wanted = n_cells or max(1, -(-n_bytes // cell_bytes), -(-n_rows // cell_rows), at_once)
    return plan_cells(source, source, keep_unplaced=True, n_cells=wanted).cells


def create_task_frame(spark: SparkSession, n_cells: int) -> DataFrame:
    """Return a DataFrame of cell numbers, one partition each."""
    return spark.range(0, n_cells, 1, max(n_cells, 1))


def _take(column: pa.ChunkedArray, place: NDArray[np.int64]) -> pa.ChunkedArray:
    return column.take(pa.array(place, mask=place < 0))


def _take_floats(column: pa.ChunkedArray, place: NDArray[np.int64]) -> FloatArray:
    return _to_floats(_take(column, place))


def _to_floats(column: pa.ChunkedArray) -> FloatArray:
    return np.require(column.cast(pa.float64()).to_numpy(), np.float64, ["C", "W"])
