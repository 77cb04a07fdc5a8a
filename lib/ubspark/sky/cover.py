"""Covering a part of the sky by ranges of HEALPix indices, and cutting ranges with each other."""

from collections.abc import Callable

import numpy as np

from ubspark.columns import HEALPIX_ORDER
from ubspark.sky.healpix import merge_ranges, pixel_to_range
from ubspark.sky.rings import SLACK_ARCSEC
from ubspark.sky.vectors import ARCSEC_PER_RADIAN, BoolArray, FloatArray, IntArray

__all__ = [
    "MAX_RANGES",
    "PIXEL_RADIUS",
    "Classify",
    "compute_cover",
    "intersect_ranges",
    "limit_ranges",
    "meets_ranges",
]

#: No more ranges than this come from `compute_cover` and `limit_ranges`.
MAX_RANGES = 8192
#: No point of a pixel is farther than this, in radians, over 2**order from its centre. Measured:
#: 0.841 at order 0, rising with the order to 1.069; `tests/sky/test_cover.py` measures it again.
PIXEL_RADIUS = 1.075

# Pixels along the edge of a region beyond which no finer order is tried.
_MAX_EDGE_PIXELS = 1024

#: From centres, shape (n, 3), and one radius in arcsec: which caps may meet the region, and which
#: are sure to lie in it. A cap that meets the region must be told; one that does not, may.
Classify = Callable[[FloatArray, float], tuple[BoolArray, BoolArray]]


def compute_cover(classify: Classify) -> IntArray:
    """Return ranges that hold a region.

    Pixels that meet the edge are cut into four until there are about a thousand of them, so
    that small regions are covered as finely as large ones.

    Parameters
    ----------
    classify
        What tells the caps around pixels apart.

    Returns
    -------
    IntArray
        Half-open ranges of order-29 indices, shape (k, 2), k <= MAX_RANGES, sorted and disjoint.
    """
    found = []
    order, pixels = 0, np.arange(12, dtype=np.int64)
    while True:
        reach = PIXEL_RADIUS / (1 << order) * ARCSEC_PER_RADIAN + SLACK_ARCSEC
        meets, is_inside = classify(_compute_centres(order, pixels), reach)
        found.append(pixel_to_range(order, pixels[meets & is_inside]))
        pixels = pixels[meets & ~is_inside]
        if order == HEALPIX_ORDER or pixels.size == 0 or pixels.size > _MAX_EDGE_PIXELS:
            break
        order += 1
        pixels = (pixels[:, None] * 4 + np.arange(4)).reshape(-1)
    found.append(pixel_to_range(order, pixels))
    return limit_ranges(merge_ranges(np.concatenate(found)))


def meets_ranges(low: IntArray, high: IntArray, ranges: IntArray) -> BoolArray:
    """Whether each inclusive interval [low, high] meets any of the half-open ranges."""
    if len(ranges) == 0:
        return np.zeros(len(low), dtype=bool)
    first = np.searchsorted(ranges[:, 1], low, side="right")
    inside = first < len(ranges)
    reaches: BoolArray = ranges[np.minimum(first, len(ranges) - 1), 0] <= high
    return inside & reaches


def intersect_ranges(a: IntArray, b: IntArray) -> IntArray:
    """Return the part that two lists of ranges have in common.

    Parameters
    ----------
    a, b
        Half-open, sorted and disjoint, shapes (k, 2) and (j, 2).

    Returns
    -------
    IntArray
        Half-open, sorted and disjoint, shape (i, 2), i < k + j.
    """
    first = np.searchsorted(b[:, 1], a[:, 0], side="right")
    last = np.searchsorted(b[:, 0], a[:, 1], side="left")
    counts = np.maximum(last - first, 0)
    rows_a = np.repeat(np.arange(len(a)), counts)
    rows_b = np.arange(counts.sum()) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    low = np.maximum(a[rows_a, 0], b[rows_b, 0])
    return np.stack([low, np.minimum(a[rows_a, 1], b[rows_b, 1])], axis=1).astype(np.int64)


def limit_ranges(ranges: IntArray) -> IntArray:
    """Close the smallest gaps between ranges until there are no more than `MAX_RANGES`.

    Parameters
    ----------
    ranges
        Half-open, sorted and disjoint, shape (k, 2).

    Returns
    -------
    IntArray
        Ranges that hold the given ones.
    """
    if len(ranges) <= MAX_RANGES:
        return ranges
    gaps = ranges[1:, 0] - ranges[:-1, 1]
    kept = np.sort(np.argpartition(gaps, len(gaps) - MAX_RANGES + 1)[len(gaps) - MAX_RANGES + 1 :])
    low = np.concatenate([ranges[:1, 0], ranges[kept + 1, 0]])
    return np.stack([low, np.concatenate([ranges[kept, 1], ranges[-1:, 1]])], axis=1)


def _compute_centres(order: int, pixels: IntArray) -> FloatArray:
    # Here and not above: workers do not need it, and it takes a while to import.
    import healpy

    return np.stack(healpy.pix2vec(1 << order, pixels, nest=True), axis=-1).reshape(-1, 3)
