"""Statistics that weigh each value with its error; epochs without a usable error take no part."""

import numpy as np
from scipy.special import gammaincc

from ubspark.features.compiled import compiled
from ubspark.features.registry import Feature, FeatureInputs, FeatureSet
from ubspark.features.segments import FloatArray, IntArray

__all__ = ["WEIGHTED"]

#: Stetson's mean: values that differ by ``_ALPHA`` sigma count half, and where to stop.
_ALPHA = 2.0
_MAX_ITERATIONS = 20
_TOLERANCE = 1e-6

_RUBIN = "Rubin meas_base"

_FEATURES = (
    Feature(
        "{y}Ndata",
        None,
        "meta.number;obs",
        "Number of epochs with a usable value and error",
        f"{_RUBIN} ap_meanFlux",
        min_epochs=0,
        type="int32",
    ),
    Feature(
        "{y}Mean",
        "{y}",
        "phot;stat.mean",
        "Mean of the values with weights 1/error^2",
        f"{_RUBIN} ap_meanFlux",
        peer="weighted_mean",
    ),
    Feature(
        "{y}MeanErr",
        "{y}",
        "stat.error;phot;stat.mean",
        "Standard error of the weighted mean, 1/sqrt(sum of 1/error^2)",
        f"{_RUBIN} ap_meanFlux",
    ),
    Feature(
        "{y}ErrMean", "{y}", "stat.error;phot", "Mean of the errors", f"{_RUBIN} ap_meanErrFlux"
    ),
    Feature(
        "{y}Chi2",
        None,
        "stat.fit.chi2",
        "Chi squared of the values about their weighted mean",
        f"{_RUBIN} ap_chi2Flux",
    ),
    Feature(
        "chi2",
        None,
        "stat.fit.chi2",
        "Chi squared about the weighted mean over n - 1",
        "light-curve",
        min_epochs=2,
        peer="chi2",
    ),
    Feature(
        "chi2_pvar",
        None,
        "stat.probability",
        "Probability of a larger chi squared about the weighted mean if nothing varied",
        "Kim et al. 2014, A&A 566, A43; light-curve",
        min_epochs=2,
        peer="chi2_pvar",
    ),
    Feature(
        "{y}StetsonJ",
        None,
        "stat.param",
        "Stetson's J of one band, about the mean that weighs outliers down; the iteration for "
        "that mean stops as Rubin's does",
        f"{_RUBIN} ap_stetsonJ; Stetson 1996, PASP 108, 851",
        min_epochs=2,
    ),
    Feature(
        "stetson_K",
        None,
        "stat.param",
        "Stetson's K about the weighted mean: 0.798 for Gaussian scatter, 0.900 for a sinusoid",
        "Stetson 1996, PASP 108, 851; light-curve",
        min_epochs=2,
        peer="stetson_K",
    ),
    Feature(
        "excess_variance",
        None,
        "stat.variance",
        "Variance minus mean squared error, over the squared mean; NaN where the mean is 0",
        "Sanchez et al. 2017, ApJ 849, 110; light-curve",
        min_epochs=2,
        peer="excess_variance",
    ),
    Feature(
        "roms",
        None,
        "stat.value",
        "Sum of absolute deviations from the median in units of the errors, over n - 1",
        "Enoch, Brown & Burgasser 2003, AJ 126, 1006; light-curve",
        min_epochs=2,
        peer="roms",
    ),
)


def _compute(inputs: FeatureInputs) -> FloatArray:
    curves = inputs.curves
    out = np.full((len(curves.offsets) - 1, len(_FEATURES)), np.nan)
    _fill_weighted(curves.offsets, curves.y, curves.dy, curves.y_sorted, out)
    n = out[:, 0]
    varied = n >= 2
    out[varied, 6] = gammaincc(0.5 * (n[varied] - 1.0), 0.5 * out[varied, 4])
    return out


@compiled("float64(float64[::1], float64[::1], float64)")
def _compute_stetson_j(y: FloatArray, inverse: FloatArray, mean: float) -> float:
    """Return J of values with errors ``1 / inverse``, starting from their weighted mean."""
    n = len(y)
    factor = np.sqrt(n / (n - 1.0))
    scale = factor / _ALPHA
    for _ in range(_MAX_ITERATIONS):
        upper, lower = 0.0, 0.0
        for j in range(n):
            chi = scale * (y[j] - mean) * inverse[j]
            weight = inverse[j] * inverse[j] / (1.0 + chi * chi)
            upper += weight * (y[j] - y[0])
            lower += weight
        moved = y[0] + upper / lower
        change = abs(moved - mean)
        mean = moved
        # As in Rubin's code: with a negative mean the relative change always passes.
        if change / mean < _TOLERANCE and change < _TOLERANCE:
            break
    total = 0.0
    for j in range(n):
        delta = factor * (y[j] - mean) * inverse[j]
        p = delta * delta - 1.0
        total += np.sqrt(p) if p > 0.0 else -np.sqrt(-p)
    return total / n


@compiled("float64(float64[::1], float64[::1], float64)")
def _compute_roms(y: FloatArray, inverse: FloatArray, median: float) -> float:
    total = 0.0
    for j in range(len(y)):
        total += abs(y[j] - median) * inverse[j]
    return total / (len(y) - 1)


@compiled("void(int64[::1], float64[::1], float64[::1], float64[::1], float64[:, ::1])")
def _fill_weighted(
    offsets: IntArray, y_in: FloatArray, dy_in: FloatArray, y_sorted: FloatArray, out: FloatArray
) -> None:
    longest = 0
    for s in range(len(offsets) - 1):
        longest = max(longest, offsets[s + 1] - offsets[s])
    y_buffer, inverse_buffer = np.empty(longest), np.empty(longest)
    for s in range(len(offsets) - 1):
        first, last = offsets[s], offsets[s + 1]
        n, errors, squares = 0, 0.0, 0.0
        for j in range(first, last):
            if dy_in[j] > 0.0:
                y_buffer[n], inverse_buffer[n] = y_in[j], 1.0 / dy_in[j]
                errors += dy_in[j]
                squares += dy_in[j] * dy_in[j]
                n += 1
        out[s, 0] = n
        if n == 0:
            continue
        y, inverse = y_buffer[:n], inverse_buffer[:n]
        # Differences from one value: an offset of all values costs no digits.
        origin, total, weights, plain = y[0], 0.0, 0.0, 0.0
        for j in range(n):
            weight = inverse[j] * inverse[j]
            weights += weight
            total += weight * (y[j] - origin)
            plain += y[j] - origin
        shift, plain = total / weights, plain / n
        out[s, 1], out[s, 2], out[s, 3] = origin + shift, np.sqrt(1.0 / weights), errors / n
        chi2, absolute, m2 = 0.0, 0.0, 0.0
        for j in range(n):
            d = y[j] - origin
            chi = (d - shift) * inverse[j]
            chi2 += chi * chi
            absolute += abs(chi)
            m2 += (d - plain) * (d - plain)
        out[s, 4] = chi2
        if n < 2:
            continue
        out[s, 5] = chi2 / (n - 1)
        out[s, 7] = _compute_stetson_j(y, inverse, origin + shift)
        if chi2 > 0.0:
            out[s, 8] = absolute / np.sqrt(n * chi2)
        mean = origin + plain
        if mean != 0.0:
            out[s, 9] = (m2 / (n - 1) - squares / n) / (mean * mean)
        ordered = y_sorted[first:last] if n == last - first else np.sort(y)
        median = 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])
        out[s, 10] = _compute_roms(y, inverse, median)


WEIGHTED = FeatureSet("weighted", "band", _FEATURES, _compute)
