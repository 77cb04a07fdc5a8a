"""Signals that end a run: Ctrl-C and SIGTERM."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pyspark import SparkContext

__all__ = ["interruptible"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the body with KeyboardInterrupt, and cancel Spark's jobs then.

    Whatever error cleaning up ends with afterwards counts as the interruption, while tasks and
    pods go away. PySpark's own handler of Ctrl-C waits for the answer of the job that it is to
    cancel, and replaces ours when a session starts; so what comes after needs this anew. Outside
    of the main thread nothing changes.
    """
    came = False

    def interrupt(*_: Any) -> None:
        nonlocal came
        came = True
        _drop_connection()
        raise KeyboardInterrupt

    previous = {}
    # Other threads may not set handlers.
    with suppress(ValueError):
        for number in _SIGNALS:
            previous[number] = signal.signal(number, interrupt)
    try:
        yield
    except Exception as error:
        if came:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if came:
            _cancel_jobs()


def _drop_connection() -> None:
    """Close this thread's connection to Java, which may owe it an answer.

    The next call would take that one for its own. It opens another connection instead.
    """
    client = getattr(SparkContext._gateway, "_gateway_client", None)
    connection = client.get_thread_connection() if client is not None else None
    if connection is not None:
        connection.close()


def _cancel_jobs() -> None:
    context = SparkContext._active_spark_context
    # A Spark that goes away has none.
    with suppress(Exception):
        if context is not None:
            context.cancelAllJobs()
