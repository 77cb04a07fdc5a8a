"""In which direction, and how far along it, one position lies from another."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from ubspark.sky.trigonometry import sin_cos
from ubspark.sky.vectors import BoolArray, FloatArray, IntArray, to_turn

__all__ = ["Offsets", "compute_offsets", "compute_position_angle_deg"]


class Offsets(NamedTuple):
    """From the first position of each pair to the second, in the plane that touches the first."""

    position_angle_deg: FloatArray
    """East of north, shape (k,), in [0, 360); NaN where the two are one."""
    east_arcsec: FloatArray
    """Part of the separation to the east, shape (k,); 0 where the two are one."""
    north_arcsec: FloatArray
    """Part of the separation to the north, shape (k,)."""


def compute_offsets(
    a: FloatArray,
    b: FloatArray,
    rows_a: IntArray,
    rows_b: IntArray,
    dist_arcsec: FloatArray,
    *,
    ra_a: FloatArray,
) -> Offsets:
    """Return the offsets of pairs of rows.

    Parameters
    ----------
    a, b
        Unit vectors, shape (n, 3) and (m, 3).
    rows_a, rows_b
        The rows of each pair, shape (k,).
    dist_arcsec
        Their separations, shape (k,): how long the offsets are.
    ra_a
        Right ascension of the first rows, shape (n,), degrees: it tells which way is north at a
        pole, and counts nowhere else.
    """
    east, north, angle = _measure(a, b, rows_a, rows_b, ra_a)
    length = np.sqrt(east * east + north * north)
    # Positions that rounding alone keeps apart may differ in length only; they count as north.
    has_length = length > 0.0
    scale = np.divide(dist_arcsec, length, out=np.zeros_like(length), where=has_length)
    north = np.where(has_length, north * scale, dist_arcsec)
    return Offsets(angle, east * scale, north)


def compute_position_angle_deg(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Return the position angles from a to b, east of north.

    At a pole, where every direction is north or south, the angle is counted as if the ra of
    ``a`` were 0: from the North Pole towards ra L it is 180 - L, from the South Pole L.

    Parameters
    ----------
    a, b
        Unit vectors, shape (n, 3) or (3,).

    Returns
    -------
    FloatArray
        Shape (n,), degrees, in [0, 360); NaN where the separation is 0 or a part is NaN.

    Notes
    -----
    atan2 of the parts of b - a to the east and to the north of a. Its error is that of the
    positions, some 2e-10 arcsec, over the separation.
    """
    first, second = np.broadcast_arrays(
        np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    )
    rows = np.arange(first.size // 3)
    _, _, angle = _measure(
        first.reshape(-1, 3), second.reshape(-1, 3), rows, rows, np.zeros(rows.size)
    )
    return angle.reshape(first.shape[:-1])


def _measure(
    a: FloatArray, b: FloatArray, rows_a: IntArray, rows_b: IntArray, ra_a: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the parts of b - a to the east and to the north of a, and the position angle."""
    east, north = np.empty(len(rows_a)), np.empty(len(rows_a))
    is_apart = np.empty(len(rows_a), dtype=np.bool_)
    a, b, ra_a = (np.require(values, np.float64, ["C", "W"]) for values in (a, b, ra_a))
    _fill_offsets(a, b, rows_a, rows_b, ra_a, east, north, is_apart)
    return east, north, np.where(is_apart, to_turn(np.arctan2(east, north)), np.nan)


@njit(  # type: ignore[untyped-decorator]  # numba has no stubs
    "void(float64[:, ::1], float64[:, ::1], int64[:], int64[:], float64[::1], float64[::1], "
    "float64[::1], boolean[::1])",
    cache=True,
    nogil=True,
    error_model="numpy",
)
def _fill_offsets(
    a: FloatArray,
    b: FloatArray,
    rows_a: IntArray,
    rows_b: IntArray,
    ra_a: FloatArray,
    east: FloatArray,
    north: FloatArray,
    is_apart: BoolArray,
) -> None:
    """Fill the parts, and whether there are any, without a copy of the vectors of the pairs."""
    for i in range(rows_a.shape[0]):
        here, there = a[rows_a[i]], b[rows_b[i]]
        x, y, z = here[0], here[1], here[2]
        step_x, step_y, step_z = there[0] - x, there[1] - y, there[2] - z
        rho = np.sqrt(x * x + y * y)
        if rho == 0.0:
            unit_y, unit_x = sin_cos(np.fmod(ra_a[rows_a[i]], 360.0))
        else:
            unit_x, unit_y = x / rho, y / rho
        east[i] = unit_x * step_y - unit_y * step_x
        north[i] = rho * step_z - z * (unit_x * step_x + unit_y * step_y)
        is_apart[i] = step_x != 0.0 or step_y != 0.0 or step_z != 0.0
