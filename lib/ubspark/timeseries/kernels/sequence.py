"""Putting the epochs of many objects in order: by object, then by time."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_ties", "order_by_time"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def order_by_time(number: IntArray, t: NDArray[np.float64]) -> IntArray:
    """Return the order of epochs by object and time.

    Parameters
    ----------
    number
        Number of the object of each epoch, shape (m,), from 0.
    t
        Time of each epoch, shape (m,); NaN comes last in its object.

    Returns
    -------
    IntArray
        Indices of the epochs, shape (m,). Epochs of one object and time keep their order.
    """
    by_time = np.argsort(t, kind="stable")
    # A radix sort, where the numbers are small.
    small = number[by_time].astype(_choose_type(number))
    return by_time[np.argsort(small, kind="stable")]


def find_ties(number: IntArray, t: NDArray[np.float64]) -> BoolArray:
    """Return which ordered epochs share object and time with a neighbour; NaN equals NaN.

    Parameters
    ----------
    number, t
        In the order of `order_by_time`, shape (m,).
    """
    same = number[1:] == number[:-1]
    same &= (t[1:] == t[:-1]) | (np.isnan(t[1:]) & np.isnan(t[:-1]))
    is_tied = np.zeros(len(t), dtype=bool)
    is_tied[1:] |= same
    is_tied[:-1] |= same
    return is_tied


def _choose_type(number: IntArray) -> type[np.generic]:
    return np.uint16 if len(number) == 0 or number.max() < 2**16 else np.int64
