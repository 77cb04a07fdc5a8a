"""The light curve folded with a known period: harmonics and smoothness, per band."""

import math

import numpy as np

from ubspark.features.compiled import compiled
from ubspark.features.registry import Feature, FeatureInputs, FeatureSet
from ubspark.features.segments import FloatArray, IntArray

__all__ = ["FOLDED", "HARMONICS", "PERIOD"]

_K = 4
#: Squared errors are raised by the square of this share of the median absolute deviation, so
#: that a few precise epochs do not decide the shape.
_FLOOR = 0.15

_SERIES = (
    "Fourier series of 4 harmonics at the joined period, fitted with weights 1/(error^2 + "
    "(0.15 MAD)^2); NaN where the fit is singular"
)
_ALERCE = "Sanchez-Saez et al. 2021, AJ 161, 141"

_HARMONICS = (
    *(
        Feature(
            f"harmonics_amplitude_{k}",
            "{y}",
            "stat.Fourier.amplitude",
            f"{_SERIES}: amplitude of harmonic {k}",
            _ALERCE,
            min_epochs=2 * _K + 2,
        )
        for k in range(1, _K + 1)
    ),
    *(
        Feature(
            f"harmonics_phase_{k}",
            "rad",
            "stat.Fourier",
            f"{_SERIES}: phase of harmonic {k} minus {k} times that of the first, in [0, 2 pi), "
            "of cos(2 pi k t / P - phase)",
            "Debosscher et al. 2007, A&A 475, 1159",
            min_epochs=2 * _K + 2,
        )
        for k in range(2, _K + 1)
    ),
    Feature(
        "harmonics_r21",
        None,
        "stat.Fourier.amplitude;arith.ratio",
        f"{_SERIES}: amplitude of the second harmonic over that of the first",
        "Simon & Lee 1981, ApJ 248, 291",
        min_epochs=2 * _K + 2,
    ),
    Feature(
        "harmonics_r31",
        None,
        "stat.Fourier.amplitude;arith.ratio",
        f"{_SERIES}: amplitude of the third harmonic over that of the first",
        "Simon & Lee 1981, ApJ 248, 291",
        min_epochs=2 * _K + 2,
    ),
    Feature(
        "harmonics_mse",
        "{y}**2",
        "stat.fit.residual",
        f"{_SERIES}: weighted mean squared residual",
        _ALERCE,
        min_epochs=2 * _K + 2,
    ),
    Feature(
        "harmonics_explained",
        None,
        "stat.fit.goodness",
        f"{_SERIES}: 1 - chi squared over that of the weighted mean",
        "this package",
        min_epochs=2 * _K + 2,
    ),
)

_FOLD = "Epochs in order of phase at the joined period"

_FOLDED = (
    Feature(
        "psi_cusum",
        None,
        "stat.param",
        f"{_FOLD}: range of the cumulative sum of (value - mean) / (n sigma); NaN where all "
        "values are equal",
        f"Psi_CS of Kim et al. 2014, A&A 566, A43; {_ALERCE}",
        min_epochs=4,
    ),
    Feature(
        "psi_eta",
        None,
        "stat.param",
        f"{_FOLD}: mean squared step over the variance; NaN where all values are equal",
        f"Psi_eta of Kim et al. 2014, A&A 566, A43; {_ALERCE}",
        min_epochs=4,
    ),
    Feature(
        "psi_string_length",
        None,
        "stat.param",
        f"{_FOLD}: sum of squared steps round the cycle over 2 (n - 1) variances; NaN where all "
        "values are equal",
        "Lafler & Kinman 1965, ApJS 11, 216",
        min_epochs=4,
    ),
)

_PERIOD = (
    Feature(
        "log10_period",
        "log(d)",
        "time.period",
        "Logarithm of the joined period in days; NaN where there is none",
        "this package",
    ),
)


def _repeat_period(inputs: FeatureInputs) -> FloatArray:
    """Return the usable period of each segment, else NaN."""
    return np.repeat(_find_usable(inputs.columns["period"]), len(inputs.curves.bands))


def _find_usable(period: FloatArray) -> FloatArray:
    return np.where(np.isfinite(period) & (period > 0.0), period, np.nan)


def _compute_harmonics(inputs: FeatureInputs) -> FloatArray:
    curves = inputs.curves
    out = np.full((len(curves.offsets) - 1, len(_HARMONICS)), np.nan)
    mad = np.ascontiguousarray(inputs.computed["{y}MAD"].reshape(-1))
    period = _repeat_period(inputs)
    _fill_harmonics(curves.offsets, curves.t, curves.y, curves.dy, mad, period, out)
    return out


def _compute_folded(inputs: FeatureInputs) -> FloatArray:
    curves = inputs.curves
    out = np.full((len(curves.offsets) - 1, len(_FOLDED)), np.nan)
    _fill_folded(curves.offsets, curves.t, curves.y, _repeat_period(inputs), out)
    return out


def _compute_period(inputs: FeatureInputs) -> FloatArray:
    return np.log10(_find_usable(inputs.columns["period"]))[:, None]


@compiled("boolean(float64[:, ::1], float64[::1])")
def _solve(matrix: FloatArray, right: FloatArray) -> bool:
    """Solve a positive definite system in place by Cholesky's method; False where singular."""
    n = len(right)
    for i in range(n):
        pivot = matrix[i, i]
        for k in range(i):
            matrix[i, i] -= matrix[i, k] * matrix[i, k]
        if not matrix[i, i] > 1e-10 * pivot:
            return False
        matrix[i, i] = math.sqrt(matrix[i, i])
        for j in range(i + 1, n):
            for k in range(i):
                matrix[j, i] -= matrix[j, k] * matrix[i, k]
            matrix[j, i] /= matrix[i, i]
    for i in range(n):
        for k in range(i):
            right[i] -= matrix[i, k] * right[k]
        right[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            right[i] -= matrix[k, i] * right[k]
        right[i] /= matrix[i, i]
    return True


@compiled("void(float64, float64[::1])")
def _fill_row(phase: float, row: FloatArray) -> None:
    """Write 1, cos, sin, cos 2, sin 2 ... of an angle, by rotation."""
    c, s = math.cos(phase), math.sin(phase)
    row[0], row[1], row[2] = 1.0, c, s
    for k in range(2, (len(row) + 1) // 2):
        row[2 * k - 1] = row[2 * k - 3] * c - row[2 * k - 2] * s
        row[2 * k] = row[2 * k - 2] * c + row[2 * k - 3] * s


@compiled(
    "void(int64[::1], float64[::1], float64[::1], float64[::1], float64[::1], float64[::1],"
    " float64[:, ::1])"
)
def _fill_harmonics(
    offsets: IntArray,
    t: FloatArray,
    y: FloatArray,
    dy: FloatArray,
    mad: FloatArray,
    period: FloatArray,
    out: FloatArray,
) -> None:
    m = 2 * _K + 1
    longest = 0
    for s in range(len(offsets) - 1):
        longest = max(longest, offsets[s + 1] - offsets[s])
    rows, right, matrix = np.empty((longest, m)), np.empty(m), np.empty((m, m))
    for s in range(len(offsets) - 1):
        first, last = offsets[s], offsets[s + 1]
        if last - first < m + 1 or not period[s] > 0.0:
            continue
        floor2 = (_FLOOR * mad[s]) ** 2
        matrix[:], right[:] = 0.0, 0.0
        n, weights, total, squares = 0, 0.0, 0.0, 0.0
        for j in range(first, last):
            if not dy[j] > 0.0:
                continue
            w, d = 1.0 / (dy[j] * dy[j] + floor2), y[j] - y[first]
            turns = (t[j] - t[first]) / period[s]
            row = rows[j - first]
            _fill_row(2.0 * math.pi * (turns - math.floor(turns)), row)
            n += 1
            weights += w
            total += w * d
            squares += w * d * d
            for a in range(m):
                right[a] += w * d * row[a]
                for b in range(a + 1):
                    matrix[a, b] += w * row[a] * row[b]
        if n < m + 1:
            continue
        spread = squares - total * total / weights
        if not spread > 0.0 or not _solve(matrix, right):
            continue
        rest = 0.0
        for j in range(first, last):
            if dy[j] > 0.0:
                d = y[j] - y[first]
                for a in range(m):
                    d -= right[a] * rows[j - first, a]
                rest += d * d / (dy[j] * dy[j] + floor2)
        origin = math.atan2(right[2], right[1])
        for k in range(_K):
            out[s, k] = math.hypot(right[2 * k + 1], right[2 * k + 2])
            if k > 0:
                phase = math.atan2(right[2 * k + 2], right[2 * k + 1]) - (k + 1) * origin
                out[s, _K + k - 1] = phase - 2.0 * math.pi * math.floor(phase / (2.0 * math.pi))
        out[s, 2 * _K - 1] = out[s, 1] / out[s, 0]
        out[s, 2 * _K] = out[s, 2] / out[s, 0]
        out[s, 2 * _K + 1] = rest / weights
        out[s, 2 * _K + 2] = 1.0 - rest / spread


@compiled("void(int64[::1], float64[::1], float64[::1], float64[::1], float64[:, ::1])")
def _fill_folded(
    offsets: IntArray, t: FloatArray, y: FloatArray, period: FloatArray, out: FloatArray
) -> None:
    for s in range(len(offsets) - 1):
        first, last = offsets[s], offsets[s + 1]
        n = last - first
        if n < 4 or not period[s] > 0.0:
            continue
        turns = (t[first:last] - t[first]) / period[s]
        order = np.argsort(turns - np.floor(turns), kind="mergesort")
        z = y[first:last] - y[first]
        z -= np.mean(z)
        m2 = np.sum(z * z)
        if not m2 > 0.0:
            continue
        steps, run, low, high = 0.0, 0.0, np.inf, -np.inf
        for j in range(n):
            run += z[order[j]]
            low, high = min(low, run), max(high, run)
            if j > 0:
                step = z[order[j]] - z[order[j - 1]]
                steps += step * step
        closing = z[order[0]] - z[order[n - 1]]
        out[s, 0] = (high - low) / (n * math.sqrt(m2 / (n - 1)))
        out[s, 1] = steps / m2
        out[s, 2] = (steps + closing * closing) / (2.0 * m2)


PERIOD = FeatureSet("period", "object", _PERIOD, _compute_period, needs=("period",))
HARMONICS = FeatureSet(
    "harmonics", "band", _HARMONICS, _compute_harmonics, needs=("period",), uses=("{y}MAD",)
)
FOLDED = FeatureSet("folded", "band", _FOLDED, _compute_folded, needs=("period",))
