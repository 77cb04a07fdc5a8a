"""Cutting the sky into partitions of about equal size, from sparse counts."""

from dataclasses import dataclass

import cdshealpix
import numpy as np
from numpy.typing import NDArray

from ubspark.catalogs.hats.counts import SparseCounts
from ubspark.catalogs.hats.partitions import Partitions
from ubspark.columns import HEALPIX_ORDER
from ubspark.sky.cover import intersect_ranges
from ubspark.sky.healpix import N_PIXELS_29, merge_ranges, pixel_to_range
from ubspark.sky.rings import compute_ring, find_ring_order

__all__ = [
    "PixelItem",
    "compute_margin_ranges",
    "find_empty_pixels",
    "plan_partitions",
    "subtract_ranges",
]

IntArray = NDArray[np.int64]
#: A ring is made of pixels at most this many orders deeper than its partition.
_MAX_RING_DEPTH = 10


@dataclass(frozen=True)
class PixelItem:
    """A partition to write.

    Attributes
    ----------
    catalog
        Name of the folder of its catalog below that of the export; empty for the export itself.
    n_rows, n_bytes
        What the count found in it; -1 for a margin, of which that is not known.
    """

    catalog: str
    order: int
    pixel: int
    n_rows: int = -1
    n_bytes: int = -1

    @property
    def name(self) -> str:
        """Name in the journal."""
        return f"{self.catalog or 'catalog'}-{self.order}-{self.pixel}"

    @property
    def range(self) -> tuple[int, int]:
        """Half-open range of order-29 indices."""
        low, high = pixel_to_range(self.order, self.pixel).tolist()
        return low, high

    @property
    def path(self) -> str:
        """Name of its file below the folder of the export."""
        folder = f"{self.catalog}/" if self.catalog else ""
        directory = self.pixel // 10_000 * 10_000
        return f"{folder}dataset/Norder={self.order}/Dir={directory}/Npix={self.pixel}.parquet"


def plan_partitions(
    counts: SparseCounts,
    *,
    max_rows: int,
    max_bytes: int | None = None,
    lowest_order: int = 0,
    highest_order: int,
    catalog: str = "",
) -> list[PixelItem]:
    """Return the largest pixels that hold no more than so many rows, or bytes.

    A pixel of the highest order is one partition however many rows it holds.

    Parameters
    ----------
    counts
        At least as deep as the highest order.
    max_rows, max_bytes
        Largest number of rows, and of estimated bytes, of a partition.

    Returns
    -------
    list
        In the order of the sky.
    """
    items: list[PixelItem] = []
    alive = np.unique(counts.degrade(lowest_order).pixel)
    for order in range(lowest_order, highest_order + 1):
        level = counts.degrade(order)
        is_alive = np.isin(level.pixel, alive)
        fits = level.n_rows <= max_rows
        if max_bytes is not None:
            fits &= level.n_bytes <= max_bytes
        is_leaf = is_alive & (fits if order < highest_order else True)
        leaves = level.select(is_leaf)
        facts = np.stack([leaves.pixel, leaves.n_rows, leaves.n_bytes], axis=1).tolist()
        items += [PixelItem(catalog, order, *own) for own in facts]
        split = level.pixel[is_alive & ~is_leaf]
        alive = (4 * split[:, None] + np.arange(4)).ravel()
    return sorted(items, key=lambda item: item.range)


def find_empty_pixels(partitions: Partitions) -> list[tuple[int, int]]:
    """Return the largest pixels, as order and pixel, that together cover the rest of the sky."""
    covered = merge_ranges(partitions.ranges)
    whole = np.array([[0, N_PIXELS_29]], dtype=np.int64)
    return [
        pair for low, high in subtract_ranges(whole, covered).tolist() for pair in _tile(low, high)
    ]


def _tile(low: int, high: int) -> list[tuple[int, int]]:
    """Return the largest pixels that make up a range."""
    tiles = []
    while low < high:
        # `low` is a multiple of 4**size, and as much fits into what is left.
        size = ((low & -low).bit_length() - 1) // 2 if low else HEALPIX_ORDER
        size = min(size, HEALPIX_ORDER, ((high - low).bit_length() - 1) // 2)
        tiles.append((HEALPIX_ORDER - size, low >> 2 * size))
        low += 1 << 2 * size
    return tiles


def compute_margin_ranges(item: PixelItem, threshold_arcsec: float) -> IntArray:
    """Return ranges outside of a pixel that hold everything within a distance of it.

    Returns
    -------
    IntArray
        Half-open ranges of order-29 indices, shape (k, 2); they may hold somewhat more.
    """
    own = np.array([item.range], dtype=np.int64)
    order = min(find_ring_order(threshold_arcsec), item.order + _MAX_RING_DEPTH)
    if order <= item.order:
        return subtract_ranges(compute_ring(*item.range, threshold_arcsec), own)
    around = cdshealpix.nested.external_neighbours
    edges, corners = around(item.pixel, item.order, order - item.order, num_threads=1)
    pixels = np.concatenate([edges.ravel(), corners[corners >= 0].ravel()]).astype(np.int64)
    return merge_ranges(pixel_to_range(order, pixels))


def subtract_ranges(ranges: IntArray, others: IntArray) -> IntArray:
    """Return the parts of sorted, disjoint ranges that lie in no other range."""
    gaps = np.concatenate([[0], others.ravel(), [N_PIXELS_29]]).astype(np.int64).reshape(-1, 2)
    return intersect_ranges(ranges, gaps[gaps[:, 0] < gaps[:, 1]])
