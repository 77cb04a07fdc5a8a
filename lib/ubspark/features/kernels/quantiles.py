"""Order statistics of the values of a segment."""

import numpy as np

from ubspark.features.compiled import compiled
from ubspark.features.registry import Feature, FeatureInputs, FeatureSet
from ubspark.features.segments import FloatArray, IntArray

__all__ = ["QUANTILES"]

_RUBIN = "Rubin meas_base ap_percentileFlux (linear interpolation)"
_HAZEN = "quantiles at (i - 0.5) / n as in light-curve"
_ISANTO = "D'Isanto et al. 2016, MNRAS 457, 3119"

_FEATURES = (
    Feature("{y}Min", "{y}", "phot;stat.min", "Smallest value", "Rubin meas_base ap_minMaxFlux"),
    Feature("{y}Max", "{y}", "phot;stat.max", "Largest value", "Rubin meas_base ap_minMaxFlux"),
    Feature(
        "{y}Percentile05", "{y}", "stat.percentile;phot", "5th percentile of the values", _RUBIN
    ),
    Feature(
        "{y}Percentile25", "{y}", "stat.percentile;phot", "25th percentile of the values", _RUBIN
    ),
    Feature(
        "{y}Percentile50", "{y}", "phot;stat.median", "Median of the values", _RUBIN, peer="median"
    ),
    Feature(
        "{y}Percentile75", "{y}", "stat.percentile;phot", "75th percentile of the values", _RUBIN
    ),
    Feature(
        "{y}Percentile95", "{y}", "stat.percentile;phot", "95th percentile of the values", _RUBIN
    ),
    Feature(
        "{y}MAD",
        "{y}",
        "stat.mad;phot",
        "Median absolute deviation from the median, not scaled to sigma",
        "Rubin meas_base ap_madFlux (astropy)",
        peer="median_absolute_deviation",
    ),
    Feature(
        "amplitude",
        "{y}",
        "src.var.amplitude",
        "Half the difference of largest and smallest value",
        _ISANTO,
        peer="amplitude",
    ),
    Feature(
        "percent_amplitude",
        "{y}",
        "src.var.amplitude",
        "Largest absolute deviation from the median",
        _ISANTO,
        peer="percent_amplitude",
    ),
    Feature(
        "inter_percentile_range_25",
        "{y}",
        "stat.value",
        "Difference of the 75th and 25th percentile",
        _HAZEN,
        peer="inter_percentile_range_25",
    ),
    Feature(
        "magnitude_percentage_ratio_40_5",
        None,
        "stat.value",
        "Range of the 40th to 60th percentile over that of the 5th to 95th; NaN where that is 0",
        f"{_ISANTO}; {_HAZEN}",
        peer="magnitude_percentage_ratio_40_5",
    ),
    Feature(
        "percent_difference_magnitude_percentile_5",
        None,
        "stat.value",
        "Range of the 5th to 95th percentile over the median; NaN where the median is 0",
        f"{_ISANTO}; {_HAZEN}",
        peer="percent_difference_magnitude_percentile_5",
    ),
    Feature(
        "median_buffer_range_percentage_10",
        None,
        "stat.value",
        "Fraction of values closer to the median than a tenth of the amplitude",
        _ISANTO,
        peer="median_buffer_range_percentage_10",
    ),
    Feature(
        "biweight_scale_9",
        "{y}",
        "stat.stdev",
        "Biweight scale with tuning constant 9; 0 where the median absolute deviation is 0",
        "Beers, Flynn & Gebhardt 1990, AJ 100, 32",
        peer="biweight_scale_9",
    ),
    Feature(
        "gskew",
        "{y}",
        "stat.value",
        "Mean of the values up to the 3rd percentile, plus that of those from the 97th, "
        "minus twice the median",
        "ALeRCE turbofats Gskew, Sanchez-Saez et al. 2021, AJ 161, 141",
    ),
)


def _compute(inputs: FeatureInputs) -> FloatArray:
    curves = inputs.curves
    out = np.full((len(curves.offsets) - 1, len(_FEATURES)), np.nan)
    _fill_quantiles(curves.offsets, curves.y_sorted, out)
    return out


@compiled("float64(float64[::1], float64)")
def _interpolate(ordered: FloatArray, place: float) -> float:
    """Return the value at a place between 0 and n - 1, as `numpy.percentile` interpolates."""
    if place <= 0.0:
        return float(ordered[0])
    k = int(place)
    if k >= len(ordered) - 1:
        return float(ordered[-1])
    part = place - k
    step = ordered[k + 1] - ordered[k]
    if part >= 0.5:
        return float(ordered[k + 1] - step * (1.0 - part))
    return float(ordered[k] + step * part)


@compiled("float64(float64[::1], float64)")
def _compute_mad(ordered: FloatArray, median: float) -> float:
    """Return the median of the absolute deviations, by merging outwards from the median."""
    n = len(ordered)
    right = np.searchsorted(ordered, median)
    left = right - 1
    half = n // 2
    value, before = 0.0, 0.0
    for _ in range(half + 1):
        before = value
        below = median - ordered[left] if left >= 0 else np.inf
        above = ordered[right] - median if right < n else np.inf
        if below <= above:
            value = below
            left -= 1
        else:
            value = above
            right += 1
    return value if n % 2 == 1 else 0.5 * (before + value)


@compiled("float64(float64[::1], float64, float64)")
def _compute_biweight(ordered: FloatArray, median: float, mad: float) -> float:
    if not mad > 0.0:
        return 0.0
    scale = 1.0 / (9.0 * mad)
    upper, lower = 0.0, 0.0
    for value in ordered:
        d = value - median
        u2 = (d * scale) * (d * scale)
        if u2 < 1.0:
            w = 1.0 - u2
            upper += d * d * (w * w) * (w * w)
            lower += w * (1.0 - 5.0 * u2)
    return float(np.sqrt(len(ordered) * upper) / abs(lower))


@compiled("float64(float64[::1], float64)")
def _compute_gskew(ordered: FloatArray, median: float) -> float:
    n = len(ordered)
    low = _interpolate(ordered, 0.03 * (n - 1))
    high = _interpolate(ordered, 0.97 * (n - 1))
    lower, upper, n_lower, n_upper = 0.0, 0.0, 0, 0
    while n_lower < n and ordered[n_lower] <= low:
        lower += ordered[n_lower] - median
        n_lower += 1
    while n_upper < n and ordered[n - 1 - n_upper] >= high:
        upper += ordered[n - 1 - n_upper] - median
        n_upper += 1
    return lower / n_lower + upper / n_upper


@compiled("void(int64[::1], float64[::1], float64[:, ::1])")
def _fill_quantiles(offsets: IntArray, y_sorted: FloatArray, out: FloatArray) -> None:
    for s in range(len(offsets) - 1):
        ordered = y_sorted[offsets[s] : offsets[s + 1]]
        n = len(ordered)
        if n == 0:
            continue
        low, high = ordered[0], ordered[-1]
        out[s, 0], out[s, 1] = low, high
        for k, share in enumerate((0.05, 0.25, 0.5, 0.75, 0.95)):
            out[s, 2 + k] = _interpolate(ordered, share * (n - 1))
        half = n // 2
        median = ordered[half] if n % 2 == 1 else 0.5 * (ordered[half - 1] + ordered[half])
        out[s, 4] = median
        mad = _compute_mad(ordered, median)
        out[s, 7] = mad
        amplitude = 0.5 * (high - low)
        out[s, 8] = amplitude
        out[s, 9] = max(high - median, median - low)
        out[s, 10] = _interpolate(ordered, 0.75 * n - 0.5) - _interpolate(ordered, 0.25 * n - 0.5)
        outer = _interpolate(ordered, 0.95 * n - 0.5) - _interpolate(ordered, 0.05 * n - 0.5)
        inner = _interpolate(ordered, 0.6 * n - 0.5) - _interpolate(ordered, 0.4 * n - 0.5)
        if outer > 0.0:
            out[s, 11] = inner / outer
        if median != 0.0:
            out[s, 12] = outer / median
        near = 0
        for value in ordered:
            near += abs(value - median) < 0.1 * amplitude
        out[s, 13] = near / n
        out[s, 14] = _compute_biweight(ordered, median, mad)
        out[s, 15] = _compute_gskew(ordered, median)


QUANTILES = FeatureSet("quantiles", "band", _FEATURES, _compute)
