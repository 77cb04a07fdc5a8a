"""Limits that differ from pair to pair: radii of either side, and error ellipses."""

from typing import Literal

import numpy as np

from ubspark.crossmatch.kernels.covariance import FLATTEST
from ubspark.crossmatch.kernels.pairs import Pairs
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
        Radius or error of each row, shape (n,) and (m,), arcsec.
    combine
        ``sum`` adds the two, ``quadrature`` adds their squares.

    Returns
    -------
    FloatArray
        Shape (k,), arcsec.
    """
    here, there = left_arcsec[pairs.left], right_arcsec[pairs.right]
    if combine == "sum":
        return here + there
    return np.sqrt(here * here + there * there)


def compute_normalised_separation(
    east_arcsec: FloatArray, north_arcsec: FloatArray, covariance: FloatArray
) -> FloatArray:
    """Return offsets in units of their error ellipses, sqrt(d^T C^-1 d).

    Parameters
    ----------
    east_arcsec, north_arcsec
        Offsets d from left to right, shape (k,), arcsec.
    covariance
        Their variance to the east and to the north, and covariance, shape (k, 3), arcsec squared.

    Returns
    -------
    FloatArray
        Shape (k,), 1 on the ellipse. Without any error infinite, but 0 where the two coincide. An
        ellipse with a minor axis below a millionth of the major one counts as one of that width,
        so that errors of one direction alone hold along it.
    """
    xx, yy, xy = covariance.T
    middle, half = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
    turn = 0.5 * np.arctan2(2.0 * xy, xx - yy)
    along = east_arcsec * np.cos(turn) + north_arcsec * np.sin(turn)
    across = north_arcsec * np.cos(turn) - east_arcsec * np.sin(turn)
    major = middle + half
    with np.errstate(divide="ignore", invalid="ignore"):
        minor = np.maximum((xx * yy - xy * xy) / major, FLATTEST**2 * major)
        found = np.sqrt(along * along / major + across * across / minor)
    has_length = (east_arcsec != 0.0) | (north_arcsec != 0.0)
    return np.where(major > 0.0, found, np.where(has_length, np.inf, 0.0))
