"""Fits of several harmonics with one shape in all bands, at many close frequencies at once.

The model is an offset in each band and ``sum_k a_k cos(2 pi k f t) + b_k sin(2 pi k f t)``, k up
to `MAX_HARMONICS`, the (K, 0) of VanderPlas & Ivezic 2015. The offsets are eliminated, and one
Cholesky factor of the normal matrix holds the fits of all numbers of harmonics: with L z = r,
what the first k harmonics take away from chi squared is the sum of the first 2k squares of z.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ubspark.timeseries.kernels.compiled import compiled
from ubspark.timeseries.kernels.epochs import Epochs

__all__ = ["MAX_HARMONICS", "fit_harmonics", "solve_harmonics", "sum_harmonics"]

FloatArray = NDArray[np.float64]
Array = NDArray[Any]

MAX_HARMONICS: Final = 4
_SIZE: Final = 2 * MAX_HARMONICS
#: A pivot below this share of its diagonal element is a direction that the epochs do not see.
_SINGULAR = 1e-9


def sum_harmonics(
    epochs: Epochs, frequencies: FloatArray, *, step: float, n_steps: int
) -> FloatArray:
    """Sum at ``n_steps`` equidistant frequencies around each of some frequencies.

    Parameters
    ----------
    frequencies
        Middle of each scan, 1/d, shape (k,).
    step
        Distance of neighbours, 1/d.
    n_steps
        Frequencies of a scan, odd.

    Returns
    -------
    FloatArray
        What `solve_harmonics` takes: for each scan the sums of ``w`` and ``w y`` with the
        cosine and sine of every harmonic, by band and in all.
    """
    shape = (2, epochs.n_bands + 1, 2 * MAX_HARMONICS + 1, 2, n_steps)
    sums = np.zeros((len(frequencies), *shape))
    for row, frequency in enumerate(frequencies):
        _sum_harmonics(*epochs[:4], frequency - step * (n_steps // 2), step, sums[row])
    return sums


def solve_harmonics(
    sums: FloatArray, ridge: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Fit 1 to 4 harmonics at each frequency summed.

    Parameters
    ----------
    ridge
        Added to the diagonal for the amplitudes of each harmonic, shape (4,); None for none.

    Returns
    -------
    tuple
        Share of chi squared taken away with 1 to 4 harmonics, in [0, 1], and the logarithm of
        how much narrower than the ridge alone the fit leaves the amplitudes (0 without a
        ridge); each shape (k, n_steps, 4).
    """
    gain, penalty = np.empty((2, len(sums), sums.shape[-1], MAX_HARMONICS))
    extra = np.zeros(MAX_HARMONICS) if ridge is None else ridge
    for row in range(len(sums)):
        _solve_harmonics(sums[row], extra, gain[row], penalty[row])
    return gain, penalty


def fit_harmonics(epochs: Epochs, frequency: float, n_harmonics: int) -> FloatArray:
    """Return the amplitudes of a fit, cosine and sine of each harmonic in turn.

    The phase is 0 at ``epochs.t_ref``; the unit is ``epochs.scale``.
    """
    sums = sum_harmonics(epochs, np.array([frequency]), step=0.0, n_steps=1)[0]
    matrix = np.empty((_SIZE, _SIZE))
    vector = np.empty(_SIZE)
    _fold_harmonics(sums, 0, matrix, vector)
    n = 2 * n_harmonics
    return np.asarray(np.linalg.lstsq(matrix[:n, :n], vector[:n], rcond=1e-10)[0], dtype=np.float64)


@compiled
def _sum_harmonics(
    t: Array, y: Array, w: Array, starts: Array, frequency: float, step: float, sums: Array
) -> None:
    """Add ``w`` (row 0) and ``w y`` (row 1) times cos and sin, by band and in all (last)."""
    n_bands = len(starts) - 1
    n_k, n_f = sums.shape[2], sums.shape[4]
    c1, s1, ck, sk, x = np.empty((5, n_f))
    for k in range(n_bands):
        for n in range(starts[k], starts[k + 1]):
            cycles = frequency * t[n]
            angle = 2.0 * np.pi * (cycles - np.rint(cycles))
            c, s = np.cos(angle), np.sin(angle)
            cycles = step * t[n]
            angle = 2.0 * np.pi * (cycles - np.rint(cycles))
            turn_c, turn_s = np.cos(angle), np.sin(angle)
            for f in range(n_f):
                c1[f], s1[f] = c, s
                c, s = c * turn_c - s * turn_s, c * turn_s + s * turn_c
            ck[:] = 1.0
            sk[:] = 0.0
            weight, value = w[n], w[n] * y[n]
            for h in range(n_k):
                cos_w, sin_w = sums[0, k, h, 0], sums[0, k, h, 1]
                if 0 < h <= n_k // 2:
                    cos_y, sin_y = sums[1, k, h, 0], sums[1, k, h, 1]
                    for f in range(n_f):
                        cos_y[f] += value * ck[f]
                        sin_y[f] += value * sk[f]
                for f in range(n_f):
                    cos_w[f] += weight * ck[f]
                    sin_w[f] += weight * sk[f]
                    x[f] = ck[f] * c1[f] - sk[f] * s1[f]
                    sk[f] = ck[f] * s1[f] + sk[f] * c1[f]
                    ck[f] = x[f]
        sums[:, n_bands] += sums[:, k]


@compiled
def _fold_harmonics(sums: Array, f: int, matrix: Array, vector: Array) -> None:
    """Fill the lower half of the normal matrix without the offsets, and the right side."""
    n_bands = sums.shape[1] - 1
    total = sums[0, n_bands]
    for i in range(_SIZE):
        p, is_sin = i // 2 + 1, i % 2
        vector[i] = sums[1, n_bands, p, is_sin, f]
        for j in range(i + 1):
            q, is_sin_too = j // 2 + 1, j % 2
            if is_sin == is_sin_too:
                sign = 1.0 - 2.0 * is_sin
                value = 0.5 * (total[p - q, 0, f] + sign * total[p + q, 0, f])
            else:
                # sin of the one angle times cos of the other; their difference has a sign.
                d = p - q if is_sin else q - p
                odd = total[abs(d), 1, f] if d >= 0 else -total[abs(d), 1, f]
                value = 0.5 * (total[p + q, 1, f] + odd)
            for k in range(n_bands):
                band = sums[0, k]
                value -= band[p, is_sin, f] * band[q, is_sin_too, f] / band[0, 0, f]
            matrix[i, j] = value
            matrix[j, i] = value


@compiled
def _solve_harmonics(sums: Array, ridge: Array, gain: Array, penalty: Array) -> None:
    matrix = np.empty((_SIZE, _SIZE))
    vector = np.empty(_SIZE)
    for f in range(gain.shape[0]):
        _fold_harmonics(sums, f, matrix, vector)
        total = spent = 0.0
        for i in range(_SIZE):
            extra = ridge[i // 2]
            diagonal = matrix[i, i] + extra
            for j in range(i):
                value = matrix[i, j]
                for k in range(j):
                    value -= matrix[i, k] * matrix[j, k]
                # A dropped direction has an infinite pivot and a column of zeros.
                matrix[i, j] = value / matrix[j, j]
            pivot, value = diagonal, vector[i]
            for k in range(i):
                pivot -= matrix[i, k] * matrix[i, k]
                value -= matrix[i, k] * vector[k]
            if pivot > _SINGULAR * diagonal and pivot > 0.0:
                matrix[i, i] = np.sqrt(pivot)
                vector[i] = value / matrix[i, i]
                if extra > 0.0:
                    spent += np.log(pivot / extra)
            else:
                matrix[i, i] = np.inf
                vector[i] = 0.0
            total += vector[i] * vector[i]
            if i % 2:
                gain[f, i // 2] = min(total, 1.0)
                penalty[f, i // 2] = spent
