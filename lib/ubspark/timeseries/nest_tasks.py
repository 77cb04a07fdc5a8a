"""What Spark tasks do with epochs and light curves: nest a cell or a partition, and undo it."""

import pickle
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ubspark.columns import HEALPIX_29, NO_POSITION
from ubspark.sky.cover import intersect_ranges
from ubspark.sky.healpix import N_PIXELS_29, compute_healpix_29
from ubspark.sky.rings import compute_ring_of_positions
from ubspark.timeseries.nesting import (
    EpochRules,
    NestCounts,
    nest_epochs,
    select_epochs,
    unnest_rows,
)
from ubspark.timeseries.objects import CurveLayout, nest_alone, nest_with_objects

__all__ = [
    "COUNTED",
    "IS_OBJECT",
    "NestCells",
    "NestPartition",
    "RegroupCells",
    "RowSource",
    "SplitCounts",
]

#: Column that tells objects from epochs where both come in one stream.
IS_OBJECT = "_is_object"
#: Column of pickled counts: null but in one row of each partition, which is no light curve.
COUNTED = "_counts"
#: Epochs that are taken apart or put together at a time: some hundred megabytes at most.
_EPOCHS_PER_BATCH = 2_000_000


class RowSource(Protocol):
    """Where a task reads rows from; it can be pickled."""

    def read(self, ranges: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """Return the rows inside half-open ranges of ``_healpix_29``, sorted by it."""


@dataclass
class NestCells:
    """Nests the epochs of both sorted catalogs cell by cell, without a shuffle.

    An epoch within reach of its object lies in the cell of the object or in its ring.

    Attributes
    ----------
    cells
        Half-open ranges of ``_healpix_29``, shape (k, 2), and the offsets of each task's.
    """

    epochs: RowSource
    objects: RowSource
    cells: NDArray[np.int64]
    tasks: NDArray[np.int64]
    layout: CurveLayout
    summary: NestCounts = field(default_factory=NestCounts)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Yield the light curves of each cell."""
        for batch in batches:
            for task in batch.column(0).to_pylist():
                for low, high in self.cells[self.tasks[task] : self.tasks[task + 1]].tolist():
                    yield self._nest(low, high)

    def _nest(self, low: int, high: int) -> pa.Table:
        ranges = np.array([[low, high]])
        epochs = self.epochs.read(ranges, self.layout.epoch_names)
        objects = self.objects.read(ranges, self.layout.object_names)
        if low != NO_POSITION:
            # What lies around is read near the rows at its border alone: the files of the
            # neighbours, whole, would be more than the cell.
            near_objects, near_epochs = (
                self._find_beside(rows, low, high) for rows in (objects, epochs)
            )
            epochs = _add_beside(epochs, self.epochs.read(near_objects, self.layout.epoch_names))
            objects = _add_beside(objects, self.objects.read(near_epochs, self.layout.object_names))
        is_home, is_own = (_is_inside(rows, low, high) for rows in (epochs, objects))
        rows, counts = nest_with_objects(
            epochs, objects, self.layout, is_home=is_home, is_own=is_own
        )
        self.summary.add(counts)
        return rows

    def _find_beside(self, rows: pa.Table, low: int, high: int) -> NDArray[np.int64]:
        """Return the ranges beside a cell that are within reach of rows in it."""
        index = rows[HEALPIX_29.name].to_numpy()
        ring = compute_ring_of_positions(index, float(self.layout.reach_arcsec or 0.0))
        return intersect_ranges(ring, np.array([[0, low], [high, N_PIXELS_29]]))


def _add_beside(rows: pa.Table, around: pa.Table) -> pa.Table:
    """Return the rows of a cell with those around it, sorted by ``_healpix_29``."""
    if around.num_rows == 0:
        return rows
    if rows.num_rows == 0:
        return around
    index = around[HEALPIX_29.name].to_numpy()
    first = int(np.searchsorted(index, rows[HEALPIX_29.name][0].as_py()))
    return pa.concat_tables([around.slice(0, first), rows, around.slice(first)]).combine_chunks()


@dataclass
class NestPartition:
    """Nests a partition that holds all epochs of its objects, and maybe the objects themselves.

    Attributes
    ----------
    epoch_columns, object_columns
        Columns of the partition, to their names in the layout; no objects where empty.
    schema
        Of the light curves, with the column of counts at the end.
    """

    layout: CurveLayout
    epoch_columns: Mapping[str, str]
    object_columns: Mapping[str, str]
    schema: pa.Schema

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the light curves, then the counts."""
        found = list(batches)
        if not found:
            return
        rows = pa.Table.from_batches(found)
        curves, counts = self._nest(rows)
        plain = pa.schema([field for field in self.schema if field.name != COUNTED])
        curves = curves.select(plain.names).cast(plain)
        nothing = pa.nulls(curves.num_rows, pa.binary())
        yield from curves.append_column(COUNTED, nothing).combine_chunks().to_batches()
        yield _to_count_row(counts, self.schema)

    def _nest(self, rows: pa.Table) -> tuple[pa.Table, NestCounts]:
        if not self.object_columns:
            return nest_alone(_rename(rows, self.epoch_columns), self.layout)
        is_object = rows[IS_OBJECT]
        epochs = _rename(rows.filter(pc.invert(is_object)), self.epoch_columns)
        objects = _rename(rows.filter(is_object), self.object_columns)
        if HEALPIX_29.name not in objects.column_names:
            ra, dec = (pc.cast(objects[n], pa.float64()) for n in (self.layout.ra, self.layout.dec))
            index = compute_healpix_29(ra.to_numpy(), dec.to_numpy())
            objects = objects.append_column(HEALPIX_29.name, pa.array(index))
        return nest_with_objects(epochs, objects, self.layout)


@dataclass
class SplitCounts:
    """Takes the rows of counts out of a stream of light curves, and adds them up."""

    summary: NestCounts = field(default_factory=NestCounts)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        """Yield the light curves."""
        for batch in batches:
            counted = batch.column(COUNTED)
            for pickled in counted.drop_null().to_pylist():
                # A pickle made a moment ago by our own task.
                self.summary.add(pickle.loads(pickled))  # noqa: S301
            yield batch.filter(counted.is_null()) if counted.null_count < len(batch) else batch


@dataclass
class RegroupCells:
    """Reads light curves and writes them anew: filtered and sorted, or a row per epoch.

    Attributes
    ----------
    nested
        The struct column whose fields the lists are; None where they are columns.
    carried
        Flat columns kept as they are.
    is_long
        Whether an epoch becomes a row.
    """

    source: RowSource
    cells: NDArray[np.int64]
    rules: EpochRules
    nested: str | None
    carried: tuple[str, ...]
    is_long: bool
    summary: NestCounts = field(default_factory=NestCounts)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Yield the rows of each cell."""
        names = self.rules.names
        read = names if self.nested is None else (self.nested,)
        for batch in batches:
            for cell in batch.column(0).to_pylist():
                rows = self.source.read(self.cells[cell : cell + 1], [*self.carried, *read])
                if self.nested is not None:
                    rows = _open_struct(rows, self.nested, names)
                for part in split_by_epochs(rows, names[0], _EPOCHS_PER_BATCH):
                    yield self._regroup(part)

    def _regroup(self, rows: pa.Table) -> pa.Table:
        rules = self.rules
        even, is_even = select_epochs(rows, rules.names)
        self.summary.objects["uneven"] += int(np.count_nonzero(~is_even))
        if self.is_long:
            flat, number = unnest_rows(even, rules.listed, [HEALPIX_29.name, *self.carried])
            n_empty = even.num_rows - len(np.unique(number))
            self.summary.objects += Counter(without_epochs=n_empty, written=even.num_rows - n_empty)
            self.summary.epochs["good"] += flat.num_rows
            return flat
        flat, number = unnest_rows(even, rules.names, ())
        nested = nest_epochs(flat, number, even.num_rows, rules)
        self.summary.epochs += nested.counts
        self.summary.objects["written"] += even.num_rows
        kept = {name: even[name] for name in (HEALPIX_29.name, *self.carried)}
        return pa.table(kept | dict(nested.columns))


def split_by_epochs(rows: pa.Table, column: str, n_epochs: int) -> Iterator[pa.Table]:
    """Yield runs of rows of about so many epochs, at least one row each."""
    lengths = pc.fill_null(pc.list_value_length(rows[column]), 0).to_numpy()
    run = (np.cumsum(lengths) - lengths) // n_epochs
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    for first, last in zip(starts, [*starts[1:], len(lengths)], strict=True):
        yield rows.slice(first, last - first)


def _open_struct(rows: pa.Table, nested: str, names: Iterable[str]) -> pa.Table:
    """Return the rows with the fields of a struct as columns."""
    struct = rows[nested].combine_chunks()
    struct = struct.chunk(0) if isinstance(struct, pa.ChunkedArray) else struct
    rows = rows.drop_columns([nested])
    for name in names:
        # Nulls of the struct come through, the spans of its lists do not.
        rows = rows.append_column(name, pc.struct_field(struct, name))
    return rows


def _is_inside(rows: pa.Table, low: int, high: int) -> NDArray[np.bool_]:
    index = rows[HEALPIX_29.name].to_numpy()
    inside: NDArray[np.bool_] = (index >= low) & (index < high)
    return inside


def _rename(rows: pa.Table, names: Mapping[str, str]) -> pa.Table:
    return rows.select(list(names)).rename_columns(list(names.values()))


def _to_count_row(counts: NestCounts, schema: pa.Schema) -> pa.RecordBatch:
    columns = [pa.nulls(1, kind.type) for kind in schema]
    columns[schema.names.index(HEALPIX_29.name)] = pa.array([NO_POSITION - 1], pa.int64())
    columns[schema.names.index(COUNTED)] = pa.array([pickle.dumps(counts)], pa.binary())
    return pa.RecordBatch.from_arrays(columns, schema=schema)
