"""Moments of the values of a segment, every epoch alike."""

import numpy as np

from ubspark.features.compiled import compiled
from ubspark.features.registry import Feature, FeatureInputs, FeatureSet
from ubspark.features.segments import FloatArray, IntArray

__all__ = ["MOMENTS"]

_FEATURES = (
    Feature(
        "n_epochs",
        None,
        "meta.number;obs",
        "Number of usable epochs: finite time and value",
        "this package",
        min_epochs=0,
        type="int32",
        peer="observation_count",
    ),
    Feature("mean", "{y}", "phot;stat.mean", "Mean of the values", "light-curve", peer="mean"),
    Feature(
        "{y}Sigma",
        "{y}",
        "stat.stdev;phot",
        "Standard deviation of the values, with n - 1",
        "Rubin meas_base ap_sigmaFlux",
        min_epochs=2,
        peer="standard_deviation",
    ),
    Feature(
        "{y}Skew",
        None,
        "stat.skewness;phot",
        "Bias-corrected skewness G1 of the values; 0 where all are equal",
        "Rubin meas_base ap_skewFlux (pandas)",
        min_epochs=3,
        peer="skew",
    ),
    Feature(
        "kurtosis",
        None,
        "stat.kurtosis;phot",
        "Bias-corrected excess kurtosis G2 of the values; NaN where all are equal",
        "light-curve",
        min_epochs=4,
        peer="kurtosis",
    ),
    Feature(
        "mean_variance",
        None,
        "stat.variance",
        "Standard deviation over mean; NaN where the mean is 0",
        "D'Isanto et al. 2016, MNRAS 457, 3119",
        min_epochs=2,
        peer="mean_variance",
    ),
    Feature(
        "beyond_1_std",
        None,
        "stat.value",
        "Fraction of values farther from the mean than one standard deviation; "
        "NaN where all are equal",
        "D'Isanto et al. 2016, MNRAS 457, 3119",
        min_epochs=2,
        peer="beyond_1_std",
    ),
    Feature(
        "beyond_2_std",
        None,
        "stat.value",
        "Fraction of values farther from the mean than two standard deviations; "
        "NaN where all are equal",
        "D'Isanto et al. 2016, MNRAS 457, 3119",
        min_epochs=2,
        peer="beyond_2_std",
    ),
)


def _compute(inputs: FeatureInputs) -> FloatArray:
    curves = inputs.curves
    out = np.full((len(curves.offsets) - 1, len(_FEATURES)), np.nan)
    _fill_moments(curves.offsets, curves.y, out)
    return out


@compiled("void(int64[::1], float64[::1], float64[:, ::1])")
def _fill_moments(offsets: IntArray, y: FloatArray, out: FloatArray) -> None:
    for s in range(len(offsets) - 1):
        first, last = offsets[s], offsets[s + 1]
        n = last - first
        out[s, 0] = n
        if n == 0:
            continue
        # Sums of differences from the first value: an offset of all values costs no digits.
        origin = y[first]
        total = 0.0
        for j in range(first, last):
            total += y[j] - origin
        shift = total / n
        m2, m3, m4 = 0.0, 0.0, 0.0
        for j in range(first, last):
            d = (y[j] - origin) - shift
            d2 = d * d
            m2 += d2
            m3 += d2 * d
            m4 += d2 * d2
        mean = origin + shift
        out[s, 1] = mean
        if n < 2:
            continue
        variance = m2 / (n - 1)
        sigma = np.sqrt(variance)
        out[s, 2] = sigma
        if n > 2:
            out[s, 3] = n * m3 / ((n - 1.0) * (n - 2.0) * variance * sigma) if m2 > 0.0 else 0.0
        if mean != 0.0:
            out[s, 5] = sigma / mean
        if not m2 > 0.0:
            continue
        if n > 3:
            scale = n * (n + 1.0) / ((n - 1.0) * (n - 2.0) * (n - 3.0))
            bias = 3.0 * (n - 1.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0))
            out[s, 4] = scale * m4 / (variance * variance) - bias
        beyond_1, beyond_2 = 0, 0
        for j in range(first, last):
            d = abs((y[j] - origin) - shift)
            beyond_1 += d > sigma
            beyond_2 += d > 2.0 * sigma
        out[s, 6] = beyond_1 / n
        out[s, 7] = beyond_2 / n


MOMENTS = FeatureSet("moments", "band", _FEATURES, _compute)
