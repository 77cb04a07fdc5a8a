"""The shape of the distribution of values: two groups, and how far from Gaussian."""

import math

import numpy as np

from ubspark.features.compiled import compiled
from ubspark.features.registry import Feature, FeatureInputs, FeatureSet
from ubspark.features.segments import FloatArray, IntArray

__all__ = ["DISTRIBUTION"]

_OTSU = "Otsu 1979, IEEE Trans. Syst. Man Cybern. 9, 62; light-curve"
_EQUAL = "NaN where all values are equal"

_FEATURES = (
    Feature(
        "otsu_mean_diff",
        "{y}",
        "stat.value",
        f"Difference of the means of the two groups that Otsu's threshold makes; {_EQUAL}",
        _OTSU,
        min_epochs=2,
        peer="otsu_mean_diff",
    ),
    Feature(
        "otsu_std_lower",
        "{y}",
        "stat.stdev",
        f"Standard deviation of the lower of Otsu's groups, 0 for one value; {_EQUAL}",
        _OTSU,
        min_epochs=2,
        peer="otsu_std_lower",
    ),
    Feature(
        "otsu_std_upper",
        "{y}",
        "stat.stdev",
        f"Standard deviation of the upper of Otsu's groups, 0 for one value; {_EQUAL}",
        _OTSU,
        min_epochs=2,
        peer="otsu_std_upper",
    ),
    Feature(
        "otsu_lower_to_all_ratio",
        None,
        "stat.value",
        f"Share of the lower of Otsu's groups; {_EQUAL}",
        _OTSU,
        min_epochs=2,
        peer="otsu_lower_to_all_ratio",
    ),
    Feature(
        "anderson_darling_normal",
        None,
        "stat.fit.goodness",
        f"Anderson-Darling statistic for a normal distribution, corrected for n; {_EQUAL}",
        "light-curve",
        min_epochs=4,
        peer="anderson_darling_normal",
    ),
)


def _compute(inputs: FeatureInputs) -> FloatArray:
    curves = inputs.curves
    out = np.full((len(curves.offsets) - 1, len(_FEATURES)), np.nan)
    _fill_otsu(curves.offsets, curves.y_sorted, out)
    _fill_anderson_darling(curves.offsets, curves.y_sorted, out)
    return out


@compiled("float64(float64)")
def _log_erfc(x: float) -> float:
    if x < 25.0:
        return math.log(math.erfc(x))
    # Beyond the smallest double: the asymptotic series, good to 1e-9 here.
    z = 0.5 / (x * x)
    return -x * x - math.log(x * math.sqrt(math.pi)) + math.log1p(-z * (1.0 - 3.0 * z))


@compiled("void(int64[::1], float64[::1], float64[:, ::1])")
def _fill_otsu(offsets: IntArray, y_sorted: FloatArray, out: FloatArray) -> None:
    for s in range(len(offsets) - 1):
        first, last = offsets[s], offsets[s + 1]
        n = last - first
        if n < 2 or y_sorted[first] == y_sorted[last - 1]:
            continue
        origin = y_sorted[first]
        total = 0.0
        for j in range(first, last):
            d = y_sorted[j] - origin
            total += d
        # Between-class variance k/n (n-k)/n (m2 - m1)^2 for the k lowest; the first of equals.
        best, cut, run, below = -1.0, 1, 0.0, 0.0
        for k in range(1, n):
            run += y_sorted[first + k - 1] - origin
            # m2 - m1 = (k total - n run) / (k (n - k)), and n^2 in front is the same for all k.
            gap = k * total - n * run
            between = gap * gap / (k * (n - k))
            if between > best:
                best, cut, below = between, k, run
        lower, upper = below / cut, (total - below) / (n - cut)
        squares_lower, squares_upper = 0.0, 0.0
        for j in range(first, first + cut):
            d = (y_sorted[j] - origin) - lower
            squares_lower += d * d
        for j in range(first + cut, last):
            d = (y_sorted[j] - origin) - upper
            squares_upper += d * d
        out[s, 0] = upper - lower
        out[s, 1] = np.sqrt(squares_lower / (cut - 1)) if cut > 1 else 0.0
        out[s, 2] = np.sqrt(squares_upper / (n - cut - 1)) if cut < n - 1 else 0.0
        out[s, 3] = cut / n


@compiled("void(int64[::1], float64[::1], float64[:, ::1])")
def _fill_anderson_darling(offsets: IntArray, y_sorted: FloatArray, out: FloatArray) -> None:
    for s in range(len(offsets) - 1):
        first, last = offsets[s], offsets[s + 1]
        n = last - first
        if n < 4 or y_sorted[first] == y_sorted[last - 1]:
            continue
        origin = y_sorted[first]
        mean, m2 = 0.0, 0.0
        for j in range(first, last):
            mean += y_sorted[j] - origin
        mean /= n
        for j in range(first, last):
            d = (y_sorted[j] - origin) - mean
            m2 += d * d
        scale = np.sqrt(0.5 * (n - 1) / m2)
        total = 0.0
        for i in range(n):
            x = ((y_sorted[first + i] - origin) - mean) * scale
            total += (2 * i + 1) * _log_erfc(-x) + (2 * (n - i) - 1) * _log_erfc(x)
        correction = 1.0 + 4.0 / n - 25.0 / (n * n)
        out[s, 4] = correction * (n * (2.0 * math.log(2.0) - 1.0) - total / n)


DISTRIBUTION = FeatureSet("distribution", "band", _FEATURES, _compute)
