"""All pairs within a radius: the base of every selection but the plain nearest."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ubspark.crossmatch.kernels.candidates import (
    RightIndex,
    compute_chord_limit,
    find_runs,
    plan_right_index,
    to_healpix_of_rows,
    validate_radius,
)
from ubspark.sky.vectors import FloatArray, IntArray, to_arcsec

__all__ = ["Pairs", "count_pairs", "find_pairs", "sort_pairs"]


class Pairs(NamedTuple):
    """Pairs of rows, by left row and then by place."""

    left: IntArray
    """Left row of each pair, rising, shape (k,)."""
    right: IntArray
    """Right row, shape (k,)."""
    key: FloatArray
    """What is compared, shape (k,), the lowest is best: the squared chord of the unit vectors."""
    dist_arcsec: FloatArray
    """Separation, shape (k,), arcsec."""

    def select(self, rows: NDArray[np.bool_] | IntArray) -> "Pairs":
        """Return some of the pairs."""
        return Pairs(self.left[rows], self.right[rows], self.key[rows], self.dist_arcsec[rows])


def find_pairs(
    left_vectors: FloatArray,
    right_vectors: FloatArray,
    *,
    radius_arcsec: float,
    left_healpix: IntArray | None = None,
    right_healpix: IntArray | None = None,
    index: RightIndex | None = None,
) -> Pairs:
    """Find every pair within a radius.

    Parameters
    ----------
    left_vectors, right_vectors
        Unit vectors, shape (n, 3) and (m, 3), C-contiguous. Rows holding NaN are in no pair.
    radius_arcsec
        Largest separation, inclusive, arcsec, in (0, 324000].
    left_healpix, right_healpix
        Order-29 indices of the vectors, shape (n,) and (m,); computed where None.
    index
        The right rows by `plan_right_index` for this radius; made where None.

    Returns
    -------
    Pairs
        By left row; within one left row in the order in which the right rows are stored.
    """
    search = _prepare(
        left_vectors, right_vectors, radius_arcsec, left_healpix, right_healpix, index
    )
    counts = search.count_candidates()
    offsets = np.concatenate([[0], np.cumsum(counts)])
    rows = np.empty(offsets[-1], dtype=np.int64)
    chord_squared = np.empty(offsets[-1])
    _fill(search.left, search.healpix, *search.right, search.limit, offsets, rows, chord_squared)
    dist_arcsec = np.minimum(to_arcsec(chord_squared), radius_arcsec)
    return Pairs(np.repeat(np.arange(len(counts)), counts), rows, chord_squared, dist_arcsec)


def count_pairs(
    left_vectors: FloatArray,
    right_vectors: FloatArray,
    *,
    radius_arcsec: float,
    left_healpix: IntArray | None = None,
    right_healpix: IntArray | None = None,
    index: RightIndex | None = None,
) -> IntArray:
    """Count the right rows within a radius of each left row, shape (n,); see `find_pairs`."""
    return _prepare(
        left_vectors, right_vectors, radius_arcsec, left_healpix, right_healpix, index
    ).count_candidates()


class _Search(NamedTuple):
    """What the loops over candidates take."""

    left: FloatArray
    healpix: IntArray
    right: RightIndex
    limit: float

    def count_candidates(self) -> IntArray:
        index = self.right
        counts = np.empty(len(self.left), dtype=np.int64)
        _count(
            self.left,
            self.healpix,
            index.vectors,
            index.healpix,
            index.starts,
            index.layout,
            self.limit,
            counts,
        )
        return counts


def _prepare(
    left_vectors: FloatArray,
    right_vectors: FloatArray,
    radius_arcsec: float,
    left_healpix: IntArray | None,
    right_healpix: IntArray | None,
    index: RightIndex | None,
) -> _Search:
    validate_radius(radius_arcsec)
    left = np.ascontiguousarray(left_vectors, dtype=np.float64)
    if index is None:
        right = np.ascontiguousarray(right_vectors, dtype=np.float64)
        there = to_healpix_of_rows(right, right_healpix, "right")
        index = plan_right_index(right, there, radius_arcsec)
    healpix = to_healpix_of_rows(left, left_healpix, "left")
    return _Search(left, healpix, index, compute_chord_limit(radius_arcsec))


def sort_pairs(
    pairs: Pairs, right_id: ArrayLike, right_ra: ArrayLike, right_dec: ArrayLike
) -> Pairs:
    """Sort the pairs of each left row by their key, then separation, right id, ra and dec.

    Parameters
    ----------
    pairs
        As `find_pairs` gives them.
    right_id, right_ra, right_dec
        Keys that break ties, shape (m,).

    Returns
    -------
    Pairs
        The first pair of a left row is its best.
    """
    keys = [np.asarray(column)[pairs.right] for column in (right_dec, right_ra, right_id)]
    return pairs.select(np.lexsort((*keys, pairs.dist_arcsec, pairs.key, pairs.left)))


@njit(  # type: ignore[untyped-decorator]  # numba has no stubs
    "void(float64[:, ::1], int64[::1], float64[:, ::1], int64[::1], int64[::1], int64[::1],"
    " float64, int64[::1])",
    cache=True,
    nogil=True,
)
def _count(
    left_vectors: FloatArray,
    left_healpix: IntArray,
    vectors: FloatArray,
    healpix: IntArray,
    starts: IntArray,
    layout: IntArray,
    limit: float,
    counts: IntArray,
) -> None:
    runs = np.empty((9, 2), dtype=np.int64)
    for i in range(left_vectors.shape[0]):
        count = 0
        n_runs = 0
        if left_healpix[i] >= 0:
            n_runs = find_runs(left_healpix[i], healpix, starts, layout, runs)
        x, y, z = left_vectors[i, 0], left_vectors[i, 1], left_vectors[i, 2]
        for k in range(n_runs):
            for j in range(runs[k, 0], runs[k, 1]):
                dx = x - vectors[j, 0]
                dy = y - vectors[j, 1]
                dz = z - vectors[j, 2]
                if (dx * dx + dy * dy) + dz * dz <= limit:
                    count += 1
        counts[i] = count


@njit(  # type: ignore[untyped-decorator]  # numba has no stubs
    "void(float64[:, ::1], int64[::1], int64[::1], float64[:, ::1], int64[::1], int64[::1],"
    " int64[::1], float64, int64[::1], int64[::1], float64[::1])",
    cache=True,
    nogil=True,
)
def _fill(
    left_vectors: FloatArray,
    left_healpix: IntArray,
    rows: IntArray,
    vectors: FloatArray,
    healpix: IntArray,
    starts: IntArray,
    layout: IntArray,
    limit: float,
    offsets: IntArray,
    found: IntArray,
    chord_squared: FloatArray,
) -> None:
    runs = np.empty((9, 2), dtype=np.int64)
    for i in range(left_vectors.shape[0]):
        place = offsets[i]
        if place == offsets[i + 1]:
            continue
        n_runs = find_runs(left_healpix[i], healpix, starts, layout, runs)
        x, y, z = left_vectors[i, 0], left_vectors[i, 1], left_vectors[i, 2]
        for k in range(n_runs):
            for j in range(runs[k, 0], runs[k, 1]):
                dx = x - vectors[j, 0]
                dy = y - vectors[j, 1]
                dz = z - vectors[j, 2]
                square = (dx * dx + dy * dy) + dz * dz
                if square <= limit:
                    found[place] = rows[j]
                    chord_squared[place] = square
                    place += 1
