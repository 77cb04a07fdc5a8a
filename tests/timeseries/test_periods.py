"""The search of many objects: recovery of what was put in, invariance, bad light curves."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surveys import collect, make_object

from ubspark.errors import ParameterError
from ubspark.timeseries import LightCurves
from ubspark.timeseries.kernels.aliases import AliasFlag
from ubspark.timeseries.options import PeriodOptions
from ubspark.timeseries.periods import compute_periods
from ubspark.timeseries.results import Periods, Status

FAST = PeriodOptions(fmin=0.8, fmax=3.0)


def same(first: Periods, second: Periods) -> bool:
    """Whether two results are equal to the last bit."""
    parts = ((first.columns, second.columns), (first.lists, second.lists))
    tables = (*parts, (first.by_band, second.by_band))
    return all(
        np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f")
        for one, other in tables
        for name in one
    )


@pytest.fixture(scope="module")
def curves() -> LightCurves:
    rng = np.random.default_rng(11)
    return collect([make_object(rng, int(n)) for n in rng.integers(60, 400, 12)])


def test_periods_put_in_come_out_within_their_errors(curves: LightCurves) -> None:
    found = compute_periods(curves, FAST)
    assert np.all(found["status"] == Status.OK)
    pull = (found["period"] - 0.5432) / found["period_err"]
    assert np.max(np.abs(pull)) < 5
    assert 0.3 < np.sqrt(np.mean(pull**2)) < 2
    assert np.all(found["n_harmonics"] >= 2)
    # The second harmonic has 0.4 of the amplitude of the first.
    ratio = found["harmonic_amplitude"][:, 1] / found["harmonic_amplitude"][:, 0]
    assert np.median(ratio) == pytest.approx(0.4, abs=0.03)
    # sin(2x + 0.7): phi_2 - 2 phi_1 = 0.7, whatever the epoch.
    assert np.median(found["harmonic_phase"][:, 1]) == pytest.approx(0.7, abs=0.1)
    assert np.all(found["log10_fap_10"] < -5)
    assert np.nanmedian(found.by_band["amplitude"]) == pytest.approx(0.3, abs=0.04)


def test_the_time_of_maximum_is_the_brightest(curves: LightCurves) -> None:
    phase = np.linspace(0, 1, 100_001)
    shape = np.sin(2 * np.pi * phase) + 0.4 * np.sin(4 * np.pi * phase + 0.7)
    for unit, brightest in (("magnitude", np.argmin(shape)), ("flux", np.argmax(shape))):
        options = PeriodOptions(fmin=0.8, fmax=3.0, unit=unit)  # type: ignore[arg-type]
        found = compute_periods(curves, options)
        at = np.mod(found["epoch_max"] / 0.5432 - phase[brightest] + 0.5, 1.0) - 0.5
        # The period is not known exactly, the epoch is near the middle of the light curve.
        assert np.median(np.abs(at)) < 0.02


def test_neighbours_order_and_batches_change_no_bit(curves: LightCurves) -> None:
    together = compute_periods(curves, FAST)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(curves))
    objects = [
        tuple(
            column[curves.offsets[i] : curves.offsets[i + 1]]
            for column in (curves.t, curves.y, curves.dy, curves.band)
        )
        for i in range(len(curves))
    ]
    for start in range(0, len(order), 5):
        rows = order[start : start + 5]
        mixed = []
        for i in rows:
            epochs = rng.permutation(len(objects[i][0]))
            mixed.append(tuple(column[epochs] for column in objects[i]))
        alone = compute_periods(collect(mixed), FAST)  # type: ignore[arg-type]
        for name, values in alone.columns.items():
            expected = together[name][rows]
            assert np.array_equal(values, expected, equal_nan=values.dtype.kind == "f"), name
        for name, values in alone.lists.items():
            assert np.array_equal(values, together[name][rows], equal_nan=True), name


@pytest.mark.parametrize("precision", ["single", "double"])
def test_back_ends_and_precisions_find_the_same(curves: LightCurves, precision: str) -> None:
    expected = compute_periods(curves, FAST)
    options = PeriodOptions(fmin=0.8, fmax=3.0, precision=precision, backend="tables")  # type: ignore[arg-type]
    found = compute_periods(curves, options)
    np.testing.assert_allclose(found["period"], expected["period"], rtol=1e-8)
    np.testing.assert_allclose(found["max_power_10"], expected["max_power_10"], atol=2e-6)


def bad_light_curves() -> dict[str, tuple[tuple[np.ndarray, ...], Status]]:
    """Return what can be wrong with a light curve, and what is then said."""
    rng = np.random.default_rng(8)
    t, y, dy, band = make_object(rng, 100)
    nan = np.full(100, np.nan)
    far = t.copy()
    far[-1] += 1e9
    few = np.array([], dtype=float)
    return {
        "none": ((few, few, few, few.astype(np.int8)), Status.TOO_FEW_EPOCHS),
        "one": ((t[:1], y[:1], dy[:1], band[:1]), Status.TOO_FEW_EPOCHS),
        "two": ((t[:2], y[:2], dy[:2], band[:2]), Status.TOO_FEW_EPOCHS),
        "nan values": ((t, nan, dy, band), Status.TOO_FEW_EPOCHS),
        "nan times": ((nan, y, dy, band), Status.TOO_FEW_EPOCHS),
        "unknown bands": ((t, y, dy, np.full(100, -1, np.int8)), Status.TOO_FEW_EPOCHS),
        "infinite values": ((t, nan + np.inf, dy, band), Status.TOO_FEW_EPOCHS),
        "one band": ((t, y, dy, np.zeros(100, np.int8)), Status.OK),
        "unsorted": ((t[::-1], y[::-1], dy[::-1], band[::-1]), Status.OK),
        "doubled": (tuple(np.repeat(c, 2) for c in (t, y, dy, band)), Status.OK),
        "one time": ((np.full(100, t[0]), y, dy, band), Status.BAD_SPAN),
        "huge span": ((far, y, dy, band), Status.BAD_SPAN),
        "no errors": ((t, y, nan, band), Status.OK),
        "zero errors": ((t, y, 0 * dy, band), Status.OK),
        "negative errors": ((t, y, -dy, band), Status.OK),
        "some errors bad": ((t, y, np.where(np.arange(100) % 7, dy, -1), band), Status.OK),
        "constant": ((t, np.full(100, 18.3), dy, band), Status.CONSTANT),
        "constant in bands": ((t, 18.3 + 0.1 * band, dy, band), Status.CONSTANT),
        "huge values": ((t, 1e28 * y, 1e28 * dy, band), Status.OK),
        "impossible values": ((t, 1e40 * y, dy, band), Status.TOO_FEW_EPOCHS),
        "tiny values": ((t, 1e-28 * y, 1e-28 * dy, band), Status.OK),
        "tiny errors": ((t, y, 1e-12 * dy, band), Status.OK),
        "one error tiny": ((t, y, np.where(np.arange(100), dy, 1e-9), band), Status.OK),
        "an outlier": ((t, np.where(np.arange(100), y, 1e6), dy, band), Status.OK),
        "an epoch in each band but one": (
            (t[:20], y[:20], dy[:20], np.minimum(np.arange(20), 5)[::-1].astype(np.int8)),
            Status.OK,
        ),
    }


@pytest.mark.parametrize("case", bad_light_curves())
def test_a_bad_light_curve_is_a_row_with_a_status(case: str, curves: LightCurves) -> None:
    epochs, status = bad_light_curves()[case]
    rng = np.random.default_rng(1)
    good = make_object(rng, 80)
    found = compute_periods(collect([good, epochs, good]), FAST)  # type: ignore[arg-type]
    assert len(found) == 3
    assert found["status"].tolist() == [Status.OK, status, Status.OK]
    alone = compute_periods(collect([good]), FAST)
    assert found["period"][0] == found["period"][2] == alone["period"][0]
    if status is Status.OK:
        assert np.isfinite(found["period"][1])
        assert 0.8 - 1e-3 <= found["frequency"][1] <= 3.0 + 1e-3
        assert 0 <= found["max_power_10"][1] <= 1
    else:
        assert np.isnan(found["period"][1])
        assert found.n_listed[1] == 0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_light_curve_fails(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 25))
    number = st.floats(allow_nan=True, allow_infinity=True, width=64)
    value = st.one_of(number, st.floats(-5, 5), st.sampled_from([0.0, 1.0, -1.0]))
    t, y, dy = (np.array([data.draw(value) for _ in range(n)], dtype=float) for _ in range(3))
    band = np.array([data.draw(st.integers(-1, 2)) for _ in range(n)], dtype=np.int8)
    options = PeriodOptions(fmax=2.0, max_frequencies=20_000)
    found = compute_periods(collect([(t, y, dy, band)], ("g", "r", "i")), options)
    assert len(found) == 1
    assert found["status"][0] in list(Status)
    searched = found["status"][0] == Status.OK
    assert np.isfinite(found["period"][0]) == searched


def test_a_hundred_thousand_epochs_are_searched() -> None:
    epochs = make_object(np.random.default_rng(0), 100_000, n_bands=2)
    found = compute_periods(collect([epochs]), PeriodOptions(fmin=1.5, fmax=2.0))
    assert found["period"][0] == pytest.approx(0.5432, rel=1e-6)


def test_a_grid_too_large_is_said_and_not_computed() -> None:
    epochs = make_object(np.random.default_rng(0), 50)
    found = compute_periods(collect([epochs]), PeriodOptions(max_frequencies=100))
    assert found["status"].tolist() == [Status.GRID_TOO_LARGE]


def test_kept_periodograms_are_those_of_the_kernel_and_change_nothing_else(
    curves: LightCurves,
) -> None:
    plain = compute_periods(curves, FAST)
    kept = compute_periods(curves, replace(FAST, keep_periodogram=True))
    assert not plain.powers
    for name, values in plain.columns.items():
        np.testing.assert_array_equal(kept[name], values, err_msg=name)
    for row in range(len(curves)):
        shared, separate = (kept.powers[name][row] for name in ("periodogram_10", "periodogram_01"))
        assert len(shared) == len(separate) == kept["n_freq"][row]
        best = round((kept["frequency"][row] - kept["grid_fmin"][row]) / kept["grid_df"][row])
        if kept["status"][row] == Status.OK:
            # The best frequency lies between those of the grid.
            near = shared[max(best - 1, 0) : best + 2].max()
            assert 0.9 * kept["power_10"][row] < near <= kept["power_10"][row] + 1e-5
            assert shared.max() <= kept["max_power_10"][row] + 1e-5
            assert separate.max() <= kept["max_power_01"][row] + 1e-5
            assert np.all((shared <= separate + 1e-5) & (shared > -1e-5))


def test_a_periodogram_too_large_to_keep_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ubspark.timeseries.periods.MAX_KEPT_FREQUENCIES", 10)
    curves = collect([make_object(np.random.default_rng(1), 60)])
    found = compute_periods(curves, replace(FAST, keep_periodogram=True))
    assert found["status"].tolist() == [Status.GRID_TOO_LARGE]
    assert [len(one[0]) for one in found.powers.values()] == [0, 0]


def test_the_gate_holds_back_what_does_not_vary() -> None:
    rng = np.random.default_rng(5)
    objects = [make_object(rng, 100, period=None) for _ in range(20)]
    objects.append(make_object(rng, 100))
    options = PeriodOptions(fmin=0.8, fmax=3.0, gate=1e-3)
    found = compute_periods(collect(objects), options)
    assert found["status"][-1] == Status.OK
    assert np.all(found["status"][:-1] == Status.NOT_VARIABLE)
    assert np.all(np.isfinite(found["log10_p_constant"]))


def test_daily_sampling_is_flagged() -> None:
    rng = np.random.default_rng(6)
    t, _, dy, band = make_object(rng, 200, n_bands=1)
    # A trend, sampled at night.
    y = 18 + 0.3 * (t - t[0]) / np.ptp(t) + rng.normal(0, 0.02, 200)
    found = compute_periods(collect([(t, y, dy, band)]), FAST)
    assert found["alias_flag"][0] & AliasFlag.WINDOW
    assert found["window_power"][0] > 0.05


def test_an_eclipsing_binary_gets_both_of_its_minima() -> None:
    rng = np.random.default_rng(9)
    t, _, _, band = make_object(rng, 400, n_bands=2)
    phase = np.mod(t / 1.234, 1.0)
    y = 15.0 + 0.6 * np.exp(-0.5 * ((phase - 0.5) / 0.06) ** 2)
    y += 0.25 * np.exp(-0.5 * (np.minimum(phase, 1 - phase) / 0.06) ** 2)
    dy = np.full(400, 0.01)
    found = compute_periods(
        collect([(t, y + rng.normal(0, dy), dy, band)]), PeriodOptions(fmin=0.3, fmax=3.0)
    )
    assert found["period"][0] == pytest.approx(1.234, rel=1e-4)


def test_narrow_eclipses_are_found_by_boxes() -> None:
    rng = np.random.default_rng(10)
    t, _, _, band = make_object(rng, 600, n_bands=2, span=300.0)
    phase = np.mod(t / 2.345 + 0.2, 1.0)
    dy = np.full(600, 0.01)
    y = 15.0 + np.where(phase < 0.04, 0.1, 0.0) + rng.normal(0, dy)
    options = PeriodOptions(fmax=2.0, with_boxes=True)
    found = compute_periods(collect([(t, y, dy, band)]), options)
    assert found["box_period"][0] == pytest.approx(2.345, rel=2e-4)
    assert found["box_depth"][0] == pytest.approx(0.1, abs=0.02)
    assert found["box_duration"][0] == pytest.approx(0.04, abs=0.015)
    middle = np.mod((found["box_epoch"][0] / 2.345 + 0.2) - 0.02 + 0.5, 1) - 0.5
    assert abs(middle) < 0.05


def test_options_are_checked() -> None:
    with pytest.raises(ParameterError, match="`fmin` must be in"):
        PeriodOptions(fmin=5.0, fmax=1.0)
    with pytest.raises(ParameterError, match="`device` must be cpu or gpu, got 'tpu'"):
        PeriodOptions(device="tpu")  # type: ignore[arg-type]
