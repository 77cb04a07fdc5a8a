"""How well a period explains the epochs if some of them are outliers.

The model is that of `harmonics` with four harmonics. Residuals follow Student's t distribution
with `NU` degrees of freedom of a scale that is fitted; the amplitudes of harmonic k have a
normal prior of zero mean and standard deviation 1/k in units of the scatter of the light curve.
The score is twice the negative logarithm of the evidence, up to a constant, by iteratively
reweighted least squares and Laplace's approximation (MacKay 2003, chapter 27).
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ubspark.timeseries.kernels.compiled import compiled
from ubspark.timeseries.kernels.epochs import Epochs
from ubspark.timeseries.kernels.harmonics import MAX_HARMONICS

__all__ = ["NU", "RobustFit", "fit_robustly"]

FloatArray = NDArray[np.float64]
Array = NDArray[Any]

NU: Final = 8.0
_ITERATIONS: Final = 6
_SIZE: Final = 2 * MAX_HARMONICS


class RobustFit(NamedTuple):
    """The fit at some frequencies."""

    score: FloatArray
    """Twice the negative logarithm of the evidence, shape (k,): the lower the better."""
    weights: FloatArray
    """Factor that each epoch's weight ended with, shape (k, n): small for outliers."""
    scale2: FloatArray
    """Square of the scale of the residuals, in units of the light curve's variance."""


def fit_robustly(epochs: Epochs, frequencies: FloatArray, *, scale2: float = 0.1) -> RobustFit:
    """Fit at some frequencies.

    Parameters
    ----------
    scale2
        First guess of the squared scale of the residuals; the variance of the light curve is 1.
    """
    n = len(epochs.t)
    score, scales = np.empty((2, len(frequencies)))
    weights = np.empty((len(frequencies), n))
    _fit(*epochs[:4], np.asarray(frequencies), scale2, score, weights, scales)
    return RobustFit(score, weights, scales)


@compiled
def _fit(
    t: Array,
    y: Array,
    w: Array,
    starts: Array,
    frequencies: Array,
    scale2: float,
    score: Array,
    weights: Array,
    scales: Array,
) -> None:
    n, n_bands = len(t), len(starts) - 1
    basis = np.empty((_SIZE, n))
    centred = np.empty((_SIZE, n))
    matrix = np.empty((_SIZE, _SIZE))
    vector, coefficient, mean = np.empty((3, _SIZE))
    square = np.empty(n)
    for f in range(len(frequencies)):
        for i in range(n):
            cycles = frequencies[f] * t[i]
            angle = 2.0 * np.pi * (cycles - np.rint(cycles))
            c1, s1 = np.cos(angle), np.sin(angle)
            c, s = c1, s1
            for h in range(MAX_HARMONICS):
                basis[2 * h, i], basis[2 * h + 1, i] = c, s
                c, s = c * c1 - s * s1, c * s1 + s * c1
        factor = weights[f]
        factor[:] = 1.0
        variance = scale2
        spent = prior = 0.0
        for _ in range(_ITERATIONS):
            matrix[:] = 0.0
            vector[:] = 0.0
            for k in range(n_bands):
                total = y_mean = 0.0
                mean[:] = 0.0
                for i in range(starts[k], starts[k + 1]):
                    u = n * w[i] * factor[i]
                    total += u
                    y_mean += u * y[i]
                    for p in range(_SIZE):
                        mean[p] += u * basis[p, i]
                y_mean /= total
                for p in range(_SIZE):
                    mean[p] /= total
                    for i in range(starts[k], starts[k + 1]):
                        centred[p, i] = basis[p, i] - mean[p]
                for i in range(starts[k], starts[k + 1]):
                    square[i] = y[i] - y_mean
                    u = n * w[i] * factor[i]
                    for p in range(_SIZE):
                        x = u * centred[p, i]
                        vector[p] += x * square[i]
                        for q in range(p + 1):
                            matrix[p, q] += x * centred[q, i]
            spent = _solve(matrix, vector, variance, coefficient)
            for i in range(n):
                residual = square[i]
                for p in range(_SIZE):
                    residual -= coefficient[p] * centred[p, i]
                square[i] = n * w[i] * residual * residual
            for _ in range(3):
                total = 0.0
                for i in range(n):
                    total += (NU + 1.0) / (NU + square[i] / variance) * square[i]
                variance = max(total / n, 1e-12)
            for i in range(n):
                factor[i] = (NU + 1.0) / (NU + square[i] / variance)
        prior = 0.0
        for p in range(_SIZE):
            prior += (p // 2 + 1) ** 2 * coefficient[p] * coefficient[p]
        total = 0.0
        for i in range(n):
            total += np.log1p(square[i] / (NU * variance))
        score[f] = (NU + 1.0) * total + n * np.log(variance) + prior + spent
        scales[f] = variance


@compiled
def _solve(matrix: Array, vector: Array, variance: float, coefficient: Array) -> float:
    """Solve with the prior by Cholesky; return the logarithm of the Occam factor, doubled."""
    spent = 0.0
    for p in range(_SIZE):
        ridge = (p // 2 + 1) ** 2 * variance
        matrix[p, p] += ridge
        for q in range(p):
            value = matrix[p, q]
            for k in range(q):
                value -= matrix[p, k] * matrix[q, k]
            matrix[p, q] = value / matrix[q, q]
        pivot, value = matrix[p, p], vector[p]
        for k in range(p):
            pivot -= matrix[p, k] * matrix[p, k]
            value -= matrix[p, k] * coefficient[k]
        # Never below the ridge but for rounding.
        pivot = max(pivot, ridge)
        matrix[p, p] = np.sqrt(pivot)
        coefficient[p] = value / matrix[p, p]
        spent += np.log(pivot / ridge)
    for p in range(_SIZE - 1, -1, -1):
        value = coefficient[p]
        for k in range(p + 1, _SIZE):
            value -= matrix[k, p] * coefficient[k]
        coefficient[p] = value / matrix[p, p]
    return spent
