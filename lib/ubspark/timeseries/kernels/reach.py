"""Which epochs lie too far from their object to belong to it."""

import numpy as np
from numpy.typing import NDArray

from ubspark.timeseries.kernels.compiled import compiled

__all__ = ["find_far"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

_RADIAN_PER_ARCSEC = np.pi / 648_000


def find_far(
    epochs: FloatArray, objects: FloatArray, number: IntArray, *, reach_arcsec: float
) -> NDArray[np.bool_]:
    """Return which epochs are farther from their object than a reach, by chords.

    Parameters
    ----------
    epochs, objects
        Unit vectors, shape (m, 3) and (n, 3); NaN is far from everything.
    number
        Number of the object of each epoch, shape (m,); -1 for none.
    reach_arcsec
        Largest separation, inclusive.

    Returns
    -------
    NDArray
        Shape (m,); True where there is no object.
    """
    largest = 2 * np.sin(0.5 * reach_arcsec * _RADIAN_PER_ARCSEC)
    return _find_far(epochs, objects, number, largest * largest)


@compiled
def _find_far(
    epochs: FloatArray, objects: FloatArray, number: IntArray, largest: float
) -> NDArray[np.bool_]:
    is_far = np.ones(number.size, np.bool_)
    for i in range(number.size):
        j = number[i]
        if j >= 0:
            dx = epochs[i, 0] - objects[j, 0]
            dy = epochs[i, 1] - objects[j, 1]
            dz = epochs[i, 2] - objects[j, 2]
            is_far[i] = not dx * dx + dy * dy + dz * dz <= largest
    return is_far
