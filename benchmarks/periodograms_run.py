"""A hundred thousand light curves through the job, end to end: `make bench-periodograms-run`.

The epochs are those of real stars (``s82_rrlyrae`` of ``$UBSPARK_DATA``), one random band of each
night; the values are a sinusoid and noise. Printed are the rate and the memory of the Python
workers in each tenth of the run (the last should differ from the second by less than a tenth),
and the share of the kernel.
"""

import argparse
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from eval_periods import make_sparse, read_s82
from pyspark.sql import SparkSession

from ubspark.runtime.config import ResourceConfig, parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job
from ubspark.runtime.session import build_session

BANDS = tuple("ugriz")
_ROLES = {"id": "id", "time": "mjd", "flux": "mag", "flux_error": "mag_err", "band": "band"}
_ROWS_PER_FILE = 10_000
#: Tasks, each of as many objects.
_N_TASKS = 200


def main() -> None:
    """Write the light curves, ingest them and search them."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--objects", type=int, default=100_000)
    given.add_argument("--folder", type=Path, default=Path(".bench/periodograms_run"))
    asked = given.parse_args()
    folder = asked.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    write_curves(folder / "curves", asked.objects)
    spark = build_session(ResourceConfig(master="local[2]", memory="2g"), app_name="periodograms")
    home = Home(folder / "home")
    home.validate_writable()
    content = {
        "job": "ingest",
        "inputs": {"source": {"path": str(folder / "curves")}},
        "params": {"roles": {"id": "id"}},
        "outputs": {"table": {"table": "curves"}},
    }
    run_job(parse_job(content), home=home, spark=spark)
    content = {
        "job": "periodograms",
        "inputs": {"lightcurves": {"table": "curves", "roles": _ROLES}},
        "params": {"bands": list(BANDS), "fmin": 0.8, "fmax": 1.6, "is_magnitude": True},
        "outputs": {"periods": {"table": "periods"}},
        "resources": {"cells": _N_TASKS},
    }
    job = parse_job(content)
    watch = Watch(spark)
    watch.start()
    started = time.monotonic()
    outcome = run_job(job, home=home, spark=spark)
    seconds = time.monotonic() - started
    watch.ended.set()
    watch.join()
    found = outcome.record.metrics
    print(f"{found['output_rows']:,} objects, {found['searched']:,} searched, in {seconds:.0f} s")
    share = found["kernel_seconds"] / found["core_seconds"]
    print(f"{share:.2f} of the seconds of the tasks are those of the kernel")
    watch.show(asked.objects)
    shutil.rmtree(folder)


def write_curves(folder: Path, n_objects: int) -> None:
    """Write Parquet files of a row per object."""
    folder.mkdir(parents=True)
    _, curves, _, _ = read_s82()
    for start in range(0, n_objects, _ROWS_PER_FILE):
        rng = np.random.default_rng(start)
        n = min(_ROWS_PER_FILE, n_objects - start)
        columns: dict[str, list[object]] = {name: [] for name in ("mjd", "mag", "mag_err", "band")}
        for _ in range(n):
            mjd, _, _, band = make_sparse(curves[rng.integers(len(curves))], rng)
            error = rng.uniform(0.02, 0.08, len(mjd))
            wave = 0.3 * np.sin(2 * np.pi * rng.uniform(0.8, 1.6) * mjd)
            columns["mjd"].append(mjd)
            columns["mag"].append(18 + wave + rng.normal(0, error))
            columns["mag_err"].append(error)
            columns["band"].append([BANDS[code] for code in band])
        rows = {
            "id": np.arange(start, start + n),
            "ra": rng.uniform(0, 360, n),
            "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, n))),
        }
        pq.write_table(pa.table(rows | columns), folder / f"part-{start:07d}.parquet")


class Watch(threading.Thread):
    """Notes how many tasks are done, and the memory of the workers, twice a second."""

    def __init__(self, spark: SparkSession) -> None:
        super().__init__(daemon=True)
        self.tracker = spark.sparkContext.statusTracker()
        self.ended = threading.Event()
        self.seen: list[tuple[float, int, int]] = []

    def run(self) -> None:
        """Watch the one stage that has all tasks."""
        me = psutil.Process()
        while not self.ended.wait(0.5):
            for stage in self.tracker.getActiveStageIds():
                info = self.tracker.getStageInfo(stage)
                if info is not None and info.numTasks >= _N_TASKS // 2:
                    workers = [p for p in me.children(recursive=True) if "python" in p.name()]
                    used = sum(_measure(process) for process in workers)
                    self.seen.append((time.monotonic(), info.numCompletedTasks, used))

    def show(self, n_objects: int) -> None:
        """Print rate and memory by tenth."""
        times, done, used = (np.array(column) for column in zip(*self.seen, strict=True))
        share = done / done.max()
        for tenth in range(10):
            here = (share >= tenth / 10) & (share <= (tenth + 1) / 10)
            rate = np.ptp(share[here]) * n_objects / np.ptp(times[here])
            print(f"tenth {tenth + 1}: {rate:6.0f} objects/s, {used[here].mean() / 1e9:.3f} GB")


def _measure(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


if __name__ == "__main__":
    main()
