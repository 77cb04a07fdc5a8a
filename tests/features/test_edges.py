"""Nothing, one epoch, equal values, equal times, missing errors, long light curves."""

import math
from typing import Any

import numpy as np
import pytest

from ubspark.features import DEFAULT_FEATURES, compute_features, split_bands

REGISTRY = DEFAULT_FEATURES.select(columns=("period",))


def compute(curves: Any, period: float = 2.0) -> Any:
    columns = {"period": np.full(len(curves), period)}
    return compute_features(curves, REGISTRY, columns=columns, quantity="psfFlux")


def test_no_objects_make_no_rows(join: Any) -> None:
    found = compute(join([], "gr"))
    assert {values.shape for values in found.values.values()} == {(0,)}
    assert found.counts.shape == (0, 2)


def test_an_object_without_epochs_is_a_row_of_nan(join: Any) -> None:
    found = compute(join([([], [], [], [])], "gr"))
    assert found.status.tolist() == [1]
    counts = {f"{band}_{name}" for band in "gr" for name in ("n_epochs", "psfFluxNdata")}
    for name, values in found.values.items():
        assert values[0] == 0 if name in counts else math.isnan(values[0]) or name == "log10_period"


def test_one_epoch_has_what_one_epoch_can_have(join: Any) -> None:
    found = compute(join([(59_000.5, 7.0, 0.5, 0)])).values
    has_value = {name for name, values in found.items() if not math.isnan(values[0])}
    expected = {"n_epochs", "mean", "psfFluxMin", "psfFluxMax", "psfFluxMAD", "amplitude"}
    expected |= {f"psfFluxPercentile{p}" for p in ("05", "25", "50", "75", "95")}
    expected |= {"percent_amplitude", "inter_percentile_range_25", "gskew", "biweight_scale_9"}
    expected |= {"percent_difference_magnitude_percentile_5", "median_buffer_range_percentage_10"}
    expected |= {"psfFluxNdata", "psfFluxMean", "psfFluxMeanErr", "psfFluxErrMean", "psfFluxChi2"}
    expected |= {"duration", "time_mean"}
    assert has_value == {f"g_{name}" for name in expected} | {"log10_period"}
    assert found["g_psfFluxChi2"][0] == 0.0
    assert found["g_psfFluxMean"][0] == 7.0


def test_equal_values_have_no_shape(join: Any) -> None:
    n = 40
    t = 59_000.0 + np.arange(n) * 1.3
    found = compute(join([(t, np.full(n, 3.3), np.full(n, 0.1), np.zeros(n))])).values
    zero = ("psfFluxSigma", "psfFluxSkew", "psfFluxMAD", "amplitude", "psfFluxLinearSlope")
    for name in (*zero, "biweight_scale_9", "psfFluxChi2", "linear_trend_noise", "mean_variance"):
        assert found[f"g_{name}"][0] == 0.0
    undefined = ("kurtosis", "eta", "eta_e", "cusum", "anderson_darling_normal", "otsu_mean_diff")
    for name in (*undefined, "stetson_K", "beyond_1_std", "iar_phi", "psi_eta", "sf_gamma"):
        assert math.isnan(found[f"g_{name}"][0]), name
    assert found["g_chi2_pvar"][0] == 1.0


def test_epochs_at_one_time_have_no_slope(join: Any) -> None:
    found = compute(join([(np.full(6, 59_000.0), np.arange(6.0), np.ones(6), np.zeros(6))]))
    assert found.status.tolist() == [8]
    for name in ("psfFluxMaxSlope", "maximum_slope", "psfFluxLinearSlope", "linear_trend", "eta_e"):
        assert math.isnan(found.values[f"g_{name}"][0]), name
    assert found.values["g_minimum_time_interval"][0] == 0.0
    assert found.values["g_psfFluxSigma"][0] == pytest.approx(np.std(np.arange(6), ddof=1))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("time", [1.797e308, -1e300, 1.01e12])
def test_a_time_out_of_range_is_a_bad_epoch(join: Any, time: float) -> None:
    """The loop over octaves of lag went on for ever."""
    rng = np.random.default_rng(4)
    t, y, dy = 59_000.0 + np.arange(30) * 1.7, rng.normal(5.0, 1.0, 30), np.full(30, 0.2)
    good = compute(join([(t, y, dy, np.zeros(30))])).values
    t, y, dy = np.append(t, time), np.append(y, 5.0), np.append(dy, 0.2)
    found = compute(join([(t, y, dy, np.zeros(31))]))
    assert found.status.tolist() == [2]
    for name, values in found.values.items():
        np.testing.assert_array_equal(values, good[name], err_msg=name)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("y", "dy"), [(1e30, 1e30), (-1e30, 1e-30), (1.0, 1e-30)])
def test_all_that_counts_gives_finite_features(join: Any, y: float, dy: float) -> None:
    t = np.append(-1e12, 1e12 - np.arange(20.0)[::-1] * 2e-4)
    values = np.append(y, np.random.default_rng(4).normal(0.0, 1.0, 20))
    found = compute(join([(t, values, np.full(21, dy), np.zeros(21))]))
    assert found.status[0] & 7 == 0
    assert not any(np.isinf(values[0]) for values in found.values.values())


@pytest.mark.parametrize("y", [1.01e30, -1e300])
def test_a_value_out_of_range_is_a_bad_epoch(join: Any, y: float) -> None:
    found = compute(join([([1.0, 2.0], [y, 5.0], [0.1, 0.1], [0, 0])]))
    assert (found.status[0], found.counts[0, 0]) == (2, 1)


@pytest.mark.parametrize("dy", [1e-31, 1.01e30, 1e-310])
def test_an_error_out_of_range_is_unknown(join: Any, dy: float) -> None:
    found = compute(join([([1.0, 2.0], [4.0, 5.0], [dy, 0.1], [0, 0])]))
    assert found.status.tolist() == [4]
    assert found.values["g_psfFluxMean"][0] == pytest.approx(5.0)


@pytest.mark.parametrize("period", [0.0, -2.0, np.inf, np.nan])
def test_a_period_that_is_none_has_no_logarithm(join: Any, period: float) -> None:
    found = compute(join([([1.0, 2.0], [4.0, 5.0], [0.1, 0.1], [0, 0])]), period)
    assert math.isnan(found.values["log10_period"][0])


def test_two_times_have_a_line_but_no_parabola(join: Any) -> None:
    t = 59_000.0 + np.array([0.0, 0.0, 0.0, 5.0, 5.0])
    found = compute(join([(t, [1.0, 2.0, 3.0, 4.0, 6.0], np.ones(5), np.zeros(5))])).values
    assert found["g_psfFluxLinearSlope"][0] == pytest.approx(0.6)
    assert math.isnan(found["g_parabola_fit_g"][0])


def test_missing_errors_cost_the_weighted_features_only(join: Any) -> None:
    rng = np.random.default_rng(3)
    t, y = 59_000.0 + np.arange(30) * 1.7, rng.normal(5.0, 1.0, 30)
    dy = np.full(30, 0.2)
    dy[[0, 4, 9, 17]] = [np.nan, 0.0, -1.0, np.inf]
    kept = dy > 0
    kept[17] = False
    found = compute(join([(t, y, dy, np.zeros(30))]))
    fewer = compute(join([(t[kept], y[kept], dy[kept], np.zeros(kept.sum()))])).values
    assert found.status.tolist() == [4]
    assert found.values["g_n_epochs"][0] == 30
    assert found.values["g_psfFluxNdata"][0] == 26
    for part in REGISTRY:
        if part.name == "weighted":
            for feature in part.features:
                name = f"g_{feature.name.replace('{y}', 'psfFlux')}"
                assert found.values[name][0] == pytest.approx(fewer[name][0], rel=1e-12), name
    for name in ("g_sf_amplitude", "g_psfFluxLinearSlope", "g_parabola_fit_g"):
        assert found.values[name][0] == pytest.approx(fewer[name][0], rel=1e-9)
    none = compute(join([(t, y, np.full(30, np.nan), np.zeros(30))])).values
    assert none["g_psfFluxNdata"][0] == 0
    assert none["g_psfFluxSigma"][0] == found.values["g_psfFluxSigma"][0]
    for name in ("psfFluxMean", "psfFluxChi2", "chi2_pvar", "sf_gamma", "harmonics_r21"):
        assert math.isnan(none[f"g_{name}"][0]), name


def test_status_says_what_was_wrong(join: Any) -> None:
    good = ([1.0, 2.0], [1.0, 2.0], [1.0, 1.0], [0, 0])
    objects = [
        good,
        ([1.0, np.nan], *good[1:]),
        ([2.0, 1.0], *good[1:]),
        (*good[:3], [0, 7]),
        (*good[:2], [1.0, 0.0], [0, 0]),
        ([1.0, 1.0], *good[1:]),
        ([np.nan], [1.0], [1.0], [0]),
    ]
    assert split_bands(join(objects)).status.tolist() == [0, 2, 16, 2, 4, 8, 3]


def test_no_period_means_no_folding(join: Any) -> None:
    rng = np.random.default_rng(3)
    epochs = (np.arange(30.0), rng.normal(size=30), np.ones(30), np.zeros(30))
    for period in (np.nan, 0.0, -1.0, np.inf):
        found = compute(join([epochs]), period).values
        assert math.isnan(found["g_harmonics_amplitude_1"][0])
        assert math.isnan(found["g_psi_eta"][0])
        assert not math.isfinite(found["log10_period"][0])


def test_a_pure_cosine_is_its_first_harmonic(join: Any) -> None:
    rng = np.random.default_rng(9)
    t = 59_000.0 + np.sort(rng.uniform(0, 300, 200))
    angle = 2 * np.pi * t / 1.37
    y = 15.0 + 0.4 * np.cos(angle - 0.3) + 0.1 * np.cos(2 * angle - 1.1)
    epochs = (t, y, np.full(200, 0.01), np.zeros(200))
    found = compute(join([epochs]), 1.37).values
    assert found["g_harmonics_amplitude_1"][0] == pytest.approx(0.4, rel=1e-9)
    assert found["g_harmonics_amplitude_2"][0] == pytest.approx(0.1, rel=1e-9)
    assert found["g_harmonics_amplitude_3"][0] == pytest.approx(0.0, abs=1e-9)
    # 1.1 - 2 * 0.3: independent of where time begins.
    assert found["g_harmonics_phase_2"][0] == pytest.approx(0.5, abs=1e-6)
    assert found["g_harmonics_explained"][0] == pytest.approx(1.0, abs=1e-12)


def test_colours_of_fluxes_need_positive_ones(join: Any) -> None:
    epochs = ([1.0, 2.0, 3.0], [100.0, 10.0, -1.0], np.ones(3), [0, 1, 2])
    curves = join([epochs], "gri")
    found = compute_features(curves, DEFAULT_FEATURES.select(["colours"])).values
    assert found["color_median_g_r"][0] == pytest.approx(-2.5)
    assert math.isnan(found["color_median_r_i"][0])
    magnitudes = compute_features(
        curves, DEFAULT_FEATURES.select(["colours"]), is_magnitude=True
    ).values
    assert magnitudes["color_median_g_r"][0] == 90.0
    assert magnitudes["color_median_r_i"][0] == 11.0


def test_matched_columns_give_distances_and_motions(join: Any) -> None:
    columns = {
        "parallax": np.array([10.0, -0.5, np.nan]),
        "parallax_error": np.array([0.1, 0.1, 0.1]),
        "phot_mag": np.array([7.0, 15.0, 15.0]),
        "pmra": np.array([30.0, 3.0, 0.0]),
        "pmdec": np.array([40.0, 4.0, 0.0]),
    }
    registry = DEFAULT_FEATURES.select(
        ["parallax", "luminosity", "proper_motion", "reduced_proper_motion", "tangential"]
    )
    curves = join([([1.0], [1.0], [1.0], [0])] * 3)
    found = compute_features(curves, registry, columns=columns).values
    # At 100 pc: distance modulus 5.
    np.testing.assert_allclose(found["absolute_magnitude"], [2.0, np.nan, np.nan])
    np.testing.assert_allclose(found["parallax_over_error"], [100.0, -5.0, np.nan])
    np.testing.assert_allclose(found["astrometric_luminosity"], [10**0.4, -5.0, np.nan])
    np.testing.assert_allclose(found["proper_motion"], [50.0, 5.0, 0.0])
    np.testing.assert_allclose(found["reduced_proper_motion"][:2], [5.494850, 8.494850])
    assert math.isnan(found["reduced_proper_motion"][2])
    np.testing.assert_allclose(found["tangential_velocity"], [4.740470446 * 5, np.nan, np.nan])


def test_arrays_of_arrow_may_be_read_only(simulate: Any) -> None:
    curves = simulate(3, 40)
    expected = compute(curves).values
    for column in (curves.offsets, curves.t, curves.y, curves.dy, curves.band):
        column.flags.writeable = False
    for name, values in compute(curves).values.items():
        np.testing.assert_array_equal(values, expected[name])


def test_long_light_curves_take_the_general_sort(simulate: Any) -> None:
    curves = simulate(2, 5000, "g")
    found = compute(curves).values
    y = curves.y[:5000]
    assert found["g_psfFluxMAD"][0] == np.median(np.abs(y - np.median(y)))
    assert found["g_psfFluxPercentile95"][0] == np.percentile(y, 95)
    assert all(math.isfinite(found[f"g_{name}"][0]) for name in ("sf_gamma", "iar_phi", "psi_eta"))


def test_huge_fluxes_and_far_outliers_stay_finite(join: Any) -> None:
    rng = np.random.default_rng(2)
    y = 1e12 + rng.normal(0.0, 1.0, 50)
    y[7] += 1e6
    found = compute(join([(np.arange(50.0), y, np.ones(50), np.zeros(50))])).values
    assert found["g_psfFluxSigma"][0] == pytest.approx(np.std(y - 1e12, ddof=1), rel=1e-3)
    assert math.isfinite(found["g_anderson_darling_normal"][0])
    assert found["g_chi2_pvar"][0] == 0.0
