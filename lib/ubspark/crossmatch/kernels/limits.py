"""Radii that differ from pair to pair: errors of either side, and error ellipses."""

from typing import Literal

import numpy as np

from ubspark.crossmatch.kernels.pairs import Pairs
from ubspark.sky.offsets import compute_offsets
from ubspark.sky.vectors import FloatArray

__all__ = ["Combine", "combine_radii", "compute_normalised_separation"]

Combine = Literal["sum", "quadrature"]


def combine_radii(
    pairs: Pairs, left_arcsec: FloatArray, right_arcsec: FloatArray, *, combine: Combine
) -> FloatArray:
    """Return the radius of each pair from those of its rows.

    Parameters
    ----------
    left_arcsec, right_arcsec
        Radius or error of each row, shape (n,) and (m,), arcsec; NaN counts as 0.
    combine
        ``sum`` adds the two, ``quadrature`` adds their squares.

    Returns
    -------
    FloatArray
        Shape (k,), arcsec.
    """
    here = np.nan_to_num(left_arcsec, nan=0.0)[pairs.left]
    there = np.nan_to_num(right_arcsec, nan=0.0)[pairs.right]
    if combine == "sum":
        return here + there
    return np.sqrt(here * here + there * there)


def compute_normalised_separation(
    pairs: Pairs,
    left_vectors: FloatArray,
    right_vectors: FloatArray,
    left_covariance: FloatArray,
    right_covariance: FloatArray,
) -> FloatArray:
    """Return separations in units of their standard error, along their own direction.

    The offset of a pair, in the plane that touches the sky at the left row, is compared with the
    sum of the two covariance matrices: sqrt(d^T (C_left + C_right)^-1 d).

    Parameters
    ----------
    left_vectors, right_vectors
        Unit vectors, shape (n, 3) and (m, 3).
    left_covariance, right_covariance
        Variance in ra (with cos dec), variance in dec and covariance of each row, shape (n, 3)
        and (m, 3), arcsec squared; NaN counts as 0.

    Returns
    -------
    FloatArray
        Shape (k,); infinite where both rows have no error and lie apart, 0 where they coincide.
    """
    _, east, north = compute_offsets(
        left_vectors, right_vectors, pairs.left, pairs.right, pairs.dist_arcsec
    )
    total = (
        np.nan_to_num(left_covariance)[pairs.left] + np.nan_to_num(right_covariance)[pairs.right]
    )
    xx, yy, xy = total.T
    determinant = xx * yy - xy * xy
    squared = east * east * yy - 2.0 * east * north * xy + north * north * xx
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.sqrt(squared / determinant)
    degenerate = ~(determinant > 0)
    return np.where(degenerate, np.where(pairs.dist_arcsec > 0, np.inf, 0.0), found)
