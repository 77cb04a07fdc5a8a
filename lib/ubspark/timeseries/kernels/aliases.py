"""Which frequencies the sampling confuses with one another."""

from enum import IntFlag
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ubspark.timeseries.kernels.epochs import Epochs

__all__ = ["AliasFlag", "compute_window_power", "flag_aliases", "list_partners"]

FloatArray = NDArray[np.float64]

#: Sidereal frequency, 1/d: what repeats with the stars.
SIDEREAL: Final = 1.00273791
#: Frequencies of the sampling from the ground: the day, sidereal and solar, and the year and
#: the month.
_DAYS: Final = (1.0, SIDEREAL, 2.0, 2 * SIDEREAL)
_YEAR: Final = 1 / 365.25
_MONTH: Final = 1 / 29.530589


class AliasFlag(IntFlag):
    """Why a frequency may not be the one of the star."""

    WINDOW = 1
    """It is itself one of the sampling: the day, the year, the month, or two."""
    DAILY = 2
    """Another peak as good or better lies one or two days^-1 away."""
    YEARLY = 4
    """Another peak as good or better lies one year^-1 away."""
    HALF = 8
    """It is half of a better one."""
    DOUBLE = 16
    """It is the double of a better one."""
    LONG = 32
    """The period is longer than half of the time span."""
    AMBIGUOUS = 64
    """The score of another peak is within 10."""
    SPARSE_BAND = 128
    """A band has fewer than three epochs."""


def list_partners(frequencies: FloatArray) -> FloatArray:
    """Return the daily aliases and the half of some frequencies, shape (k * 7,)."""
    shifts = np.array([1.0, -1.0, SIDEREAL, -SIDEREAL, 2.0, -2.0])
    shifted = np.abs(frequencies[:, None] + shifts)
    return np.concatenate((shifted, frequencies[:, None] / 2), axis=1).ravel()


def compute_window_power(epochs: Epochs, frequencies: FloatArray) -> FloatArray:
    """Return ``|sum w exp(2 pi i f t)|^2`` of weights that sum to 1, shape (k,), in [0, 1]."""
    cycles = np.multiply.outer(frequencies, epochs.t)
    angle = 2 * np.pi * (cycles - np.rint(cycles))
    found: FloatArray = (np.cos(angle) @ epochs.w) ** 2 + (np.sin(angle) @ epochs.w) ** 2
    return found


def flag_aliases(
    frequencies: FloatArray, scores: FloatArray, power: FloatArray, *, span_days: float
) -> NDArray[np.int16]:
    """Flag each of the peaks of one object.

    Parameters
    ----------
    frequencies, scores, power
        Of each peak, shape (k,); a lower score is better.
    span_days
        Frequencies closer than 1.5 over this are not told apart.
    """
    width = 1.5 / span_days
    flags = np.zeros(len(frequencies), dtype=np.int16)
    for i, f in enumerate(frequencies):
        windows = np.array([*_DAYS, _YEAR, 2 * _YEAR, _MONTH])
        flag = AliasFlag(0)
        if np.any(np.abs(f - windows) < width):
            flag |= AliasFlag.WINDOW
        if f * span_days < 2:
            flag |= AliasFlag.LONG
        others = np.arange(len(frequencies)) != i
        rivals = others & ((scores <= scores[i]) | (power >= power[i]))
        better = others & (scores < scores[i])
        gap = np.abs(frequencies - f)
        # A daily alias through zero frequency is the sum, not the difference.
        total = frequencies + f
        for day in _DAYS:
            if np.any(rivals & ((np.abs(gap - day) < width) | (np.abs(total - day) < width))):
                flag |= AliasFlag.DAILY
        if np.any(rivals & (np.abs(gap - _YEAR) < width)):
            flag |= AliasFlag.YEARLY
        if np.any(better & (np.abs(frequencies - 2 * f) < width)):
            flag |= AliasFlag.HALF
        if np.any(better & (np.abs(2 * frequencies - f) < 2 * width)):
            flag |= AliasFlag.DOUBLE
        if np.any(others & (np.abs(scores - scores[i]) < 10)):
            flag |= AliasFlag.AMBIGUOUS
        flags[i] = flag
    return flags
