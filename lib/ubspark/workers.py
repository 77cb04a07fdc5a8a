"""What the Python processes that run Spark's tasks do beside their work."""

import gc
import sys

__all__ = ["settle_worker"]

_n_modules = 0


def settle_worker() -> None:
    """Take what is loaded out of the way of the garbage collector; for the start of a task.

    After each task PySpark has all objects of its process looked through, and those of the
    libraries alone take 20 ms. They stay as long as the process; no more is looked at them.
    """
    global _n_modules
    if len(sys.modules) > _n_modules:
        gc.freeze()
        _n_modules = len(sys.modules)
