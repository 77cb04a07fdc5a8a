"""Time one core's periodograms beside the tools of the field, in one run.

``python benchmarks/bench_periodograms.py [--repeat N] [--searches N]``; peers that are not
installed are left out (nifty_ls). Times are those of the thread's CPU, best of some.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ubspark.timeseries import LightCurves
from ubspark.timeseries.kernels import FrequencyGrid, compute_periodogram
from ubspark.timeseries.kernels.nufft import has_finufft
from ubspark.timeseries.kernels.periodogram import choose_backend
from ubspark.timeseries.options import PeriodOptions
from ubspark.timeseries.periods import compute_periods

SPAN = 3650.0
GRID = FrequencyGrid(1 / (5 * SPAN), 20, 100_000)
SHARES = np.array([7, 10, 22, 22, 20, 19]) / 100


def make_object(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    """Return t, y, dy, band with seasons, nights and six bands."""
    days = np.arange(SPAN)
    days = days[np.mod(days, 365.25) < 240]
    t = np.sort(rng.choice(days, n) + rng.uniform(0.0, 0.33, n))
    band = rng.choice(6, n, p=SHARES).astype(np.int8)
    dy = rng.uniform(0.05, 0.15, n)
    y = 18 + 0.3 * np.sin(2 * np.pi * t / 0.5432) + rng.normal(0, dy)
    return t, y, dy, band


def measure(calls: dict[str, Callable[[], Any]], *, repeat: int) -> dict[str, float]:
    """Return the best time of each, taking turns so that all meet the same machine."""
    best = dict.fromkeys(calls, np.inf)
    for _ in range(repeat):
        for name, call in calls.items():
            start = time.thread_time()
            call()
            best[name] = min(best[name], time.thread_time() - start)
    return best


def show(times: dict[str, float], ours: str, wanted: dict[str, float]) -> None:
    for name, seconds in times.items():
        ratio = seconds / times[ours]
        goal = f"  (wanted {wanted[name]:g})" if name in wanted else ""
        print(f"  {name:42s} {1e3 * seconds:9.2f} ms  {ratio:8.2f}{goal}")


def bench_single(n: int, repeat: int) -> None:
    from astropy.timeseries import LombScargle

    t, y, dy, _ = make_object(np.random.default_rng(n), n)
    f = GRID.compute_frequencies()
    peer = LombScargle(t, y, dy)
    regular = {"assume_regular_frequency": True}
    calls: dict[str, Callable[[], Any]] = {"ubspark": lambda: ours("auto")}

    def ours(backend: Any) -> np.ndarray:
        return compute_periodogram(t, y, dy, GRID, backend=backend, precision="single")

    for backend in ("tables", "nufft") if has_finufft() else ("tables",):
        calls[f"ubspark {backend}"] = lambda backend=backend: ours(backend)
    calls["astropy fast, default"] = lambda: peer.power(f, method="fast", **regular)
    calls["astropy fast, fasper"] = lambda: peer.power(
        f, method="fast", method_kwds={"algorithm": "fasper"}, **regular
    )
    if find_spec("nifty_ls"):
        import nifty_ls

        calls["nifty_ls"] = lambda: nifty_ls.lombscargle(
            t, y, dy, fmin=f[0], fmax=f[-1], Nf=len(f), nthreads=1
        )
    times = measure(calls, repeat=repeat)
    chosen = choose_backend(n, 1, GRID.n_freq, models=2, precision="single")
    print(f"one band, N = {n}, {GRID.n_freq} frequencies; auto chose {chosen}")
    goals = {"astropy fast, default": 40, "astropy fast, fasper": 10, "nifty_ls": 2}
    show(times, "ubspark", goals if n == 300 else {})
    exact = peer.power(f[::50], method="cython")
    print(f"  largest error {np.max(np.abs(ours('auto')[::50] - exact)):.1e}")


def bench_bands(n: int, repeat: int) -> None:
    from astropy.timeseries import LombScargleMultiband

    t, y, dy, band = make_object(np.random.default_rng(n), n)
    f = GRID.compute_frequencies()
    peer = LombScargleMultiband(t, y, band, dy)
    calls: dict[str, Callable[[], Any]] = {}
    for model in ("separate", "shared"):
        calls[f"ubspark {model}"] = lambda model=model: compute_periodogram(
            t, y, dy, GRID, band=band, model=model, precision="single"
        )
    if n <= 300:
        calls["astropy multiband fast"] = lambda: peer.power(f, method="fast", sb_method="fast")
    if find_spec("nifty_ls"):
        calls["astropy multiband fastnifty"] = lambda: peer.power(
            f, method="fast", sb_method="fastnifty"
        )
    times = measure(calls, repeat=repeat)
    print(f"six bands, N = {n}, {GRID.n_freq} frequencies (the bands of astropy's fast method")
    print("are weighted wrongly: it is timed, not compared)")
    goals = {"astropy multiband fast": 100, "astropy multiband fastnifty": 5}
    show(times, "ubspark separate", goals if n == 300 else {})


def make_curves(n_objects: int) -> LightCurves:
    """Return objects of 50 to 500 epochs in six bands."""
    rng = np.random.default_rng(0)
    objects = [make_object(rng, int(n)) for n in rng.integers(50, 500, n_objects)]
    offsets = np.concatenate([[0], np.cumsum([len(one[0]) for one in objects])]).astype(np.int64)
    t, y, dy, band = (np.concatenate([one[i] for one in objects]) for i in range(4))
    return LightCurves(offsets, t, y, dy, band.astype(np.int8), tuple("ugrizy"))


def bench_search(n_objects: int) -> None:
    curves = make_curves(n_objects)
    options = PeriodOptions(fmax=10.0)
    compute_periods(curves, options)
    start = time.thread_time()
    found = compute_periods(curves, options)
    seconds = (time.thread_time() - start) / n_objects
    print(
        f"whole search, six bands, 50 to 500 epochs, {int(np.median(found['n_freq']))} "
        f"frequencies: {1e3 * seconds:.1f} ms per object, "
        f"{seconds * 1e9 / 3600:.0f} core-hours for 1e9 objects"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--searches", type=int, default=50)
    args = parser.parse_args()
    # Peers warn of frequencies that they think too many.
    warnings.simplefilter("ignore")
    with threadpool_limits(1):
        for n in (100, 300, 1000):
            bench_single(n, args.repeat)
        for n in (120, 300, 1000):
            bench_bands(n, args.repeat)
        bench_search(args.searches)


if __name__ == "__main__":
    main()
