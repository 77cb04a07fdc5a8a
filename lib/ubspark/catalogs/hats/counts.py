"""How many rows lie where: counts per HEALPix pixel, pixels without rows left out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from ubspark.catalogs.catalog import CatalogLayout
from ubspark.catalogs.export.tasks import run_tasks
from ubspark.columns import HEALPIX_29, HEALPIX_ORDER
from ubspark.sky.cover import intersect_ranges
from ubspark.sky.healpix import N_PIXELS_29, merge_ranges

__all__ = ["SparseCounts", "count_rows"]

IntArray = NDArray[np.int64]
#: Rows that one task of the count reads: no more, nor less where there are tasks enough.
_MAX_PIECE_ROWS, _MIN_PIECE_ROWS = 4_000_000, 250_000
_PIECES_PER_CORE = 4


@dataclass(frozen=True, eq=False)
class SparseCounts:
    """Rows and bytes of the pixels that have any.

    Attributes
    ----------
    order
        HEALPix order of the pixels.
    pixel
        NESTED, rising, shape (n,).
    n_rows, n_bytes
        Of each; bytes are estimated from those of the row groups that the rows lie in.
    """

    order: int
    pixel: IntArray
    n_rows: IntArray
    n_bytes: IntArray

    @classmethod
    def sum(cls, order: int, parts: "Iterable[SparseCounts]") -> "SparseCounts":
        """Add counts of the same order; they may share pixels."""
        listed = [cls.empty(order), *parts]
        joined = (
            np.concatenate([getattr(part, name) for part in listed])
            for name in ("pixel", "n_rows", "n_bytes")
        )
        return cls(order, *_add_up(*joined))

    @classmethod
    def empty(cls, order: int) -> "SparseCounts":
        """Return the counts of no rows."""
        none = np.zeros(0, dtype=np.int64)
        return cls(order, none, none, none)

    def degrade(self, order: int) -> "SparseCounts":
        """Return the counts in larger pixels."""
        pixel = self.pixel >> 2 * (self.order - order)
        return SparseCounts(order, *_add_up(pixel, self.n_rows, self.n_bytes))

    def select(self, chosen: NDArray[np.bool_]) -> "SparseCounts":
        """Return the counts of some of the pixels."""
        values = (self.pixel[chosen], self.n_rows[chosen], self.n_bytes[chosen])
        return SparseCounts(self.order, *values)

    def refine(self, order: int) -> "SparseCounts":
        """Return the counts in smaller pixels, as if all rows of a pixel lay in its first."""
        pixel = self.pixel << 2 * (order - self.order)
        return SparseCounts(order, pixel, self.n_rows, self.n_bytes)

    @property
    def ranges(self) -> IntArray:
        """Half-open ranges of order-29 indices that hold all rows, shape (k, 2)."""
        shift = 2 * (HEALPIX_ORDER - self.order)
        return merge_ranges(np.stack([self.pixel << shift, (self.pixel + 1) << shift], axis=1))


@dataclass(frozen=True, eq=False)
class _Counter:
    """Counts the rows of one piece of the sky, in a task."""

    source: CatalogLayout
    order: int
    within: IntArray | None

    def __call__(self, piece: tuple[int, int, float]) -> SparseCounts:
        low, high, row_bytes = piece
        ranges = np.array([[low, high]], dtype=np.int64)
        if self.within is not None:
            ranges = intersect_ranges(ranges, self.within)
        if len(ranges) == 0:
            return SparseCounts.empty(self.order)
        rows = self.source.read(ranges, [])
        # The rows are sorted: a pixel is a run of them.
        pixel = rows[HEALPIX_29.name].to_numpy() >> 2 * (HEALPIX_ORDER - self.order)
        starts = np.flatnonzero(np.diff(pixel, prepend=pixel[:1] - 1))
        n_rows = np.diff(starts, append=len(pixel))
        n_bytes = np.ceil(n_rows * row_bytes).astype(np.int64)
        return SparseCounts(self.order, pixel[starts], n_rows, n_bytes)


def count_rows(
    spark: SparkSession, source: CatalogLayout, order: int, *, within: IntArray | None = None
) -> tuple[SparseCounts, int]:
    """Count the rows of a catalog in pixels of one order, in tasks that read its index.

    Parameters
    ----------
    within
        Half-open ranges of ``_healpix_29`` in which rows count; None for all.

    Returns
    -------
    counts, n_unplaced
        And the number of rows without a usable position.
    """
    source = source.refine()
    n_pieces = _PIECES_PER_CORE * spark.sparkContext.defaultParallelism
    parts = run_tasks(spark, _cut(source, n_pieces), _Counter(source, order, within))
    unplaced = sum(int(part.n_rows[part.pixel < 0].sum()) for part in parts)
    placed = [part.select(part.pixel >= 0) for part in parts]
    return SparseCounts.sum(order, placed), unplaced


def _add_up(pixel: IntArray, *values: IntArray) -> tuple[IntArray, ...]:
    """Return the pixels, each once, with the sums of their values."""
    found, place = np.unique(pixel, return_inverse=True)
    sums = (np.zeros(len(found), dtype=np.int64) for _ in values)
    added = []
    for total, value in zip(sums, values, strict=True):
        np.add.at(total, place, value)
        added.append(total)
    return (found.astype(np.int64), *added)


def _cut(source: CatalogLayout, n_pieces: int) -> Sequence[tuple[int, int, float]]:
    """Return pieces of the sky, as low and high index, with the bytes of a row in each."""
    order = np.argsort(source.low, kind="stable")
    low, n_rows, n_bytes = source.low[order], source.n_rows[order], source.n_bytes[order]
    if len(low) == 0:
        return []
    asked = int(n_rows.sum()) // n_pieces
    number = np.cumsum(n_rows) // min(max(asked, _MIN_PIECE_ROWS), _MAX_PIECE_ROWS)
    starts = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
    # Entries that begin at one index cannot be parted.
    starts = starts[np.append(True, low[starts][1:] != low[starts][:-1])]
    widths = np.add.reduceat(n_bytes, starts) / np.maximum(1, np.add.reduceat(n_rows, starts))
    bounds = np.maximum(low[starts], -1)
    bounds[0] = min(int(bounds[0]), -1)
    ends = np.append(bounds[1:], N_PIXELS_29)
    return [
        (int(a), int(b), float(width))
        for a, b, width in zip(bounds, ends, widths, strict=True)
        if a < b
    ]
