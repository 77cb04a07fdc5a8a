"""Time the scan of periodograms on a GPU beside one core, in one run.

``python benchmarks/bench_gpu.py [--repeat N] [--searches N]``. Where there is no GPU it says so
and ends. Lines that begin with ``ratio`` are the result: seconds of one core over those with the
GPU, transfers included.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from bench_periodograms import GRID, make_curves, make_object
from threadpoolctl import threadpool_limits

from ubspark.errors import ParameterError
from ubspark.timeseries.kernels import compute_periodogram
from ubspark.timeseries.kernels.gpu import validate_gpu
from ubspark.timeseries.options import PeriodOptions
from ubspark.timeseries.periods import compute_periods


def measure(call: Callable[[], Any], repeat: int) -> float:
    """Return the least seconds of some calls; the first, which compiles, does not count."""
    call()
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def bench_scan(n: int, n_bands: int, precision: Any, repeat: int) -> None:
    """Compare one object's scan of all frequencies."""
    t, y, dy, band = make_object(np.random.default_rng(n), n)
    given = {"band": band % n_bands, "precision": precision}
    cpu, gpu = (
        measure(
            lambda device=device: compute_periodogram(t, y, dy, GRID, device=device, **given),
            repeat,
        )
        for device in ("cpu", "gpu")
    )
    name = f"scan_{precision}_{n_bands}_bands_{n}_epochs"
    print(f"{name}: one core {1e3 * cpu:.2f} ms, with GPU {1e3 * gpu:.2f} ms")
    print(f"ratio {name} {cpu / gpu:.1f}", flush=True)


def bench_search(n_objects: int, repeat: int) -> None:
    """Compare whole searches."""
    curves = make_curves(n_objects)
    cpu, gpu = (
        measure(lambda device=device: compute_periods(curves, PeriodOptions(device=device)), repeat)
        for device in ("cpu", "gpu")
    )
    print(
        f"search: one core {1e3 * cpu / n_objects:.2f} ms per object, with GPU "
        f"{1e3 * gpu / n_objects:.2f} ms"
    )
    print(f"ratio search {cpu / gpu:.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--searches", type=int, default=40)
    args = parser.parse_args()
    try:
        validate_gpu()
    except ParameterError as error:
        print(f"Skipped: {error}")
        return
    with threadpool_limits(1):
        for precision in ("single", "double"):
            for n, n_bands in ((300, 1), (300, 6), (1000, 6)):
                bench_scan(n, n_bands, precision, args.repeat)
        bench_search(args.searches, min(args.repeat, 2))


if __name__ == "__main__":
    main()
