"""What the Python processes that run Spark's tasks do beside their work."""

import gc
import os
import sys
import traceback
from typing import Any

__all__ = ["settle_worker"]

_n_modules = 0


def settle_worker() -> None:
    """Make a process of PySpark cheap to use again; for the start of a task.

    After each task PySpark has all objects of the process looked through, and those of the
    libraries alone take 20 ms. They stay as long as the process: they need not be looked at.
    """
    global _n_modules
    if _n_modules == 0:
        _end_in_silence()
    if len(sys.modules) > _n_modules:
        gc.freeze()
        _n_modules = len(sys.modules)


def _end_in_silence() -> None:
    """Let the process end without a word when Java, which waits for no more of it, hangs up.

    PySpark writes an error to the closed Unix socket, and of that failure a traceback.
    """
    worker: Any = sys.modules.get("pyspark.worker")
    if worker is None:
        return
    tell = worker.handle_worker_exception

    def handle(error: BaseException, *arguments: Any, **named: Any) -> None:
        if isinstance(error, EOFError) and _is_of_idle_worker(error):
            os._exit(0)
        tell(error, *arguments, **named)

    worker.handle_worker_exception = handle


def _is_of_idle_worker(error: EOFError) -> bool:
    """Whether PySpark found the end where the number of the next task should be."""
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    return names == ["main", "read_int"]
