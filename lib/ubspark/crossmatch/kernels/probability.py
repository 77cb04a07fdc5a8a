"""How likely a candidate is the counterpart, from positional errors and the local density."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from ubspark.crossmatch.kernels.covariance import FLATTEST
from ubspark.sky.vectors import FloatArray

__all__ = ["MatchProbability", "compute_match_probability", "compute_share_within"]

#: Steps of the integral over an error ellipse.
_NODES, _WEIGHTS = (np.pi / 2 * part for part in np.polynomial.legendre.leggauss(64))
#: A radius of so many major errors holds all.
_WITHIN = 12.0


class MatchProbability(NamedTuple):
    """Probabilities of candidates."""

    p_match: FloatArray
    """That the pair is the same source, shape (k,); NaN where no error is known."""
    p_any: FloatArray
    """That any candidate of its left row is, shape (k,); NaN where no error of any is known."""


def compute_match_probability(
    left: NDArray[np.int64],
    east_arcsec: FloatArray,
    north_arcsec: FloatArray,
    covariance: FloatArray,
    density: FloatArray,
    *,
    prior: float,
    radius_arcsec: float,
) -> MatchProbability:
    """Return the probability of each candidate to be the counterpart of its left row.

    At most one candidate is. With N_j the density of the offsets of true pairs, a Gaussian of
    the summed covariance cut at the radius, and rho the surface density of unrelated right rows,
    the likelihood ratio of candidate j is N_j / rho, and

        p_j = Q N_j / rho  /  (Q sum_k N_k / rho + 1 - Q).

    This is the Bayes factor of two catalogs [1]_, B = 4 pi N on the tangent plane, with the prior
    of each pair Q / (4 pi rho), and with the other candidates of the row as alternatives [2]_.

    Parameters
    ----------
    left
        Left row of each candidate, rising, shape (k,); all candidates within the radius.
    east_arcsec, north_arcsec
        Offsets from left to right, shape (k,), arcsec.
    covariance
        Variance in ra (with cos dec), in dec, and covariance of the offset, the errors of both
        rows summed, shape (k, 3), arcsec squared.
    density
        Unrelated right rows around the left row of each candidate, shape (k,), per arcsec squared.
    prior
        Q: share of left rows that have a counterpart within the radius, in (0, 1).
    radius_arcsec
        Radius of the search, arcsec.

    References
    ----------
    .. [1] Budavári, T. & Szalay, A. S. 2008, ApJ 679, 301, equation 16.
    .. [2] Sutherland, W. & Saunders, W. 1992, MNRAS 259, 413, equation 5.
    """
    if len(left) == 0:
        return MatchProbability(np.zeros(0), np.zeros(0))
    xx, yy, xy = covariance.T
    determinant = xx * yy - xy * xy
    has_errors = (determinant > FLATTEST**2 * (xx + yy) ** 2) & (xx > 0)
    safe = np.where(has_errors, determinant, 1.0)
    squared = east_arcsec**2 * yy - 2.0 * east_arcsec * north_arcsec * xy + north_arcsec**2 * xx
    within = compute_share_within(covariance, radius_arcsec)
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        likelihood = np.exp(-0.5 * squared / safe) / (2.0 * np.pi * np.sqrt(safe)) / within
    ratio = np.where(has_errors, prior * likelihood / density, 0.0)
    starts = np.flatnonzero(np.diff(left, prepend=left[0] - 1))
    lengths = np.diff(np.append(starts, len(left)))
    total = np.repeat(np.add.reduceat(ratio, starts), lengths)
    p_match, p_any = ratio / (total + 1.0 - prior), total / (total + 1.0 - prior)
    known = np.repeat(np.logical_or.reduceat(has_errors, starts), lengths)
    return MatchProbability(np.where(has_errors, p_match, np.nan), np.where(known, p_any, np.nan))


def compute_share_within(covariance: FloatArray, radius_arcsec: float) -> FloatArray:
    """Return the share of offsets of a Gaussian that lie within a radius, shape (k,).

    In the frame of the ellipse, with x = r sin(u) along the major axis, the integral over the
    minor axis is an error function; that over u is a Gauss-Legendre sum. Its error is below 1e-6
    for any ellipse whose major error is above a twelfth of the radius; smaller ones lie within.
    """
    xx, yy, xy = covariance.T
    middle, half = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
    major = np.sqrt(np.maximum(middle + half, np.finfo(np.float64).tiny))
    determinant = np.maximum(xx * yy - xy * xy, 0.0)
    minor = np.maximum(np.sqrt(determinant) / major, FLATTEST * major)
    share = np.zeros(len(covariance))
    for u, weight in zip(_NODES, _WEIGHTS, strict=True):
        along, across = radius_arcsec * np.sin(u), radius_arcsec * np.cos(u)
        density = np.exp(-0.5 * (along / major) ** 2) / (np.sqrt(2.0 * np.pi) * major)
        share += weight * across * density * erf(across / (np.sqrt(2.0) * minor))
    return np.where(radius_arcsec > _WITHIN * major, 1.0, np.clip(share, 0.0, 1.0))
