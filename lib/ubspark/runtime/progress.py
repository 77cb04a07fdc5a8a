"""Progress of a run on a terminal: which step, and how many tasks of it are done."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["show_tasks", "tell"]

_PERIOD_S = 0.5
_console = Console(stderr=True, highlight=False)


def tell(sentence: str) -> None:
    """Say one sentence to the person who waits."""
    _console.print(sentence, soft_wrap=True)


@contextmanager
def show_tasks(spark: SparkSession, title: str) -> Iterator[None]:
    """Show a bar of Spark's tasks while the body runs; nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield
        return
    tracker = spark.sparkContext.statusTracker()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} tasks"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_console, transient=True) as progress:
        bar = progress.add_task(title, total=None)
        done = threading.Event()

        def watch() -> None:
            while not done.wait(_PERIOD_S):
                stages = [tracker.getStageInfo(i) for i in tracker.getActiveStageIds()]
                found = [stage for stage in stages if stage is not None]
                if found:
                    total = sum(stage.numTasks for stage in found)
                    finished = sum(stage.numCompletedTasks for stage in found)
                    progress.update(bar, total=total, completed=finished)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
