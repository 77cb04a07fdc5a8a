"""What a period search may be asked."""

import math
from dataclasses import dataclass
from typing import Literal

from ubspark.errors import ParameterError
from ubspark.timeseries.kernels.periodogram import Backend, Device, Precision

__all__ = ["MAX_KEPT_FREQUENCIES", "PeriodOptions"]

#: Largest grid of an object whose periodogram is kept; bounds the memory of a task.
MAX_KEPT_FREQUENCIES = 5_000_000


@dataclass(frozen=True)
class PeriodOptions:
    """Options of `compute_periods`; each object's result depends on them and its epochs alone."""

    #: Range of frequencies, 1/d; ``fmin`` None for one cycle in the time span.
    fmin: float | None = None
    fmax: float = 10.0
    #: Grid points per 1/T.
    oversampling: float = 5.0
    #: An object whose grid would be larger gets a status instead.
    max_frequencies: int = 50_000_000
    #: Peaks kept for each object.
    n_peaks: int = 10
    #: Share of each band's scatter added to its errors in quadrature.
    error_floor: float = 0.15
    #: Spread of the logarithm of the ratios of the bands' amplitudes; 0 for equal amplitudes.
    amplitude_prior: float = 0.2
    #: Values are magnitudes (brighter is lower) or fluxes.
    unit: Literal["magnitude", "flux"] = "magnitude"
    #: Objects whose chi squared, constant in each band, is more likely than this under noise are
    #: not searched; None searches all.
    gate: float | None = None
    #: Also look for box-shaped eclipses.
    with_boxes: bool = False
    backend: Backend = "auto"
    precision: Precision = "single"
    #: Return the power at all frequencies too. An object with more than `MAX_KEPT_FREQUENCIES`
    #: gets a status then.
    keep_periodogram: bool = False
    #: Where the scan over all frequencies runs: ``gpu`` needs a GPU and CuPy.
    device: Device = "cpu"

    def __post_init__(self) -> None:
        """Check the ranges."""
        rules = (
            ("fmin", self.fmin is None or 0 < self.fmin <= self.fmax, "in (0, fmax] or None"),
            ("fmax", 0 < self.fmax < math.inf, "positive and finite"),
            ("oversampling", 1 <= self.oversampling <= 100, "in [1, 100]"),
            ("max_frequencies", self.max_frequencies >= 1, "at least 1"),
            ("n_peaks", 1 <= self.n_peaks <= 50, "in [1, 50]"),
            ("error_floor", 0 <= self.error_floor <= 10, "in [0, 10]"),
            ("amplitude_prior", 0 <= self.amplitude_prior <= 10, "in [0, 10]"),
            ("gate", self.gate is None or 0 < self.gate < 1, "in (0, 1) or None"),
            ("unit", self.unit in ("magnitude", "flux"), "magnitude or flux"),
            ("backend", self.backend in ("auto", "tables", "nufft"), "auto, tables or nufft"),
            ("precision", self.precision in ("single", "double"), "single or double"),
            ("device", self.device in ("cpu", "gpu"), "cpu or gpu"),
        )
        for name, holds, rule in rules:
            if not holds:
                msg = f"`{name}` must be {rule}, got {getattr(self, name)!r}."
                raise ParameterError(msg)
