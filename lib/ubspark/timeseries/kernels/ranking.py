"""Which of the peaks is the period: fits of several harmonics to peaks and their partners."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ubspark.timeseries.kernels.aliases import list_partners
from ubspark.timeseries.kernels.epochs import Epochs
from ubspark.timeseries.kernels.grids import FrequencyGrid
from ubspark.timeseries.kernels.harmonics import MAX_HARMONICS, solve_harmonics, sum_harmonics
from ubspark.timeseries.kernels.robust import fit_robustly

__all__ = ["Ranked", "Refined", "rank_peaks", "refine_frequency", "reweight"]

FloatArray = NDArray[np.float64]

#: A scan covers 1.2/T to each side of a candidate, in steps of this, in units of 1/T.
_STEP: Final = 0.1
_N_STEPS: Final = 25
#: Partners are taken of so many of the highest peaks.
_N_PARENTS: Final = 5
#: How much better a half must be, at all and for each epoch: a shape that repeats fits at the
#: half too, with freedom to spare. An eclipsing binary with unequal minima gains more.
_HALF_MARGIN: Final = 10.0
_HALF_MARGIN_PER_EPOCH: Final = 0.2
#: Variances below this share of the scatter are not believed.
_MIN_VARIANCE: Final = 0.01


class Ranked(NamedTuple):
    """Candidates, the best first."""

    frequency: FloatArray
    """Near the best one of each, 1/d, shape (k,)."""
    score: FloatArray
    """Twice the negative logarithm of the evidence, shape (k,): the lower the better."""
    weights: FloatArray
    """Factor of each epoch's weight in the robust fit of the first, shape (n,)."""


class Refined(NamedTuple):
    """The final frequency."""

    frequency: float
    """1/d."""
    frequency_error: float
    """Standard error, 1/d; NaN where the fit has no minimum or no freedom."""
    n_harmonics: int
    """Harmonics that the Bayesian information criterion asks for."""
    gain: float
    """Share of chi squared that they take away."""
    bic: float
    """Their information criterion less that of a constant in each band; negative is better."""


def rank_peaks(epochs: Epochs, grid: FrequencyGrid, peaks: FloatArray, *, n_kept: int) -> Ranked:
    """Rank peaks, their daily aliases and halves by how well harmonics fit them.

    Every candidate is scanned with four harmonics whose amplitudes have a prior that falls with
    their number; the best are fitted again with outliers in mind (`robust`).

    Parameters
    ----------
    peaks
        Frequencies of the peaks, the highest first, 1/d.
    n_kept
        Candidates returned, at most.
    """
    span = float(np.ptp(epochs.t))
    candidates, is_half = _gather(peaks, grid, span)
    sums = sum_harmonics(epochs, candidates, step=_STEP / span, n_steps=_N_STEPS)
    gain, _ = solve_harmonics(sums)
    n = len(epochs.t)
    variance = float(np.clip(1.0 - np.max(gain), _MIN_VARIANCE, 1.0))
    ridge = np.arange(1, MAX_HARMONICS + 1) ** 2 * variance / n
    gain, penalty = solve_harmonics(sums, ridge)
    rest = np.maximum(1.0 - gain[:, :, -1], 1e-9)
    score = n * np.log(rest) + penalty[:, :, -1] + (_margin(n) * is_half)[:, None]
    place = np.argmin(score, axis=1)
    best = np.min(score, axis=1)
    frequency = candidates + (place - _N_STEPS // 2) * _STEP / span
    kept = _keep_distinct(frequency, best, grid, span, n_kept)
    return _rank_robustly(epochs, frequency[kept], is_half[kept], span, variance)


def _gather(
    peaks: FloatArray, grid: FrequencyGrid, span: float
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the peaks and their partners inside the grid, and which are halves only."""
    partners = list_partners(peaks[:_N_PARENTS])
    candidates = np.concatenate((peaks, partners))
    is_half = np.zeros(len(candidates), dtype=bool)
    is_half[len(peaks) :] = np.arange(len(partners)) % _PER_PARENT == _PER_PARENT - 1
    inside = (candidates >= grid.fmin) & (candidates <= grid.fmax)
    kept: list[int] = []
    for i in np.flatnonzero(inside):
        if all(abs(candidates[i] - candidates[j]) > 0.5 / span for j in kept):
            kept.append(int(i))
    return candidates[kept], is_half[kept]


def _margin(n_epochs: int) -> float:
    return _HALF_MARGIN + _HALF_MARGIN_PER_EPOCH * n_epochs


#: Partners that `list_partners` returns for each peak; the last is the half.
_PER_PARENT: Final = 7


def _keep_distinct(
    frequency: FloatArray, score: FloatArray, grid: FrequencyGrid, span: float, n_kept: int
) -> list[int]:
    """Return the best candidates that did not end on the same frequency nor leave the grid."""
    kept: list[int] = []
    for i in np.lexsort((frequency, score)):
        inside = grid.fmin - 0.5 * grid.df <= frequency[i] <= grid.fmax + 0.5 * grid.df
        if inside and all(abs(frequency[i] - frequency[j]) > 1.0 / span for j in kept):
            kept.append(int(i))
        if len(kept) == n_kept:
            break
    # Scans can leave a grid of few frequencies with all their best.
    return kept or [int(np.argmin(score))]


def _rank_robustly(
    epochs: Epochs,
    frequency: FloatArray,
    is_half: NDArray[np.bool_],
    span: float,
    variance: float,
) -> Ranked:
    """Order candidates by the robust score at the best of three frequencies around each."""
    shifts = np.array([-0.05, 0.0, 0.05]) / span
    fits = fit_robustly(epochs, (frequency[:, None] + shifts).ravel(), scale2=variance)
    margin = _margin(len(epochs.t))
    scores = fits.score.reshape(-1, len(shifts)) + (margin * is_half)[:, None]
    place = np.argmin(scores, axis=1)
    best = np.min(scores, axis=1)
    order = np.lexsort((frequency, best))
    row = order[0] * len(shifts) + place[order[0]]
    return Ranked((frequency + shifts[place])[order], best[order], fits.weights[row])


def refine_frequency(epochs: Epochs, frequency: float, weights: FloatArray) -> Refined:
    """Find the minimum of chi squared near a frequency, its width, and the harmonics it needs.

    The error is that of a parabola, times the root of the reduced chi squared.

    Parameters
    ----------
    weights
        Factor of each epoch's weight, shape (n,).
    """
    span = float(np.ptp(epochs.t))
    n = float(np.sum(weights) ** 2 / np.sum(weights**2))
    epochs = reweight(epochs, weights)
    penalty = 2 * np.arange(1, MAX_HARMONICS + 1) * np.log(n)
    n_harmonics = 0
    for step in (0.03, 0.003):
        sums = sum_harmonics(epochs, np.array([frequency]), step=step / span, n_steps=13)
        gain, _ = solve_harmonics(sums)
        bic = n * np.log(np.maximum(1.0 - gain[0], 1e-12)) + penalty
        n_harmonics = n_harmonics or int(np.argmin(np.min(bic, axis=0))) + 1
        rest = 1.0 - gain[0, :, n_harmonics - 1]
        place = int(np.clip(np.argmin(rest), 1, 11))
        curvature = rest[place - 1] - 2 * rest[place] + rest[place + 1]
        slope = 0.5 * (rest[place + 1] - rest[place - 1])
        shift = float(np.clip(-slope / curvature, -1.0, 1.0)) if curvature > 0 else 0.0
        frequency += (place - 6 + shift) * step / span
    lowest = max(float(rest[place] + 0.5 * slope * shift), 1e-12)
    freedom = n - epochs.n_bands - 2 * n_harmonics - 1
    error = np.nan
    if curvature > 0 and freedom > 0:
        error = float(np.sqrt(2 * lowest / freedom / curvature)) * step / span
    score = n * np.log(lowest) + penalty[n_harmonics - 1]
    return Refined(frequency, error, n_harmonics, 1.0 - lowest, float(score))


def reweight(epochs: Epochs, weights: FloatArray) -> Epochs:
    """Return the epochs with other weights, centred and normalised again."""
    w = epochs.w * weights
    w = w / np.sum(w)
    starts = epochs.starts[:-1]
    shift = np.add.reduceat(w * epochs.y, starts) / np.add.reduceat(w, starts)
    y = epochs.y - np.repeat(shift, epochs.counts)
    scale = float(np.sqrt(np.sum(w * y**2))) or 1.0
    return epochs._replace(
        y=y / scale,
        w=w,
        mean=epochs.mean + shift * epochs.scale,
        scale=epochs.scale * scale,
    )
