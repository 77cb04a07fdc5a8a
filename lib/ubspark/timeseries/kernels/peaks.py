"""The highest peaks of a periodogram that comes in blocks."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ubspark.timeseries.kernels.compiled import compiled

__all__ = ["Peaks", "RunningPeaks"]

FloatArray = NDArray[np.float64]
Array = NDArray[Any]
IntArray = NDArray[np.int64]

#: For one peak asked for, so many are kept until all are known: neighbours may shadow them.
_SPARE = 12


class Peaks(NamedTuple):
    """Peaks by falling power."""

    number: IntArray
    """Number of the frequency in multiples of ``df``."""
    power: FloatArray
    """Power there."""


class RunningPeaks:
    """Keeps the highest local maxima of what it is fed, in bounded memory.

    A frequency is a peak where the power is above that of the frequency before and not below
    that of the one after; the ends of the grid count. How the grid is cut into blocks does not
    change the result.
    """

    def __init__(self, n_peaks: int, *, distance: int) -> None:
        """Keep ``n_peaks`` peaks that are at least ``distance`` frequencies apart."""
        self._n_peaks = n_peaks
        self._distance = distance
        self._number = np.full(n_peaks * _SPARE, -1, dtype=np.int64)
        self._power = np.full(n_peaks * _SPARE, -np.inf)
        self._last = np.array([-np.inf, -np.inf])
        self._next = 0

    def add(self, first: int, power: FloatArray) -> None:
        """Take the next block, which follows on the one before."""
        _keep_highest(first, power, self._last, self._number, self._power)
        self._next = first + len(power)

    def finish(self) -> Peaks:
        """Return the peaks; the highest first, of equal ones that of the lower frequency."""
        _keep_highest(self._next, np.array([-np.inf]), self._last, self._number, self._power)
        order = np.lexsort((self._number, -self._power))
        chosen: list[int] = []
        for i in order[np.isfinite(self._power[order])]:
            number = self._number[i]
            if all(abs(number - self._number[j]) >= self._distance for j in chosen):
                chosen.append(int(i))
            if len(chosen) == self._n_peaks:
                break
        return Peaks(self._number[chosen], self._power[chosen])


@compiled
def _keep_highest(first: int, power: Array, last: Array, number: Array, kept: Array) -> None:
    """Replace the lowest of the kept by higher peaks; ``last`` are the two powers before."""
    low = np.argmin(kept)
    before, here = last[0], last[1]
    for i in range(len(power)):
        after = power[i]
        # Of equal ones the first stays, as it was there before.
        if here > before and here >= after and here > kept[low]:
            kept[low] = here
            number[low] = first + i - 1
            low = np.argmin(kept)
        before, here = here, after
    last[0], last[1] = before, here
