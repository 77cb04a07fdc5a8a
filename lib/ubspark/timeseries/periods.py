"""The period of each of many objects."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped,unused-ignore]

from ubspark.timeseries.kernels.aliases import AliasFlag, compute_window_power, flag_aliases
from ubspark.timeseries.kernels.boxes import find_box
from ubspark.timeseries.kernels.epochs import Epochs, prepare_epochs
from ubspark.timeseries.kernels.grids import MAX_SPAN_DAYS, FrequencyGrid, plan_grid
from ubspark.timeseries.kernels.models import SEPARATE, SHARED, compute_power_at, refine_maximum
from ubspark.timeseries.kernels.peaks import RunningPeaks
from ubspark.timeseries.kernels.periodogram import iterate_blocks
from ubspark.timeseries.kernels.ranking import rank_peaks, refine_frequency, reweight
from ubspark.timeseries.kernels.shapes import describe_shape
from ubspark.timeseries.kernels.significance import fap_separate, fap_shared
from ubspark.timeseries.kernels.weighting import (
    compute_band_amplitudes,
    fill_errors,
    floor_errors,
)
from ubspark.timeseries.lightcurves import LightCurves
from ubspark.timeseries.options import MAX_KEPT_FREQUENCIES, PeriodOptions
from ubspark.timeseries.results import Periods, Status

__all__ = ["compute_periods", "iterate_periods"]

FloatArray = NDArray[np.float64]

#: Epochs beyond one per band that a search needs: two amplitudes, the frequency and some to judge.
_MIN_FREE = 5
#: Larger values are not measurements.
_MAX_VALUE = 1e30
#: Errors below this share of the range of the values are taken as this.
_MIN_ERROR = 1e-12
#: Peaks given to the ranking beyond those kept.
_MORE_PEAKS = 5


def compute_periods(light_curves: LightCurves, options: PeriodOptions | None = None) -> Periods:
    """Find the period of each object.

    For each object: the power of *shared* and *separate* at all frequencies of its grid, the
    highest peaks and their alias partners, fits of up to four harmonics to rank them, the
    frequency with its error, false-alarm probabilities and what the shape is. What an object
    gets depends on its own epochs and the options alone, to the last bit.

    Parameters
    ----------
    light_curves
        Any number of objects. Epochs whose time or value is not finite are left out; unknown
        errors are replaced by the median of the band.
    options
        Defaults where None.

    Returns
    -------
    Periods
        A row for each object, also for those that cannot be searched: `Status` says why.

    Notes
    -----
    Memory is bounded by blocks of frequencies, whatever the grid. BLAS runs in one thread.
    """
    options = options or PeriodOptions()
    periods = Periods.empty(
        len(light_curves),
        light_curves.bands,
        options.n_peaks,
        keeps_powers=options.keep_periodogram,
    )
    for row, found in enumerate(iterate_periods(light_curves, options)):
        periods.set_row(row, found)
    return periods


def iterate_periods(light_curves: LightCurves, options: PeriodOptions) -> Iterator[dict[str, Any]]:
    """Yield the values of each object's row."""
    with _controller().limit(limits=1, user_api="blas"):
        for low, high in zip(light_curves.offsets[:-1], light_curves.offsets[1:], strict=True):
            here = slice(low, high)
            yield _search(
                light_curves.t[here],
                light_curves.y[here],
                light_curves.dy[here],
                light_curves.band[here],
                options,
            )


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


class _Stop(Exception):  # noqa: N818  # not an error: the end of a search
    """An object cannot be searched."""

    def __init__(self, status: Status) -> None:
        self.status = status


def _search(
    t: FloatArray,
    y: FloatArray,
    dy: FloatArray,
    band: NDArray[np.int8],
    options: PeriodOptions,
) -> dict[str, Any]:
    is_usable = (np.abs(t) < _MAX_VALUE) & (np.abs(y) < _MAX_VALUE) & (band >= 0)
    t, y, dy, band = t[is_usable], y[is_usable], dy[is_usable], band[is_usable]
    row: dict[str, Any] = {"n_obs": len(t), "n_bands": len(np.unique(band)), "n_obs_band": band}
    if len(t):
        row |= {"t_min": float(np.min(t)), "t_span": float(np.ptp(t))}
    try:
        row |= _find_period(t, y, dy, band, options, row)
    except _Stop as stop:
        row["status"] = stop.status
    return row


def _find_period(
    t: FloatArray,
    y: FloatArray,
    dy: FloatArray,
    band: NDArray[np.int8],
    options: PeriodOptions,
    row: dict[str, Any],
) -> dict[str, Any]:
    if len(t) - row["n_bands"] < _MIN_FREE:
        raise _Stop(Status.TOO_FEW_EPOCHS)
    if not 0 < row["t_span"] <= MAX_SPAN_DAYS:
        raise _Stop(Status.BAD_SPAN)
    # Times decide about near duplicates, so that the order of the epochs never does.
    order = np.lexsort((dy, y, t, band))
    t, y, dy, band = t[order], y[order], dy[order], band[order]
    dy = fill_errors(y, np.where(dy < _MAX_VALUE, dy, np.nan), band)
    # A power of two changes no bit, and squares neither overflow nor vanish.
    unit = 2.0 ** -np.frexp(np.max(np.abs(y - np.median(y))))[1]
    y, dy = y * unit, np.maximum(dy * unit, _MIN_ERROR)
    plain = prepare_epochs(t, y, dy, band)
    if not np.any(plain.y):
        raise _Stop(Status.CONSTANT)
    row["log10_p_constant"] = _log10_p_constant(plain)
    if options.gate is not None and row["log10_p_constant"] > np.log10(options.gate):
        raise _Stop(Status.NOT_VARIABLE)
    floored = floor_errors(y, dy, band, options.error_floor)
    ratio = compute_band_amplitudes(y, dy, band, prior=options.amplitude_prior)
    epochs = prepare_epochs(t, y / ratio, floored / ratio, band)
    epochs = epochs._replace(scale=epochs.scale / unit, mean=epochs.mean / unit)
    grid = _plan(row["t_span"], options)
    found = _scan(epochs, grid, options) | {
        "grid_fmin": grid.fmin,
        "grid_fmax": grid.fmax,
        "grid_df": grid.df,
        "n_freq": grid.n_freq,
        "status": Status.OK,
    }
    found |= _rank(epochs, grid, found.pop("peaks"), row["t_span"], options)
    return found | _describe(epochs, ratio, found, options)


def _plan(span: float, options: PeriodOptions) -> FrequencyGrid:
    # A short light curve may not hold one cycle of the largest frequency.
    if options.fmin is None and options.fmax * span < _MIN_CYCLES:
        raise _Stop(Status.BAD_SPAN)
    grid = plan_grid(span, fmin=options.fmin, fmax=options.fmax, oversampling=options.oversampling)
    limit = options.max_frequencies
    if options.keep_periodogram:
        limit = min(limit, MAX_KEPT_FREQUENCIES)
    if grid.n_freq > limit:
        raise _Stop(Status.GRID_TOO_LARGE)
    return grid


#: Rounding a span up must leave the range of frequencies with at least one.
_MIN_CYCLES = 1.2


def _scan(epochs: Epochs, grid: FrequencyGrid, options: PeriodOptions) -> dict[str, Any]:
    """Compute the power at all frequencies; keep the highest peaks."""
    distance = int(np.ceil(1.5 * options.oversampling))
    peaks = RunningPeaks(options.n_peaks + _MORE_PEAKS, distance=distance)
    highest, place = -1.0, grid.first
    kept = np.empty((2, grid.n_freq if options.keep_periodogram else 0), dtype=np.float32)
    for block in iterate_blocks(
        epochs,
        grid,
        models=SEPARATE | SHARED,
        backend=options.backend,
        precision=options.precision,
        device=options.device,
    ):
        peaks.add(block.first, block.shared)
        here = int(np.argmax(block.separate))
        if block.separate[here] > highest:
            highest, place = float(block.separate[here]), block.first + here
        if options.keep_periodogram:
            start = block.first - grid.first
            kept[:, start : start + len(block.shared)] = block.shared, block.separate
    found = peaks.finish()
    bandwidth = grid.n_freq * grid.df
    top = refine_maximum(epochs, float(found.number[0]) * grid.df, grid.df, SHARED)
    highest = refine_maximum(epochs, place * grid.df, grid.df, SEPARATE)
    powers = {"periodogram_10": kept[0], "periodogram_01": kept[1]}
    return (powers if options.keep_periodogram else {}) | {
        "peaks": found.number * grid.df,
        "max_power_10": top,
        "max_power_01": highest,
        "log10_fap_10": float(fap_shared(epochs, top, bandwidth=bandwidth)),
        "log10_fap_01": float(fap_separate(epochs, highest, bandwidth=bandwidth)),
    }


def _rank(
    epochs: Epochs,
    grid: FrequencyGrid,
    peaks: FloatArray,
    span: float,
    options: PeriodOptions,
) -> dict[str, Any]:
    ranked = rank_peaks(epochs, grid, peaks, n_kept=options.n_peaks)
    refined = refine_frequency(epochs, ranked.frequency[0], ranked.weights)
    frequency = ranked.frequency.copy()
    frequency[0] = refined.frequency
    separate, shared = compute_power_at(epochs, frequency)
    flags = flag_aliases(frequency, ranked.score, shared, span_days=span)
    if np.any(epochs.counts < _SPARSE):
        flags |= np.int16(AliasFlag.SPARSE_BAND)
    error = refined.frequency_error
    return {
        "frequency": refined.frequency,
        "frequency_err": error,
        "period": 1.0 / refined.frequency,
        "period_err": error / refined.frequency**2,
        "power_10": shared[0],
        "power_01": separate[0],
        "n_harmonics": refined.n_harmonics,
        "dbic": refined.bic,
        "weights": ranked.weights,
        "red_chi2": _reduced_chi2(epochs, refined.gain, refined.n_harmonics, ranked.weights),
        "window_power": float(compute_window_power(epochs, frequency[:1])[0]),
        "alias_flag": int(flags[0]),
        "peak_frequency": frequency,
        "peak_power": shared,
        "peak_log10_fap": fap_shared(epochs, shared, bandwidth=grid.n_freq * grid.df),
        "peak_score": ranked.score - ranked.score[0],
        "peak_alias_flag": flags,
    }


#: A band with fewer epochs sets `AliasFlag.SPARSE_BAND`.
_SPARSE = 3


def _reduced_chi2(epochs: Epochs, gain: float, n_harmonics: int, weights: FloatArray) -> float:
    """Return chi squared, errors with their floor, per degree of freedom."""
    freedom = len(epochs.t) - epochs.n_bands - 2 * n_harmonics - 1
    share = (reweight(epochs, weights).scale / epochs.scale) ** 2
    return epochs.chi2_ref * share * (1.0 - gain) / freedom if freedom > 0 else float("nan")


def _describe(
    epochs: Epochs, ratio: FloatArray, found: dict[str, Any], options: PeriodOptions
) -> dict[str, Any]:
    sign = -1.0 if options.unit == "magnitude" else 1.0
    weighted = reweight(epochs, found.pop("weights"))
    # Sorted by band already, as the epochs are.
    shape = describe_shape(weighted, ratio, found["frequency"], found["n_harmonics"], sign=sign)
    described: dict[str, Any] = {
        "epoch_max": shape.epoch_max,
        "harmonic_amplitude": shape.harmonic_amplitude,
        "harmonic_phase": shape.harmonic_phase,
        "amplitude": (epochs.codes, shape.amplitude),
        "phase": (epochs.codes, shape.phase),
    }
    if options.with_boxes:
        box = find_box(epochs, fmax=options.fmax, sign=sign)
        described |= {
            "box_period": 1.0 / box.frequency,
            "box_power": box.power,
            "box_depth": box.depth * epochs.scale,
            "box_duration": box.duration,
            "box_epoch": box.epoch,
            "box_fmax": box.fmax,
        }
    return described


def _log10_p_constant(epochs: Epochs) -> float:
    """Return log10 of the chance of a larger chi squared without variation."""
    freedom = len(epochs.t) - epochs.n_bands
    p = float(special.chdtrc(freedom, epochs.chi2_ref))
    if p > 0:
        return float(np.log10(p))
    # Leading term of the tail where the function underflows.
    x, a = 0.5 * epochs.chi2_ref, 0.5 * freedom
    return float((-x + (a - 1) * np.log(x) - special.gammaln(a)) / np.log(10.0))
