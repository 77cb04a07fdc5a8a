"""The periodogram of one object: which back end sums, and what the power is divided by."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ubspark.errors import ParameterError
from ubspark.timeseries.kernels.epochs import Epochs, prepare_epochs
from ubspark.timeseries.kernels.gpu import iterate_gpu_blocks
from ubspark.timeseries.kernels.grids import FrequencyGrid
from ubspark.timeseries.kernels.models import SEPARATE, SHARED, PowerBlock
from ubspark.timeseries.kernels.nufft import has_finufft, iterate_nufft_blocks
from ubspark.timeseries.kernels.tables import iterate_table_blocks

__all__ = [
    "Backend",
    "Device",
    "Model",
    "Normalization",
    "Precision",
    "choose_backend",
    "compute_periodogram",
    "estimate_ns_per_frequency",
    "iterate_blocks",
    "normalize",
]

FloatArray = NDArray[np.float64]

Model = Literal["separate", "shared"]
Backend = Literal["auto", "tables", "nufft"]
Precision = Literal["single", "double"]
Device = Literal["cpu", "gpu"]
Normalization = Literal["standard", "model", "log", "psd"]

_BITS = {"separate": SEPARATE, "shared": SHARED}
#: Nanoseconds per frequency of one core: what a band costs, what each of its epochs adds to the
#: tables, and what a transform of any number of epochs takes. Measured by
#: `benchmarks/bench_periodograms.py`; for the choice only ratios matter.
_BAND_NS = 8.0
_EPOCH_NS = {"single": 0.18, "double": 0.30}
_TRANSFORM_NS = {"single": 15.0, "double": 25.0}
#: Below this many frequencies transforms do not pay for the setting of their points.
_MIN_NUFFT = 2048


def estimate_ns_per_frequency(
    n_epochs: float, n_bands: int, n_freq: int, *, models: int, precision: Precision
) -> float:
    """Return about how long the faster back end takes for one frequency, nanoseconds."""
    return min(_estimate(n_epochs, n_bands, n_freq, models, precision))


def choose_backend(
    n_epochs: int, n_bands: int, n_freq: int, *, models: int, precision: Precision
) -> Literal["tables", "nufft"]:
    """Choose the faster way to sum, from the sizes of one object alone."""
    tables, nufft = _estimate(n_epochs, n_bands, n_freq, models, precision)
    return "tables" if tables <= nufft else "nufft"


def _estimate(
    n_epochs: float, n_bands: int, n_freq: int, models: int, precision: Precision
) -> tuple[float, float]:
    """Return nanoseconds per frequency by tables and by transforms."""
    bands = _BAND_NS * n_bands
    tables = bands + _EPOCH_NS[precision] * n_epochs
    if not has_finufft() or n_freq < _MIN_NUFFT:
        return tables, float("inf")
    transforms = (n_bands + 2) if models == SHARED and n_bands > 1 else 3 * n_bands
    return tables, bands + _TRANSFORM_NS[precision] * transforms


def iterate_blocks(
    epochs: Epochs,
    grid: FrequencyGrid,
    *,
    models: int,
    backend: Backend = "auto",
    precision: Precision = "single",
    device: Device = "cpu",
) -> Iterator[PowerBlock]:
    """Yield the power at all frequencies of a grid in blocks of bounded size.

    Parameters
    ----------
    models
        Bits of `models.SEPARATE` and `models.SHARED`.
    backend
        ``auto`` chooses from the numbers of epochs, bands and frequencies of the object alone,
        so that its neighbours never change its numbers.
    precision
        ``single`` for errors of the power below 1e-6, ``double`` for 1e-9.
    device
        ``gpu`` sums on a GPU, whatever the back end for the CPU is.

    Raises
    ------
    ParameterError
        If there is no GPU, or the back end is not installed.
    """
    if backend == "auto":
        sizes = (len(epochs.t), epochs.n_bands, grid.n_freq)
        backend = choose_backend(*sizes, models=models, precision=precision)
    # With one band the two models are one.
    wanted = models
    if epochs.n_bands == 1:
        models = SEPARATE
    iterate = iterate_table_blocks if backend == "tables" else iterate_nufft_blocks
    if device == "gpu":
        iterate = iterate_gpu_blocks
    for block in iterate(epochs, grid, models=models, precision=precision):
        if epochs.n_bands > 1:
            yield block
        else:
            empty = np.empty(0)
            yield PowerBlock(
                block.first,
                block.separate if wanted & SEPARATE else empty,
                block.separate if wanted & SHARED else empty,
            )


def compute_periodogram(
    t: FloatArray,
    y: FloatArray,
    dy: FloatArray,
    grid: FrequencyGrid,
    *,
    band: NDArray[np.int8] | None = None,
    model: Model = "shared",
    normalization: Normalization = "standard",
    backend: Backend = "auto",
    precision: Precision = "double",
    device: Device = "cpu",
) -> FloatArray:
    """Compute the power of one object at all frequencies of a grid.

    Parameters
    ----------
    t, y, dy
        Times in days, values and their standard errors, all finite, errors positive, shape
        (n,). In any order.
    grid
        The frequencies.
    band
        Codes of bands, shape (n,); None for one band.
    model
        ``shared``: one sinusoid with an offset in each band, (1, 0) of VanderPlas & Ivezic
        2015. ``separate``: a sinusoid in each band, (0, 1). With one band both are the
        generalised Lomb-Scargle periodogram with a floating mean.
    normalization
        As `astropy.timeseries.LombScargle` has it.
    backend, precision, device
        See `iterate_blocks`.

    Returns
    -------
    FloatArray
        Power, shape (grid.n_freq,).

    Raises
    ------
    ParameterError
        If an argument is not as described.
    """
    if model not in _BITS:
        msg = f"`model` must be one of {', '.join(_BITS)}, got {model!r}."
        raise ParameterError(msg)
    t, y, dy = (np.asarray(column, dtype=np.float64) for column in (t, y, dy))
    shapes = {t.shape, y.shape, dy.shape}
    if shapes != {(t.size,)} or t.size == 0:
        msg = f"`t`, `y` and `dy` must have one shape (n,), n > 0, got {sorted(shapes)}."
        raise ParameterError(msg)
    if not all(np.all(np.isfinite(column)) for column in (t, y, dy)) or not np.all(dy > 0):
        msg = "`t`, `y` and `dy` must be finite and `dy` positive."
        raise ParameterError(msg)
    codes = np.zeros(t.shape, np.int8) if band is None else np.asarray(band, np.int8)
    epochs = prepare_epochs(t, y, dy, codes)
    blocks = iterate_blocks(
        epochs, grid, models=_BITS[model], backend=backend, precision=precision, device=device
    )
    power = np.concatenate([getattr(block, model) for block in blocks])
    return normalize(power, normalization, chi2_ref=epochs.chi2_ref)


def normalize(power: FloatArray, normalization: str, *, chi2_ref: float) -> FloatArray:
    """Turn power of the standard normalization into that of another.

    Parameters
    ----------
    chi2_ref
        Chi squared without a periodic term, for ``psd``.
    """
    if normalization == "standard":
        return power
    if normalization == "model":
        return power / (1.0 - power)
    if normalization == "log":
        return -np.log1p(-power)
    if normalization == "psd":
        return 0.5 * chi2_ref * power
    msg = f"`normalization` must be one of standard, model, log, psd, got {normalization!r}."
    raise ParameterError(msg)
