"""Compile every kernel once, into the folder that NUMBA_CACHE_DIR names."""

import importlib
import pkgutil

import numpy as np

import ubspark
from ubspark.timeseries import LightCurves
from ubspark.timeseries.options import PeriodOptions
from ubspark.timeseries.periods import compute_periods

# Most kernels say their types, and are compiled as they are imported.
for module in pkgutil.walk_packages(ubspark.__path__, "ubspark."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)

# Those of time series take theirs from the first call.
rng = np.random.default_rng(1)
t = np.sort(rng.uniform(60_000, 60_400, 240))
y = np.sin(2 * np.pi * t / 0.7) + rng.normal(0, 0.1, t.size)
band = np.arange(t.size, dtype=np.int8) % 2
curves = LightCurves(np.array([0, t.size]), t, y, np.full(t.size, 0.1), band, ("g", "r"))
for backend in ("tables", "nufft"):
    for precision in ("single", "double"):
        options = PeriodOptions(
            fmin=0.5, fmax=3.0, backend=backend, precision=precision, with_boxes=True
        )
        compute_periods(curves, options)
