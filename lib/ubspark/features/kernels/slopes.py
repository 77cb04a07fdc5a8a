"""What follows from the order of the epochs in time: steps, slopes, sums, intervals."""

import numpy as np

from ubspark.features.compiled import compiled
from ubspark.features.registry import Feature, FeatureInputs, FeatureSet
from ubspark.features.segments import FloatArray, IntArray

__all__ = ["SLOPES"]

_KIM = "Kim et al. 2014, A&A 566, A43; light-curve"
_TIES = "pairs at one time are left out"
_EQUAL = "NaN where all values are equal"

_FEATURES = (
    Feature(
        "{y}MaxSlope",
        "{y}/d",
        "arith.rate",
        f"Largest signed slope between consecutive epochs; {_TIES}",
        "Rubin meas_base ap_maxSlopeFlux",
        min_epochs=2,
    ),
    Feature(
        "maximum_slope",
        "{y}/d",
        "arith.rate",
        f"Largest absolute slope between consecutive epochs; {_TIES}",
        "D'Isanto et al. 2016, MNRAS 457, 3119",
        min_epochs=2,
        peer="maximum_slope",
    ),
    Feature(
        "eta",
        None,
        "stat.param",
        f"Von Neumann's eta: mean squared step from epoch to epoch over the variance; {_EQUAL}",
        _KIM,
        min_epochs=2,
        peer="eta",
    ),
    Feature(
        "eta_e",
        None,
        "stat.param",
        f"Eta of slopes, for uneven sampling; {_TIES}; {_EQUAL}",
        _KIM,
        min_epochs=2,
        peer="eta_e",
    ),
    Feature(
        "cusum",
        None,
        "stat.param",
        f"Range of the cumulative sum of (value - mean) / (n sigma); {_EQUAL}",
        _KIM,
        min_epochs=2,
        peer="cusum",
    ),
    Feature(
        "lafler_kinman_string_length",
        None,
        "stat.param",
        "Sum of squared steps, the last epoch followed by the first, over 2 (n - 1) variances; "
        f"{_EQUAL}",
        "Lafler & Kinman 1965, ApJS 11, 216; light-curve",
        min_epochs=2,
        peer="lafler_kinman_string_length",
    ),
    Feature(
        "pair_slope_trend",
        None,
        "stat.value",
        "Of the last 30 steps from epoch to epoch, the share that rise minus the share that do not",
        "Richards et al. 2011, ApJ 733, 10; ALeRCE turbofats PairSlopeTrend",
        min_epochs=2,
    ),
    Feature(
        "duration",
        "d",
        "time.duration",
        "Time from first to last epoch",
        "light-curve",
        peer="duration",
    ),
    Feature(
        "minimum_time_interval",
        "d",
        "time.interval",
        "Shortest time between consecutive epochs",
        "light-curve",
        min_epochs=2,
        peer="minimum_time_interval",
    ),
    Feature(
        "maximum_time_interval",
        "d",
        "time.interval",
        "Longest time between consecutive epochs",
        "light-curve",
        min_epochs=2,
        peer="maximum_time_interval",
    ),
    Feature(
        "time_mean",
        "d",
        "time.epoch;stat.mean",
        "Mean time of the epochs",
        "light-curve",
        type="float64",
        peer="time_mean",
    ),
    Feature(
        "time_standard_deviation",
        "d",
        "stat.stdev;time.epoch",
        "Standard deviation of the times, with n - 1",
        "light-curve",
        min_epochs=2,
        peer="time_standard_deviation",
    ),
)
_LAST_STEPS = 30


def _compute(inputs: FeatureInputs) -> FloatArray:
    curves = inputs.curves
    out = np.full((len(curves.offsets) - 1, len(_FEATURES)), np.nan)
    _fill_slopes(curves.offsets, curves.t, curves.y, out)
    return out


@compiled("void(int64[::1], float64[::1], float64[::1], float64[:, ::1])")
def _fill_slopes(offsets: IntArray, t: FloatArray, y: FloatArray, out: FloatArray) -> None:
    for s in range(len(offsets) - 1):
        first, last = offsets[s], offsets[s + 1]
        n = last - first
        if n == 0:
            continue
        t0, y0 = t[first], y[first]
        y_total, t_total = 0.0, 0.0
        for j in range(first, last):
            y_total += y[j] - y0
            t_total += t[j] - t0
        y_mean, t_mean = y_total / n, t_total / n
        span = t[last - 1] - t0
        out[s, 7] = span
        out[s, 10] = t0 + t_mean
        if n < 2:
            continue
        y_m2, t_m2, run, low, high = 0.0, 0.0, 0.0, np.inf, -np.inf
        for j in range(first, last):
            d, e = (y[j] - y0) - y_mean, (t[j] - t0) - t_mean
            y_m2 += d * d
            t_m2 += e * e
            run += d
            low, high = min(low, run), max(high, run)
        steps, slopes, shortest, longest = 0.0, 0.0, np.inf, 0.0
        steepest, rise, trend = 0.0, -np.inf, 0
        for j in range(first, last - 1):
            step, interval = y[j + 1] - y[j], t[j + 1] - t[j]
            steps += step * step
            shortest, longest = min(shortest, interval), max(longest, interval)
            if j >= last - 1 - _LAST_STEPS:
                trend += 1 if step > 0.0 else -1
            if interval > 0.0:
                slope = step / interval
                slopes += slope * slope
                rise, steepest = max(rise, slope), max(steepest, abs(slope))
        variance = y_m2 / (n - 1)
        if longest > 0.0:
            out[s, 0], out[s, 1] = rise, steepest
        out[s, 6] = trend / min(n - 1, _LAST_STEPS)
        out[s, 8], out[s, 9] = shortest, longest
        out[s, 11] = np.sqrt(t_m2 / (n - 1))
        if y_m2 > 0.0:
            out[s, 2] = steps / y_m2
            if span > 0.0:
                out[s, 3] = span * span * slopes / variance / (n - 1.0) ** 3
            out[s, 4] = (high - low) / (n * np.sqrt(variance))
            closing = y[first] - y[last - 1]
            out[s, 5] = (steps + closing * closing) / (2.0 * y_m2)


SLOPES = FeatureSet("slopes", "band", _FEATURES, _compute)
