"""The search that all selections share: runs of right rows that may lie within the radius."""

from typing import NamedTuple

import numpy as np
from numba import njit

from ubspark.columns import HEALPIX_ORDER
from ubspark.errors import ParameterError
from ubspark.sky.healpix import compute_healpix_29_from_vectors
from ubspark.sky.neighbours import find_neighbour
from ubspark.sky.rings import find_ring_order
from ubspark.sky.vectors import ARCSEC_PER_RADIAN, FloatArray, IntArray, to_arcsec

__all__ = [
    "MAX_RADIUS_ARCSEC",
    "RightIndex",
    "compute_chord_limit",
    "find_runs",
    "plan_right_index",
    "to_healpix_of_rows",
    "validate_radius",
]

#: Largest radius of a match, 90 degrees.
MAX_RADIUS_ARCSEC = 324000.0

# Aimed at: fewer rows in a pixel cost more look-ups, more rows cost more distances.
_ROWS_PER_PIXEL = 4.0
_N_SAMPLE = 256
_X_BITS = 0x5555555555555555


class RightIndex(NamedTuple):
    """Right rows sorted by pixel, with a directory of where the pixels begin."""

    rows: IntArray
    """Row that stands at each place, shape (m,)."""
    vectors: FloatArray
    """Unit vectors by place, shape (m, 3)."""
    healpix: IntArray
    """Order-29 index by place, rising, shape (m,)."""
    starts: IntArray
    """Directory: place of the first row of each bin of 2**bin_shift pixels, shape (bins + 1,)."""
    layout: IntArray
    """ring_order, order, first pixel and bin_shift, shape (4,)."""


def plan_right_index(vectors: FloatArray, healpix: IntArray, radius_arcsec: float) -> RightIndex:
    """Sort the right rows into pixels that suit the radius and their density.

    Parameters
    ----------
    vectors
        Unit vectors, shape (m, 3), C-contiguous; NaN marks a row without a position.
    healpix
        Order-29 indices, shape (m,), -1 without a position, in any order. Rows that come sorted
        are not copied.
    radius_arcsec
        In (0, 324000].

    Returns
    -------
    RightIndex
        For `find_runs`.

    Notes
    -----
    ``ring_order`` is the highest order whose neighbours hold the radius. Rows are kept in pixels
    of ``order`` <= ``ring_order``, coarser where rows are few, so that most left rows, being
    further than the radius from the edge of their pixel, meet one pixel only.
    """
    rows = np.arange(healpix.size, dtype=np.int64)
    if healpix.size and not np.all(healpix[1:] >= healpix[:-1]):
        rows = np.argsort(healpix, kind="stable")
        vectors, healpix = np.ascontiguousarray(vectors[rows]), healpix[rows]
    first = int(np.searchsorted(healpix, 0))
    ring_order = find_ring_order(radius_arcsec)
    order = ring_order
    if ring_order > 0 and first < healpix.size:
        order = min(ring_order, _find_density_order(healpix[first:]))
    shift = 2 * (HEALPIX_ORDER - max(order, 0))
    n_rows = healpix.size - first
    low = int(healpix[first]) >> shift if n_rows else 0
    n_pixels = (int(healpix[-1]) >> shift) - low + 1 if n_rows else 0
    # A bin is a pixel where the rows lie close; in a sparse catalogue it holds several, so that
    # the directory never outgrows the rows.
    bin_shift = 0
    while (n_pixels >> bin_shift) > 2 * n_rows:
        bin_shift += 1
    n_bins = ((n_pixels - 1) >> bin_shift) + 1 if n_rows else 0
    starts = np.empty(n_bins + 1, dtype=np.int64)
    _fill_starts(np.ascontiguousarray(healpix), first, shift, low, bin_shift, starts)
    layout = np.array([ring_order, order, low, bin_shift], dtype=np.int64)
    return RightIndex(rows, vectors, healpix, starts, layout)


@njit("void(int64[::1], int64, int64, int64, int64, int64[::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no stubs
def _fill_starts(
    healpix: IntArray, first: int, shift: int, low: int, bin_shift: int, starts: IntArray
) -> None:
    """Fill the place of the first row of each bin, and the end of the last one."""
    place = 0
    for row in range(first, healpix.size):
        own = ((healpix[row] >> shift) - low) >> bin_shift
        while place <= own:
            starts[place] = row
            place += 1
    while place < starts.size:
        starts[place] = healpix.size
        place += 1


@njit("int64(int64[::1], int64, int64, int64)", cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no stubs
def _bisect(values: IntArray, value: int, start: int, stop: int) -> int:
    """Return the first place in [start, stop] whose value is not below a value."""
    while start < stop:
        middle = (start + stop) >> 1
        if values[middle] < value:
            start = middle + 1
        else:
            stop = middle
    return start


@njit(  # type: ignore[untyped-decorator]  # numba has no stubs
    "int64(int64, int64[::1], int64[::1], int64[::1], int64[:, ::1])", cache=True, nogil=True
)
def find_runs(
    healpix: int, right_healpix: IntArray, starts: IntArray, layout: IntArray, runs: IntArray
) -> int:
    """Find the places of the right rows that may lie within the radius of a left row.

    Compiled, for one left row. Every right row within the radius is in one run; a run may hold
    others.

    Parameters
    ----------
    healpix
        Order-29 index of the left row, not negative.
    right_healpix, starts, layout
        Of the `RightIndex`.
    runs
        Filled with half-open [start, stop), shape (9, 2).

    Returns
    -------
    int
        Number of runs filled, 0 to 9; none is empty.
    """
    ring_order, order, low, bin_shift = layout[0], layout[1], layout[2], layout[3]
    if order < 0:
        runs[0, 0] = starts[0]
        runs[0, 1] = starts[-1]
        return 1 if starts[-1] > starts[0] else 0
    shift = 2 * (29 - order)
    pixel = healpix >> shift
    # Where the row stands in its pixel, in steps of `ring_order`: only beside an edge can the
    # radius reach over it.
    x_bits = _X_BITS & ((1 << (2 * (ring_order - order))) - 1)
    y_bits = x_bits << 1
    place = healpix >> (2 * (29 - ring_order))
    x_low = -1 if place & x_bits == 0 else 0
    x_high = 1 if place & x_bits == x_bits else 0
    y_low = -1 if place & y_bits == 0 else 0
    y_high = 1 if place & y_bits == y_bits else 0
    n_bins = starts.shape[0] - 1
    n_runs = 0
    for step_x in range(x_low, x_high + 1):
        for step_y in range(y_low, y_high + 1):
            near = pixel
            if step_x != 0 or step_y != 0:
                near = find_neighbour(pixel, order, step_x, step_y)
            # Below the first bin, and where no neighbour exists, this is negative.
            bin_ = (near - low) >> bin_shift
            if near < low or bin_ >= n_bins:
                continue
            start, stop = starts[bin_], starts[bin_ + 1]
            if bin_shift > 0:
                start = _bisect(right_healpix, near << shift, start, stop)
                stop = _bisect(right_healpix, (near + 1) << shift, start, stop)
            if start < stop:
                runs[n_runs, 0] = start
                runs[n_runs, 1] = stop
                n_runs += 1
    return n_runs


def compute_chord_limit(radius_arcsec: float) -> float:
    """Return the largest squared chord whose arc, as `to_arcsec` gives it, is within a radius.

    So a kernel that compares squared chords keeps just the pairs whose reported distance is at
    most the radius.

    Parameters
    ----------
    radius_arcsec
        In (0, 324000].

    Returns
    -------
    float
        In [0, 2].
    """
    guess = np.float64((2.0 * np.sin(radius_arcsec / ARCSEC_PER_RADIAN / 2.0)) ** 2)
    # Neighbouring floats have neighbouring bit patterns.
    around = np.maximum(guess.view(np.int64) + np.arange(-64, 65), 0).view(np.float64)
    return float(around[to_arcsec(around) <= radius_arcsec].max())


def to_healpix_of_rows(vectors: FloatArray, healpix: IntArray | None, side: str) -> IntArray:
    """Return the indices of rows as contiguous int64, computed where none are given.

    Parameters
    ----------
    vectors
        Unit vectors, shape (n, 3).
    healpix
        Order-29 indices of the same positions, shape (n,), or None.
    side
        Name for messages, ``left`` or ``right``.

    Returns
    -------
    IntArray
        Shape (n,), -1 without a position.

    Raises
    ------
    ParameterError
        If the lengths differ.
    """
    if healpix is None:
        return compute_healpix_29_from_vectors(vectors)
    column = np.ascontiguousarray(healpix, dtype=np.int64)
    if column.shape != vectors.shape[:1]:
        msg = f"`{side}_healpix` must have the shape ({len(vectors)},), got {column.shape}."
        raise ParameterError(msg)
    return column


def validate_radius(radius_arcsec: float) -> None:
    """Refuse a radius that no selection can take.

    Parameters
    ----------
    radius_arcsec
        Largest separation, arcsec.

    Raises
    ------
    ParameterError
        If not in (0, 324000].
    """
    if not 0.0 < radius_arcsec <= MAX_RADIUS_ARCSEC:
        msg = f"`radius_arcsec` must be in (0, {MAX_RADIUS_ARCSEC:g}], got {radius_arcsec!r}."
        raise ParameterError(msg)


def _find_density_order(healpix: IntArray) -> int:
    """Return the coarsest order at which a right row shares its pixel with few others.

    The mean over rows, not over pixels: a dense cluster in a wide field makes pixels small.
    """
    orders = np.arange(HEALPIX_ORDER + 1)
    shifts = 2 * (HEALPIX_ORDER - orders)
    places = np.linspace(0, healpix.size - 1, num=min(healpix.size, _N_SAMPLE)).astype(np.int64)
    pixels = healpix[places][:, None] >> shifts
    first = np.searchsorted(healpix, pixels << shifts)
    last = np.searchsorted(healpix, (pixels + 1) << shifts)
    is_sparse = np.mean(last - first, axis=0) <= _ROWS_PER_PIXEL
    return int(np.argmax(is_sparse)) if is_sparse.any() else HEALPIX_ORDER
