"""How often noise alone reaches a power somewhere in the grid: false-alarm probabilities.

Without a signal the power of a model of d free amplitudes at one frequency follows the beta
distribution with parameters d/2 and (N_H - d)/2, where N_H is the number of epochs less that of
the offsets. Its maximum over a range of frequencies follows from the rate at which it crosses a
level upwards (Baluev 2008, eqs. 5-7, for any d):

    FAP = 1 - (1 - SF(z)) exp(-tau(z)),
    tau = W Gamma(N_H/2) / (Gamma((N_H - d + 1)/2) Gamma(d/2))
          z^((d - 1)/2) (1 - z)^((N_H - d - 1)/2),   W = (fmax - fmin) sqrt(4 pi var t).

For d = 2 this is Baluev's formula. *Shared* has d = 2 and one offset per band, *separate* d = 2
per band. Noise must be white, its errors right up to one factor.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ubspark.timeseries.kernels.epochs import Epochs
from ubspark.timeseries.kernels.models import MAX_EXACT

__all__ = ["compute_log10_fap", "fap_separate", "fap_shared"]

FloatArray = NDArray[np.float64]

_LN10 = math.log(10.0)


def compute_log10_fap(
    power: FloatArray | float, *, n_free: int, n_amplitudes: int, width: float
) -> FloatArray:
    """Return the logarithm of the false-alarm probability, base 10.

    Parameters
    ----------
    power
        Largest power of the grid, standard normalization.
    n_free
        Epochs less offsets, N_H.
    n_amplitudes
        Amplitudes of the model, d.
    width
        W of the formula.

    Returns
    -------
    FloatArray
        At most 0; NaN where the model has too many amplitudes for the epochs.
    """
    z = np.clip(np.asarray(power, dtype=np.float64), 0.0, 1.0)
    d, n = n_amplitudes, n_free
    if n - d < 2:
        return np.full(z.shape, np.nan)
    with np.errstate(divide="ignore"):
        log_z, log_rest = np.log(z), np.log1p(-z)
    # The beta distribution has d/2 whole: its tail is a finite sum, which does not underflow.
    half = (n - d) / 2
    terms = np.stack(
        [
            half * log_rest
            + (j * log_z if j else 0.0)
            + special.gammaln(half + j)
            - special.gammaln(half)
            - special.gammaln(j + 1)
            for j in range(d // 2)
        ]
    )
    log_tail = np.minimum(special.logsumexp(terms, axis=0), 0.0)
    log_rate = (
        math.log(max(width, 1e-300))
        + special.gammaln(n / 2)
        - special.gammaln((n - d + 1) / 2)
        - special.gammaln(d / 2)
        + 0.5 * (d - 1) * log_z
        + 0.5 * (n - d - 1) * log_rest
    )
    log_sum = np.logaddexp(log_tail, log_rate)
    # 1 - (1 - a) exp(-b): for small a and b their sum, where the difference would be lost.
    tail, rate = np.exp(log_tail), np.exp(np.minimum(log_rate, 700.0))
    with np.errstate(divide="ignore"):
        log_exact = np.log(-np.expm1(np.log1p(-np.minimum(tail, 1.0)) - rate))
    # The rate of crossings falls again below the most likely powers: there the answer is 1.
    is_low = z < (d - 1) / max(n - 2, 1)
    found = np.where(log_sum < -20.0, log_sum, log_exact)
    return np.where(is_low, 0.0, np.minimum(found, 0.0)) / _LN10


def fap_shared(epochs: Epochs, power: FloatArray | float, *, bandwidth: float) -> FloatArray:
    """Return log10 of the false-alarm probability of a power of *shared*.

    Parameters
    ----------
    bandwidth
        Extent of the grid, 1/d.
    """
    n_free = len(epochs.t) - epochs.n_bands
    spread = _spread(epochs, np.ones(epochs.n_bands, dtype=bool))
    width = bandwidth * math.sqrt(4 * math.pi * spread)
    return compute_log10_fap(power, n_free=n_free, n_amplitudes=2, width=width)


def fap_separate(epochs: Epochs, power: FloatArray | float, *, bandwidth: float) -> FloatArray:
    """Return log10 of the false-alarm probability of a power of *separate*.

    Bands that a sinusoid fits exactly add the same to every power; they do not count.
    """
    counts = epochs.counts
    is_used = counts > MAX_EXACT
    if not np.any(is_used):
        return np.full(np.shape(power), np.nan)
    chi2 = np.add.reduceat(epochs.w * epochs.y**2, epochs.starts[:-1])
    constant = float(np.sum(chi2[~is_used]))
    n_bands = int(np.sum(is_used))
    n_free = int(np.sum(counts[is_used])) - n_bands
    width = bandwidth * math.sqrt(4 * math.pi * _spread(epochs, is_used))
    rest = max(float(np.sum(chi2[is_used])), 1e-300)
    z = (np.asarray(power) - constant) / rest
    return compute_log10_fap(z, n_free=n_free, n_amplitudes=2 * n_bands, width=width)


def _spread(epochs: Epochs, is_used: NDArray[np.bool_]) -> float:
    """Return the weighted variance of time within the bands, d^2."""
    total = weight = 0.0
    for k in np.flatnonzero(is_used):
        here = slice(epochs.starts[k], epochs.starts[k + 1])
        w, t = epochs.w[here], epochs.t[here]
        total += float(np.sum(w * (t - np.sum(w * t) / np.sum(w)) ** 2))
        weight += float(np.sum(w))
    return total / weight
