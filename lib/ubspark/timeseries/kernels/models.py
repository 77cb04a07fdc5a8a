"""From trigonometric sums to power: the closed forms of the models with one harmonic.

For a band with weights w (their sum W) and centred values y, let YC, YS, C, S be the sums of
``w y cos``, ``w y sin``, ``w cos``, ``w sin`` at the angle ``2 pi f t``, and C2, S2 those of w at
twice the angle. With the mean of the band fitted too, the normal matrix of the two amplitudes is

    CC = (W + C2)/2 - C C/W,   SS = (W - C2)/2 - S S/W,   CS = S2/2 - C S/W

and what the fit takes away from chi squared is ``r' A^-1 r`` with r = (YC, YS) (Zechmeister &
Kuerster 2009, eqs. 5-15). The models of VanderPlas & Ivezic 2015 follow: *separate*, their
(0, 1), adds up that of each band; *shared*, their (1, 0), adds up A and r of the bands before.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ubspark.timeseries.kernels.compiled import compiled
from ubspark.timeseries.kernels.epochs import Epochs

__all__ = [
    "SEPARATE",
    "SHARED",
    "PowerBlock",
    "add_band",
    "compute_power_at",
    "refine_maximum",
    "solve_block",
    "solve_pair",
]

FloatArray = NDArray[np.float64]
Array = NDArray[Any]
IntArray = NDArray[np.int64]

#: Models, as bits.
SEPARATE: Final = 1
SHARED: Final = 2
#: A band of so few epochs is fitted exactly at every frequency: it says nothing of any.
MAX_EXACT: Final = 3

#: Directions of the normal matrix smaller than this share of the larger one are not fitted.
_SINGULAR = 1e-12
#: What `add_band` accumulates at each frequency: the power of *separate*, its sensitivity to
#: rounding, CC, SS, CS, YC, YS.
N_FOLDED: Final = 7


class PowerBlock(NamedTuple):
    """Power at consecutive frequencies of a grid, standard normalization, in [0, 1]."""

    first: int
    """Number of the first frequency: it is ``first * df``."""
    separate: FloatArray
    """Power of *separate*; empty where not asked for."""
    shared: FloatArray
    """Power of *shared*; empty where not asked for."""


@compiled
def add_band(
    yc: float,
    ys: float,
    c: float,
    s: float,
    c2: float,
    s2: float,
    weight: float,
    chi2: float,
) -> tuple[float, float, float, float, float]:
    """Return the power of one band, its sensitivity to rounding, and CC, SS, CS.

    The sensitivity is the power over the smallest eigenvalue, that as a share of the weight:
    times the relative error of the sums it bounds the error of the power.
    """
    inverse = 1.0 / weight
    cc = 0.5 * (weight + c2) - c * c * inverse
    ss = 0.5 * (weight - c2) - s * s * inverse
    cs = 0.5 * s2 - c * s * inverse
    # Rounding is relative to the weight, not to what is left of it.
    reach = (cc + ss) * weight
    inverse = 1.0 / max(cc * ss - cs * cs, 1e-9 * reach + 1e-300)
    power = (ss * yc * yc + cc * ys * ys - 2.0 * cs * yc * ys) * inverse
    return power, 0.25 * (abs(power) + 0.01 * chi2) * abs(reach) * inverse, cc, ss, cs


@compiled
def solve_pair(cc: float, ss: float, cs: float, yc: float, ys: float) -> float:
    """Return ``r' A^-1 r`` for a positive matrix of any condition, never below 0.

    The small direction of a matrix that is singular to rounding is left out.
    """
    half = 0.5 * (cc + ss)
    if not half > 0.0:
        return 0.0
    diff = 0.5 * (cc - ss)
    root = np.sqrt(diff * diff + cs * cs)
    large = half + root
    # Of the two forms of the eigenvector the one without cancellation.
    if diff >= 0.0:
        x, z = diff + root, cs
    else:
        x, z = cs, root - diff
    norm = x * x + z * z
    if norm == 0.0:
        return (yc * yc + ys * ys) / half
    along, across = yc * x + ys * z, ys * x - yc * z
    power = along * along / (norm * large)
    small = (cc * ss - cs * cs) / large
    if small > _SINGULAR * large:
        power += across * across / (norm * small)
    return float(power)


@compiled
def solve_block(
    folded: Array, models: int, limit: float, separate: Array, shared: Array, is_unsure: Array
) -> None:
    """Finish a block: its power, and where that is too sensitive to rounding.

    Rows of ``folded`` are as in `N_FOLDED`; the other arrays have one entry for each column.
    """
    for i in range(len(is_unsure)):
        is_unsure[i] = False
    if models & SEPARATE:
        for i in range(len(is_unsure)):
            separate[i] = min(max(separate[i] + folded[0, i], 0.0), 1.0)
            is_unsure[i] |= not folded[1, i] < limit
    if models & SHARED:
        for i in range(len(is_unsure)):
            cc, ss, cs = float(folded[2, i]), float(folded[3, i]), float(folded[4, i])
            yc, ys = float(folded[5, i]), float(folded[6, i])
            # The weights sum to 1.
            reach = abs(cc + ss)
            inverse = 1.0 / max(cc * ss - cs * cs, 1e-9 * reach + 1e-300)
            power = (ss * yc * yc + cc * ys * ys - 2.0 * cs * yc * ys) * inverse
            shared[i] = min(max(power, 0.0), 1.0)
            is_unsure[i] |= not 0.25 * (abs(power) + 0.01) * reach * inverse < limit


def compute_power_at(epochs: Epochs, frequencies: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sum directly, with centred cosines and sines: the reference, at any condition.

    Returns
    -------
    tuple
        Power of *separate* and of *shared* at each frequency, each shape (k,), in [0, 1].
    """
    separate = np.zeros(len(frequencies))
    shared = np.zeros(len(frequencies))
    _sum_directly(*epochs[:4], np.asarray(frequencies, dtype=np.float64), separate, shared)
    return separate, shared


def refine_maximum(epochs: Epochs, frequency: float, df: float, model: int) -> float:
    """Return the largest power between the neighbours of a grid point.

    The largest power of the grid is a little below that of the peak, and false alarms are
    counted in peaks.
    """
    around = frequency + np.linspace(-0.8, 0.8, 9) * df
    return float(np.max(compute_power_at(epochs, around)[0 if model == SEPARATE else 1]))


@compiled
def _sum_directly(
    t: Array, y: Array, w: Array, starts: Array, frequencies: Array, separate: Array, shared: Array
) -> None:
    cos = np.empty(len(t))
    sin = np.empty(len(t))
    for i in range(len(frequencies)):
        all_cc = all_ss = all_cs = all_yc = all_ys = 0.0
        for n in range(len(t)):
            cycles = frequencies[i] * t[n]
            angle = 2.0 * np.pi * (cycles - np.rint(cycles))
            cos[n] = np.cos(angle)
            sin[n] = np.sin(angle)
        for k in range(len(starts) - 1):
            weight = c = s = chi2 = 0.0
            for n in range(starts[k], starts[k + 1]):
                weight += w[n]
                c += w[n] * cos[n]
                s += w[n] * sin[n]
                chi2 += w[n] * y[n] * y[n]
            c /= weight
            s /= weight
            cc = ss = cs = yc = ys = 0.0
            for n in range(starts[k], starts[k + 1]):
                x, z = cos[n] - c, sin[n] - s
                cc += w[n] * x * x
                ss += w[n] * z * z
                cs += w[n] * x * z
                yc += w[n] * y[n] * x
                ys += w[n] * y[n] * z
            if starts[k + 1] - starts[k] <= MAX_EXACT:
                separate[i] += chi2
            else:
                separate[i] += min(solve_pair(cc, ss, cs, yc, ys), chi2)
            all_cc += cc
            all_ss += ss
            all_cs += cs
            all_yc += yc
            all_ys += ys
        separate[i] = min(separate[i], 1.0)
        shared[i] = min(solve_pair(all_cc, all_ss, all_cs, all_yc, all_ys), 1.0)
