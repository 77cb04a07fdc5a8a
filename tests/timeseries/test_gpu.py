"""The scan on a GPU against that on the CPU; skipped where there is none."""

from typing import Any

import numpy as np
import pytest
from surveys import collect, make_object

from ubspark.errors import ParameterError
from ubspark.timeseries.kernels import FrequencyGrid, compute_periodogram
from ubspark.timeseries.kernels.epochs import prepare_epochs
from ubspark.timeseries.kernels.gpu import validate_gpu
from ubspark.timeseries.kernels.models import compute_power_at
from ubspark.timeseries.options import PeriodOptions
from ubspark.timeseries.periods import compute_periods

GRID = FrequencyGrid(1 / (5 * 3650), 3, 60_000)
TOLERANCE = {"double": 1e-9, "single": 1e-6}


def find_reason() -> str:
    """Return why no GPU can be used here, empty where one can."""
    try:
        validate_gpu()
    except ParameterError as error:
        return str(error)
    return ""


REASON = find_reason()
needs_gpu = pytest.mark.skipif(bool(REASON), reason=REASON)


@pytest.mark.skipif(not REASON, reason="there is a GPU here")
def test_a_missing_gpu_is_one_sentence() -> None:
    t, y, dy, _ = make_object(np.random.default_rng(1), 60)
    with pytest.raises(ParameterError, match=r"`device` is gpu, but .* Choose cpu, or run where"):
        compute_periodogram(t, y, dy, GRID, device="gpu")


@needs_gpu
@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("model", ["separate", "shared"])
@pytest.mark.parametrize(
    ("n", "n_bands"), [(300, 6), (60, 6), (25, 6), (300, 1), (20, 1), (5000, 2)]
)
def test_power_is_that_of_direct_sums(n: int, n_bands: int, model: Any, precision: Any) -> None:
    t, y, dy, band = make_object(np.random.default_rng([n, n_bands]), n, n_bands=n_bands)
    power = compute_periodogram(
        t, y, dy, GRID, band=band, model=model, precision=precision, device="gpu"
    )
    frequencies = GRID.compute_frequencies()[::7]
    separate, shared = compute_power_at(prepare_epochs(t, y, dy, band), frequencies)
    expected = separate if model == "separate" else shared
    assert np.max(np.abs(power[::7] - expected)) < TOLERANCE[precision]
    assert 0 <= power.min() <= power.max() <= 1


@needs_gpu
def test_power_does_not_depend_on_the_extent_of_the_grid() -> None:
    t, y, dy, band = make_object(np.random.default_rng(2), 200)
    whole = compute_periodogram(t, y, dy, GRID, band=band, precision="single", device="gpu")
    part = FrequencyGrid(GRID.df, GRID.first + 1234, 5000)
    cut = compute_periodogram(t, y, dy, part, band=band, precision="single", device="gpu")
    assert np.array_equal(cut, whole[1234:6234])


@needs_gpu
def test_nights_of_a_cluster_are_summed_again() -> None:
    # Few nights close together: at low frequencies nothing but rounding is left.
    rng = np.random.default_rng(3)
    t = 60_000 + rng.uniform(0, 0.2, 80)
    y, dy = rng.normal(0, 1, 80), np.full(80, 0.5)
    grid = FrequencyGrid(1e-4, 1, 4000)
    power = compute_periodogram(t, y, dy, grid, precision="single", device="gpu")
    expected = compute_power_at(
        prepare_epochs(t, y, dy, np.zeros(80, np.int8)), grid.compute_frequencies()
    )[1]
    assert np.max(np.abs(power - expected)) < 1e-6


@needs_gpu
def test_periods_are_those_of_the_cpu() -> None:
    rng = np.random.default_rng(4)
    curves = collect([make_object(rng, int(n)) for n in rng.integers(40, 400, 20)])
    found = {
        device: compute_periods(curves, PeriodOptions(fmax=5.0, device=device))
        for device in ("cpu", "gpu")
    }
    periods = [found[device].columns["period"] for device in ("cpu", "gpu")]
    assert np.allclose(*periods, rtol=1e-9)
    assert np.count_nonzero(np.abs(periods[1] / 0.5432 - 1) < 1e-3) >= 18
