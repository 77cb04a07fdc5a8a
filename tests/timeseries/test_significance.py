"""False-alarm probabilities: against astropy, and against noise with real sampling."""

import numpy as np
import pytest
from astropy.timeseries import LombScargle
from scipy import stats
from surveys import make_object

from ubspark.timeseries.kernels.epochs import prepare_epochs
from ubspark.timeseries.kernels.grids import FrequencyGrid
from ubspark.timeseries.kernels.models import SEPARATE, SHARED, refine_maximum
from ubspark.timeseries.kernels.periodogram import iterate_blocks
from ubspark.timeseries.kernels.significance import compute_log10_fap, fap_separate, fap_shared


def test_one_band_is_the_formula_of_baluev_as_astropy_has_it() -> None:
    t, y, dy, _ = make_object(np.random.default_rng(0), 100, n_bands=1)
    epochs = prepare_epochs(t, y, dy, np.zeros(100, np.int8))
    # The variance of MJD would lose digits.
    peer = LombScargle(t - np.median(t), y, dy)
    for power in (0.1, 0.2, 0.3, 0.5, 0.7):
        theirs = float(peer.false_alarm_probability(power, method="baluev", maximum_frequency=5.0))
        ours = float(fap_shared(epochs, power, bandwidth=5.0))
        # astropy takes the last frequency of its own grid, and rounds small differences from 1.
        assert 10**ours == pytest.approx(theirs, rel=1e-4, abs=1e-12)


@pytest.mark.parametrize("n_amplitudes", [2, 6, 12])
def test_without_a_range_it_is_the_tail_of_the_beta_distribution(n_amplitudes: int) -> None:
    z = np.linspace(0.2, 0.99, 50)
    ours = compute_log10_fap(z, n_free=60, n_amplitudes=n_amplitudes, width=0.0)
    theirs = stats.beta.logsf(z, n_amplitudes / 2, (60 - n_amplitudes) / 2) / np.log(10)
    low = z < (n_amplitudes - 1) / 58
    np.testing.assert_allclose(ours[~low], theirs[~low], rtol=1e-6, atol=1e-9)


def test_it_falls_with_the_power_and_never_underflows() -> None:
    z = np.linspace(0.0, 1.0 - 1e-9, 2000)
    for d, n in ((2, 1000), (12, 1000), (2, 20)):
        found = compute_log10_fap(z, n_free=n, n_amplitudes=d, width=1e4)
        assert np.all(np.diff(found) <= 1e-9)
        assert np.all(np.isfinite(found))
        assert np.all(found <= 0)
    assert compute_log10_fap(1 - 1e-9, n_free=1000, n_amplitudes=2, width=1e4) < -4000


def test_no_freedom_has_no_probability() -> None:
    assert np.isnan(compute_log10_fap(0.5, n_free=12, n_amplitudes=12, width=1.0))


def observe_false_alarms(
    n: int, n_objects: int, seed: int, *, n_freq: int = 4000
) -> tuple[np.ndarray, np.ndarray]:
    """Return log10 FAP of shared and separate for objects of noise, six bands."""
    rng = np.random.default_rng([seed, n])
    shared, separate = np.empty((2, n_objects))
    for i in range(n_objects):
        t, y, dy, band = make_object(rng, n, period=None, span=365.0)
        epochs = prepare_epochs(t, y, dy, band)
        grid = FrequencyGrid(1 / (5 * 365), 5, n_freq)
        best = {SHARED: (-1.0, 0), SEPARATE: (-1.0, 0)}
        for block in iterate_blocks(epochs, grid, models=SEPARATE | SHARED):
            for model, power in ((SHARED, block.shared), (SEPARATE, block.separate)):
                at = int(np.argmax(power))
                best[model] = max(best[model], (float(power[at]), block.first + at))
        bandwidth = grid.n_freq * grid.df
        top = {m: refine_maximum(epochs, j * grid.df, grid.df, m) for m, (_, j) in best.items()}
        shared[i] = fap_shared(epochs, top[SHARED], bandwidth=bandwidth)
        separate[i] = fap_separate(epochs, top[SEPARATE], bandwidth=bandwidth)
    return shared, separate


def check(found: np.ndarray, p: float, label: str) -> None:
    count, n = int(np.sum(found < np.log10(p))), len(found)
    low, high = stats.binomtest(count, n).proportion_ci(0.99)
    print(f"{label}: p = {p:g}: {count} of {n} = {count / n:.5f}, 99 % [{low:.5f}, {high:.5f}]")
    # Within a factor 2; of few alarms, as far as they can tell.
    assert low <= 2 * p
    assert high >= p / 2
    if n * p >= 40:
        assert 0.5 <= count / n / p <= 2


@pytest.mark.parametrize("n", [60, 300])
def test_noise_raises_as_many_alarms_as_said(n: int) -> None:
    shared, separate = observe_false_alarms(n, 400, seed=2026, n_freq=2000)
    for name, found in (("shared", shared), ("separate", separate)):
        check(found, 0.1, f"{name}, N = {n}")


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 300, 1000])
def test_calibration_with_2000_objects(n: int) -> None:
    shared, separate = observe_false_alarms(n, 2000, seed=6)
    for name, found in (("shared", shared), ("separate", separate)):
        for p in (0.1, 0.01):
            check(found, p, f"{name}, N = {n}")


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 300])
def test_calibration_of_rare_alarms(n: int) -> None:
    shared, separate = observe_false_alarms(n, 20_000, seed=7, n_freq=1000)
    for name, found in (("shared", shared), ("separate", separate)):
        check(found, 0.001, f"{name}, N = {n}")


@pytest.mark.slow
def test_red_noise_raises_many_more() -> None:
    """A damped random walk is not white: what the probabilities are worth then.

    The walk has the amplitude of the white noise and a decay time of 20 days.
    """
    rng = np.random.default_rng(8)
    found, high = [], []
    for _ in range(500):
        t, y, dy, band = make_object(rng, 200, period=None, span=365.0)
        walk = np.empty(len(t))
        walk[0] = rng.normal(0, 0.1)
        for i, step in enumerate(np.diff(t)):
            kept = np.exp(-step / 20.0)
            walk[i + 1] = kept * walk[i] + rng.normal(0, 0.1 * np.sqrt(1 - kept**2))
        epochs = prepare_epochs(t, y + walk, dy, band)
        for results, grid in (
            (found, FrequencyGrid(1 / (5 * 365), 5, 4000)),
            (high, FrequencyGrid(1 / (5 * 365), 2200, 1200)),
        ):
            blocks = iterate_blocks(epochs, grid, models=SHARED)
            top = max(float(np.max(block.shared)) for block in blocks)
            results.append(float(fap_shared(epochs, top, bandwidth=grid.n_freq * grid.df)))
    everywhere, between = (np.mean(np.array(one) < -3) for one in (found, high))
    print(f"red noise, log10 FAP < -3: {everywhere:.3f}, at 1.2 to 1.86/d alone {between:.3f}")
    # Never to be trusted at low frequencies and their daily aliases.
    assert everywhere > 0.3
    assert between < everywhere
