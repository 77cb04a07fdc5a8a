"""Doing the items of an export in Spark tasks, each of them once."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from ubspark.catalogs.export.manifest import ExportFile
from ubspark.catalogs.export.staging import StagingFolder
from ubspark.workers import settle_worker

__all__ = ["Item", "WriteItem", "run_items", "run_tasks"]

#: Tasks for each core: enough that an unlucky one does not keep the others waiting.
_TASKS_PER_CORE = 16


class Item(Protocol):
    """A piece of work with a name of its own, fit for a file name."""

    @property
    def name(self) -> str:
        """The name, the same in every run of the same export."""

    @property
    def n_rows(self) -> int:
        """Rows, about; negative where that is not known."""


WriteItem = Callable[[Any, StagingFolder], tuple[ExportFile, ...]]


@dataclass(frozen=True)
class _Work:
    """Does items one by one and notes each."""

    staging: StagingFolder
    write: WriteItem

    def __call__(self, items: Sequence[Item]) -> None:
        for item in items:
            # A task that is repeated goes on where it was.
            if self.staging.find(item.name) is None:
                self.staging.note(item.name, self.write(item, self.staging))


def run_items(
    spark: SparkSession, items: Sequence[Item], write: WriteItem, staging: StagingFolder
) -> list[ExportFile]:
    """Write the files of all items, those of an earlier attempt not again.

    Parameters
    ----------
    items
        In the order of the sky; neighbours share a task.
    write
        Writes the files of an item; called in the tasks.

    Returns
    -------
    list
        The files of all items, in the order of the items.
    """
    done = staging.find_done()
    waiting = [item for item in items if item.name not in done]
    n_tasks = _TASKS_PER_CORE * spark.sparkContext.defaultParallelism
    run_tasks(spark, _group(waiting, n_tasks), _Work(staging, write))
    done = staging.find_done()
    return [file for item in items for file in done[item.name]]


def run_tasks(spark: SparkSession, items: Sequence[Any], work: Callable[[Any], Any]) -> list[Any]:
    """Call a function on each item in a Spark task, and return what it returns, in order."""
    if not items:
        return []
    listed = tuple(items)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        settle_worker()
        for batch in batches:
            for number in batch.column(0).to_pylist():
                answer = pickle.dumps(work(listed[number]))
                columns = [pa.array([number]), pa.array([answer], pa.binary())]
                yield pa.RecordBatch.from_arrays(columns, names=["number", "answer"])

    numbers = spark.range(0, len(listed), 1, len(listed))
    rows = numbers.mapInArrow(run, "number long, answer binary").collect()
    # Pickles made a moment ago by our own tasks.
    return [pickle.loads(row.answer) for row in sorted(rows, key=lambda row: row.number)]  # noqa: S301


def _group(items: Sequence[Item], n_tasks: int) -> list[Sequence[Item]]:
    """Return runs of items with about equal numbers of rows; each item counts for something."""
    if not items:
        return []
    n_rows = np.maximum([item.n_rows for item in items], 1).astype(np.float64)
    weight = np.cumsum(n_rows + n_rows.mean())
    number = np.floor(weight / weight[-1] * n_tasks - 1e-9).astype(int)
    starts = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
    edges = [*starts.tolist(), len(items)]
    return [items[start:end] for start, end in pairwise(edges)]
