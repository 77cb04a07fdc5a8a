"""What a run used: core-seconds, memory, spill, shuffle, and the rows it could read."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from pyspark.sql import SparkSession

from ubspark.lineage.spec import CatalogInput, FileInput, FrozenSpec
from ubspark.recipes.base import JobInput

__all__ = ["count_inputs", "measured"]

#: Between two looks at the memory; a look costs about 10 ms.
_INTERVAL_S = 1.0
#: Metric to what Spark calls it of a stage.
_SUMS: Mapping[str, str] = {
    "spilled_memory_bytes": "memoryBytesSpilled",
    "spilled_disk_bytes": "diskBytesSpilled",
    "shuffle_read_bytes": "shuffleReadBytes",
    "shuffle_write_bytes": "shuffleWriteBytes",
}


@contextmanager
def measured(metrics: dict[str, float], spark: SparkSession) -> Iterator[None]:
    """Put what the body uses into metrics, also if it fails.

    ``core_seconds`` are those of Spark's tasks and of the driver's own computing;
    ``peak_memory_bytes`` that of this process and all below it, the JVM and Python workers of a
    local run among them; ``executor_peak_memory_bytes`` the largest JVM of a cluster.
    """
    last = max((stage.stageId() for stage in _list_stages(spark)), default=-1)
    cpu_s = time.process_time()
    memory = _MemoryWatch()
    memory.start()
    try:
        yield
    finally:
        metrics["peak_memory_bytes"] = memory.stop()
        driver_s = time.process_time() - cpu_s
        # A Spark that died cannot tell; the run has another error to report then.
        with suppress(Exception):
            metrics |= _sum_stages(spark, after=last, driver_s=driver_s) | _read_executors(spark)


def count_inputs(inputs: Mapping[str, JobInput], spec: FrozenSpec) -> dict[str, float]:
    """Return rows and bytes of all inputs, as their logs, footers and manifests state them."""
    n_rows = n_bytes = 0
    for name, given in inputs.items():
        holder = given.source if given.source is not None else given.table
        n_rows += (holder.n_rows if holder is not None else None) or 0
        entry = spec.inputs[name]
        if isinstance(entry, FileInput):
            n_bytes += sum(size for _, size, _ in entry.files)
        elif given.table is not None:
            n_bytes += given.table.n_bytes
        elif isinstance(entry, CatalogInput):
            n_bytes += entry.n_bytes
    return {"input_rows": n_rows, "input_bytes": n_bytes}


class _MemoryWatch:
    """Looks at the resident memory of this process and its descendants, now and then."""

    def __init__(self) -> None:
        self._peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ubspark-memory", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> float:
        """Return the largest sum that was seen."""
        self._done.set()
        self._thread.join()
        return float(self._peak)

    def _watch(self) -> None:
        own = psutil.Process()
        while True:
            self._peak = max(self._peak, _sum_memory(own))
            if self._done.wait(_INTERVAL_S):
                return


def _sum_memory(own: psutil.Process) -> int:
    total = 0
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def _list_stages(spark: SparkSession) -> list[Any]:
    """Return the stages that Spark remembers; it does so without its web pages, too."""
    context: Any = spark.sparkContext
    quantiles = context._gateway.new_array(context._jvm.double, 0)
    store = context._jsc.sc().statusStore()
    found = store.stageList(None, False, False, quantiles, None)
    return [found.apply(i) for i in range(found.size())]


def _sum_stages(spark: SparkSession, *, after: int, driver_s: float) -> dict[str, float]:
    stages = [stage for stage in _list_stages(spark) if stage.stageId() > after]
    found = {
        name: float(sum(getattr(stage, fact)() for stage in stages)) for name, fact in _SUMS.items()
    }
    return found | {"core_seconds": driver_s + sum(s.executorRunTime() for s in stages) / 1000}


def _read_executors(spark: SparkSession) -> dict[str, float]:
    """Return the largest peak of an executor's JVM, where executors are processes of their own."""
    context: Any = spark.sparkContext
    listed = context._jsc.sc().statusStore().executorList(False)
    peaks = [
        entry.peakMemoryMetrics().get()
        for entry in (listed.apply(i) for i in range(listed.size()))
        if entry.id() != "driver" and entry.peakMemoryMetrics().isDefined()
    ]
    kinds = ("JVMHeapMemory", "JVMOffHeapMemory")
    sums = [sum(peak.getMetricValue(kind) for kind in kinds) for peak in peaks]
    return {"executor_peak_memory_bytes": float(max(sums))} if sums else {}
