"""Compiled and table-driven time-series kernels on NumPy arrays."""

from ubspark.timeseries.kernels.grids import PRESETS, FrequencyGrid, plan_grid
from ubspark.timeseries.kernels.periodogram import compute_periodogram

__all__ = ["PRESETS", "FrequencyGrid", "compute_periodogram", "plan_grid"]
