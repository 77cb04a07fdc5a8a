"""Trigonometric sums by non-uniform FFT (finufft): best for many epochs.

Plans depend on the number of frequencies alone and are kept, so that an object only sets its
points. Only objects of very many frequencies take several transforms, each of one fixed length.
"""

from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ubspark.errors import ParameterError
from ubspark.timeseries.kernels.compiled import compiled
from ubspark.timeseries.kernels.epochs import Epochs
from ubspark.timeseries.kernels.grids import FrequencyGrid
from ubspark.timeseries.kernels.models import (
    MAX_EXACT,
    N_FOLDED,
    SEPARATE,
    SHARED,
    PowerBlock,
    add_band,
)
from ubspark.timeseries.kernels.rescue import finish_block

__all__ = ["has_finufft", "iterate_nufft_blocks"]

FloatArray = NDArray[np.float64]
Array = NDArray[Any]
ComplexArray = NDArray[np.complex128]

#: Transforms have a multiple of this many frequencies, at most `_MAX_LENGTH`.
_STEP = 2000
_HALF_STEP = 1000
_MAX_LENGTH = 128_000
#: Tolerance asked of finufft, and the sensitivity (`models.add_band`) above which a frequency
#: is summed directly instead.
_TOLERANCES = {"single": 1e-9, "double": 1e-13}
_LIMITS = {"single": 100.0, "double": 1e3}


@lru_cache(maxsize=1)
def has_finufft() -> bool:
    """Whether finufft is installed."""
    return find_spec("finufft") is not None


def iterate_nufft_blocks(
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
        If finufft is not installed.
    """
    if not has_finufft():
        msg = "`backend` is nufft, but finufft is not installed. Install it or choose tables."
        raise ParameterError(msg)
    length = min(-(-grid.n_freq // _STEP) * _STEP, _MAX_LENGTH)
    for first in range(grid.first, grid.first + grid.n_freq, length):
        # Fresh zeros cost nothing in the rows that a model does not touch.
        folded = np.zeros((N_FOLDED, length))
        modes = _Modes(grid.df, first, length, _TOLERANCES[precision])
        if models == SHARED and epochs.n_bands > 1:
            _fold_together(epochs, modes, folded)
        else:
            _fold_apart(epochs, modes, folded, models)
        yield finish_block(
            epochs, grid, first, folded, None, models=models, limit=_LIMITS[precision]
        )


class _Modes(NamedTuple):
    """The frequencies of one transform, ``(first + i) * df`` for i below ``length``."""

    df: float
    first: int
    length: int
    tolerance: float


def _fold_apart(epochs: Epochs, modes: _Modes, folded: FloatArray, models: int) -> None:
    """Fold each band from transforms of its own."""
    for low, high in zip(epochs.starts[:-1], epochs.starts[1:], strict=True):
        t, w, y = (column[low:high] for column in (epochs.t, epochs.w, epochs.y))
        use = models if high - low > MAX_EXACT else models & SHARED
        if not use:
            continue
        once = _transform(t, np.stack((w * y, w)), modes)
        twice = _transform_twice(t, w, once[1], modes)
        _fold(once[0], once[1], twice, float(np.sum(w)), float(np.sum(w * y * y)), use, folded)


def _fold_together(epochs: Epochs, modes: _Modes, folded: FloatArray) -> None:
    """Fold all bands for *shared*, where only the sums of w enter band by band."""
    strengths = np.zeros((epochs.n_bands + 1, len(epochs.t)))
    strengths[0] = epochs.w * epochs.y
    for k, (low, high) in enumerate(zip(epochs.starts[:-1], epochs.starts[1:], strict=True)):
        strengths[k + 1, low:high] = epochs.w[low:high]
    weight = np.sum(strengths[1:], axis=1)
    once = _transform(epochs.t, strengths, modes)
    twice = _transform_twice(epochs.t, epochs.w, np.sum(once[1:], axis=0), modes)
    _fold_shared(once, twice, weight, folded)


def _transform_twice(
    t: FloatArray, w: FloatArray, once: ComplexArray, modes: _Modes
) -> ComplexArray:
    """Return the sums of ``w`` at twice the frequencies; half of them stand in ``once``."""
    first, length = modes.first, modes.length
    known = once[first::2] if first < length else once[:0]
    rest = min(-(-(length - len(known)) // _HALF_STEP) * _HALF_STEP, length)
    begin = first + length - rest
    found = _make_buffer(length)
    found[: length - rest] = known[: length - rest]
    found[length - rest :] = _transform(2 * t, w[None], modes._replace(first=begin, length=rest))[0]
    return found


def _transform(t: FloatArray, strengths: FloatArray, modes: _Modes) -> ComplexArray:
    """Return ``sum s exp(2 pi i f t)``, shape (len(strengths), length)."""
    cycles = (modes.first + modes.length // 2) * modes.df * t
    turn = np.exp(2j * np.pi * (cycles - np.rint(cycles)))
    cycles = modes.df * t
    plan, out = _make_plan(modes.length, len(strengths), modes.tolerance)
    plan.setpts(2 * np.pi * (cycles - np.rint(cycles)))
    plan.execute(np.squeeze(np.ascontiguousarray(strengths * turn)), out=np.squeeze(out))
    return out


# A plan of six bands holds some 15 MB.
@lru_cache(maxsize=12)
def _make_plan(length: int, n_transforms: int, tolerance: float) -> tuple[Any, ComplexArray]:
    """Return a plan and where its results go until it is executed again."""
    # Heavy, and tables need none of it.
    import finufft  # type: ignore[import-not-found,unused-ignore]

    # The smaller upsampling halves the FFT, and can do 1e-9.
    plan = finufft.Plan(
        1,
        (length,),
        n_trans=n_transforms,
        eps=tolerance,
        isign=1,
        dtype="complex128",
        nthreads=1,
        upsampfac=1.25 if tolerance >= 1e-9 else 2.0,
    )
    return plan, np.empty((n_transforms, length), dtype=np.complex128)


@lru_cache(maxsize=2)
def _make_buffer(length: int) -> ComplexArray:
    return np.empty(length, dtype=np.complex128)


@compiled
def _fold(
    y: Array, w: Array, twice: Array, weight: float, chi2: float, models: int, folded: Array
) -> None:
    for i in range(len(y)):
        power, slack, cc, ss, cs = add_band(
            y[i].real, y[i].imag, w[i].real, w[i].imag, twice[i].real, twice[i].imag, weight, chi2
        )
        if models & SEPARATE:
            folded[0, i] += power
            folded[1, i] += slack
        if models & SHARED:
            folded[2, i] += cc
            folded[3, i] += ss
            folded[4, i] += cs
            folded[5, i] += y[i].real
            folded[6, i] += y[i].imag


@compiled
def _fold_shared(once: Array, twice: Array, weight: Array, folded: Array) -> None:
    total = np.sum(weight)
    for i in range(len(twice)):
        folded[2, i] = 0.5 * (total + twice[i].real)
        folded[3, i] = 0.5 * (total - twice[i].real)
        folded[4, i] = 0.5 * twice[i].imag
        folded[5, i] = once[0, i].real
        folded[6, i] = once[0, i].imag
    for k in range(len(weight)):
        inverse = 1.0 / weight[k]
        for i in range(len(twice)):
            c, s = once[k + 1, i].real, once[k + 1, i].imag
            folded[2, i] -= c * c * inverse
            folded[3, i] -= s * s * inverse
            folded[4, i] -= c * s * inverse
