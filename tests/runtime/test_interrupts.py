"""Ctrl-C and SIGTERM end a run at once, and Spark answers as before afterwards."""

import os
import signal
import threading
import time

import pytest
from pyspark.sql import SparkSession

from ubspark.runtime.interrupts import interruptible

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
#: A task far longer than anybody waits.
TASK_S = 300


def count_active(spark: SparkSession) -> int:
    return len(spark.sparkContext.statusTracker().getActiveJobsIds())


def run_long_task(spark: SparkSession) -> None:
    spark.sparkContext.parallelize([TASK_S], 1).map(time.sleep).collect()


def send_when_active(spark: SparkSession, number: signal.Signals) -> threading.Thread:
    """Send a signal once Spark works on a job, and the main thread waits for its answer."""

    def send() -> None:
        while not count_active(spark):
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def match_and_measure(spark: SparkSession, number: signal.Signals) -> None:
    """Do as a run does: what it used is asked of Spark whatever ended it."""
    with interruptible():
        sender = send_when_active(spark, number)
        try:
            run_long_task(spark)
        finally:
            # Not the answer that the other call is owed.
            assert spark.range(7).count() == 7
            sender.join()


def stop_and_fail(number: signal.Signals) -> None:
    with interruptible():
        threading.Timer(0.3, os.kill, (os.getpid(), number)).start()
        try:
            time.sleep(TASK_S)
        finally:
            fail()


def fail() -> None:
    msg = "the pods are gone"
    raise OSError(msg)


@SIGNALS
def test_a_signal_ends_what_waits_for_a_job_and_cancels_it(
    spark: SparkSession, number: signal.Signals
) -> None:
    started = time.monotonic()
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        match_and_measure(spark, number)
    assert signal.getsignal(number) is before
    while count_active(spark):
        time.sleep(0.1)
    assert time.monotonic() - started < TASK_S / 2
    assert spark.range(5).count() == 5


@SIGNALS
def test_an_error_while_cleaning_up_is_still_the_interruption(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt) as found:
        stop_and_fail(number)
    assert isinstance(found.value.__cause__, OSError)


def test_an_error_without_a_signal_stays_what_it_is() -> None:
    with pytest.raises(OSError, match="the pods are gone"), interruptible():
        fail()


def test_other_threads_leave_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    found = []

    def run() -> None:
        with interruptible():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [before]
