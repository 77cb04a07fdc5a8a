"""Run the command in a cluster whose executors die: ``python lose_executor.py MOMENT WORD...``.

The first attempt of the second task kills its executor with SIGKILL: at ``match`` before its first
row, at ``write`` when all its rows are on their way into the file. The third task does so too.
"""

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import psutil
import pyarrow as pa
from pyspark import TaskContext

import ubspark.runtime.run_job as runner
from ubspark.catalogs.writers import RowTask
from ubspark.cli import main


@dataclass
class LethalTask:
    """Kills the executor that it runs in, the first time."""

    task: RowTask
    moment: str

    @property
    def summary(self) -> Any:
        return self.task.summary

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.Table | pa.RecordBatch]:
        context = TaskContext.get()
        assert context is not None
        is_first = context.attemptNumber() == 0 and context.partitionId() in (1, 2)
        if is_first and self.moment == "match":
            kill_executor()
        yield from self.task(batches)
        if is_first and self.moment == "write":
            kill_executor()


def kill_executor() -> None:
    above = psutil.Process().parents()
    os.kill(next(one.pid for one in above if one.name() == "java"), signal.SIGKILL)


def lose_executors(moment: str) -> None:
    write = runner.write_output

    def write_mortally(job: Any, name: str, table: Any, spark: Any) -> Any:
        return write(job, name, replace(table, task=LethalTask(table.task, moment)), spark)

    runner.write_output = write_mortally


if __name__ == "__main__":
    lose_executors(sys.argv[1])
    del sys.argv[1]
    main()
