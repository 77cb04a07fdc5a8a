"""Space motion: where a star stands at another epoch."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ubspark.errors import ParameterError
from ubspark.sky.vectors import BoolArray, FloatArray, to_float_columns, to_unit_vectors

__all__ = [
    "MISSING_EPOCH",
    "MISSING_PARALLAX",
    "MISSING_PROPER_MOTION",
    "MISSING_RADIAL_VELOCITY",
    "Motion",
    "compute_motion_bound_arcsec",
    "propagate",
    "to_julian_year",
]

#: Bits of `Motion.missing`: what was not there, or not usable, and taken as 0.
MISSING_PROPER_MOTION = 1
MISSING_PARALLAX = 2
MISSING_RADIAL_VELOCITY = 4
MISSING_EPOCH = 8

#: Astronomical unit per Julian year, km/s (ESA 1997, vol. 1, table 1.2.2).
KM_S_PER_AU_YR = 4.740470446
#: Speed of light, astronomical units per Julian year.
_C_AU_YR = 299792.458 / KM_S_PER_AU_YR
#: A row whose parallax and proper motion make it faster than this share of light is noise: its
#: light-time is left out.
_MAX_BETA = 0.1
#: Rounds of the correction from observed to inertial velocities, which gains a factor of the
#: velocity over that of light, at most `_MAX_BETA`, each time.
_ROUNDS = 16

# Room for perspective in the bound: good while |rv| * parallax * |dt| < 8.8e7 km/s mas yr, such
# as 1000 km/s at 1.3 pc (768 mas) for 115 years. Barnard's star in 100 years has 6e6.
_PERSPECTIVE_FACTOR = 1.1
_RADIAN_PER_MAS = np.pi / (180.0 * 3600.0 * 1000.0)


class Motion(NamedTuple):
    """Positions at another epoch."""

    vectors: FloatArray
    """Unit vectors at the new epoch, shape (n, 3); NaN where the position was not usable."""
    missing: NDArray[np.int32]
    """Bits MISSING_*, shape (n,): what was taken as 0."""


def propagate(
    ra: ArrayLike,
    dec: ArrayLike,
    pmra: ArrayLike | None,
    pmdec: ArrayLike | None,
    parallax: ArrayLike | None,
    rv: ArrayLike | None,
    dt_years: ArrayLike,
) -> Motion:
    """Move stars along straight lines through space.

    A row is never dropped: what is missing counts as 0 and leaves its bit.

    Parameters
    ----------
    ra, dec
        Positions at the epoch of the catalogue, shape (n,), ICRS degrees.
    pmra, pmdec
        Proper motion, shape (n,), mas/yr, ``pmra`` with the factor cos dec. NaN in either, or
        None for all, takes both as 0.
    parallax
        Shape (n,), mas. NaN, zero and negative values, or None for all, count as missing.
    rv
        Radial velocity, shape (n,), km/s, positive away. NaN, or None for all, counts as missing.
    dt_years
        New epoch minus old, Julian years, a scalar or shape (n,). NaN counts as missing.

    Returns
    -------
    Motion
        Vectors at the new epoch and the bits of what was missing. A row without proper motion or
        with ``dt_years`` 0 has exactly the vector of `to_unit_vectors`.

    Raises
    ------
    ParameterError
        If the shapes differ.

    Notes
    -----
    Equation 1.5.19 ff. of ESA (1997) [1]_, as used by Gaia: u(t) = <r + (mu + r mu_r) t> with
    mu = p pmra + q pmdec and mu_r = rv parallax / 4.740470446. Where parallax and radial
    velocity are there, the light-time is followed as Stumpff (1985) [2]_ does and ERFA and
    astropy with him; it moves Barnard's star by 3e-5 arcsec in 15 years.

    References
    ----------
    .. [1] ESA 1997, The Hipparcos and Tycho Catalogues, SP-1200, vol. 1, section 1.5.5.
    .. [2] Stumpff, P. 1985, A&A 144, 232.
    """
    ra_deg, dec_deg = to_float_columns(ra=ra, dec=dec)
    n = ra_deg.size
    pm_east, has_east = _fill_missing("pmra", pmra, n)
    pm_north, has_north = _fill_missing("pmdec", pmdec, n)
    parallax_mas, has_parallax = _fill_missing("parallax", parallax, n)
    rv_km_s, has_rv = _fill_missing("rv", rv, n)
    years = np.full(n, dt_years) if np.ndim(dt_years) == 0 else dt_years
    dt, has_dt = _fill_missing("dt_years", years, n)
    has_motion = has_east & has_north
    has_parallax &= parallax_mas > 0.0

    missing = np.zeros(n, dtype=np.int32)
    missing[~has_motion] |= MISSING_PROPER_MOTION
    missing[~has_parallax] |= MISSING_PARALLAX
    missing[~has_rv] |= MISSING_RADIAL_VELOCITY
    missing[~has_dt] |= MISSING_EPOCH

    vectors = to_unit_vectors(ra_deg, dec_deg)
    moves = has_motion & ((pm_east != 0.0) | (pm_north != 0.0)) & (dt != 0.0)
    if moves.any():
        known = np.where(has_parallax & has_rv, parallax_mas, 0.0)[moves]
        vectors[moves] = _move(
            vectors[moves],
            _compute_east_north(ra_deg[moves], dec_deg[moves]),
            pm_east[moves] * _RADIAN_PER_MAS,
            pm_north[moves] * _RADIAN_PER_MAS,
            known * _RADIAN_PER_MAS,
            rv_km_s[moves] / KM_S_PER_AU_YR,
            dt[moves],
        )
    return Motion(vectors, missing)


def to_julian_year(mjd: FloatArray) -> FloatArray:
    """Return the Julian years of dates given as MJD, NaN for NaN."""
    return 2000.0 + (mjd - 51544.5) / 365.25


def compute_motion_bound_arcsec(
    max_abs_pmra: float, max_abs_pmdec: float, dt_years: ArrayLike
) -> float:
    """Return a bound of the arcs that stars move by.

    Parameters
    ----------
    max_abs_pmra, max_abs_pmdec
        Largest absolute proper motions, mas/yr, >= 0, ``pmra`` with cos dec; 0 where there are
        none.
    dt_years
        Times, Julian years, a scalar or any shape; the longest counts, NaN counts as 0.

    Returns
    -------
    float
        arcsec; 0 where nothing moves. A tenth is added for perspective, the change of proper
        motion of a star that comes nearer: enough while ``|rv| * parallax * |dt|`` stays below
        8.8e7 km/s mas yr, fifteen times Barnard's star over a century.

    Raises
    ------
    ParameterError
        If a motion is negative, NaN or infinite.
    """
    for name, value in (("max_abs_pmra", max_abs_pmra), ("max_abs_pmdec", max_abs_pmdec)):
        if not 0.0 <= value < np.inf:
            msg = f"`{name}` must be finite and not negative, got {value!r}."
            raise ParameterError(msg)
    dt = np.abs(np.asarray(dt_years, dtype=np.float64))
    longest = float(np.max(dt, initial=0.0, where=np.isfinite(dt)))
    return _PERSPECTIVE_FACTOR * float(np.hypot(max_abs_pmra, max_abs_pmdec)) * longest / 1000.0


def _fill_missing(name: str, values: ArrayLike | None, n: int) -> tuple[FloatArray, BoolArray]:
    """Return values with 0 where there is none, and where there is one."""
    if values is None:
        return np.zeros(n), np.zeros(n, dtype=np.bool_)
    (column,) = to_float_columns(**{name: values})
    if column.size != n:
        msg = f"`{name}` must have the shape ({n},) of `ra`, got ({column.size},)."
        raise ParameterError(msg)
    is_there = np.isfinite(column)
    return np.where(is_there, column, 0.0), is_there


def _compute_east_north(ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the unit vectors to the east and to the north, each shape (n, 3).

    They follow from ``ra`` itself, so that a star at a pole moves along its own meridian.
    """
    zero = np.zeros_like(ra)
    cos_ra, sin_ra, _ = to_unit_vectors(ra, zero).T
    cos_dec, _, sin_dec = to_unit_vectors(zero, dec).T
    east = np.stack([-sin_ra, cos_ra, zero], axis=1)
    north = np.stack([-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec], axis=1)
    return east, north


def _move(
    vectors: FloatArray,
    axes: tuple[FloatArray, FloatArray],
    pm_east: FloatArray,
    pm_north: FloatArray,
    parallax: FloatArray,
    rv: FloatArray,
    dt: FloatArray,
) -> FloatArray:
    """Return <r (1 + mu_r t) + (p mu_east + q mu_north) t>; rad/yr, rad, au/yr and yr."""
    east, north = axes
    velocity: FloatArray = east * pm_east[:, None] + north * pm_north[:, None]
    moved = vectors + velocity * dt[:, None]
    has_depth = parallax > 0.0
    if has_depth.any():
        some = vectors[has_depth], velocity[has_depth]
        moved[has_depth] = _move_in_depth(*some, parallax[has_depth], rv[has_depth], dt[has_depth])
    x, y, z = moved.T
    moved /= np.sqrt((x * x + y * y) + z * z)[:, None]
    return moved


def _move_in_depth(
    vectors: FloatArray, motion: FloatArray, parallax: FloatArray, rv: FloatArray, dt: FloatArray
) -> FloatArray:
    """Return r + v t', unnormalised, with the time between the two emissions of the light.

    Lengths are in units of the distance, as in `_move`.
    """
    light = parallax * _C_AU_YR
    beta_east_north = np.linalg.norm(motion, axis=1) / light
    beta_away = rv / _C_AU_YR
    stretch, away = _correct_velocity(beta_east_north, beta_away)
    velocity = motion * stretch[:, None] + vectors * (light * away)[:, None]
    late = vectors + velocity * (dt + 1.0 / light)[:, None]
    inward = (late * velocity).sum(axis=1)
    slack = light * light - (velocity * velocity).sum(axis=1)
    distance = (late * late).sum(axis=1)
    delay = (np.sqrt(inward * inward + slack * distance) - inward) / slack
    is_noise = np.hypot(beta_east_north, beta_away) > _MAX_BETA
    plain = motion + vectors * (parallax * rv)[:, None]
    time = np.where(is_noise, dt, dt + (1.0 / light - delay))
    moved: FloatArray = vectors + np.where(is_noise[:, None], plain, velocity) * time[:, None]
    return moved


def _correct_velocity(across: FloatArray, away: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the factor on the observed proper motion and the inertial radial velocity over c."""
    stretch, squared = np.ones_like(away), np.zeros_like(away)
    inertial = np.clip(away, -_MAX_BETA, _MAX_BETA)
    # Beyond the limit the result is not used; there the rounds may leave the real numbers.
    across, away = (np.clip(beta, -_MAX_BETA, _MAX_BETA) for beta in (across, away))
    for _ in range(_ROUNDS):
        stretch = 1.0 + inertial
        squared = inertial**2 + (stretch * across) ** 2
        inertial = stretch * away - squared / (np.sqrt(1.0 - squared) + 1.0)
    return stretch, inertial
