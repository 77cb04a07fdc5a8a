"""Sines and cosines of degrees, the same bits on every processor and in every array.

NumPy leaves them to the C library, at 40 ns each and with last bits that differ between
libraries. Only sums and products in a fixed order are used here, and numba without ``fastmath``
keeps that order, so that the compiler may take eight rows at once and none changes by it.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["fill_unit_vectors", "sin_cos"]

_RADIAN_PER_DEGREE = np.pi / 180.0
# Adding and taking away 1.5 * 2**52 rounds to the nearest integer; unlike a call to rint, the
# compiler can do it for many rows at once.
_ROUND = 6755399441055744.0
_BLOCK = 256


@njit("UniTuple(float64, 2)(float64)", cache=True, nogil=True, error_model="numpy", inline="always")  # type: ignore[untyped-decorator]  # numba has no stubs
def sin_cos(angle: float) -> tuple[float, float]:
    """Return sine and cosine of an angle in degrees, to about one unit in the last place.

    The angle is reduced to [-45, 45] degrees without rounding; the polynomials are
    ``__kernel_sin`` and ``__kernel_cos`` of fdlibm 5.3 (Sun Microsystems, 1993).
    """
    quarter = (angle / 90.0 + _ROUND) - _ROUND
    x = (angle - 90.0 * quarter) * _RADIAN_PER_DEGREE
    z = x * x
    odd = 8.33333333332248946124e-03 + z * (
        -1.98412698298579493134e-04
        + z
        * (
            2.75573137070700676789e-06
            + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)
        )
    )
    sine = x + (z * x) * (-1.66666666666666324348e-01 + z * odd)
    even = 4.16666666666666019037e-02 + z * (
        -1.38888888888741095749e-03
        + z
        * (
            2.48015872894767294178e-05
            + z
            * (
                -2.75573143513906633035e-07
                + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)
            )
        )
    )
    half = 0.5 * z
    near = 1.0 - half
    cosine = near + (((1.0 - near) - half) + z * (z * even))
    turn = quarter - 4.0 * ((quarter * 0.25 + _ROUND) - _ROUND)
    is_odd = abs(turn) == 1.0
    first = cosine if is_odd else sine
    second = sine if is_odd else cosine
    sin_sign = -1.0 if (turn == -1.0 or abs(turn) == 2.0) else 1.0
    cos_sign = -1.0 if (turn == 1.0 or abs(turn) == 2.0) else 1.0
    return sin_sign * first, cos_sign * second


@njit("void(float64[::1], float64[::1], float64[:, ::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no stubs
def fill_unit_vectors(
    ra: NDArray[np.float64], dec: NDArray[np.float64], vectors: NDArray[np.float64]
) -> None:
    """Turn degrees into unit vectors; `ubspark.sky.vectors.to_unit_vectors` is its face.

    Parameters
    ----------
    ra, dec
        Positions, shape (n,), degrees, ``|ra|`` at most 1e9. NaN, inf and ``|dec| > 90`` give NaN.
    vectors
        Filled, shape (n, 3).
    """
    # Short columns between the loops let the compiler take eight rows at once.
    sin_ra, cos_ra = np.empty(_BLOCK), np.empty(_BLOCK)
    sin_dec, cos_dec = np.empty(_BLOCK), np.empty(_BLOCK)
    for start in range(0, ra.shape[0], _BLOCK):
        size = min(_BLOCK, ra.shape[0] - start)
        for i in range(size):
            sin_ra[i], cos_ra[i] = sin_cos(ra[start + i])
        for i in range(size):
            sin_dec[i], cos_dec[i] = sin_cos(dec[start + i])
        for i in range(size):
            usable = 0.0 if abs(dec[start + i]) <= 90.0 else np.nan
            # The sum also turns -0.0 into 0.0, so that ra 0, -0 and 360 give the same bits.
            vectors[start + i, 0] = cos_dec[i] * cos_ra[i] + usable
            vectors[start + i, 1] = cos_dec[i] * sin_ra[i] + usable
            vectors[start + i, 2] = sin_dec[i] + usable + 0.0 * sin_ra[i]
