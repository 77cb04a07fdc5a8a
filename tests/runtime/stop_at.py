"""Run the command and stop it at one moment, so that a test can kill it there.

``python stop_at.py MOMENT FOLDER WORD...`` is ``ubspark WORD...``; at the moment it writes the id
of the process that waits to ``FOLDER/ready`` and goes on when there is ``FOLDER/go``.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark import TaskContext

import ubspark.runtime.run_job as runner
from ubspark.catalogs.writers import RowTask
from ubspark.cli import main

MOMENTS = ("first_task", "write", "commit", "record")


def wait(folder: Path) -> None:
    part = folder / "part"
    part.write_text(str(os.getpid()))
    part.rename(folder / "ready")
    while not (folder / "go").exists():
        time.sleep(0.05)


@dataclass
class WaitingTask:
    """Waits in the last partition until the files of another lie in the table's folder."""

    task: RowTask
    n_tasks: int
    folder: Path
    table: Path

    @property
    def summary(self) -> Any:
        return self.task.summary

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.Table | pa.RecordBatch]:
        context = TaskContext.get()
        if context is not None and context.partitionId() == self.n_tasks - 1:
            while not any(self.table.glob("part-*")):
                time.sleep(0.05)
            wait(self.folder)
        yield from self.task(batches)


def stop_at(moment: str, folder: Path) -> None:
    write, commit = runner.write_output, runner.commit_output

    def write_later(job: Any, name: str, table: Any, spark: Any) -> Any:
        if moment == "first_task":
            wait(folder)
        if moment == "write":
            # This file is a script: its classes travel to the workers by value.
            n_tasks = table.frame.rdd.getNumPartitions()
            place = Path(job.get_output_uri(name))
            table = replace(table, task=WaitingTask(table.task, n_tasks, folder, place))
        return write(job, name, table, spark)

    def commit_later(*args: Any, **options: Any) -> Any:
        if moment == "commit":
            wait(folder)
        made = commit(*args, **options)
        if moment == "record":
            wait(folder)
        return made

    runner.write_output, runner.commit_output = write_later, commit_later


if __name__ == "__main__":
    stop_at(sys.argv[1], Path(sys.argv[2]))
    del sys.argv[1:3]
    main()
