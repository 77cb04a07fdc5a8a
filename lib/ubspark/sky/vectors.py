"""Positions as unit vectors, and the angles between them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ubspark.errors import ParameterError
from ubspark.sky.trigonometry import fill_unit_vectors

__all__ = [
    "ARCSEC_PER_RADIAN",
    "BoolArray",
    "FloatArray",
    "IntArray",
    "compute_chord_squared",
    "compute_separation_arcsec",
    "is_usable_position",
    "to_arcsec",
    "to_float_columns",
    "to_ra_dec",
    "to_turn",
    "to_unit_vectors",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ARCSEC_PER_RADIAN = 180.0 * 3600.0 / np.pi

_RADIAN_PER_DEGREE = np.pi / 180.0
# Above a chord of sqrt(3), 120 degrees, the arc comes from the chord to the opposite point.
_FAR_CHORD_SQUARED = 3.0


def to_unit_vectors(ra: ArrayLike, dec: ArrayLike) -> FloatArray:
    """Turn ICRS degrees into unit vectors.

    Narrower types are cast to float64 before any arithmetic. A row gives the same bits in any
    array and on any processor: only additions and multiplications in a fixed order are used.

    Parameters
    ----------
    ra, dec
        Positions, shape (n,), degrees. Any finite ``ra`` is good; it is wrapped without error.

    Returns
    -------
    FloatArray
        Shape (n, 3), C-contiguous, (cos dec cos ra, cos dec sin ra, sin dec). NaN in all three
        for a position that is not usable (see `is_usable_position`). At the poles exactly
        (0, 0, +-1), whatever ``ra``.

    Raises
    ------
    ParameterError
        If the shapes are not one and the same (n,).

    Notes
    -----
    Error of each part below 3e-16, so that of a separation stays below 1e-9 arcsec [1]_.

    References
    ----------
    .. [1] ``tests/sky/test_vectors.py``, against 50-digit arithmetic.
    """
    ra_deg, dec_deg = to_float_columns(ra=ra, dec=dec)
    if np.any(np.abs(ra_deg) > 1e9):
        # Exact, like the reduction in `fill_unit_vectors`, so that no other row changes by it; inf
        # becomes NaN.
        with np.errstate(invalid="ignore"):
            ra_deg = np.fmod(ra_deg, 360.0)
    vectors = np.empty((ra_deg.size, 3))
    fill_unit_vectors(ra_deg, dec_deg, vectors)
    return vectors


def to_float_columns(**columns: ArrayLike) -> list[FloatArray]:
    """Cast columns to contiguous float64 and check that they have the same length.

    Parameters
    ----------
    **columns
        Arrays of shape (n,) by the name that a message shall use.

    Returns
    -------
    list of FloatArray
        The columns, each shape (n,), C-contiguous; copied only where they must be.

    Raises
    ------
    ParameterError
        If the shapes are not one and the same (n,).
    """
    # Writable too, which columns of Arrow are not: compiled kernels take no other arrays.
    arrays = [np.require(column, np.float64, ["C", "W"]) for column in columns.values()]
    shapes = [np.shape(column) for column in columns.values()]
    if any(len(shape) != 1 or shape != shapes[0] for shape in shapes):
        names = ", ".join(f"`{name}`" for name in columns)
        msg = f"{names} must have one and the same shape (n,), got {', '.join(map(str, shapes))}."
        raise ParameterError(msg)
    return arrays


def to_ra_dec(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Turn vectors into ICRS degrees.

    Parameters
    ----------
    vectors
        Shape (n, 3), of any length but zero.

    Returns
    -------
    tuple of FloatArray
        ``ra`` in [0, 360) and ``dec`` in [-90, 90], each shape (n,); NaN where a part is NaN;
        ``ra`` is 0 at the poles.
    """
    x, y, z = np.ascontiguousarray(vectors.T, dtype=np.float64)
    return to_turn(np.arctan2(y, x)), np.arctan2(z, np.sqrt(x * x + y * y)) / _RADIAN_PER_DEGREE


def is_usable_position(ra: ArrayLike, dec: ArrayLike) -> BoolArray:
    """Tell which positions are points of the sky.

    Parameters
    ----------
    ra, dec
        Positions, shape (n,), degrees.

    Returns
    -------
    BoolArray
        Shape (n,): both are finite and ``dec`` is in [-90, 90].
    """
    return np.isfinite(ra) & (np.abs(dec) <= 90.0)


def compute_chord_squared(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the squared chords, (dx*dx + dy*dy) + dz*dz in this order.

    Parameters
    ----------
    a, b
        Unit vectors, shape (n, 3) or (3,), in the same frame.

    Returns
    -------
    FloatArray
        Shape (n,), in [0, 4]; the same for (a, b) and (b, a); NaN where a part is NaN.
    """
    d = np.subtract(a, b, dtype=np.float64)
    squares = d * d
    chord_squared: FloatArray = (squares[..., 0] + squares[..., 1]) + squares[..., 2]
    return chord_squared


def to_arcsec(chord_squared: ArrayLike) -> FloatArray:
    """Turn squared chords into arcs, 2 asin(chord / 2).

    Parameters
    ----------
    chord_squared
        Any shape, in [0, 4]; NaN stays NaN.

    Returns
    -------
    FloatArray
        Same shape, arcsec, in [0, 648000].

    Notes
    -----
    The error grows towards 180 degrees: take `compute_separation_arcsec` above 120 degrees.
    """
    half_chord = np.sqrt(np.ascontiguousarray(chord_squared, dtype=np.float64)) * 0.5
    return np.arcsin(np.minimum(half_chord, 1.0)) * (2.0 * ARCSEC_PER_RADIAN)


def compute_separation_arcsec(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the great-circle separations.

    Parameters
    ----------
    a, b
        Unit vectors of `to_unit_vectors`, shape (n, 3) or (3,).

    Returns
    -------
    FloatArray
        Shape (n,), arcsec, in [0, 648000]; NaN where a part is NaN.

    Notes
    -----
    2 asin(chord / 2); beyond 120 degrees the supplement, from the chord to the opposite point,
    which keeps the error below 1e-9 arcsec at all separations [1]_.

    References
    ----------
    .. [1] ``tests/sky/test_vectors.py``, against 50-digit arithmetic.
    """
    chord_squared = compute_chord_squared(a, b)
    separation = to_arcsec(chord_squared)
    is_far = chord_squared > _FAR_CHORD_SQUARED
    if np.any(is_far):
        supplement = 180.0 * 3600.0 - to_arcsec(compute_chord_squared(a, np.negative(b)))
        separation = np.where(is_far, supplement, separation)
    return separation


def to_turn(angle_rad: FloatArray) -> FloatArray:
    """Turn angles in [-pi, pi] into degrees in [0, 360)."""
    angle = angle_rad / _RADIAN_PER_DEGREE
    angle = np.where(angle < 0.0, angle + 360.0, angle)
    # A tiny negative angle rounds to 360 itself.
    return np.where(angle == 360.0, 0.0, angle)
