"""Rings: the ranges of HEALPix indices that hold everything near a cell."""

import math

import numpy as np
from numpy.typing import NDArray

from ubspark.columns import HEALPIX_ORDER
from ubspark.errors import ParameterError
from ubspark.sky.healpix import merge_ranges, range_to_pixels, to_shift, validate_range
from ubspark.sky.neighbours import compute_neighbours
from ubspark.sky.vectors import ARCSEC_PER_RADIAN, IntArray

__all__ = [
    "MAX_RING_RADIUS_ARCSEC",
    "RING_WIDTH",
    "SLACK_ARCSEC",
    "compute_ring",
    "compute_ring_of_positions",
    "compute_ring_width_arcsec",
    "extend_ring",
    "find_ring_order",
]

#: A pixel and its neighbours hold every point within this times sqrt(pixel area) of the pixel.
#: Measured: 0.8219 at order 0, falling with the order towards 0.6731, met beside the edges of
#: the polar faces; `tests/sky/test_rings.py` measures it again.
RING_WIDTH = 0.65
#: Added to every radius against the rounding of indices, at most 0.4 mas.
SLACK_ARCSEC = 0.01
#: Largest radius of a ring.
MAX_RING_RADIUS_ARCSEC = 36000.0

# More pixels or steps make a tighter ring and take longer: these take about a millisecond.
_MAX_CELL_PIXELS = 4096
# Around so many scattered positions each gets small pixels of its own.
_MAX_SCATTERED = 16_384
_MAX_STEPS = 4
# Of so many positions the rest is like them.
_SAMPLE = 65_536
_PIXEL_SIZE_ARCSEC = math.sqrt(4.0 * math.pi / 12.0) * ARCSEC_PER_RADIAN


def compute_ring(lo: int, hi: int, radius_arcsec: float) -> IntArray:
    """Return ranges that hold a cell and everything within a radius of it.

    The cell's pixels at a working order are grown by whole pixels as often as the radius
    needs. Fewer and larger pixels are taken for a large cell, so that the ring may hold more.

    Parameters
    ----------
    lo, hi
        The cell, a half-open range of order-29 indices; any run, not only one pixel.
    radius_arcsec
        In [0, 36000].

    Returns
    -------
    IntArray
        Half-open ranges of order-29 indices, shape (k, 2), sorted and disjoint; the whole sky
        where no order is coarse enough. Empty for an empty cell.

    Raises
    ------
    ParameterError
        If the cell or the radius is out of range.
    """
    validate_range(lo, hi)
    reach = _validate_radius(radius_arcsec) + SLACK_ARCSEC
    if lo == hi:
        return np.empty((0, 2), dtype=np.int64)
    order = _find_step_order(reach)
    order = min(order, _find_order_of_run(hi - lo))
    grown = _grow(range_to_pixels(lo, hi, order), order, reach)
    return merge_ranges(np.concatenate([_to_ranges(grown, order), [[lo, hi]]]))


def compute_ring_of_positions(healpix: IntArray, radius_arcsec: float) -> IntArray:
    """Return ranges that hold everything within a radius of some positions.

    Parameters
    ----------
    healpix
        Order-29 indices of the positions, shape (n,), in any order; -1 is left out.
    radius_arcsec
        In [0, 36000].

    Returns
    -------
    IntArray
        As of `compute_ring`; empty where there is no position.

    Raises
    ------
    ParameterError
        If the radius is out of range.
    """
    reach = _validate_radius(radius_arcsec) + SLACK_ARCSEC
    values = healpix
    if np.any(values[1:] < values[:-1]):
        values = np.sort(values, kind="stable")
    values = values[np.searchsorted(values, 0) :]
    if values.size == 0:
        return np.empty((0, 2), dtype=np.int64)
    covered: list[tuple[IntArray, int]] = []
    order, finest = -1, _find_step_order(reach)
    # Nothing is looked at more closely than that: one position of each such pixel is enough.
    first = values[:_SAMPLE] >> to_shift(finest)
    if np.any(first[1:] == first[:-1]):
        values = values[_find_starts(values >> to_shift(finest))]
    plain = max(0, find_ring_order(radius_arcsec))
    while values.size:
        if covered and values.size <= _MAX_CELL_PIXELS:
            # The few at the border of many: one ring of larger pixels is found sooner.
            finest = min(finest, max(plain, order + 1))
        order = min(max(order + 1, _find_order_of_positions(values)), finest)
        pixels, counts = _count_runs(values >> to_shift(order))
        grown = _grow(pixels, order, reach)
        fringe = _leave_out(grown[~_is_among(grown, pixels)], order, covered)
        if order == finest:
            covered.append((grown, order))
            break
        is_border = _touch(pixels, fringe, order, reach)
        if 2 * np.count_nonzero(is_border) > pixels.size:
            if order >= plain or pixels.size > _MAX_SCATTERED:
                covered.append((grown, order))
                break
            if values.size <= _MAX_SCATTERED:
                # Scattered positions: each gets pixels of its own.
                order, finest = plain - 1, plain
                continue
        # What these pixels do not hold themselves is looked at more closely.
        covered.append((pixels, order))
        values = values[np.repeat(is_border, counts)]
    return merge_ranges(np.concatenate([_to_ranges(*part) for part in covered]))


def extend_ring(ranges: IntArray, healpix: IntArray, radius_arcsec: float) -> IntArray:
    """Return ranges that also hold everything within a radius of some positions.

    Positions whose surroundings are held already cost little and add nothing.

    Parameters
    ----------
    ranges
        Half-open, sorted and disjoint, shape (k, 2).
    healpix, radius_arcsec
        As of `compute_ring_of_positions`.
    """
    far = healpix[healpix >= 0]
    order = find_ring_order(radius_arcsec)
    if order >= 0 and ranges.size:
        pixels = far >> to_shift(order)
        around = np.concatenate([pixels[:, None], compute_neighbours(pixels, order)], axis=1)
        far = far[~np.all(_hold(ranges, around, order) | (around < 0), axis=1)]
    if far.size == 0:
        return ranges
    return merge_ranges(np.concatenate([ranges, compute_ring_of_positions(far, radius_arcsec)]))


def compute_ring_width_arcsec(order: int) -> float:
    """Return the radius around a pixel that its neighbours are sure to hold.

    Parameters
    ----------
    order
        Order of the pixel, in [0, 29].

    Returns
    -------
    float
        arcsec.
    """
    return RING_WIDTH * _PIXEL_SIZE_ARCSEC / (1 << order)


def find_ring_order(radius_arcsec: float) -> int:
    """Return the highest order at which one ring of neighbours holds a radius.

    Parameters
    ----------
    radius_arcsec
        Not negative; `SLACK_ARCSEC` is added to it.

    Returns
    -------
    int
        In [0, 29], or -1 where even order 0 is too fine.
    """
    order = HEALPIX_ORDER
    while order >= 0 and compute_ring_width_arcsec(order) < radius_arcsec + SLACK_ARCSEC:
        order -= 1
    return order


def _validate_radius(radius_arcsec: float) -> float:
    if not 0.0 <= radius_arcsec <= MAX_RING_RADIUS_ARCSEC:
        msg = f"`radius_arcsec` must be in [0, {MAX_RING_RADIUS_ARCSEC:g}], got {radius_arcsec!r}."
        raise ParameterError(msg)
    return radius_arcsec


def _find_step_order(reach: float) -> int:
    """Return the finest order at which few steps are enough."""
    return max(0, find_ring_order(reach / _MAX_STEPS - SLACK_ARCSEC))


def _find_order_of_run(n_indices: int) -> int:
    """Return the finest order at which a run of order-29 indices has few pixels."""
    order = HEALPIX_ORDER
    while order > 0 and n_indices >> to_shift(order) > _MAX_CELL_PIXELS:
        order -= 1
    return order


def _find_order_of_positions(healpix: IntArray) -> int:
    """Return the finest order at which sorted positions lie in few pixels."""
    # Of very many some tell as well how many pixels there are, where those are few.
    healpix = healpix[:: max(1, healpix.size // _SAMPLE)]
    # Neighbours in the list share a pixel when they differ below its lowest bit only.
    bits = np.frexp((healpix[1:] ^ healpix[:-1]).astype(np.float64))[1]
    n_pixels = 1 + np.cumsum(np.bincount(bits, minlength=64)[::-1])[::-1]
    order = HEALPIX_ORDER
    while order > 0 and n_pixels[to_shift(order) + 1] > _MAX_CELL_PIXELS:
        order -= 1
    return order


def _count_runs(values: IntArray) -> tuple[IntArray, IntArray]:
    """Return the different ones of sorted values, and how often each comes."""
    starts = _find_starts(values)
    return values[starts], np.diff(starts, append=values.size)


def _find_starts(values: IntArray) -> IntArray:
    """Return where other values begin in an array that is not empty."""
    return np.append(0, np.flatnonzero(values[1:] != values[:-1]) + 1)


def _is_among(values: IntArray, others: IntArray) -> NDArray[np.bool_]:
    """Tell which values are among sorted ones, one at least; `numpy.isin` takes longer."""
    place = np.searchsorted(others, values)
    place[place == others.size] = 0
    found: NDArray[np.bool_] = others[place] == values
    return found


def _leave_out(pixels: IntArray, order: int, covered: list[tuple[IntArray, int]]) -> IntArray:
    """Return the pixels that do not lie in those of lower orders."""
    for others, other_order in covered:
        pixels = pixels[~_is_among(pixels >> (2 * (order - other_order)), others)]
    return pixels


def _touch(pixels: IntArray, others: IntArray, order: int, reach: float) -> NDArray[np.bool_]:
    """Tell which pixels may hold points within the reach of other ones."""
    if others.size == 0:
        return np.zeros(pixels.size, dtype=bool)
    return _is_among(pixels, _grow(others, order, reach))


def _grow(pixels: IntArray, order: int, reach: float) -> IntArray:
    """Add the neighbours of sorted pixels, and theirs, until they hold the reach."""
    n_steps = math.ceil(reach / compute_ring_width_arcsec(order))
    is_run = pixels[-1] - pixels[0] == pixels.size - 1
    grown = frontier = pixels
    for _ in range(n_steps):
        # Each direction by itself is nearly sorted.
        found = compute_neighbours(frontier, order).T.ravel()
        is_new = found >= 0
        if is_run:
            # Most neighbours lie in the run itself: they go before the sorting.
            is_new &= (found < pixels[0]) | (found > pixels[-1])
        found = _sort_unique(found[is_new])
        frontier = found[~_is_among(found, grown)]
        if frontier.size == 0:
            break
        grown = np.sort(np.concatenate([grown, frontier]), kind="stable")
    return grown


def _hold(ranges: IntArray, pixels: IntArray, order: int) -> NDArray[np.bool_]:
    """Tell which pixels lie in one of the ranges as a whole, any shape."""
    edges = ranges.reshape(-1)
    first, last = (
        np.searchsorted(edges, index, side="right")
        for index in (pixels << to_shift(order), ((pixels + 1) << to_shift(order)) - 1)
    )
    held: NDArray[np.bool_] = (first == last) & (first & 1 == 1)
    return held


def _sort_unique(values: IntArray) -> IntArray:
    """Return the different values, sorted; `numpy.unique` hashes them, which takes longer."""
    values = np.sort(values, kind="stable")
    return values[_find_starts(values)] if values.size else values


def _to_ranges(pixels: IntArray, order: int) -> IntArray:
    """Return the ranges of pixels, shape (k, 2)."""
    return np.stack([pixels << to_shift(order), (pixels + 1) << to_shift(order)], axis=1)
