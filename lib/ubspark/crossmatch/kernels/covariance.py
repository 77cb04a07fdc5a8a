"""The errors of both rows of a pair, in one frame."""

import numpy as np

from ubspark.crossmatch.kernels.pairs import Pairs
from ubspark.sky.offsets import Offsets
from ubspark.sky.vectors import FloatArray

__all__ = ["FLATTEST", "sum_covariances"]

#: Smallest ratio of the axes of an error ellipse that sums of squares in float64 can tell.
FLATTEST = 1e-6


def sum_covariances(
    pairs: Pairs,
    left_covariance: FloatArray,
    right_covariance: FloatArray,
    there: Offsets,
    back: Offsets,
) -> FloatArray:
    """Return the covariance of the offset of each pair, in the frame of its left row.

    North is not the same way for both rows, least of all near a pole. The covariance of the right
    row is turned by the angle between the two norths, measured along the arc from row to row, so
    that the answer is the same seen from either side.

    Parameters
    ----------
    left_covariance, right_covariance
        Variance in ra (with cos dec), variance in dec and covariance of each row, shape (n, 3)
        and (m, 3), arcsec squared.
    there, back
        Offsets of the pairs from left to right, and from right to left.

    Returns
    -------
    FloatArray
        Variance to the east, to the north and covariance, shape (k, 3), arcsec squared.
    """
    length = np.hypot(there.east_arcsec, there.north_arcsec) * np.hypot(
        back.east_arcsec, back.north_arcsec
    )
    # Where the arc goes on at the right row is opposite to where it came from.
    same = -(there.east_arcsec * back.east_arcsec + there.north_arcsec * back.north_arcsec)
    turned = there.east_arcsec * back.north_arcsec - there.north_arcsec * back.east_arcsec
    has_length = length > 0.0
    cos = np.divide(same, length, out=np.ones_like(length), where=has_length)
    sin = np.divide(turned, length, out=np.zeros_like(length), where=has_length)
    xx, yy, xy = right_covariance[pairs.right].T
    right = (
        cos * cos * xx - 2.0 * cos * sin * xy + sin * sin * yy,
        sin * sin * xx + 2.0 * cos * sin * xy + cos * cos * yy,
        cos * sin * (xx - yy) + (cos * cos - sin * sin) * xy,
    )
    total: FloatArray = left_covariance[pairs.left] + np.stack(right, axis=1)
    return total
