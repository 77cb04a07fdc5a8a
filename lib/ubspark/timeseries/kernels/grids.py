"""Frequency grids: whole multiples of a step that depends on the time span of the object alone."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ubspark.errors import ParameterError

__all__ = ["PRESETS", "FrequencyGrid", "plan_grid", "round_up_span"]

FloatArray = NDArray[np.float64]

#: Smallest and largest frequency of each preset, 1/d; None for one cycle in the time span.
PRESETS: Final = {"rrlyrae": (0.8, 5.0), "default": (None, 10.0), "short": (None, 96.0)}
#: Spans are rounded up to a power of this, so that objects of one survey share their grids.
_SPAN_CLASS = 1.1
#: A longer span than this, days, is a mistake in the times, not a light curve.
MAX_SPAN_DAYS = 1e6


@dataclass(frozen=True)
class FrequencyGrid:
    """The frequencies ``j * df`` for ``first <= j < first + n_freq``, 1/d.

    A frequency common to two grids of one step has the same number ``j`` in both, and the same
    bits.
    """

    df: float
    first: int
    n_freq: int

    @property
    def fmin(self) -> float:
        """The smallest frequency."""
        return self.first * self.df

    @property
    def fmax(self) -> float:
        """The largest frequency."""
        return (self.first + self.n_freq - 1) * self.df

    def compute_frequencies(self) -> FloatArray:
        """Return all frequencies, shape (n_freq,)."""
        return np.arange(self.first, self.first + self.n_freq, dtype=np.float64) * self.df


def round_up_span(span_days: float) -> float:
    """Return the class of a time span: the next power of 1.1, days."""
    return float(_SPAN_CLASS ** math.ceil(math.log(span_days) / math.log(_SPAN_CLASS)))


def plan_grid(
    span_days: float,
    *,
    fmin: float | None = None,
    fmax: float = 10.0,
    oversampling: float = 5.0,
) -> FrequencyGrid:
    """Choose the grid of an object.

    The step is ``1 / (oversampling * T)`` (VanderPlas 2018, section 7.1), where T is the span
    rounded up to a power of 1.1.

    Parameters
    ----------
    span_days
        Time from the first to the last epoch, days, in (0, 1e6].
    fmin, fmax
        Ends of the range, 1/d; ``fmin`` None stands for one cycle in the (rounded) span. The
        grid holds the multiples of the step in [fmin, fmax], and at least one.
    oversampling
        Grid points per peak width 1/T, at least 1.

    Raises
    ------
    ParameterError
        If a value is out of range or no frequency is left.
    """
    if not 0 < span_days <= MAX_SPAN_DAYS:
        msg = f"`span_days` must be in (0, {MAX_SPAN_DAYS:g}], got {span_days!r}."
        raise ParameterError(msg)
    if not oversampling >= 1:
        msg = f"`oversampling` must be at least 1, got {oversampling!r}."
        raise ParameterError(msg)
    span = round_up_span(span_days)
    df = 1.0 / (oversampling * span)
    low = 1.0 / span if fmin is None else fmin
    if not 0 < low <= fmax < math.inf:
        msg = f"`fmin` must be in (0, fmax], got fmin {low!r} and fmax {fmax!r}."
        raise ParameterError(msg)
    # A rounding error must not push an end that is itself a multiple of the step off the grid.
    first = max(1, math.ceil(low / df - 1e-6))
    last = max(first, math.floor(fmax / df + 1e-6))
    return FrequencyGrid(df, first, last - first + 1)
