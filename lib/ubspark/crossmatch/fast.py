"""Fast stars, handled apart, so that a few of them do not widen the ring of every other row."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ubspark.columns import HEALPIX_29
from ubspark.crossmatch.epoch import compute_motion_arcsec
from ubspark.crossmatch.field import Side
from ubspark.crossmatch.plan import CellPlan, plan_cells
from ubspark.sky.cover import intersect_ranges
from ubspark.sky.healpix import N_PIXELS_29, merge_ranges
from ubspark.sky.rings import compute_ring

__all__ = ["SLOW_ARCSEC", "FastRows", "find_footprint", "find_slow_limit", "is_worth_it"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: Rings are not widened by more than this for the sake of few rows, arcsec.
SLOW_ARCSEC = 60.0
#: As many fast rows every task can hold.
_MAX_FAST_ROWS = 50_000
_MAX_RING = 36_000.0


def is_worth_it(side: Side) -> bool:
    """Whether the fastest row of a side widens its rings by much."""
    return side.motion_arcsec > SLOW_ARCSEC


def find_footprint(cells: IntArray, reach_arcsec: float) -> IntArray:
    """Return ranges that hold all within a reach of some cells; all of the sky for a wide one."""
    if reach_arcsec > _MAX_RING:
        return np.array([[0, N_PIXELS_29]], dtype=np.int64)
    placed = cells[cells[:, 1] > 0]
    rings = [compute_ring(max(int(a), 0), int(b), reach_arcsec) for a, b in placed]
    return merge_ranges(np.concatenate(rings)) if rings else np.zeros((0, 2), dtype=np.int64)


def find_slow_limit(counts: IntArray, edges: FloatArray) -> float:
    """Return the motion above which rows are handled apart.

    Parameters
    ----------
    counts
        Rows by motion, shape (n,).
    edges
        Lower edges of the bins, rising, shape (n,), arcsec; the last bin has no upper edge.
    """
    above = counts[::-1].cumsum()[::-1]
    allowed = np.flatnonzero((above <= _MAX_FAST_ROWS) & (edges >= SLOW_ARCSEC))
    return float(edges[allowed[0]]) if len(allowed) else float(edges[-1])


@dataclass(frozen=True)
class FastRows:
    """A Spark task that finds the rows of a side by how far they move.

    Attributes
    ----------
    side
        The side.
    epoch
        Julian year of the match.
    footprint
        Ranges in which rows matter, shape (k, 2).
    """

    side: Side
    epoch: float | None
    footprint: IntArray

    #: Lower edges of the bins of motion, arcsec.
    edges = np.concatenate([[0.0], SLOW_ARCSEC * 1.5 ** np.arange(60)])

    def plan(self, *, parallelism: int) -> CellPlan:
        """Return the cells to look at."""
        source = self.side.source
        return plan_cells(source, source, keep_unplaced=False, parallelism=parallelism)

    def count(self, cells: IntArray) -> IntArray:
        """Return the rows of some cells by motion, shape (bins,)."""
        names = self.side.columns.names
        rows = self.side.source.read(intersect_ranges(cells, self.footprint), names)
        motion = compute_motion_arcsec(rows, self.side.columns, epoch=self.epoch)
        counts: IntArray = np.histogram(motion, np.append(self.edges, np.inf))[0]
        return counts

    def read(self, cells: IntArray, limit_arcsec: float) -> Iterator[pa.Table]:
        """Yield the rows of some cells that move by more than a limit, with all columns."""
        for cell in cells:
            ranges = intersect_ranges(cell[None], self.footprint)
            rows = self.side.source.read(ranges, self.side.columns.names)
            motion = compute_motion_arcsec(rows, self.side.columns, epoch=self.epoch)
            is_fast = motion > limit_arcsec
            if is_fast.any():
                whole = self.side.source.read(ranges, self.side.names)
                yield whole.filter(pa.array(is_fast)).select(self.column_names)

    @property
    def column_names(self) -> list[str]:
        """Columns of the fast rows."""
        return list(dict.fromkeys([HEALPIX_29.name, *self.side.names]))

    def separate(self, fast: pa.Table, limit_arcsec: float) -> Side:
        """Return the side with its fast rows apart."""
        return replace(self.side, motion_arcsec=limit_arcsec, fast=fast)
