"""How long a period search takes, for plans: measured constants of one core."""

from ubspark.timeseries.kernels.grids import plan_grid
from ubspark.timeseries.kernels.models import SEPARATE, SHARED
from ubspark.timeseries.kernels.periodogram import estimate_ns_per_frequency
from ubspark.timeseries.options import PeriodOptions

__all__ = ["estimate_seconds"]

#: Ranking of the candidates: at all, and for each epoch, seconds.
_RANK = 4e-3
_RANK_PER_EPOCH = 3e-5
#: Peaks, blocks and the rest, for each frequency, nanoseconds.
_REST_NS = 15.0


def estimate_seconds(
    n_epochs: float, n_bands: int, *, span_days: float, options: PeriodOptions
) -> float:
    """Return about how many seconds of a core one object takes.

    Constants are those of ``benchmarks/bench_periodograms.py`` on one kind of CPU: other CPUs
    differ by a factor of two or so.
    """
    grid = plan_grid(
        span_days, fmin=options.fmin, fmax=options.fmax, oversampling=options.oversampling
    )
    sums = estimate_ns_per_frequency(
        n_epochs, n_bands, grid.n_freq, models=SEPARATE | SHARED, precision=options.precision
    )
    per_object = (sums + _REST_NS) * 1e-9 * grid.n_freq
    return per_object + _RANK + _RANK_PER_EPOCH * n_epochs
