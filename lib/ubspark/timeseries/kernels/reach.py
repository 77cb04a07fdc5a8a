"""Which epochs lie too far from their object to belong to it."""

import numpy as np
from numpy.typing import NDArray

from ubspark.sky.vectors import compute_chord_squared, to_unit_vectors
from ubspark.timeseries.kernels.compiled import compiled

__all__ = ["find_far"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_ARCSEC_PER_DEGREE = 3600.0
_RADIAN_PER_ARCSEC = np.pi / 648_000
#: A way around a corner that is shorter than this part of the reach is within it, however rounded.
_SURELY_NEAR = 0.999


def find_far(
    ra: FloatArray,
    dec: FloatArray,
    number: IntArray,
    own_ra: FloatArray,
    own_dec: FloatArray,
    *,
    reach_arcsec: float,
) -> BoolArray:
    """Return which epochs are farther from their object than a reach, by chords.

    Parameters
    ----------
    ra, dec
        Positions of the epochs, shape (m,), degrees; what is no position is far from everything.
    number
        Number of the object of each epoch, shape (m,); -1 for none.
    own_ra, own_dec
        Positions of the objects, shape (n,), degrees.
    reach_arcsec
        Largest separation, inclusive.

    Returns
    -------
    NDArray
        Shape (m,); True where there is no object.
    """
    enough = _SURELY_NEAR * reach_arcsec / _ARCSEC_PER_DEGREE
    is_far = _find_not_surely_near(ra, dec, number, own_ra, own_dec, enough)
    unsure = np.flatnonzero(is_far & (number >= 0))
    owners = number[unsure]
    here = to_unit_vectors(ra[unsure], dec[unsure])
    there = to_unit_vectors(own_ra[owners], own_dec[owners])
    largest = 2 * np.sin(0.5 * reach_arcsec * _RADIAN_PER_ARCSEC)
    is_far[unsure] = ~(compute_chord_squared(here, there) <= largest * largest)
    return is_far


@compiled
def _find_not_surely_near(
    ra: FloatArray,
    dec: FloatArray,
    number: IntArray,
    own_ra: FloatArray,
    own_dec: FloatArray,
    enough: float,
) -> BoolArray:
    """Return where the way along the parallel, then the meridian, is not short enough."""
    is_unsure = np.ones(number.size, np.bool_)
    parallel = np.cos(np.radians(own_dec))
    for i in range(number.size):
        j = number[i]
        if j >= 0 and abs(dec[i]) <= 90.0 and abs(own_dec[j]) <= 90.0:
            way = abs(ra[i] - own_ra[j]) * parallel[j] + abs(dec[i] - own_dec[j])
            is_unsure[i] = not way <= enough
    return is_unsure
