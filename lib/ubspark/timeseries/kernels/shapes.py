"""The shape of a folded light curve: amplitudes, phases, Fourier parameters, time of maximum."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ubspark.timeseries.kernels.epochs import Epochs
from ubspark.timeseries.kernels.harmonics import MAX_HARMONICS, fit_harmonics

__all__ = ["Shape", "describe_shape"]

FloatArray = NDArray[np.float64]

#: Phases at which the maximum is looked for before it is refined.
_N_PHASES = 256
#: A band of fewer epochs has no amplitude of its own.
_MIN_EPOCHS = 4


class Shape(NamedTuple):
    """What the folded light curve looks like."""

    harmonic_amplitude: FloatArray
    """Amplitude of each harmonic, unit of the values, shape (4,); NaN beyond those fitted."""
    harmonic_phase: FloatArray
    """Phase of each harmonic k less k times that of the first, radians in [0, 2 pi), for a sum
    of sines, shape (4,); NaN beyond those fitted."""
    epoch_max: float
    """A time of maximum light, days: the first at or after the middle of the epochs."""
    amplitude: FloatArray
    """Half amplitude of the sinusoid fitted to each band alone, shape (bands,); NaN with fewer
    than 4 epochs."""
    phase: FloatArray
    """How much later, in periods, that sinusoid is brightest, in [0, 1), shape (bands,)."""


def describe_shape(
    epochs: Epochs, band_scale: FloatArray, frequency: float, n_harmonics: int, *, sign: float
) -> Shape:
    """Describe the light curve folded at a frequency.

    Parameters
    ----------
    band_scale
        What the values of each epoch were divided by before (`compute_band_amplitudes`).
    sign
        -1 where brighter is lower, as in magnitudes; else 1.
    """
    found = fit_harmonics(epochs, frequency, n_harmonics)
    cosine, sine = found[0::2], found[1::2]
    amplitude, phase = np.full((2, MAX_HARMONICS), np.nan)
    amplitude[:n_harmonics] = np.hypot(cosine, sine) * epochs.scale
    angle = np.arctan2(cosine, sine)
    number = np.arange(1, n_harmonics + 1)
    phase[:n_harmonics] = np.mod(angle - number * angle[0], 2 * np.pi)
    brightest = _find_brightest(sign * cosine, sign * sine)
    band_amplitude, band_phase = np.full((2, epochs.n_bands), np.nan)
    for k, (low, high) in enumerate(zip(epochs.starts[:-1], epochs.starts[1:], strict=True)):
        if high - low >= _MIN_EPOCHS:
            c, s = _fit_sinusoid(
                epochs.t[low:high], epochs.y[low:high], epochs.w[low:high], frequency
            )
            band_amplitude[k] = np.hypot(c, s) * epochs.scale * band_scale[low]
            at = np.arctan2(sign * s, sign * c) / (2 * np.pi)
            band_phase[k] = np.mod(at - brightest, 1.0)
    # A remainder so close to 1 that it rounds to it.
    band_phase[band_phase == 1.0] = 0.0
    return Shape(amplitude, phase, epochs.t_ref + brightest / frequency, band_amplitude, band_phase)


def _find_brightest(cosine: FloatArray, sine: FloatArray) -> float:
    """Return the phase in [0, 1) at which a sum of harmonics is largest."""
    number = 2 * np.pi * np.arange(1, len(cosine) + 1)
    grid = np.arange(_N_PHASES) / _N_PHASES
    angle = np.multiply.outer(grid, number)
    phase = float(grid[np.argmax(np.cos(angle) @ cosine + np.sin(angle) @ sine)])
    # Newton's steps on the derivative; the grid is fine enough for four harmonics.
    for _ in range(4):
        c, s = np.cos(number * phase), np.sin(number * phase)
        first = float(np.sum(number * (sine * c - cosine * s)))
        second = float(np.sum(number**2 * (sine * s + cosine * c)))
        if second > 0:
            phase += float(np.clip(first / second, -0.5 / _N_PHASES, 0.5 / _N_PHASES))
    return float(np.mod(phase, 1.0)) % 1.0


def _fit_sinusoid(
    t: FloatArray, y: FloatArray, w: FloatArray, frequency: float
) -> tuple[float, float]:
    """Return the amplitudes of cosine and sine beside an offset."""
    angle = 2 * np.pi * np.mod(frequency * t, 1.0)
    root = np.sqrt(w)
    columns = np.stack((root, root * np.cos(angle), root * np.sin(angle)), axis=1)
    found = np.linalg.lstsq(columns, root * y, rcond=1e-9)[0]
    return float(found[1]), float(found[2])
