"""The nearest right row of each left row."""

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
from ubspark.errors import ParameterError
from ubspark.sky.vectors import FloatArray, IntArray, to_arcsec

__all__ = ["Nearest", "find_nearest"]


class Nearest(NamedTuple):
    """For each left row the right row chosen."""

    right: IntArray
    """Row on the right, shape (n,); -1 where none is within the radius."""
    dist_arcsec: FloatArray
    """Separation, shape (n,), arcsec; NaN where there is none."""
    n_candidates: NDArray[np.int32]
    """Right rows whose ``dist_arcsec`` is within the radius, shape (n,)."""


def find_nearest(
    left_vectors: FloatArray,
    right_vectors: FloatArray,
    right_id: ArrayLike,
    right_ra: ArrayLike,
    right_dec: ArrayLike,
    *,
    radius_arcsec: float,
    left_healpix: IntArray | None = None,
    right_healpix: IntArray | None = None,
    index: RightIndex | None = None,
) -> Nearest:
    """Pair each left row with the nearest right row within a radius.

    A pair is judged by its own two vectors alone, so that the result depends neither on the
    order of the rows nor on which other rows are present.

    Parameters
    ----------
    left_vectors, right_vectors
        Unit vectors, shape (n, 3) and (m, 3), at the epoch of the match. Rows holding NaN or
        inf never match.
    right_id
        int64 keys, shape (m,), that break ties (for text: ranks).
    right_ra, right_dec
        Degrees, shape (m,), that break ties between equal keys.
    radius_arcsec
        Largest separation kept, inclusive, arcsec, in (0, 324000].
    left_healpix, right_healpix
        Order-29 indices of the vectors, shape (n,) and (m,), to within 0.01 arcsec; computed
        where None. A row of index -1 never matches. Sorted rows are the fast case.
    index
        The right rows by `plan_right_index` for this radius; made where None.

    Returns
    -------
    Nearest
        Rows ``right``, ``dist_arcsec`` and ``n_candidates``, each shape (n,).

    Raises
    ------
    ParameterError
        If the radius is out of range or the lengths differ.

    Notes
    -----
    Squared chords are compared, computed as in `ubspark.sky.vectors.compute_chord_squared`; at
    equal ones the lower ``right_id`` wins, then ``right_ra``, then ``right_dec``.
    ``dist_arcsec`` has an error below 1e-9 arcsec [1]_.

    References
    ----------
    .. [1] ``tests/sky/test_vectors.py``, against 50-digit arithmetic.
    """
    validate_radius(radius_arcsec)
    left = _to_vectors("left_vectors", left_vectors)
    right = _to_vectors("right_vectors", right_vectors)
    ids = np.require(right_id, np.int64, ["C", "W"])
    ra = np.require(right_ra, np.float64, ["C", "W"])
    dec = np.require(right_dec, np.float64, ["C", "W"])
    if {ids.shape, ra.shape, dec.shape} != {right.shape[:1]}:
        msg = (
            f"`right_id`, `right_ra` and `right_dec` must have the shape ({len(right)},), "
            f"got {ids.shape}, {ra.shape}, {dec.shape}."
        )
        raise ParameterError(msg)
    if index is None:
        there = to_healpix_of_rows(right, right_healpix, "right")
        index = plan_right_index(right, there, radius_arcsec)
    chosen = np.empty(len(left), dtype=np.int64)
    chord_squared = np.empty(len(left))
    n_candidates = np.empty(len(left), dtype=np.int32)
    _select_nearest(
        left,
        to_healpix_of_rows(left, left_healpix, "left"),
        *index,
        ids,
        ra,
        dec,
        compute_chord_limit(radius_arcsec),
        chosen,
        chord_squared,
        n_candidates,
    )
    # The limit is the last squared chord whose arc fits, so this can only undo a step backwards
    # of the library's arcsine.
    return Nearest(chosen, np.minimum(to_arcsec(chord_squared), radius_arcsec), n_candidates)


@njit("boolean(int64, int64, int64[::1], float64[::1], float64[::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no stubs
def _comes_before(row: int, other: int, ids: IntArray, ra: FloatArray, dec: FloatArray) -> bool:
    """Tell which of two right rows at the same distance wins."""
    if ids[row] != ids[other]:
        return bool(ids[row] < ids[other])
    if ra[row] != ra[other]:
        return bool(ra[row] < ra[other])
    if dec[row] != dec[other]:
        return bool(dec[row] < dec[other])
    # Rows alike in all of this: the one that came first.
    return row < other


@njit(  # type: ignore[untyped-decorator]  # numba has no stubs
    "void(float64[:, ::1], int64[::1], int64[::1], float64[:, ::1], int64[::1], int64[::1],"
    " int64[::1], int64[::1], float64[::1], float64[::1], float64, int64[::1], float64[::1],"
    " int32[::1])",
    cache=True,
    nogil=True,
)
def _select_nearest(
    left_vectors: FloatArray,
    left_healpix: IntArray,
    rows: IntArray,
    vectors: FloatArray,
    healpix: IntArray,
    starts: IntArray,
    layout: IntArray,
    ids: IntArray,
    ra: FloatArray,
    dec: FloatArray,
    limit: float,
    chosen: IntArray,
    chord_squared: FloatArray,
    n_candidates: NDArray[np.int32],
) -> None:
    runs = np.empty((9, 2), dtype=np.int64)
    for i in range(left_vectors.shape[0]):
        best_row, best, count = -1, np.nan, 0
        n_runs = 0
        if left_healpix[i] >= 0:
            n_runs = find_runs(left_healpix[i], healpix, starts, layout, runs)
        x, y, z = left_vectors[i, 0], left_vectors[i, 1], left_vectors[i, 2]
        for k in range(n_runs):
            for j in range(runs[k, 0], runs[k, 1]):
                dx = x - vectors[j, 0]
                dy = y - vectors[j, 1]
                dz = z - vectors[j, 2]
                square = (dx * dx + dy * dy) + dz * dz
                # False for NaN too.
                if not square <= limit:
                    continue
                count += 1
                row = rows[j]
                if best_row < 0 or square < best:
                    best_row, best = row, square
                elif square == best and _comes_before(row, best_row, ids, ra, dec):
                    best_row = row
        chosen[i] = best_row
        chord_squared[i] = best
        n_candidates[i] = count


def _to_vectors(name: str, vectors: FloatArray) -> FloatArray:
    """Return vectors as contiguous float64 of shape (n, 3)."""
    array = np.ascontiguousarray(vectors, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 3:
        msg = f"`{name}` must have the shape (n, 3), got {array.shape}."
        raise ParameterError(msg)
    return array
