"""The scan of one object on a GPU (CuPy): a thread sums over all epochs for its frequency.

Phases are float64, so that times of any size are safe; the sums are float32 or float64 as asked.
As with the other back ends, frequencies whose power is too sensitive to rounding are summed again
on the CPU, and an object's numbers depend on its own epochs alone.
"""

from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from ubspark.errors import ParameterError
from ubspark.timeseries.kernels.epochs import Epochs
from ubspark.timeseries.kernels.grids import FrequencyGrid
from ubspark.timeseries.kernels.models import (
    MAX_EXACT,
    SEPARATE,
    SHARED,
    PowerBlock,
    compute_power_at,
)

__all__ = ["iterate_gpu_blocks", "use_gpu", "validate_gpu"]

#: Frequencies of a launch: 18 MB of results.
_LENGTH = 1 << 20
_THREADS = 128
#: Sensitivity (`models.add_band`) above which a frequency is summed on the CPU instead.
_LIMITS = {"single": 2.0, "double": 1e5}
#: With fewer epochs in a band the sums are float64 at any precision.
_MIN_SINGLE = 16


def validate_gpu() -> None:
    """Refuse where there is no GPU to compute on, or no CuPy to reach it.

    Raises
    ------
    ParameterError
    """
    missing = _find_missing()
    if missing:
        msg = f"`device` is gpu, but {missing}. Choose cpu, or run where a GPU is."
        raise ParameterError(msg)


def use_gpu(number: int) -> None:
    """Compute on one of several GPUs from now on, in this thread."""
    import cupy  # type: ignore[import-not-found, unused-ignore]

    cupy.cuda.Device(number).use()


def iterate_gpu_blocks(
    epochs: Epochs, grid: FrequencyGrid, *, models: int, precision: str
) -> Iterator[PowerBlock]:
    """Yield the power at all frequencies of a grid, block after block.

    Parameters
    ----------
    models
        Bits of the models wanted, `SEPARATE` and `SHARED`.
    precision
        ``single`` for errors of the power below 1e-6, ``double`` for 1e-9.

    Raises
    ------
    ParameterError
        If there is no GPU or no CuPy.
    """
    validate_gpu()
    counts = epochs.counts
    if np.any((counts > MAX_EXACT) & (counts < _MIN_SINGLE)):
        precision = "double"
    begins = epochs.starts[:-1]
    weights = np.add.reduceat(epochs.w, begins)
    chi2 = np.add.reduceat(epochs.w * epochs.y**2, begins)
    columns = _send(
        epochs.t, epochs.w, epochs.w * epochs.y, epochs.starts.astype(np.int64), weights, chi2
    )
    scan, limit = _compile()[precision], _LIMITS[precision]
    for first in range(grid.first, grid.first + grid.n_freq, _LENGTH):
        length = min(_LENGTH, grid.first + grid.n_freq - first)
        separate, shared, is_unsure = _launch(
            scan, columns, epochs.n_bands, grid.df, first, length, limit
        )
        again = np.flatnonzero(is_unsure)
        if len(again):
            separate[again], shared[again] = compute_power_at(
                epochs, np.asarray((first + again) * grid.df)
            )
        empty = np.empty(0)
        yield PowerBlock(
            first, separate if models & SEPARATE else empty, shared if models & SHARED else empty
        )


@lru_cache(maxsize=1)
def _find_missing() -> str:
    """Return what keeps a GPU from being used, empty where nothing does."""
    try:
        import cupy  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return "CuPy is not installed (`pip install 'ubspark[gpu]'`)"
    try:
        n_devices = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"this machine has no GPU that CUDA can use ({error})"
    return "" if n_devices else "this machine has no GPU"


@lru_cache(maxsize=1)
def _compile() -> dict[str, Any]:
    import cupy  # type: ignore[import-not-found, unused-ignore]

    # Sums in the order written: the same bits for the same object, whatever else runs.
    source = files(__package__).joinpath("scan.cu").read_text()
    options = ("--std=c++17", f"-DMAX_EXACT={MAX_EXACT}")
    module = cupy.RawModule(code=source, options=options)
    return {name: module.get_function(f"scan_{name}") for name in ("single", "double")}


def _send(*columns: Any) -> list[Any]:
    import cupy  # type: ignore[import-not-found, unused-ignore]

    return [cupy.asarray(np.ascontiguousarray(column)) for column in columns]


def _launch(
    scan: Any,
    columns: list[Any],
    n_bands: int,
    df: float,
    first: int,
    length: int,
    limit: float,
) -> tuple[Any, Any, Any]:
    """Return power of *separate* and *shared*, and whether they are too sensitive to rounding."""
    import cupy  # type: ignore[import-not-found, unused-ignore]

    separate, shared = cupy.empty(length), cupy.empty(length)
    is_unsure = cupy.empty(length, dtype=bool)
    sizes = np.int32(n_bands), np.float64(df), np.int64(first), np.int32(length), np.float64(limit)
    blocks = (-(-length // _THREADS),)
    scan(blocks, (_THREADS,), (*columns, *sizes, separate, shared, is_unsure))
    return cupy.asnumpy(separate), cupy.asnumpy(shared), cupy.asnumpy(is_unsure)
