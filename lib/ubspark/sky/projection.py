"""The HEALPix projection of unit vectors, compiled: three times faster than by way of degrees."""

import math

import numpy as np
from numba import njit

from ubspark.columns import HEALPIX_ORDER, NO_POSITION
from ubspark.sky.vectors import FloatArray, IntArray

__all__ = ["fill_healpix_29"]

_NSIDE = 1 << HEALPIX_ORDER
_FACE_BITS = 2 * HEALPIX_ORDER


@njit("int64(int64)", cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no stubs
def _spread_bits(value: int) -> int:
    """Put a zero before each of the lower 32 bits."""
    value = (value | (value << 16)) & 0x0000FFFF0000FFFF
    value = (value | (value << 8)) & 0x00FF00FF00FF00FF
    value = (value | (value << 4)) & 0x0F0F0F0F0F0F0F0F
    value = (value | (value << 2)) & 0x3333333333333333
    return (value | (value << 1)) & 0x5555555555555555


@njit("void(float64[:, ::1], float64[::1], int64[::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no stubs
def fill_healpix_29(vectors: FloatArray, longitude: FloatArray, index: IntArray) -> None:
    """Compute order-29 NESTED indices, equations 4-9 and 12-19 of Gorski et al. (2005).

    Parameters
    ----------
    vectors
        Unit vectors, shape (n, 3).
    longitude
        atan2(y, x), shape (n,), radians: NumPy takes it for many rows at once.
    index
        Filled, shape (n,); -1 where a part is NaN or inf.

    Notes
    -----
    1 - |z| is taken from x and y, so that nothing is lost beside the poles.
    """
    for i in range(index.shape[0]):
        x, y, z = vectors[i, 0], vectors[i, 1], vectors[i, 2]
        if not math.isfinite(x + y + z):
            index[i] = NO_POSITION
            continue
        quarters = longitude[i] * (2.0 / np.pi)
        if quarters < 0.0:
            quarters += 4.0
        height = abs(z)
        if height <= 2.0 / 3.0:
            across = _NSIDE * (0.5 + quarters)
            rise = _NSIDE * (0.75 * z)
            falling, rising = int(across - rise), int(across + rise)
            face_falling, face_rising = falling >> HEALPIX_ORDER, rising >> HEALPIX_ORDER
            if face_falling == face_rising:
                face = (face_falling & 3) | 4
            elif face_falling < face_rising:
                face = face_falling & 3
            else:
                face = (face_rising & 3) + 8
            pixel_x = rising & (_NSIDE - 1)
            pixel_y = _NSIDE - (falling & (_NSIDE - 1)) - 1
        else:
            quarter = min(3, int(quarters))
            part = quarters - quarter
            width = _NSIDE * math.sqrt(3.0 * (x * x + y * y) / (1.0 + height))
            falling = min(int(part * width), _NSIDE - 1)
            rising = min(int((1.0 - part) * width), _NSIDE - 1)
            if z >= 0.0:
                face, pixel_x, pixel_y = quarter, _NSIDE - rising - 1, _NSIDE - falling - 1
            else:
                face, pixel_x, pixel_y = quarter + 8, falling, rising
        index[i] = (face << _FACE_BITS) + _spread_bits(pixel_x) + (_spread_bits(pixel_y) << 1)
