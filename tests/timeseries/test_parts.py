"""Grids, peaks, weighting, harmonics, aliases and boxes, each alone."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surveys import make_object

from ubspark.errors import ParameterError
from ubspark.timeseries.kernels.aliases import AliasFlag, compute_window_power, flag_aliases
from ubspark.timeseries.kernels.epochs import prepare_epochs
from ubspark.timeseries.kernels.grids import plan_grid, round_up_span
from ubspark.timeseries.kernels.harmonics import fit_harmonics, solve_harmonics, sum_harmonics
from ubspark.timeseries.kernels.peaks import RunningPeaks
from ubspark.timeseries.kernels.robust import fit_robustly
from ubspark.timeseries.kernels.weighting import (
    compute_band_amplitudes,
    fill_errors,
    floor_errors,
)


@given(st.floats(1e-3, 1e6), st.floats(0.01, 100), st.floats(1, 20))
def test_grids_hold_the_multiples_of_their_step_in_the_range(
    span: float, fmax: float, oversampling: float
) -> None:
    fmin = fmax / 3
    grid = plan_grid(span, fmin=fmin, fmax=fmax, oversampling=oversampling)
    assert span <= round_up_span(span) * (1 + 1e-12) <= 1.1 * span * (1 + 1e-9)
    assert grid.df <= 1 / (oversampling * span) * (1 + 1e-12)
    if grid.n_freq > 1:
        assert fmin - 1e-5 * grid.df <= grid.fmin < fmin + grid.df
        assert fmax - grid.df < grid.fmax <= fmax + 1e-5 * grid.df


def test_impossible_grids_are_refused() -> None:
    with pytest.raises(ParameterError, match="`span_days` must be in"):
        plan_grid(0.0)
    with pytest.raises(ParameterError, match="`fmin` must be in"):
        plan_grid(0.01, fmax=10.0)
    with pytest.raises(ParameterError, match="`oversampling`"):
        plan_grid(10.0, oversampling=0.5)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 400), st.integers(1, 12))
def test_peaks_are_those_of_the_whole_however_it_is_cut(seed: int, n: int, distance: int) -> None:
    rng = np.random.default_rng(seed)
    # Few values, so that there are ties and plateaus.
    power = rng.integers(0, 12, n) / 12
    padded = np.r_[-np.inf, power, -np.inf]
    is_peak = (padded[1:-1] > padded[:-2]) & (padded[1:-1] >= padded[2:])
    order = sorted(np.flatnonzero(is_peak), key=lambda i: (-power[i], i))
    expected: list[int] = []
    for i in order:
        if all(abs(i - j) >= distance for j in expected) and len(expected) < 40:
            expected.append(int(i))
    cuts = np.unique(np.r_[0, rng.integers(0, n + 1, 4), n])
    running = RunningPeaks(40, distance=distance)
    for low, high in pairwise(cuts):
        running.add(100 + int(low), power[low:high])
    found = running.finish()
    assert (found.number - 100).tolist() == expected
    assert np.array_equal(found.power, power[expected])


def test_unknown_errors_take_those_of_their_band() -> None:
    y = np.arange(6.0)
    band = np.array([0, 0, 0, 1, 1, 1], np.int8)
    dy = np.array([1.0, 3.0, np.nan, 0.0, -1.0, np.inf])
    assert fill_errors(y, dy, band).tolist() == [1, 3, 2, 2, 2, 2]
    assert np.all(fill_errors(y, np.full(6, np.nan), band) == pytest.approx(1.4826 * 1.5))


def test_the_floor_is_a_share_of_each_bands_scatter() -> None:
    y = np.r_[np.arange(5.0), 10 * np.arange(5.0), 7.0]
    band = np.r_[np.zeros(5), np.ones(5), 2].astype(np.int8)
    found = floor_errors(y, np.zeros(11), band, 0.1)
    scatter = 1.4826 * np.array([1.0, 10.0, 5.5])
    np.testing.assert_allclose(found, 0.1 * np.repeat(scatter, [5, 5, 1]))


def test_amplitudes_of_bands_follow_the_signal_and_not_the_noise() -> None:
    rng = np.random.default_rng(0)
    band = np.repeat(np.arange(3), 200).astype(np.int8)
    wave = np.sin(rng.uniform(0, 6.28, 600)) * np.array([2.0, 1.0, 0.5])[band]
    ratio = compute_band_amplitudes(wave, np.full(600, 0.05), band, prior=0.5)[[0, 200, 400]]
    np.testing.assert_allclose(ratio, [2, 1, 0.5], rtol=0.1)
    noise = rng.normal(0, 1, 600)
    ratio = compute_band_amplitudes(noise, np.ones(600), band, prior=0.5)
    assert np.all(np.abs(np.log(ratio)) < 0.15)
    assert np.all(compute_band_amplitudes(noise, np.ones(600), band, prior=0.0) == 1)


def test_harmonics_are_those_of_least_squares() -> None:
    t, y, dy, band = make_object(np.random.default_rng(2), 90, n_bands=4)
    epochs = prepare_epochs(t, y, dy, band)
    frequency, step = 1.7, 2e-5
    sums = sum_harmonics(epochs, np.array([frequency]), step=step, n_steps=5)
    gain, penalty = solve_harmonics(sums)
    offsets = (np.repeat(np.arange(4), epochs.counts)[:, None] == np.arange(4)).astype(float)
    root = np.sqrt(epochs.w)
    for i in range(5):
        f = frequency + (i - 2) * step
        columns = [offsets]
        for k in range(1, 5):
            angle = 2 * np.pi * k * f * epochs.t
            columns.append(np.stack((np.cos(angle), np.sin(angle)), axis=1))
            matrix = root[:, None] * np.hstack(columns)
            fit = np.linalg.lstsq(matrix, root * epochs.y, rcond=None)[0]
            rest = np.sum((root * epochs.y - matrix @ fit) ** 2)
            assert gain[0, i, k - 1] == pytest.approx(1 - rest, abs=1e-10)
            if i == 2:
                found = fit_harmonics(epochs, f, k)
                np.testing.assert_allclose(found, fit[4:], atol=1e-9)
    assert np.all(penalty == 0)


def test_a_robust_fit_knows_its_outliers() -> None:
    rng = np.random.default_rng(3)
    t, y, dy, band = make_object(rng, 120, n_bands=2)
    y[::20] += 2.0
    epochs = prepare_epochs(t, y, dy, band)
    fit = fit_robustly(epochs, np.array([1 / 0.5432, 1.1]))
    is_outlier = np.isin(epochs.t + epochs.t_ref, t[::20])
    assert np.max(fit.weights[0][is_outlier]) < 0.2
    assert np.median(fit.weights[0][~is_outlier]) > 0.8
    assert fit.score[0] < fit.score[1] - 50


def test_the_window_of_one_cadence_is_one() -> None:
    t = np.arange(50.0)
    epochs = prepare_epochs(t, np.sin(t), np.ones(50), np.zeros(50, np.int8))
    found = compute_window_power(epochs, np.array([1.0, 0.5]))
    np.testing.assert_allclose(found, [1, 0], atol=1e-12)


def test_partners_are_flagged() -> None:
    frequency = np.array([1.7, 2.7, 0.85, 3.4, 1.0, 1.7 + 1 / 365.25, 0.001])
    score = np.array([0.0, 50.0, 60.0, 70.0, 80.0, 5.0, 99.0])
    power = np.linspace(0.9, 0.3, 7)
    flags = flag_aliases(frequency, score, power, span_days=1500.0)
    assert flags[0] == AliasFlag.AMBIGUOUS
    assert flags[1] & AliasFlag.DAILY
    assert flags[2] & AliasFlag.HALF
    assert flags[3] & AliasFlag.DOUBLE
    assert flags[4] & AliasFlag.WINDOW
    assert flags[5] & AliasFlag.YEARLY
    assert flags[6] & AliasFlag.LONG
