"""The power against its definition, against astropy, and against itself."""

from typing import Any

import numpy as np
import pytest
from astropy.timeseries import LombScargle, LombScargleMultiband
from hypothesis import given, settings
from hypothesis import strategies as st
from surveys import make_object

from ubspark.errors import ParameterError
from ubspark.timeseries.kernels import FrequencyGrid, compute_periodogram
from ubspark.timeseries.kernels.epochs import prepare_epochs
from ubspark.timeseries.kernels.models import SEPARATE, SHARED, compute_power_at
from ubspark.timeseries.kernels.nufft import has_finufft
from ubspark.timeseries.kernels.periodogram import choose_backend
from ubspark.timeseries.kernels.tables import BLOCK

BACKENDS = [
    "tables",
    pytest.param(
        "nufft", marks=pytest.mark.skipif(not has_finufft(), reason="finufft is not installed")
    ),
]
TOLERANCE = {"double": 1e-9, "single": 1e-6}


def define_power(t: Any, y: Any, dy: Any, band: Any, frequencies: Any, model: str) -> np.ndarray:
    """VanderPlas & Ivezic 2015 as it is written: least squares with and without sinusoids."""
    codes = np.unique(band)
    offsets = (band[:, None] == codes).astype(float)
    chi2_ref = _chi2(offsets, y, dy)
    t = t - np.median(t)
    power = []
    for f in frequencies:
        wave = np.stack((np.cos(2 * np.pi * f * t), np.sin(2 * np.pi * f * t)), axis=1)
        if model == "separate":
            wave = (offsets[:, :, None] * wave[:, None, :]).reshape(len(t), -1)
        power.append(1 - _chi2(np.hstack((offsets, wave)), y, dy) / chi2_ref)
    return np.array(power)


def _chi2(columns: Any, y: Any, dy: Any) -> float:
    y = (y - np.mean(y)) / dy
    columns = columns / dy[:, None]
    fit = np.linalg.lstsq(columns, y, rcond=1e-11)[0]
    return float(np.sum((y - columns @ fit) ** 2))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("model", ["separate", "shared"])
@pytest.mark.parametrize(("n", "n_bands"), [(300, 6), (60, 6), (25, 6), (300, 1), (20, 1), (40, 2)])
def test_power_is_that_of_the_definition(
    n: int, n_bands: int, model: Any, precision: Any, backend: Any
) -> None:
    t, y, dy, band = make_object(np.random.default_rng([n, n_bands]), n, n_bands=n_bands)
    grid = FrequencyGrid(1 / (5 * 3650), 3, 60_000)
    power = compute_periodogram(
        t, y, dy, grid, band=band, model=model, precision=precision, backend=backend
    )
    chosen = np.r_[0:40, 40:60_000:601, np.argmax(power)]
    expected = define_power(t, y, dy, band, grid.compute_frequencies()[chosen], model)
    # A band of three epochs or fewer is fitted exactly but at frequencies of measure zero.
    assert np.max(np.abs(power[chosen] - expected)) < TOLERANCE[precision]
    assert np.min(power) >= -1e-9
    assert np.max(power) <= 1


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("n", [15, 60, 300, 1000])
def test_one_band_is_the_exact_periodogram_of_astropy(n: int, precision: Any, backend: Any) -> None:
    t, y, dy, _ = make_object(np.random.default_rng(n), n, n_bands=1)
    grid = FrequencyGrid(1 / (5 * 3650), 20, 100_000)
    power = compute_periodogram(t, y, dy, grid, precision=precision, backend=backend)
    chosen = np.arange(0, grid.n_freq, 13)
    # The phases of astropy are those of MJD: it needs times near zero for 1e-9.
    peer = LombScargle(t - np.median(t), y, dy)
    expected = peer.power(grid.compute_frequencies()[chosen], method="cython")
    assert np.max(np.abs(power[chosen] - expected)) < TOLERANCE[precision]


@pytest.mark.parametrize("normalization", ["standard", "model", "log", "psd"])
def test_normalizations_are_those_of_astropy(normalization: Any) -> None:
    t, y, dy, _ = make_object(np.random.default_rng(1), 80, n_bands=1)
    grid = FrequencyGrid(1e-3, 100, 500)
    ours = compute_periodogram(t, y, dy, grid, normalization=normalization)
    theirs = LombScargle(t - np.median(t), y, dy, normalization=normalization).power(
        grid.compute_frequencies(), method="cython"
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("model", "terms"), [("separate", (0, 1)), ("shared", (1, 0))])
def test_bands_are_the_flexible_model_of_astropy(model: Any, terms: tuple[int, int]) -> None:
    t, y, dy, band = make_object(np.random.default_rng(5), 240, n_bands=4)
    grid = FrequencyGrid(1 / 3650, 1500, 400)
    ours = compute_periodogram(t, y, dy, grid, band=band, model=model)
    peer = LombScargleMultiband(
        t - np.median(t), y, band, dy, nterms_base=terms[0], nterms_band=terms[1], reg_band=1e-9
    )
    theirs = peer.power(grid.compute_frequencies(), method="flexible")
    assert np.max(np.abs(ours - theirs)) < 1e-7


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", ["single", "double"])
def test_clustered_sampling_is_exact(precision: Any, backend: Any) -> None:
    """astropy issue 20449: 154 epochs within a second and one three years later."""
    rng = np.random.default_rng(0)
    span, count = 1094.6, 155
    t = np.sort(np.r_[rng.normal(0, span * 1e-8, count - 1), span])
    y = rng.normal(size=count)
    grid = FrequencyGrid(0.0037, 216, 791)
    ours = compute_periodogram(t, y, np.ones(count), grid, precision=precision, backend=backend)
    expected = _compute_exactly(t, y, grid.compute_frequencies()[::13])
    assert np.max(np.abs(ours[::13] - expected)) < TOLERANCE["double"]


def _compute_exactly(t: Any, y: Any, frequencies: Any) -> np.ndarray:
    """Sum in extended precision, sine and cosine centred."""
    long = np.longdouble
    t, y = np.asarray(t, dtype=long), np.asarray(y, dtype=long)
    y = y - y.mean()
    turn = 2 * long("3.14159265358979323846264338327950288")
    power = []
    for f in np.asarray(frequencies, dtype=long):
        x, z = np.cos(turn * f * t), np.sin(turn * f * t)
        x, z = x - x.mean(), z - z.mean()
        xx, zz, xz, xy, zy = (np.sum(a * b) for a, b in ((x, x), (z, z), (x, z), (x, y), (z, y)))
        power.append(
            (zz * xy**2 + xx * zy**2 - 2 * xz * xy * zy) / (xx * zz - xz**2) / np.sum(y**2)
        )
    return np.array(power, dtype=np.float64)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model", ["separate", "shared"])
def test_power_does_not_depend_on_the_extent_of_the_grid(model: Any, backend: Any) -> None:
    """The fast multiband method of astropy 8 weights bands by a sum over the grid."""
    t, y, dy, band = make_object(np.random.default_rng(7), 200)
    wide = FrequencyGrid(1 / (5 * 3650), 20, 90_000)
    narrow = FrequencyGrid(wide.df, 33_333, 2 * BLOCK + 17)
    powers = [
        compute_periodogram(t, y, dy, grid, band=band, model=model, backend=backend)
        for grid in (wide, narrow)
    ]
    same = powers[0][narrow.first - wide.first :][: narrow.n_freq]
    if backend == "tables":
        assert np.array_equal(powers[1], same)
    assert np.max(np.abs(powers[1] - same)) < 1e-9


@pytest.mark.parametrize("backend", BACKENDS)
def test_order_of_the_epochs_and_names_of_bands_change_no_bit(backend: Any) -> None:
    rng = np.random.default_rng(3)
    t, y, dy, band = make_object(rng, 150)
    grid = FrequencyGrid(1 / (5 * 3650), 1000, 20_000)
    first = compute_periodogram(t, y, dy, grid, band=band, backend=backend, precision="single")
    mixed = rng.permutation(len(t))
    again = compute_periodogram(
        t[mixed],
        y[mixed],
        dy[mixed],
        grid,
        band=band[mixed] + 3,
        backend=backend,
        precision="single",
    )
    assert np.array_equal(first, again)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(5, 80),
    n_bands=st.integers(1, 6),
    factor=st.floats(1e-3, 1e3),
    shift=st.floats(-1e3, 1e3),
)
def test_power_survives_units_offsets_and_shifts_in_time(
    seed: int, n: int, n_bands: int, factor: float, shift: float
) -> None:
    rng = np.random.default_rng(seed)
    t, y, dy, band = make_object(rng, n, n_bands=n_bands)
    grid = FrequencyGrid(1 / 3650, 500, 300)
    offsets = rng.normal(0, 100, 6)[band]
    for model in ("separate", "shared"):
        plain = compute_periodogram(t, y, dy, grid, band=band, model=model)
        other = compute_periodogram(
            t + shift, factor * (y + offsets), factor * dy, grid, band=band, model=model
        )
        # Sums over bands of few epochs can be badly conditioned.
        assert np.max(np.abs(plain - other)) < 1e-6


def test_a_cluster_too_tight_to_see_a_sine_has_the_power_of_its_line() -> None:
    """Where the normal matrix is singular to rounding the small direction is left out."""
    t = np.r_[np.zeros(5), np.full(5, 0.25)]
    y = np.r_[np.zeros(5), np.ones(5)] + np.linspace(0, 0.1, 10)
    separate, shared = compute_power_at(
        prepare_epochs(t, y, np.ones(10), np.zeros(10, np.int8)), np.array([1.0, 4.0])
    )
    offsets = np.c_[t == 0, t > 0].astype(float)
    expected = 1 - _chi2(offsets, y, np.ones(10)) / _chi2(np.ones((10, 1)), y, np.ones(10))
    assert separate[0] == pytest.approx(expected, abs=1e-12)
    assert separate[1] == pytest.approx(0.0, abs=1e-12)
    assert np.array_equal(separate, shared)


def test_long_light_curves_pass_through_bounded_tables() -> None:
    rng = np.random.default_rng(2)
    t, y, dy, band = make_object(rng, 10_000, n_bands=3)
    grid = FrequencyGrid(1 / 3650, 1500, 400)
    ours = compute_periodogram(t, y, dy, grid, band=band, backend="tables")
    expected = compute_power_at(prepare_epochs(t, y, dy, band), grid.compute_frequencies())[1]
    assert np.max(np.abs(ours - expected)) < 1e-9


@pytest.mark.skipif(not has_finufft(), reason="finufft is not installed")
def test_grids_longer_than_a_transform_are_cut() -> None:
    t, y, dy, _ = make_object(np.random.default_rng(4), 50, n_bands=1)
    grid = FrequencyGrid(1 / (5 * 3650), 20, 300_000)
    powers = [
        compute_periodogram(t, y, dy, grid, backend=backend)
        for backend in ("tables", "nufft")  # type: ignore[arg-type]
    ]
    assert np.max(np.abs(powers[0] - powers[1])) < 1e-9


@pytest.mark.skipif(not has_finufft(), reason="finufft is not installed")
def test_the_back_end_follows_the_sizes_of_the_object_alone() -> None:
    sizes = {"models": SEPARATE | SHARED, "precision": "single"}
    assert choose_backend(60, 6, 100_000, **sizes) == "tables"  # type: ignore[arg-type]
    assert choose_backend(20_000, 6, 100_000, **sizes) == "nufft"  # type: ignore[arg-type]
    assert choose_backend(20_000, 6, 100, **sizes) == "tables"  # type: ignore[arg-type]


def test_arguments_are_checked() -> None:
    t, y, dy, _ = make_object(np.random.default_rng(0), 20)
    grid = FrequencyGrid(0.01, 10, 10)
    with pytest.raises(ParameterError, match="one shape"):
        compute_periodogram(t, y[:-1], dy, grid)
    with pytest.raises(ParameterError, match="finite"):
        compute_periodogram(t, y, 0 * dy, grid)
    with pytest.raises(ParameterError, match="`model` must be one of"):
        compute_periodogram(t, y, dy, grid, model="both")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="`normalization` must be one of"):
        compute_periodogram(t, y, dy, grid, normalization="raw")  # type: ignore[arg-type]


@pytest.mark.skipif(has_finufft(), reason="finufft is installed")
def test_nufft_without_finufft_is_refused() -> None:
    t, y, dy, _ = make_object(np.random.default_rng(0), 20, n_bands=1)
    with pytest.raises(ParameterError, match="finufft is not installed"):
        compute_periodogram(t, y, dy, FrequencyGrid(0.01, 10, 10), backend="nufft")
