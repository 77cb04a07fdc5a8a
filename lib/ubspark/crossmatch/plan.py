"""Cutting the sky into cells of equal estimated work.

A cell is a half-open range of ``_healpix_29``: a run of HEALPix pixels. Ranges, not single pixels,
let the cuts fall where a file or row group of the left catalog begins, so that no row is read
twice, and let any number of cells have equal work.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ubspark.columns import HEALPIX_ORDER, NO_POSITION
from ubspark.sky.rings import compute_ring

__all__ = ["CatalogSource", "CellPlan", "Reads", "estimate_reads", "plan_cells"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

_END = 12 * 4**HEALPIX_ORDER
#: Rows of both sides that one cell should hold: bounds the memory of a task.
_ROWS_PER_CELL = 1_000_000
#: Below this many rows a task is not worth its start.
_LEAST_ROWS_PER_TASK = 100_000
#: Rows whose seconds of work make the start of a task cheap; several cells, one after another.
_ROWS_PER_TASK = 4_000_000
#: A cut moves to the beginning of a file where that shifts at most this share of a cell's work.
_SNAP = 0.25


#: Cells that an estimate looks at.
_MAX_SAMPLE = 2000


class CatalogSource(Protocol):
    """What the planner and the tasks need to know of a catalog, wherever it is stored.

    Each array has one entry per file or row group, in any order; the inclusive ranges
    ``low``..``high`` of ``_healpix_29`` may overlap. A source can be pickled.
    """

    @property
    def low(self) -> IntArray:
        """Smallest index of each entry."""

    @property
    def high(self) -> IntArray:
        """Largest index of each entry."""

    @property
    def n_rows(self) -> IntArray:
        """Rows of each entry."""

    @property
    def n_bytes(self) -> IntArray:
        """Bytes of each entry."""

    def read(self, ranges: IntArray, columns: Sequence[str]) -> pa.Table:
        """Return the rows inside half-open ranges, sorted by index."""


class Reads(NamedTuple):
    """What a plan would read."""

    left_bytes: float
    """Bytes of the left files or row groups, all columns."""
    right_bytes: float
    """Bytes of the right ones, as often as they are read."""
    right_rows: float
    """Rows of the right entries that the widest cell opens."""


@dataclass(frozen=True)
class CellPlan:
    """The cells of a match.

    Attributes
    ----------
    cells
        Half-open ranges, shape (k, 2), in sky order.
    n_left, n_right
        Estimated rows of each side in each cell, without the ring, shape (k,).
    tasks
        For each task, the rows of its cells; shape (n tasks + 1,) offsets into ``cells``.
    """

    cells: IntArray
    n_left: FloatArray
    n_right: FloatArray
    tasks: IntArray

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return len(self.tasks) - 1

    def iterate_cells(self, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, int]]:
        """Yield the cells of the tasks whose numbers come in the first column of batches."""
        for batch in batches:
            for task in batch.column(0).to_pylist():
                for low, high in self.cells[self.tasks[task] : self.tasks[task + 1]]:
                    yield int(low), int(high)


def plan_cells(
    left: CatalogSource,
    right: CatalogSource,
    *,
    keep_unplaced: bool,
    covers_right: bool = False,
    n_cells: int | None = None,
    parallelism: int = 1,
) -> CellPlan:
    """Cut the part of the sky where the left catalog has rows, or either of the two.

    Parameters
    ----------
    left, right
        The catalogs.
    keep_unplaced
        Whether rows without a usable position get a cell of their own: those of the left
        catalog, and with ``covers_right`` those of the right one.
    covers_right
        Whether right rows far from any left row count too.
    n_cells
        Number of cells wanted; None chooses it from the rows. Fewer come where there is no
        row in between.
    parallelism
        Tasks that can run at once.

    Returns
    -------
    CellPlan
        Disjoint cells that together hold every row that counts.
    """
    sides = (left, right) if covers_right else (left,)
    entries = [_select_placed(side)[:2] for side in sides]
    low, high = (np.concatenate(ends) for ends in zip(*entries, strict=True))
    edges, work, cumulative_left, cumulative_right = _accumulate(left, right, covers_right)
    total = float(work[-1])
    wanted = n_cells or max(parallelism, int(np.ceil(total / _ROWS_PER_CELL)))
    if n_cells is None:
        wanted = max(1, min(wanted, int(total // _LEAST_ROWS_PER_TASK) or 1))
    cuts = _cut(edges, work, _find_starts(low, high, _select_placed(right)[0]), wanted)
    cells = np.stack([cuts[:-1], cuts[1:]], axis=1)
    cells = cells[_holds_rows(cells, low, high)]
    n_left, n_right = (
        np.diff(np.interp(cells.astype(np.float64), edges, cumulative), axis=1)[:, 0]
        for cumulative in (cumulative_left, cumulative_right)
    )
    if keep_unplaced and any(np.any(side.low <= NO_POSITION) for side in sides):
        cells = np.concatenate([[[NO_POSITION, 0]], cells]).astype(np.int64)
        n_left, n_right = (np.concatenate([[0.0], column]) for column in (n_left, n_right))
    return CellPlan(cells, n_left, n_right, _batch(n_left + n_right, parallelism))


def estimate_reads(
    plan: CellPlan, left: CatalogSource, right: CatalogSource, *, ring_arcsec: float
) -> Reads:
    """Estimate what the tasks of a plan read, rings and repeated entries included.

    Of very many cells only some are looked at.
    """
    sample = np.linspace(0, len(plan.cells) - 1, min(len(plan.cells), _MAX_SAMPLE)).astype(np.int64)
    found = np.array(
        [_estimate_cell(plan.cells[i], left, right, ring_arcsec) for i in np.unique(sample)]
    ).reshape(-1, 3)
    scale = len(plan.cells) / len(found) if len(found) else 0.0
    left_bytes, right_bytes = (float(column.sum() * scale) for column in found.T[:2])
    return Reads(left_bytes, right_bytes, float(found[:, 2].max(initial=0.0)))


def _estimate_cell(
    cell: IntArray, left: CatalogSource, right: CatalogSource, ring_arcsec: float
) -> tuple[float, float, float]:
    """Return left bytes, right bytes and right rows of the entries that meet a cell."""
    low, high = int(cell[0]), int(cell[1])
    here = (left.low < high) & (left.high >= low)
    if low < 0:
        return float(left.n_bytes[here].sum()), 0.0, 0.0
    ring = compute_ring(low, high, ring_arcsec)
    first = np.minimum(np.searchsorted(ring[:, 1], right.low, side="right"), len(ring) - 1)
    there = (ring[first, 0] <= right.high) & (ring[first, 1] > right.low)
    bytes_here, bytes_there = left.n_bytes[here].sum(), right.n_bytes[there].sum()
    return float(bytes_here), float(bytes_there), float(right.n_rows[there].sum())


def _accumulate(
    left: CatalogSource, right: CatalogSource, covers_right: bool
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the edges of all entries, and cumulative work and rows of each side at them.

    Rows are taken as evenly spread over the range of their entry. Work counts the rows of both
    sides, unless ``covers_right`` only where the left side has any.
    """
    entries = [_select_placed(side) for side in (left, right)]
    bounds = (part for low, high, _ in entries for part in (low, high + 1))
    edges = np.unique(np.concatenate([[0, _END], *bounds])).astype(np.int64)
    widths = np.diff(edges).astype(np.float64)
    left_density, right_density = (_compute_density(*entry, edges) for entry in entries)
    both = left_density + right_density
    work_density = both if covers_right else np.where(left_density > 0, both, 0.0)
    work, n_left, n_right = (
        np.concatenate([[0.0], np.cumsum(density * widths)])
        for density in (work_density, left_density, right_density)
    )
    return edges.astype(np.float64), work, n_left, n_right


def _select_placed(side: CatalogSource) -> tuple[IntArray, IntArray, IntArray]:
    """Return lowest and highest index on the sky, and rows, of the entries that may have one.

    An entry without statistics states all of int64.
    """
    placed = side.high > NO_POSITION
    low, high = np.maximum(side.low[placed], 0), np.minimum(side.high[placed], _END - 1)
    return low, high, side.n_rows[placed]


def _compute_density(
    low: IntArray, high: IntArray, n_rows: IntArray, edges: IntArray
) -> FloatArray:
    """Return rows per unit of index between the edges, shape (len(edges) - 1,)."""
    rows = n_rows / (high + 1 - low).astype(np.float64)
    first, last = np.searchsorted(edges, low), np.searchsorted(edges, high + 1)
    change = np.zeros(len(edges))
    np.add.at(change, first, rows)
    np.add.at(change, last, -rows)
    active = np.zeros(len(edges), dtype=np.int64)
    np.add.at(active, first, 1)
    np.add.at(active, last, -1)
    # Sums of differences do not cancel to zero in floating point; the count of entries does.
    return np.where(np.cumsum(active) > 0, np.maximum(np.cumsum(change), 0.0), 0.0)[:-1]


def _find_starts(low: IntArray, high: IntArray, right_low: IntArray) -> IntArray:
    """Return where files begin, in gaps between them where a file of the right side does.

    Two files of one pixel begin at their first rows, somewhat apart: a cut at the later one would
    leave rows of the other file to the cell before.
    """
    order = np.argsort(low, kind="stable")
    reach = np.maximum.accumulate(high[order])
    starts, first = np.unique(low[order], return_index=True)
    before = np.concatenate([[-1], reach])[first]
    right_low = np.append(np.unique(right_low), _END)
    other = right_low[np.searchsorted(right_low, before, side="right")]
    return np.unique(np.where((before < starts) & (other < starts), other, starts))


def _cut(edges: FloatArray, work: FloatArray, starts: IntArray, n_cells: int) -> IntArray:
    """Return increasing cuts from 0 to the end of the sky, at equal work."""
    share = work[-1] / n_cells
    targets = share * np.arange(1, n_cells)
    cuts = np.interp(targets, work, edges).astype(np.int64)
    if len(starts):
        at_starts = np.interp(starts.astype(np.float64), edges, work)
        after = np.clip(np.searchsorted(at_starts, targets), 0, len(starts) - 1)
        before = np.maximum(after - 1, 0)
        closer = np.where(
            np.abs(at_starts[before] - targets) < np.abs(at_starts[after] - targets), before, after
        )
        snaps = np.abs(at_starts[closer] - targets) <= _SNAP * share
        cuts = np.where(snaps, starts[closer], cuts)
    return np.unique(np.concatenate([[0], np.clip(cuts, 0, _END), [_END]]).astype(np.int64))


def _holds_rows(cells: IntArray, low: IntArray, high: IntArray) -> NDArray[np.bool_]:
    """Whether each cell meets any entry; exact."""
    order = np.argsort(low, kind="stable")
    low, reach = low[order], np.maximum.accumulate(high[order])
    last = np.searchsorted(low, cells[:, 1], side="left") - 1
    return (last >= 0) & (reach[np.maximum(last, 0)] >= cells[:, 0]) if len(low) else last >= 0


def _batch(work: FloatArray, parallelism: int) -> IntArray:
    """Return the offsets of consecutive cells that make up the tasks."""
    n_cells = len(work)
    rounds = max(1, int(np.ceil(work.sum() / (_ROWS_PER_TASK * parallelism))))
    n_tasks = min(n_cells, rounds * parallelism)
    if n_tasks == 0:
        return np.zeros(1, dtype=np.int64)
    # One row more per cell, so that cells thought empty are spread too.
    cumulative = np.cumsum(work + 1.0)
    targets = cumulative[-1] * np.arange(1, n_tasks) / n_tasks
    inner = np.searchsorted(cumulative - (work + 1.0) / 2, targets)
    return np.unique(np.concatenate([[0], inner, [n_cells]])).astype(np.int64)
