"""Box least squares: eclipses and transits, which sinusoids miss.

The folded light curve is faint in one box and constant elsewhere (Kovacs, Zucker & Mazeh 2002,
eq. 5). Epochs are binned in phase, which makes the cost of a frequency independent of the number
of boxes tried.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ubspark.timeseries.kernels.compiled import compiled
from ubspark.timeseries.kernels.epochs import Epochs

__all__ = ["Box", "find_box"]

FloatArray = NDArray[np.float64]
Array = NDArray[Any]

_N_BINS: Final = 200
#: Shortest and longest eclipse, in periods.
_SHORTEST: Final = 0.01
_LONGEST: Final = 0.15
#: Grid points in the shift over the time span by half the shortest eclipse that matters.
_STEP: Final = 0.02
#: The best frequency is looked for again with this many bins, in steps this much smaller.
_FINE_BINS: Final = 1000
_FINER: Final = 20
#: The largest number of frequencies: the grid of a long survey ends at a lower one.
MAX_FREQUENCIES: Final = 400_000
#: Epochs that an eclipse must hold.
_MIN_INSIDE: Final = 3


class Box(NamedTuple):
    """The best box of one object."""

    frequency: float
    """1/d; NaN where no box holds enough epochs."""
    power: float
    """Share of chi squared that the box takes away, in [0, 1]."""
    depth: float
    """How much fainter inside, unit of ``epochs.scale`` and ``y``; positive."""
    duration: float
    """Of the eclipse, in periods."""
    epoch: float
    """Middle of an eclipse, days, as ``epochs.t_ref``."""
    fmax: float
    """Largest frequency tried, 1/d."""


def find_box(epochs: Epochs, *, fmax: float, sign: float) -> Box:
    """Find the best box with at least two cycles in the time span.

    Parameters
    ----------
    fmax
        Largest frequency wanted, 1/d; less are tried where the grid would be too large.
    sign
        -1 where fainter is higher, as in magnitudes; else 1.
    """
    span = float(np.ptp(epochs.t))
    df = _STEP / span
    first = int(np.ceil(2 / span / df))
    last = min(int(fmax / df), first + MAX_FREQUENCIES - 1)
    if last < first:
        return _no_box(fmax)
    power = np.empty(last - first + 1)
    boxes = np.empty((len(power), 2), dtype=np.int64)
    y = sign * epochs.y
    last_frequency = last * df
    _search(epochs.t, y, epochs.w, df, first, _N_BINS, power, boxes)
    best = int(np.argmax(power))
    if not power[best] > 0:
        return _no_box(last * df)
    first = (first + best - 1) * _FINER
    df /= _FINER
    power, boxes = np.empty(2 * _FINER + 1), np.empty((2 * _FINER + 1, 2), dtype=np.int64)
    _search(epochs.t, y, epochs.w, df, first, _FINE_BINS, power, boxes)
    # Neighbours can hold the same epochs: the one in the middle.
    highest = np.flatnonzero(power == np.max(power))
    best = int(highest[len(highest) // 2])
    frequency = (first + best) * df
    begin, length = boxes[best]
    phase = np.mod(epochs.t * frequency, 1.0)
    bins = np.minimum((phase * _FINE_BINS).astype(np.int64), _FINE_BINS - 1)
    inside = np.mod(bins - begin, _FINE_BINS) < length
    share = float(np.sum(epochs.w[inside]))
    drop = -sign * float(np.sum((epochs.w * epochs.y)[inside])) / (share * (1 - share))
    middle = (begin + 0.5 * length) / _FINE_BINS
    return Box(
        frequency,
        float(power[best]),
        drop,
        length / _FINE_BINS,
        epochs.t_ref + middle / frequency,
        last_frequency,
    )


def _no_box(fmax: float) -> Box:
    nan = float("nan")
    return Box(nan, nan, nan, nan, nan, fmax)


@compiled
def _search(
    t: Array,
    y: Array,
    w: Array,
    df: float,
    first: int,
    n_bins: int,
    power: Array,
    boxes: Array,
) -> None:
    """Fill the power and the box, first bin and number of bins, of each frequency."""
    shortest = max(1, round(_SHORTEST * n_bins))
    longest = round(_LONGEST * n_bins)
    weight, value, count = np.empty((3, n_bins + longest + 1))
    for i in range(len(power)):
        frequency = (first + i) * df
        weight[:] = 0.0
        value[:] = 0.0
        count[:] = 0.0
        for n in range(len(t)):
            cycles = t[n] * frequency
            place = min(int((cycles - np.floor(cycles)) * n_bins), n_bins - 1) + 1
            weight[place] += w[n]
            value[place] += w[n] * y[n]
            count[place] += 1.0
        # Running sums, with the first bins once more behind the last.
        for k in range(1, longest + 1):
            weight[n_bins + k] = weight[k]
            value[n_bins + k] = value[k]
            count[n_bins + k] = count[k]
        for k in range(1, len(weight)):
            weight[k] += weight[k - 1]
            value[k] += value[k - 1]
            count[k] += count[k - 1]
        best = 0.0
        boxes[i, 0], boxes[i, 1] = 0, shortest
        length = shortest
        while length <= longest:
            for k in range(n_bins):
                share = weight[k + length] - weight[k]
                drop = value[k + length] - value[k]
                inside = count[k + length] - count[k]
                if drop < 0.0 and inside >= _MIN_INSIDE and share < 0.5:
                    found = drop * drop / (share * (1.0 - share))
                    if found > best:
                        best = found
                        boxes[i, 0], boxes[i, 1] = k, length
            length += max(1, length // 4)
        power[i] = best
