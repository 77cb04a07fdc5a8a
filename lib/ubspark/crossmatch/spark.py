"""Where the match meets Spark: a task takes its cells, reads both sides and yields their rows.

No row passes through a shuffle or the JVM on its way in: a task opens the files itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession

from ubspark.columns import DIST_ARCSEC, HEALPIX_ORDER
from ubspark.crossmatch.match import Match, MatchedCell
from ubspark.crossmatch.plan import CellPlan

__all__ = ["MatchSummary", "MatchTask", "create_task_frame"]

#: HEALPix order of the match-fraction map: 49,152 pixels of about 0.9 degrees.
MAP_ORDER = 6
_HISTOGRAM_BINS = 100


@dataclass
class MatchSummary:
    """What a report shows of a match; summaries of parts add up.

    Attributes
    ----------
    edges_arcsec
        Edges of the separation histogram, shape (bins + 1,).
    counts
        Pairs in each bin.
    n_left, n_matched
        Left rows, and those with a match, per pixel of order ``MAP_ORDER``; sparse.
    n_unusable
        Left rows without a usable position.
    n_right_read
        Rows read of the right side, rings included.
    """

    edges_arcsec: NDArray[np.float64]
    counts: NDArray[np.int64]
    n_left: dict[int, int] = field(default_factory=dict)
    n_matched: dict[int, int] = field(default_factory=dict)
    n_unusable: int = 0
    n_right_read: int = 0

    @classmethod
    def empty(cls, radius_arcsec: float) -> "MatchSummary":
        """Return the summary of no rows."""
        edges = np.linspace(0.0, radius_arcsec, _HISTOGRAM_BINS + 1)
        return cls(edges, np.zeros(_HISTOGRAM_BINS, dtype=np.int64))

    def add_cell(self, cell: MatchedCell) -> None:
        """Count the rows of one cell."""
        placed = cell.left_healpix >= 0
        pixel = cell.left_healpix >> 2 * (HEALPIX_ORDER - MAP_ORDER)
        _count(self.n_left, pixel[placed])
        _count(self.n_matched, pixel[placed & cell.is_matched])
        self.n_unusable += int(np.count_nonzero(~placed))
        self.n_right_read += cell.n_right
        if DIST_ARCSEC.name in cell.rows.column_names:
            separations = cell.rows[DIST_ARCSEC.name].drop_null().to_numpy()
            self.counts += np.histogram(separations, self.edges_arcsec)[0]

    def __iadd__(self, other: "MatchSummary") -> Self:
        """Add the summary of other cells of the same match."""
        self.counts += other.counts
        self.n_unusable += other.n_unusable
        self.n_right_read += other.n_right_read
        for mine, theirs in ((self.n_left, other.n_left), (self.n_matched, other.n_matched)):
            for pixel, n in theirs.items():
                mine[pixel] = mine.get(pixel, 0) + n
        return self


@dataclass
class MatchTask:
    """What a Spark task runs: the cells of the task ids it is given, in sky order."""

    match: Match
    plan: CellPlan

    def __post_init__(self) -> None:
        """Start counting."""
        self.summary = MatchSummary.empty(self.match.options.radius_arcsec)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Yield the output rows of each cell."""
        for batch in batches:
            for task in batch.column(0).to_pylist():
                for low, high in self.plan.cells[self.plan.tasks[task] : self.plan.tasks[task + 1]]:
                    for cell in self.match.match_cell(int(low), int(high)):
                        self.summary.add_cell(cell)
                        yield cell.rows


def create_task_frame(spark: SparkSession, plan: CellPlan) -> DataFrame:
    """Return a DataFrame of task ids, one partition each, for ``mapInArrow``."""
    return spark.range(0, plan.n_tasks, 1, max(plan.n_tasks, 1))


def _count(counts: dict[int, int], pixels: NDArray[np.int64]) -> None:
    for pixel, n in zip(*np.unique(pixels, return_counts=True), strict=True):
        counts[int(pixel)] = counts.get(int(pixel), 0) + int(n)
