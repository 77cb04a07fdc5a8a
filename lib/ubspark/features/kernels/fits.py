"""Straight lines and parabolas fitted to the values of a segment against time."""

import numpy as np

from ubspark.features.compiled import compiled
from ubspark.features.registry import Feature, FeatureInputs, FeatureSet
from ubspark.features.segments import FloatArray, IntArray

__all__ = ["FITS"]

_LINE = "Line fitted with weights 1/error^2"
_PLAIN = "Line fitted with equal weights"
_PARABOLA = "Parabola fitted with weights 1/error^2"
_ONE_TIME = "NaN where all epochs share a time"

_FEATURES = (
    Feature(
        "{y}LinearSlope",
        "{y}/d",
        "arith.rate",
        f"{_LINE}: slope; {_ONE_TIME}",
        "Rubin meas_base ap_linearFit",
        min_epochs=2,
        type="float64",
        peer="linear_fit_slope",
    ),
    Feature(
        "{y}LinearIntercept",
        "{y}",
        "stat.fit.param",
        f"{_LINE}: value at time 0; {_ONE_TIME}",
        "Rubin meas_base ap_linearFit",
        min_epochs=2,
        type="float64",
    ),
    Feature(
        "linear_fit_slope_sigma",
        "{y}/d",
        "stat.error;stat.fit.param",
        f"{_LINE}: standard error of the slope by the errors; {_ONE_TIME}",
        "light-curve",
        min_epochs=3,
        peer="linear_fit_slope_sigma",
    ),
    Feature(
        "linear_fit_reduced_chi2",
        None,
        "stat.fit.chi2",
        f"{_LINE}: chi squared over n - 2; {_ONE_TIME}",
        "light-curve",
        min_epochs=3,
        peer="linear_fit_reduced_chi2",
    ),
    Feature(
        "linear_trend",
        "{y}/d",
        "arith.rate",
        f"{_PLAIN}: slope; {_ONE_TIME}",
        "D'Isanto et al. 2016, MNRAS 457, 3119",
        min_epochs=3,
        peer="linear_trend",
    ),
    Feature(
        "linear_trend_sigma",
        "{y}/d",
        "stat.error;stat.fit.param",
        f"{_PLAIN}: standard error of the slope by the scatter; {_ONE_TIME}",
        "light-curve",
        min_epochs=3,
        peer="linear_trend_sigma",
    ),
    Feature(
        "linear_trend_noise",
        "{y}",
        "stat.stdev",
        f"{_PLAIN}: scatter about it, with n - 2; {_ONE_TIME}",
        "light-curve",
        min_epochs=3,
        peer="linear_trend_noise",
    ),
    Feature(
        "parabola_fit_g",
        "{y}/d**2",
        "stat.fit.param",
        f"{_PARABOLA}: coefficient of the square; NaN with fewer than three times",
        "light-curve",
        min_epochs=4,
        peer="parabola_fit_g",
    ),
    Feature(
        "parabola_fit_m0",
        "{y}",
        "stat.fit.param",
        f"{_PARABOLA}: value at its extremum; NaN with fewer than three times or no curvature",
        "light-curve",
        min_epochs=4,
        peer="parabola_fit_m0",
    ),
    Feature(
        "parabola_fit_reduced_chi2",
        None,
        "stat.fit.chi2",
        f"{_PARABOLA}: chi squared over n - 3; NaN with fewer than three times",
        "light-curve",
        min_epochs=4,
        peer="parabola_fit_reduced_chi2",
    ),
)


def _compute(inputs: FeatureInputs) -> FloatArray:
    curves = inputs.curves
    out = np.full((len(curves.offsets) - 1, len(_FEATURES)), np.nan)
    _fill_trend(curves.offsets, curves.t, curves.y, out)
    _fill_weighted_fits(curves.offsets, curves.t, curves.y, curves.dy, out)
    return out


@compiled("void(int64[::1], float64[::1], float64[::1], float64[:, ::1])")
def _fill_trend(offsets: IntArray, t: FloatArray, y: FloatArray, out: FloatArray) -> None:
    for s in range(len(offsets) - 1):
        first, last = offsets[s], offsets[s + 1]
        n = last - first
        if n < 3 or not t[last - 1] > t[first]:
            continue
        t0, y0, t_mean, y_mean = t[first], y[first], 0.0, 0.0
        for j in range(first, last):
            t_mean += t[j] - t0
            y_mean += y[j] - y0
        t_mean /= n
        y_mean /= n
        xx, xy = 0.0, 0.0
        for j in range(first, last):
            x = (t[j] - t0) - t_mean
            xx += x * x
            xy += x * ((y[j] - y0) - y_mean)
        slope, rest = xy / xx, 0.0
        for j in range(first, last):
            d = ((y[j] - y0) - y_mean) - slope * ((t[j] - t0) - t_mean)
            rest += d * d
        noise2 = rest / (n - 2)
        out[s, 4] = slope
        out[s, 5] = np.sqrt(noise2 / xx)
        out[s, 6] = np.sqrt(noise2)


@compiled("void(int64[::1], float64[::1], float64[::1], float64[::1], float64[:, ::1])")
def _fill_weighted_fits(
    offsets: IntArray, t: FloatArray, y: FloatArray, dy: FloatArray, out: FloatArray
) -> None:
    for s in range(len(offsets) - 1):
        first, last = offsets[s], offsets[s + 1]
        n, weights, t_mean, y_mean = 0, 0.0, 0.0, 0.0
        t0, y0, low, high = 0.0, 0.0, np.inf, -np.inf
        for j in range(first, last):
            if not dy[j] > 0.0:
                continue
            if n == 0:
                t0, y0 = t[j], y[j]
            w = 1.0 / (dy[j] * dy[j])
            n += 1
            weights += w
            t_mean += w * (t[j] - t0)
            y_mean += w * (y[j] - y0)
            low, high = min(low, t[j]), max(high, t[j])
        if n < 2 or not high > low:
            continue
        t_mean /= weights
        y_mean /= weights
        xx, xy, xxx = 0.0, 0.0, 0.0
        for j in range(first, last):
            if dy[j] > 0.0:
                w = 1.0 / (dy[j] * dy[j])
                x = (t[j] - t0) - t_mean
                xx += w * x * x
                xxx += w * x * x * x
                xy += w * x * ((y[j] - y0) - y_mean)
        slope = xy / xx
        out[s, 0] = slope
        out[s, 1] = (y0 + y_mean) - slope * (t0 + t_mean)
        if n < 3:
            continue
        # The parabola is a line plus a multiple of q, the square made orthogonal to both.
        bend, tilt = xxx / xx, xx / weights
        chi2, qq, qr = 0.0, 0.0, 0.0
        for j in range(first, last):
            if dy[j] > 0.0:
                w = 1.0 / (dy[j] * dy[j])
                x = (t[j] - t0) - t_mean
                r = ((y[j] - y0) - y_mean) - slope * x
                q = x * (x - bend) - tilt
                chi2 += w * r * r
                qq += w * q * q
                qr += w * q * r
        out[s, 2] = np.sqrt(1.0 / xx)
        out[s, 3] = chi2 / (n - 2)
        # With two times only, q is nothing but rounding.
        if n < 4 or not qq > 1e-20 * xx * xx / weights:
            continue
        g = qr / qq
        rest = 0.0
        for j in range(first, last):
            if dy[j] > 0.0:
                x = (t[j] - t0) - t_mean
                q = x * (x - bend) - tilt
                d = ((y[j] - y0) - y_mean) - slope * x - g * q
                rest += d * d / (dy[j] * dy[j])
        linear = slope - g * bend
        out[s, 7] = g
        if g != 0.0:
            out[s, 8] = (y0 + y_mean) - g * tilt - 0.25 * linear * linear / g
        out[s, 9] = rest / (n - 3)


FITS = FeatureSet("fits", "band", _FEATURES, _compute)
