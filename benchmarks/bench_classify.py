"""Time the classify job beside scikit-learn alone on the same rows: `make bench-classify`.

Run as ``python benchmarks/bench_classify.py [rows] [columns]``. The peer gets each batch as a
matrix that is ready; our clock runs from the prepared job to the committed scores: it reads the
table, scores, digests, writes and commits. Both use two cores. Prints lines ``ratio NAME VALUE``:
our throughput over that of scikit-learn, by wall clock and by processor time of all processes; and
the largest resident memory of a Python worker.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from ubspark.features.model import load_model
from ubspark.runtime.config import ResourceConfig, parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job
from ubspark.runtime.session import build_session

N_CORES = 2
N_CLASSES = 5
N_LABELLED = 2000
ROWS_PER_FILE = 125_000
ROWS_PER_BATCH = 65_536


def make_estimator() -> HistGradientBoostingClassifier:
    """Return what the train job uses by default, given by name so that the job makes it."""
    return HistGradientBoostingClassifier(max_iter=100, max_leaf_nodes=15, random_state=0)


def write_features(spark: SparkSession, home: Home, n: int, n_columns: int) -> None:
    """Write a feature table of random classes, and labels of some of its objects."""
    folder = home.path / "source"
    folder.mkdir()
    index = np.sort(np.random.default_rng(0).integers(0, 12 << 58, n))
    labels: list[str] = []
    for number, first in enumerate(range(0, n, ROWS_PER_FILE)):
        rng = np.random.default_rng(number + 1)
        ids = np.arange(first, min(first + ROWS_PER_FILE, n))
        kind = rng.integers(0, N_CLASSES, ids.size)
        columns: dict[str, Any] = {"_healpix_29": index[ids], "objectId": ids}
        for k in range(n_columns):
            values = rng.normal(kind * (k % 7) * 0.1, 1.0).astype(np.float32)
            columns[f"V_f{k}"] = pa.array(values, mask=rng.random(ids.size) < 0.05)
        pq.write_table(pa.table(columns), folder / f"part-{number:03d}.parquet")
        labels += [f"class_{c}" for c in kind[: max(N_LABELLED - len(labels), 0)]]
    frame = spark.read.parquet(str(folder))
    save(frame, home, "features", {"ubspark.features.registry": "bench"})
    few = pa.table({"objectId": np.arange(len(labels)), "class": labels})
    save(spark.createDataFrame(few.to_pandas()), home, "labels", {})


def save(frame: Any, home: Home, name: str, properties: dict[str, str]) -> None:
    place = Path(home.warehouse) / name
    frame.write.format("delta").save(str(place))
    listed = {"ubspark.role.id": "objectId", **properties}
    text = ", ".join(f"'{key}' = '{value}'" for key, value in listed.items())
    frame.sparkSession.sql(f"ALTER TABLE delta.`{place}` SET TBLPROPERTIES ({text})")


class Watch:
    """Wall clock, processor time of all our processes, and the largest Python worker."""

    def __enter__(self) -> Self:
        self.peak_bytes = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._start = time.perf_counter(), self._count()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.seconds = time.perf_counter() - self._start[0]
        self.processor = self._count() - self._start[1]

    def _sample(self) -> None:
        while not self._done.wait(0.3):
            for process in psutil.Process().children(recursive=True):
                try:
                    if "python" in process.name():
                        self.peak_bytes = max(self.peak_bytes, process.memory_info().rss)
                except psutil.Error:
                    continue

    def _count(self) -> float:
        total = 0.0
        me = psutil.Process()
        for process in (me, *me.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system
        return total


def run(home: Home, spark: SparkSession, content: dict[str, Any]) -> float:
    """Return the seconds from the prepared job to its committed output."""
    made = run_job(parse_job(content), home=home, spark=spark, force=True)
    return made.record.metrics["seconds"]


def score_alone(home: Home) -> tuple[float, float]:
    """Return wall clock and processor time of the bare estimator on all rows."""
    model = load_model(home.path / "model")
    seconds = processor = 0.0
    for path in sorted((home.path / "source").glob("*.parquet")):
        rows = pq.read_table(path, columns=list(model.card.columns))
        for first in range(0, rows.num_rows, ROWS_PER_BATCH):
            part = rows.slice(first, ROWS_PER_BATCH)
            matrix = np.stack([column.cast(pa.float64()).to_numpy() for column in part], axis=1)
            watch = score(lambda m=matrix: model.estimator.predict_proba(m))
            seconds, processor = seconds + watch[0], processor + watch[1]
    return seconds, processor


def score(call: Callable[[], object]) -> tuple[float, float]:
    start, used = time.perf_counter(), time.process_time()
    with threadpool_limits(N_CORES):
        call()
    return time.perf_counter() - start, time.process_time() - used


def main(n: int = 1_000_000, n_columns: int = 80) -> None:
    sys.modules["bench_classify"] = sys.modules[__name__]
    resources = ResourceConfig(master=f"local[{N_CORES}]", memory="1g")
    spark = build_session(resources, app_name="bench")
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.validate_writable()
        write_features(spark, home, n, n_columns)
        features = {"table": "features"}
        train = {
            "job": "train",
            "inputs": {"features": features, "labels": {"table": "labels"}},
            "params": {"folds": 2, "shuffles": 0, "estimator": "bench_classify:make_estimator"},
            "outputs": {"model": {"path": str(home.path / "model"), "mode": "overwrite"}},
        }
        run(home, spark, train)
        classify = {
            "job": "classify",
            "inputs": {"features": features},
            "params": {"model": str(home.path / "model")},
            "outputs": {"scores": {"table": "scores", "mode": "overwrite"}},
        }
        with Watch() as ours:
            job_seconds = run(home, spark, classify)
        seconds, processor = score_alone(home)
    print(f"rows {n:,}, columns {n_columns}, classes {N_CLASSES}, cores {N_CORES}")
    print(f"classify {ours.seconds:.1f} s, of it {job_seconds:.1f} s between plan and report")
    print(f"classify {ours.processor:.1f} s of processors")
    print(f"scikit-learn {seconds:.1f} s, {processor:.1f} s of processors")
    print(f"peak worker memory {ours.peak_bytes / 2**20:.0f} MiB")
    print(f"ratio classify/scikit-learn {seconds / job_seconds:.2f}")
    print(f"ratio classify/scikit-learn_processor {processor / ours.processor:.2f}")
    spark.stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
