"""Each kernel against a slow plain reference, one segment at a time.

The functions below write each definition down as its source does, with NumPy, SciPy, pandas and
astropy; those of Rubin follow meas_base's diaCalculationPlugins.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.stats import median_absolute_deviation
from numpy.typing import NDArray
from scipy import special, stats
from scipy.optimize import lsq_linear, minimize_scalar

from ubspark.features import DEFAULT_FEATURES, compute_features, split_bands

FloatArray = NDArray[np.float64]
PERIOD = 1.7

Reference = dict[str, Callable[[FloatArray, FloatArray, FloatArray], Any]]


def stetson_mean(y: FloatArray, dy: FloatArray) -> float:
    n_factor = np.sqrt(len(y) / (len(y) - 1))
    mean = np.average(y, weights=1 / dy**2)
    for _ in range(20):
        chi = np.fabs(n_factor * (y - mean) / dy)
        moved = np.average(y, weights=1 / dy**2 / (1 + (chi / 2.0) ** 2))
        diff, mean = np.fabs(moved - mean), moved
        if diff / mean < 1e-6 and diff < 1e-6:
            break
    return float(mean)


def stetson_j(y: FloatArray, dy: FloatArray) -> float:
    delta = np.sqrt(len(y) / (len(y) - 1)) * (y - stetson_mean(y, dy)) / dy
    p = delta**2 - 1
    return float(np.mean(np.sign(p) * np.sqrt(np.fabs(p))))


def linear_fit(t: FloatArray, y: FloatArray, dy: FloatArray) -> FloatArray:
    # Times from the middle: of MJD the problem is singular to nine digits.
    matrix = np.array([(t - t.mean()) / dy, 1 / dy]).transpose()
    slope, middle = lsq_linear(matrix, y / dy).x
    return np.array([slope, middle - slope * t.mean()])


def hazen(y: FloatArray, share: float) -> float:
    return float(np.percentile(y, 100 * share, method="hazen"))


def polynomial_chi2(t: FloatArray, y: FloatArray, dy: FloatArray, degree: int) -> Any:
    x = t - t.mean()
    found = np.polyfit(x, y, degree, w=1 / dy)
    return found, np.sum(((y - np.polyval(found, x)) / dy) ** 2) / (len(t) - degree - 1)


def otsu(y: FloatArray) -> list[float]:
    ordered, n = np.sort(y), len(y)
    between = [k * (n - k) * (ordered[:k].mean() - ordered[k:].mean()) ** 2 for k in range(1, n)]
    k = int(np.argmax(between)) + 1
    low, high = ordered[:k], ordered[k:]
    spread = [np.std(part, ddof=1) if len(part) > 1 else 0.0 for part in (low, high)]
    return [high.mean() - low.mean(), *spread, k / n]


def anderson_darling(y: FloatArray) -> float:
    n = len(y)
    z = np.sort((y - y.mean()) / np.std(y, ddof=1))
    i = np.arange(n)
    terms = (2 * i + 1) * special.log_ndtr(z) + (2 * (n - i) - 1) * special.log_ndtr(-z)
    return float((1 + 4 / n - 25 / n**2) * (-n - terms.sum() / n))


def structure_function(t: FloatArray, y: FloatArray, dy: FloatArray) -> FloatArray:
    i, j = np.triu_indices(len(t), 1)
    lag = np.abs(t[j] - t[i])
    power = (y[j] - y[i]) ** 2 - dy[i] ** 2 - dy[j] ** 2
    points = []
    for k in range(-14, 40):
        here = (lag >= 2.0**k) & (lag < 2.0 ** (k + 1))
        if here.sum() >= 5 and power[here].mean() > 0:
            points.append((lag[here].mean() / 365.25, np.sqrt(power[here].mean())))
    if len(points) < 3:
        return np.array([np.nan, np.nan])
    gamma, log_amplitude = np.polyfit(*np.log(np.array(points)).T, 1)
    return np.array([np.exp(log_amplitude), gamma])


def iar_cost(log_scale: float, t: FloatArray, y: FloatArray) -> float:
    z = (y - y.mean()) / y.std()
    u = np.exp(-np.diff(t) / np.exp(log_scale))
    variance = 1 - u**2
    return float(np.sum(np.log(variance) + (z[1:] - u * z[:-1]) ** 2 / variance))


def harmonics(t: FloatArray, y: FloatArray, dy: FloatArray) -> list[float]:
    floor = 0.15 * np.median(np.abs(y - np.median(y)))
    w = 1 / np.sqrt(dy**2 + floor**2)
    angle = 2 * np.pi * (t - t[0]) / PERIOD
    rows = [np.ones_like(t)]
    for k in range(1, 5):
        rows += [np.cos(k * angle), np.sin(k * angle)]
    matrix = np.array(rows).T
    found = np.linalg.lstsq(matrix * w[:, None], y * w, rcond=None)[0]
    rest = np.sum(((y - matrix @ found) * w) ** 2)
    spread = np.sum(((y - np.average(y, weights=w**2)) * w) ** 2)
    amplitude = np.hypot(found[1::2], found[2::2])
    phase = np.arctan2(found[2::2], found[1::2])
    relative = [(phase[k] - (k + 1) * phase[0]) % (2 * np.pi) for k in range(1, 4)]
    ratios = [amplitude[1] / amplitude[0], amplitude[2] / amplitude[0]]
    return [*amplitude, *relative, *ratios, rest / np.sum(w**2), 1 - rest / spread]


def fold(t: FloatArray, y: FloatArray) -> FloatArray:
    return y[np.argsort(((t - t[0]) / PERIOD) % 1.0, kind="stable")]


def cusum(y: FloatArray) -> float:
    return float(np.ptp(np.cumsum(y - y.mean())) / (len(y) * np.std(y, ddof=1)))


def string_length(y: FloatArray) -> float:
    return float(np.sum((np.roll(y, -1) - y) ** 2) / (2 * (len(y) - 1) * np.var(y, ddof=1)))


def biweight(y: FloatArray) -> float:
    d = y - np.median(y)
    u = d / (9 * np.median(np.abs(d)))
    d, u = d[np.abs(u) < 1], u[np.abs(u) < 1]
    upper = np.sqrt(np.sum(d**2 * (1 - u**2) ** 4))
    return float(np.sqrt(len(y)) * upper / abs(np.sum((1 - u**2) * (1 - 5 * u**2))))


def gskew(y: FloatArray) -> float:
    low, high = np.percentile(y, [3, 97])
    return float(y[y <= low].mean() + y[y >= high].mean() - 2 * np.median(y))


def weighted_mean(y: FloatArray, dy: FloatArray) -> float:
    return float(np.average(y, weights=1 / dy**2))


def chi2(y: FloatArray, dy: FloatArray) -> float:
    return float(np.sum(((y - weighted_mean(y, dy)) / dy) ** 2))


def outer_range(y: FloatArray) -> float:
    return hazen(y, 0.95) - hazen(y, 0.05)


def trend(t: FloatArray, y: FloatArray) -> Any:
    return stats.linregress(t - t.mean(), y)


def trend_noise(t: FloatArray, y: FloatArray) -> float:
    found = trend(t, y)
    rest = y - found.intercept - found.slope * (t - t.mean())
    return float(np.sqrt(np.sum(rest**2) / (len(t) - 2)))


def vertex(t: FloatArray, y: FloatArray, dy: FloatArray) -> float:
    a, b, c = polynomial_chi2(t, y, dy, 2)[0]
    return float(c - b**2 / (4 * a))


def slope_sigma(t: FloatArray, dy: FloatArray) -> float:
    w = 1 / dy**2
    return float(1 / np.sqrt(np.sum(w * (t - np.average(t, weights=w)) ** 2)))


REFERENCE: Reference = {
    "n_epochs": lambda t, y, dy: len(y),
    "mean": lambda t, y, dy: np.mean(y),
    "{y}Sigma": lambda t, y, dy: pd.Series(y).std(),
    "{y}Skew": lambda t, y, dy: pd.Series(y).skew(),
    "kurtosis": lambda t, y, dy: pd.Series(y).kurt(),
    "mean_variance": lambda t, y, dy: np.std(y, ddof=1) / np.mean(y),
    "beyond_1_std": lambda t, y, dy: np.mean(np.abs(y - y.mean()) > np.std(y, ddof=1)),
    "beyond_2_std": lambda t, y, dy: np.mean(np.abs(y - y.mean()) > 2 * np.std(y, ddof=1)),
    "{y}Min": lambda t, y, dy: pd.Series(y).min(),
    "{y}Max": lambda t, y, dy: pd.Series(y).max(),
    "{y}Percentile05": lambda t, y, dy: np.nanpercentile(y, 5),
    "{y}Percentile25": lambda t, y, dy: np.nanpercentile(y, 25),
    "{y}Percentile50": lambda t, y, dy: np.nanpercentile(y, 50),
    "{y}Percentile75": lambda t, y, dy: np.nanpercentile(y, 75),
    "{y}Percentile95": lambda t, y, dy: np.nanpercentile(y, 95),
    "{y}MAD": lambda t, y, dy: median_absolute_deviation(y, ignore_nan=True),
    "amplitude": lambda t, y, dy: np.ptp(y) / 2,
    "percent_amplitude": lambda t, y, dy: np.max(np.abs(y - np.median(y))),
    "inter_percentile_range_25": lambda t, y, dy: hazen(y, 0.75) - hazen(y, 0.25),
    "magnitude_percentage_ratio_40_5": lambda t, y, dy: (
        (hazen(y, 0.6) - hazen(y, 0.4)) / outer_range(y)
    ),
    "percent_difference_magnitude_percentile_5": lambda t, y, dy: outer_range(y) / np.median(y),
    "median_buffer_range_percentage_10": lambda t, y, dy: np.mean(
        np.abs(y - np.median(y)) < 0.05 * np.ptp(y)
    ),
    "biweight_scale_9": lambda t, y, dy: biweight(y),
    "gskew": lambda t, y, dy: gskew(y),
    "{y}Ndata": lambda t, y, dy: len(y),
    "{y}Mean": lambda t, y, dy: np.nansum(y / dy**2) / np.nansum(1 / dy**2),
    "{y}MeanErr": lambda t, y, dy: np.sqrt(1 / np.nansum(1 / dy**2)),
    "{y}ErrMean": lambda t, y, dy: pd.Series(dy).mean(),
    "{y}Chi2": lambda t, y, dy: chi2(y, dy),
    "chi2": lambda t, y, dy: chi2(y, dy) / (len(y) - 1),
    "chi2_pvar": lambda t, y, dy: stats.chi2.sf(chi2(y, dy), len(y) - 1),
    "{y}StetsonJ": lambda t, y, dy: stetson_j(y, dy),
    "stetson_K": lambda t, y, dy: (
        np.sum(np.abs(y - weighted_mean(y, dy)) / dy) / np.sqrt(len(y) * chi2(y, dy))
    ),
    "excess_variance": lambda t, y, dy: (np.var(y, ddof=1) - np.mean(dy**2)) / np.mean(y) ** 2,
    "roms": lambda t, y, dy: np.sum(np.abs(y - np.median(y)) / dy) / (len(y) - 1),
    "{y}MaxSlope": lambda t, y, dy: np.max(np.diff(y) / np.diff(t)),
    "maximum_slope": lambda t, y, dy: np.max(np.abs(np.diff(y) / np.diff(t))),
    "eta": lambda t, y, dy: np.sum(np.diff(y) ** 2) / ((len(y) - 1) * np.var(y, ddof=1)),
    "eta_e": lambda t, y, dy: (
        np.ptp(t) ** 2
        * np.sum((np.diff(y) / np.diff(t)) ** 2)
        / (np.var(y, ddof=1) * (len(y) - 1) ** 3)
    ),
    "cusum": lambda t, y, dy: cusum(y),
    "lafler_kinman_string_length": lambda t, y, dy: string_length(y),
    "pair_slope_trend": lambda t, y, dy: np.mean(np.where(np.diff(y)[-30:] > 0, 1, -1)),
    "duration": lambda t, y, dy: np.ptp(t),
    "minimum_time_interval": lambda t, y, dy: np.min(np.diff(t)),
    "maximum_time_interval": lambda t, y, dy: np.max(np.diff(t)),
    "time_mean": lambda t, y, dy: np.mean(t),
    "time_standard_deviation": lambda t, y, dy: np.std(t, ddof=1),
    "{y}LinearSlope": lambda t, y, dy: linear_fit(t, y, dy)[0],
    "{y}LinearIntercept": lambda t, y, dy: linear_fit(t, y, dy)[1],
    "linear_fit_slope_sigma": lambda t, y, dy: slope_sigma(t, dy),
    "linear_fit_reduced_chi2": lambda t, y, dy: polynomial_chi2(t, y, dy, 1)[1],
    "linear_trend": lambda t, y, dy: trend(t, y).slope,
    "linear_trend_sigma": lambda t, y, dy: trend(t, y).stderr,
    "linear_trend_noise": lambda t, y, dy: trend_noise(t, y),
    "parabola_fit_g": lambda t, y, dy: polynomial_chi2(t, y, dy, 2)[0][0],
    "parabola_fit_m0": lambda t, y, dy: vertex(t, y, dy),
    "parabola_fit_reduced_chi2": lambda t, y, dy: polynomial_chi2(t, y, dy, 2)[1],
    "otsu_mean_diff": lambda t, y, dy: otsu(y)[0],
    "otsu_std_lower": lambda t, y, dy: otsu(y)[1],
    "otsu_std_upper": lambda t, y, dy: otsu(y)[2],
    "otsu_lower_to_all_ratio": lambda t, y, dy: otsu(y)[3],
    "anderson_darling_normal": lambda t, y, dy: anderson_darling(y),
    "sf_amplitude": lambda t, y, dy: structure_function(t, y, dy)[0],
    "sf_gamma": lambda t, y, dy: structure_function(t, y, dy)[1],
    **{
        f"harmonics_amplitude_{k}": lambda t, y, dy, k=k: harmonics(t, y, dy)[k - 1]
        for k in range(1, 5)
    },
    **{
        f"harmonics_phase_{k}": lambda t, y, dy, k=k: harmonics(t, y, dy)[2 + k]
        for k in range(2, 5)
    },
    "harmonics_r21": lambda t, y, dy: harmonics(t, y, dy)[7],
    "harmonics_r31": lambda t, y, dy: harmonics(t, y, dy)[8],
    "harmonics_mse": lambda t, y, dy: harmonics(t, y, dy)[9],
    "harmonics_explained": lambda t, y, dy: harmonics(t, y, dy)[10],
    "psi_cusum": lambda t, y, dy: cusum(fold(t, y)),
    "psi_eta": lambda t, y, dy: (
        np.sum(np.diff(fold(t, y)) ** 2) / ((len(y) - 1) * np.var(y, ddof=1))
    ),
    "psi_string_length": lambda t, y, dy: string_length(fold(t, y)),
}
#: Judged by its likelihood, see below.
BY_LIKELIHOOD = {"iar_phi"}

#: Numbers near zero: what their rounding is measured by.
SCALES: Reference = {
    "{y}LinearSlope": lambda t, y, dy: np.ptp(y) / np.ptp(t),
    "linear_trend": lambda t, y, dy: np.ptp(y) / np.ptp(t),
    "parabola_fit_g": lambda t, y, dy: np.ptp(y) / np.ptp(t) ** 2,
    "{y}LinearIntercept": lambda t, y, dy: np.ptp(y) / np.ptp(t) * t.mean(),
    "{y}Skew": lambda t, y, dy: 1.0,
    "kurtosis": lambda t, y, dy: 1.0,
    "gskew": lambda t, y, dy: np.ptp(y),
    "{y}StetsonJ": lambda t, y, dy: 1.0,
    "sf_gamma": lambda t, y, dy: 1.0,
    "anderson_darling_normal": lambda t, y, dy: 1.0,
    # A chain of rounding through the logarithm of a difference.
    "chi2_pvar": lambda t, y, dy: 1e-280,
}


@pytest.mark.parametrize("n_epochs", [60, 300])
def test_kernels_equal_the_plain_reference(simulate: Any, n_epochs: int) -> None:
    curves = simulate(12, n_epochs)
    columns = {"period": np.full(12, PERIOD)}
    registry = DEFAULT_FEATURES.select(columns=columns)
    found = compute_features(curves, registry, columns=columns, quantity="{y}")
    split = split_bands(curves)
    checked = 0
    for part in registry:
        for feature in part.features if part.scope == "band" else ():
            if feature.name in BY_LIKELIHOOD:
                continue
            for s in range(len(split.offsets) - 1):
                here = slice(split.offsets[s], split.offsets[s + 1])
                t, y, dy = split.t[here], split.y[here], split.dy[here]
                i, k = divmod(s, len(split.bands))
                value = found.values[f"{split.bands[k]}_{feature.name}"][i]
                if len(t) < feature.min_epochs:
                    assert math.isnan(value)
                    continue
                expected = REFERENCE[feature.name](t, y, dy)
                scale = SCALES[feature.name](t, y, dy) if feature.name in SCALES else 0.0
                # Singular or nearly: 9 unknowns from few epochs.
                is_fit = part.name in ("harmonics", "structure_function")
                tolerance = 1e-6 if is_fit else 1e-9
                if feature.name == "parabola_fit_m0":
                    # Divided by a curvature that may be near zero.
                    tolerance = 1e-7
                assert value == pytest.approx(
                    expected, rel=tolerance, abs=tolerance * scale, nan_ok=True
                ), feature.name
                checked += 1
    assert checked > 70 * 12 * 6 * 0.8


def test_every_band_feature_has_a_reference() -> None:
    names = {f.name for part in DEFAULT_FEATURES if part.scope == "band" for f in part.features}
    assert names == set(REFERENCE) | BY_LIKELIHOOD


def test_the_autocorrelation_is_the_most_likely(simulate: Any) -> None:
    curves = simulate(10, 80, "g")
    # Correlated noise with scales of 1 to 300 d, on the times of the simulation.
    rng = np.random.default_rng(4)
    for i, scale in enumerate(np.geomspace(1.0, 300.0, 10)):
        here = slice(curves.offsets[i], curves.offsets[i + 1])
        t = curves.t[here]
        covariance = np.exp(-np.abs(t[:, None] - t) / scale)
        curves.y[here] = 15 + np.linalg.cholesky(covariance) @ rng.normal(size=t.size)
    registry = DEFAULT_FEATURES.select(["autoregression"])
    found = compute_features(curves, registry).values["g_iar_phi"]
    for i, phi in enumerate(found):
        here = slice(curves.offsets[i], curves.offsets[i + 1])
        t, y = curves.t[here], curves.y[here]
        best = min(
            (
                minimize_scalar(
                    iar_cost,
                    args=(t, y),
                    bounds=(low, low + 1.5),
                    method="bounded",
                    options={"xatol": 1e-7},
                )
                for low in np.arange(np.log(0.05), np.log(10 * np.ptp(t)), 1.0)
            ),
            key=lambda result: result.fun,
        )
        if phi == 0.0:
            assert iar_cost(math.log(0.05), t, y) <= best.fun + 1e-3
            continue
        assert iar_cost(math.log(-1 / math.log(phi)), t, y) <= best.fun + 1e-5
        assert phi == pytest.approx(math.exp(-math.exp(-best.x)), abs=1e-3)
    assert np.count_nonzero(found > 0.5) >= 5
