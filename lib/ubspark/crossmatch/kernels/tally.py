"""Counting pairs by separation and offset, and rows by flag, in one pass each."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ubspark.sky.vectors import FloatArray, IntArray

__all__ = ["count_bits", "count_offsets", "count_separations"]


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
