"""How values at different times are related: structure function and irregular autoregression."""

import math

import numpy as np

from ubspark.features.compiled import compiled
from ubspark.features.registry import Feature, FeatureInputs, FeatureSet
from ubspark.features.segments import FloatArray, IntArray

__all__ = ["AUTOREGRESSION", "STRUCTURE_FUNCTION"]

#: Lags are binned by octaves; shorter ones than this, 5 s, belong to one visit.
_FIRST_LAG = 2.0**-14
_MIN_PAIRS = 5
_MIN_BINS = 3
#: From the shortest lag to the longest that times of `LARGEST_TIME_DAYS` allow are 55.
_MAX_OCTAVES = 64
_DAYS_PER_YEAR = 365.25

_POWER_LAW = (
    "Power law through the noise-subtracted structure function, sqrt(mean of (y_i - y_j)^2 - "
    "dy_i^2 - dy_j^2), in octaves of lag with at least 5 pairs; NaN with fewer than 3 positive "
    "octaves"
)

_STRUCTURE = (
    Feature(
        "sf_amplitude",
        "{y}",
        "src.var.amplitude",
        f"{_POWER_LAW}: its value at a lag of one year",
        "Schmidt et al. 2010, ApJ 714, 1194, eq. 4; Kozlowski 2016, ApJ 826, 118, eq. 7",
        min_epochs=6,
    ),
    Feature(
        "sf_gamma",
        None,
        "stat.fit.param",
        f"{_POWER_LAW}: its exponent",
        "Schmidt et al. 2010, ApJ 714, 1194, eq. 4; Kozlowski 2016, ApJ 826, 118, eq. 7",
        min_epochs=6,
    ),
)

#: Search of the time scale: longest in units of the span, shortest in days, and steps between.
_LONGEST = 10.0
_SHORTEST = 0.05
_STEP = 4.0
#: Scales from the longest to the shortest are 25 at most.
_MAX_SCALES = 32
_TOLERANCE = 1e-4
_MAX_ITERATIONS = 30
_GOLDEN = 0.3819660112501051

_AUTOREGRESSION = (
    Feature(
        "iar_phi",
        None,
        "stat.correlation",
        "Autocorrelation at one day of the irregular autoregressive model, by maximum "
        "likelihood for standardised values without errors; 0 for scales below 0.05 d; "
        "NaN where all values are equal",
        "Eyheramendy, Elorrieta & Palma 2018, MNRAS 481, 4311",
        min_epochs=4,
    ),
)


def _compute_structure(inputs: FeatureInputs) -> FloatArray:
    curves = inputs.curves
    out = np.full((len(curves.offsets) - 1, len(_STRUCTURE)), np.nan)
    _fill_structure(curves.offsets, curves.t, curves.y, curves.dy, out)
    return out


def _compute_autoregression(inputs: FeatureInputs) -> FloatArray:
    curves = inputs.curves
    out = np.full((len(curves.offsets) - 1, len(_AUTOREGRESSION)), np.nan)
    _fill_autoregression(curves.offsets, curves.t, curves.y, out)
    return out


@compiled("int64(float64[::1], float64[::1], float64[::1], float64[:, ::1])")
def _add_up(t: FloatArray, y: FloatArray, dy: FloatArray, sums: FloatArray) -> int:
    """Write running sums of 1, value, value^2, error^2 and time of epochs with errors.

    Values count from their mean. Row ``k`` sums the first ``k`` of the epochs; returns their
    number.
    """
    n, mean = 0, 0.0
    for j in range(len(t)):
        if dy[j] > 0.0:
            n += 1
            mean += (y[j] - y[0] - mean) / n
    n = 0
    sums[0, :] = 0.0
    for j in range(len(t)):
        if dy[j] > 0.0:
            d, x = y[j] - y[0] - mean, t[j] - t[0]
            sums[n + 1, 0] = sums[n, 0] + d
            sums[n + 1, 1] = sums[n, 1] + d * d
            sums[n + 1, 2] = sums[n, 2] + dy[j] * dy[j]
            sums[n + 1, 3] = sums[n, 3] + x
            sums[n, 4], sums[n, 5], sums[n, 6] = x, d, dy[j] * dy[j]
            n += 1
    return n


@compiled("UniTuple(float64, 3)(float64[:, ::1], int64[::1], float64)")
def _sum_pairs(sums: FloatArray, ends: IntArray, longest: float) -> tuple[float, float, float]:
    """Return number, squared difference less noise, and lag of pairs in a range of lags.

    The range begins where the last call ended: ``ends`` holds, for each epoch, the first later
    epoch that no call has counted.
    """
    n, pairs, power, lags, last = len(ends), 0, 0.0, 0.0, 0
    for i in range(n):
        x, first = sums[i, 4], ends[i]
        last = max(last, first)
        while last < n and sums[last, 4] - x < longest:
            last += 1
        ends[i] = last
        count = last - first
        if count > 0:
            d, noise = sums[i, 5], sums[i, 6]
            pairs += count
            power += sums[last, 1] - sums[first, 1] - 2.0 * d * (sums[last, 0] - sums[first, 0])
            power += count * (d * d - noise) - (sums[last, 2] - sums[first, 2])
            lags += sums[last, 3] - sums[first, 3] - count * x
    return float(pairs), power, lags


@compiled("void(int64[::1], float64[::1], float64[::1], float64[::1], float64[:, ::1])")
def _fill_structure(
    offsets: IntArray, t: FloatArray, y: FloatArray, dy: FloatArray, out: FloatArray
) -> None:
    longest = 0
    for s in range(len(offsets) - 1):
        longest = max(longest, offsets[s + 1] - offsets[s])
    sums, indices = np.empty((longest + 1, 7)), np.empty(longest, dtype=np.int64)
    for s in range(len(offsets) - 1):
        a, b = offsets[s], offsets[s + 1]
        n = _add_up(t[a:b], y[a:b], dy[a:b], sums) if b - a > _MIN_PAIRS else 0
        bins, x_sum, z_sum, xx, xz = 0, 0.0, 0.0, 0.0, 0.0
        span = sums[n - 1, 4] - sums[0, 4] if n > 1 else 0.0
        closest = span
        for j in range(1, n):
            closest = min(closest, max(sums[j, 4] - sums[j - 1, 4], _FIRST_LAG))
        # Pairs closer than the first octave are counted off and forgotten.
        ends = indices[:n]
        ends[:] = np.arange(1, n + 1)
        lag = 2.0 ** math.floor(math.log2(closest)) if span > _FIRST_LAG else np.inf
        if closest <= _FIRST_LAG:
            _sum_pairs(sums, ends, lag)
        for _ in range(_MAX_OCTAVES):
            if lag > span:
                break
            lag *= 2.0
            pairs, power, lags = _sum_pairs(sums, ends, lag)
            if pairs >= _MIN_PAIRS and power > 0.0:
                x = math.log(lags / pairs / _DAYS_PER_YEAR)
                z = 0.5 * math.log(power / pairs)
                bins += 1
                x_sum += x
                z_sum += z
                xx += x * x
                xz += x * z
        if bins >= _MIN_BINS:
            gamma = (bins * xz - x_sum * z_sum) / (bins * xx - x_sum * x_sum)
            out[s, 0] = math.exp((z_sum - gamma * x_sum) / bins)
            out[s, 1] = gamma


@compiled("float64(float64[::1], float64[::1], float64)")
def _compute_cost(intervals: FloatArray, z: FloatArray, scale: float) -> float:
    """Return -2 log likelihood, up to a constant, of standardised values for a time scale."""
    rate, total, product = -1.0 / scale, 0.0, 1.0
    for j in range(len(intervals)):
        u = math.exp(rate * intervals[j])
        left = 1.0 - u * u
        if left <= 0.0:
            continue
        d = z[j + 1] - u * z[j]
        total += d * d / left
        # One logarithm for many factors, all in (0, 1].
        product *= left
        if product < 1e-200:
            total += math.log(product)
            product = 1.0
    return total + math.log(product)


@compiled("float64(float64[::1], float64[::1], float64)")
def _scan(intervals: FloatArray, z: FloatArray, longest: float) -> float:
    """Return the best of the time scales ``longest``, a quarter of it, and so on.

    The correlation at a quarter of a scale is that at the scale to the fourth power: no
    exponential but the first.
    """
    u = np.exp(-intervals / longest)
    best, best_scale, scale = np.inf, longest, longest
    for _ in range(_MAX_SCALES):
        total, product = 0.0, 1.0
        for j in range(len(u)):
            u2 = u[j] * u[j]
            left = 1.0 - u2
            if left > 0.0:
                d = z[j + 1] - u[j] * z[j]
                total += d * d / left
                product *= left
                if product < 1e-200:
                    total += math.log(product)
                    product = 1.0
            u[j] = u2 * u2
        total += math.log(product)
        if total < best:
            best, best_scale = total, scale
        if scale <= _SHORTEST:
            break
        scale /= _STEP
    return best_scale


@compiled("float64(float64[::1], float64[::1], float64, float64, float64)")
def _minimise(
    intervals: FloatArray, z: FloatArray, low: float, middle: float, high: float
) -> float:
    """Return the logarithm of the best time scale, by Brent's method (1973, chapter 5)."""
    x, w, v = middle, middle, middle
    fx = _compute_cost(intervals, z, math.exp(x))
    fw, fv = fx, fx
    step, before = 0.0, 0.0
    for _ in range(_MAX_ITERATIONS):
        centre = 0.5 * (low + high)
        if abs(x - centre) <= 2.0 * _TOLERANCE - 0.5 * (high - low):
            break
        is_golden = True
        if abs(before) > _TOLERANCE:
            r, q = (x - w) * (fx - fv), (x - v) * (fx - fw)
            p = (x - v) * q - (x - w) * r
            q = 2.0 * (q - r)
            p = -p if q > 0.0 else p
            q = abs(q)
            last, before = before, step
            if abs(p) < abs(0.5 * q * last) and q * (low - x) < p < q * (high - x):
                step = p / q
                is_golden = False
        if is_golden:
            before = (high - x) if x < centre else (low - x)
            step = _GOLDEN * before
        moved = step if abs(step) >= _TOLERANCE else (_TOLERANCE if step > 0.0 else -_TOLERANCE)
        u = x + moved
        fu = _compute_cost(intervals, z, math.exp(u))
        if fu <= fx:
            low, high = (low, x) if u < x else (x, high)
            v, w, x, fv, fw, fx = w, x, u, fw, fx, fu
            continue
        low, high = (u, high) if u < x else (low, u)
        if fu <= fw or w == x:
            v, w, fv, fw = w, u, fw, fu
        elif fu <= fv or v == x or v == w:  # noqa: SIM109 (numba compiles this, not `in`)
            v, fv = u, fu
    return x


@compiled("void(int64[::1], float64[::1], float64[::1], float64[:, ::1])")
def _fill_autoregression(offsets: IntArray, t: FloatArray, y: FloatArray, out: FloatArray) -> None:
    for s in range(len(offsets) - 1):
        first, last = offsets[s], offsets[s + 1]
        n = last - first
        if n < 4 or not t[last - 1] > t[first]:
            continue
        z = y[first:last] - y[first]
        z -= np.mean(z)
        variance = np.mean(z * z)
        if not variance > 0.0:
            continue
        z /= math.sqrt(variance)
        intervals = t[first + 1 : last] - t[first : last - 1]
        # The best of a coarse grid of scales, then the minimum between its neighbours.
        longest = _LONGEST * (t[last - 1] - t[first])
        best = _scan(intervals, z, longest)
        if best <= _SHORTEST:
            out[s, 0] = 0.0
            continue
        middle, reach = math.log(best), math.log(_STEP)
        found = _minimise(intervals, z, middle - reach, middle, middle + reach)
        out[s, 0] = math.exp(-math.exp(-found))


STRUCTURE_FUNCTION = FeatureSet("structure_function", "band", _STRUCTURE, _compute_structure)
AUTOREGRESSION = FeatureSet("autoregression", "band", _AUTOREGRESSION, _compute_autoregression)
