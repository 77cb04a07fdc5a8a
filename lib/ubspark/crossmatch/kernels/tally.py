"""Counting pairs by separation and offset, and rows by flag, in one pass each."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ubspark.sky.vectors import FloatArray, IntArray

__all__ = ["count_bits", "count_candidates", "count_offsets", "count_pixels", "count_separations"]


@njit("void(float64[::1], float64, int64[::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no stubs
def count_separations(dist_arcsec: FloatArray, radius_arcsec: float, counts: IntArray) -> None:
    """Add pairs to equal bins from 0 to the radius.

    Parameters
    ----------
    dist_arcsec
        Separations, shape (k,), at most the radius.
    counts
        Pairs in each bin, shape (bins,), added to.
    """
    last = counts.size - 1
    scale = counts.size / radius_arcsec
    for i in range(dist_arcsec.size):
        counts[min(int(dist_arcsec[i] * scale), last)] += 1


@njit("void(float64[::1], float64[::1], float64, int64[:, ::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no stubs
def count_offsets(
    east_arcsec: FloatArray, north_arcsec: FloatArray, radius_arcsec: float, counts: IntArray
) -> None:
    """Add pairs to equal bins of their offset, from minus to plus the radius on either axis.

    Parameters
    ----------
    east_arcsec, north_arcsec
        Offsets, shape (k,), at most the radius.
    counts
        Pairs in each bin, shape (bins, bins), added to.
    """
    last = counts.shape[0] - 1
    scale = counts.shape[0] / (2.0 * radius_arcsec)
    for i in range(east_arcsec.size):
        column = min(max(int((east_arcsec[i] + radius_arcsec) * scale), 0), last)
        row = min(max(int((north_arcsec[i] + radius_arcsec) * scale), 0), last)
        counts[column, row] += 1


@njit("void(int32[:], int64[::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no stubs
def count_bits(flags: NDArray[np.int32], counts: IntArray) -> None:
    """Add up how many values have each of the lowest bits.

    Parameters
    ----------
    flags
        Shape (n,).
    counts
        Values with each bit, shape (bits,), added to.
    """
    for i in range(flags.size):
        if flags[i] != 0:
            for bit in range(counts.size):
                counts[bit] += (flags[i] >> bit) & 1


@njit("void(int32[::1], int64[::1], int64[::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no stubs
def count_candidates(n_candidates: NDArray[np.int32], healpix: IntArray, counts: IntArray) -> None:
    """Add up how many rows with a position have 0, 1, ... candidates, and as many or more.

    Parameters
    ----------
    n_candidates, healpix
        Candidates and order-29 index of each row, shape (n,); -1 without a position.
    counts
        Rows by number of candidates, shape (bins,), added to.
    """
    last = counts.size - 1
    for i in range(healpix.size):
        if healpix[i] >= 0:
            counts[min(n_candidates[i], last)] += 1


@njit("int64[:, ::1](int64[::1], boolean[::1], int64)", cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no stubs
def count_pixels(healpix: IntArray, is_matched: NDArray[np.bool_], shift: int) -> IntArray:
    """Count rows, and those with a match, in runs of one pixel.

    Parameters
    ----------
    healpix
        Order-29 index of each row, shape (n,); -1 without a position. Sorted ones make few runs.
    is_matched
        Shape (n,).
    shift
        Bits of the index below those of the pixel.

    Returns
    -------
    IntArray
        Pixel, rows and matched rows of each run, shape (k, 3); a pixel may come again.
    """
    n_runs = 0
    before = -1
    for i in range(healpix.size):
        pixel = healpix[i] >> shift
        if healpix[i] >= 0 and pixel != before:
            n_runs += 1
            before = pixel
    runs = np.zeros((n_runs, 3), dtype=np.int64)
    place = -1
    before = -1
    for i in range(healpix.size):
        if healpix[i] < 0:
            continue
        pixel = healpix[i] >> shift
        if pixel != before:
            place += 1
            runs[place, 0] = pixel
            before = pixel
        runs[place, 1] += 1
        runs[place, 2] += is_matched[i]
    return runs
