"""The probability of the candidate pairs of a field, from its rows' errors and its density."""

import numpy as np

from ubspark.crossmatch.errors import compute_pair_errors
from ubspark.crossmatch.field import Field
from ubspark.crossmatch.kernels.pairs import Pairs, count_pairs
from ubspark.crossmatch.kernels.probability import MatchProbability, compute_match_probability
from ubspark.crossmatch.options import MatchOptions, PositionColumns
from ubspark.sky.vectors import ARCSEC_PER_RADIAN, FloatArray

__all__ = ["judge_pairs"]


def judge_pairs(
    pairs: Pairs,
    here: Field,
    left: PositionColumns,
    right: PositionColumns,
    options: MatchOptions,
) -> MatchProbability:
    """Return the probabilities of all candidate pairs of a field.

    Parameters
    ----------
    pairs
        All candidates, by left row. Of rows around the cell the density is not known, and the
        probability means nothing.
    """
    if options.probability is None:
        raise AssertionError
    given = options.probability
    errors = compute_pair_errors(
        pairs,
        here,
        left,
        right,
        left_error_arcsec=given.left_error_arcsec,
        right_error_arcsec=given.right_error_arcsec,
    )
    return compute_match_probability(
        pairs.left,
        *errors,
        _compute_density(here, options.radius_arcsec, given.density_radius_arcsec)[pairs.left],
        prior=given.prior,
        radius_arcsec=options.radius_arcsec,
    )


def _compute_density(here: Field, inner_arcsec: float, outer_arcsec: float) -> FloatArray:
    """Return the right rows per square arcsec around each own left row, shape (n left,).

    Those within the radius of the match are left out: one of them may be the counterpart. One
    row more is counted than is there, so that an empty neighbourhood has a density too.
    """
    counts = np.zeros(len(here.left.healpix))
    own = np.flatnonzero(here.left.is_own)
    vectors, healpix = here.left.vectors[own], here.left.healpix[own]
    for radius, sign in ((outer_arcsec, 1), (inner_arcsec, -1)):
        counts[own] += sign * count_pairs(
            vectors,
            here.right.vectors,
            radius_arcsec=radius,
            left_healpix=healpix,
            index=here.right.plan_index(radius),
        )
    return (counts + 1.0) / (_compute_cap(outer_arcsec) - _compute_cap(inner_arcsec))


def _compute_cap(radius_arcsec: float) -> float:
    """Return the area within a radius, square arcsec."""
    half = 0.5 * radius_arcsec / ARCSEC_PER_RADIAN
    return float(4.0 * np.pi * np.sin(half) ** 2 * ARCSEC_PER_RADIAN**2)
