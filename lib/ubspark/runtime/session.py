"""The Spark session of a run: its settings, and which of them win."""

import atexit
import logging
import os
import re
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib import resources
from typing import Any

import psutil
from pyspark import SparkConf
from pyspark.sql import SparkSession

from ubspark.catalogs.object_store import get_spark_settings
from ubspark.errors import ParameterError
from ubspark.runtime.config import ResourceConfig
from ubspark.runtime.gateway import describe_start_failure, start_gateway
from ubspark.runtime.jars import validate_jars
from ubspark.runtime.java import validate_java

__all__ = [
    "SPARK_SETTINGS",
    "build_session",
    "count_slots",
    "find_master",
    "is_under_spark_submit",
    "validate_start",
]

_log = logging.getLogger(__name__)

#: Settings that the jobs rely on; ``conf/spark-defaults.conf`` holds the same for spark-submit.
SPARK_SETTINGS: Mapping[str, str] = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    # Delta reads its own log as a Spark job; 50 partitions, its default, is for huge logs.
    "spark.databricks.delta.snapshotPartitions": "2",
    # The list of all files beside each commit takes longer to plan than the commit.
    "spark.databricks.delta.allFilesInCrc.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # By TCP each task waits 40 ms for an acknowledgement between Java and Python.
    "spark.python.unix.domain.socket.enabled": "true",
    # Kernels are parallel over tasks; threads inside a task would only fight.
    "spark.executorEnv.OMP_NUM_THREADS": "1",
    "spark.executorEnv.OPENBLAS_NUM_THREADS": "1",
    "spark.executorEnv.MKL_NUM_THREADS": "1",
    "spark.executorEnv.NUMBA_NUM_THREADS": "1",
    # Large arrays come and go: glibc would give each back to the kernel, page by page.
    "spark.executorEnv.MALLOC_MMAP_THRESHOLD_": "33554432",
    "spark.executorEnv.MALLOC_TRIM_THRESHOLD_": "268435456",
    "spark.executorEnv.MALLOC_TOP_PAD_": "33554432",
    # Arrow's allocator likewise, until a worker has been idle for ten seconds.
    "spark.executorEnv.MIMALLOC_PURGE_DELAY": "10000",
}
_DEFAULT_MASTER = "local[*]"
_DEFAULT_MEMORY = "2g"
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def is_under_spark_submit() -> bool:
    """Whether ``spark-submit`` started this Python."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def find_master(asked: ResourceConfig) -> str:
    """Return the master of a job: that of the session, of spark-submit, or what it asks for."""
    active = SparkSession.getActiveSession()
    if active is not None:
        return active.sparkContext.master or _DEFAULT_MASTER
    if is_under_spark_submit():
        return SparkConf().get("spark.master", _DEFAULT_MASTER) or _DEFAULT_MASTER
    return asked.master or _DEFAULT_MASTER


def count_slots(asked: ResourceConfig) -> int:
    """Return the tasks that can run at once under the master asked for, 1 where it does not say."""
    master = asked.master or _DEFAULT_MASTER
    found = re.fullmatch(r"local(?:\[(\*|\d+)(?:,\d+)?\])?", master)
    if found is not None:
        return os.cpu_count() or 1 if found[1] == "*" else int(found[1] or 1)
    cluster = re.fullmatch(r"local-cluster\[(\d+),(\d+),\d+\]", master)
    return int(cluster[1]) * int(cluster[2]) if cluster is not None else 1


def validate_start(*, s3: bool = False) -> None:
    """Refuse what would keep a session from starting: a missing or wrong Java, missing JARs.

    Parameters
    ----------
    s3
        Whether tables in object stores are read or written.

    Raises
    ------
    ParameterError
        With the cure.
    """
    if SparkSession.getActiveSession() is None and not is_under_spark_submit():
        validate_java()
        validate_jars(s3=s3)


def build_session(resources_asked: ResourceConfig, *, app_name: str) -> SparkSession:
    """Return the session that is there, or start one.

    A session of a notebook, and the master and memory of ``spark-submit``, win over
    ``resources``; a difference is logged.

    Raises
    ------
    ParameterError
        If Java or the Delta JARs are missing or do not fit.
    UbsparkError
        If Spark does not start, with the reason and the cure.
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        _log_difference(active.sparkContext.master or "", resources_asked)
        _validate_active(active)
        return active
    settings: dict[str, Any] = {**SPARK_SETTINGS, **get_spark_settings()}
    builder = SparkSession.builder.appName(app_name).config(map=settings)
    if is_under_spark_submit():
        _log_difference(SparkConf().get("spark.master", "") or "", resources_asked)
    else:
        java = validate_java()
        validate_jars()
        os.environ["JAVA_HOME"] = str(java.home)
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
        builder = builder.master(resources_asked.master or _DEFAULT_MASTER).config(
            map=_local_settings(resources_asked)
        )
        _warn_of_memory(resources_asked)
    session = _start(builder.config(map=dict(resources_asked.spark)))
    _validate_active(session)
    # A JVM that ends leaves this server with a stack trace that tells nobody anything.
    setattr(session.sparkContext._accumulatorServer, "handle_error", lambda *_: None)  # noqa: B010
    if not _is_one_process(session.sparkContext.master or ""):
        # A cluster takes an application that just goes away for a failed one.
        atexit.register(_stop, session)
    return session


def _start(builder: SparkSession.Builder) -> SparkSession:
    """Return the session, or say in one sentence why there is none."""
    voice = None if is_under_spark_submit() else start_gateway(builder._options)
    try:
        session = builder.getOrCreate()
    except Exception as error:
        raise describe_start_failure(str(error)) from error
    if voice is not None:
        voice.release()
    return session


def _warn_of_memory(asked: ResourceConfig) -> None:
    """Say that a machine has less memory than Java is told to take."""
    text = (asked.memory or _DEFAULT_MEMORY).lower().removesuffix("b")
    total = psutil.virtual_memory().total
    if int(text[:-1]) * _UNITS[text[-1]] > total:
        msg = (
            f"`resources.memory` is {asked.memory or _DEFAULT_MEMORY}, but this machine has "
            f"{total / 2**30:.1f} GiB; the run may be killed for lack of memory."
        )
        warnings.warn(msg, stacklevel=3)


def _is_one_process(master: str) -> bool:
    return master == "local" or master.startswith("local[")


def _stop(session: SparkSession) -> None:
    with suppress(Exception):
        session.stop()


def _local_settings(asked: ResourceConfig) -> dict[str, Any]:
    """Return settings that only count before the JVM starts."""
    log4j = resources.files("ubspark.runtime") / "log4j2.properties"
    settings: dict[str, Any] = {
        "spark.driver.memory": asked.memory or _DEFAULT_MEMORY,
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={log4j}",
        "spark.ui.enabled": "false",
    }
    if (asked.master or _DEFAULT_MASTER).startswith("local"):
        settings["spark.driver.bindAddress"] = "127.0.0.1"
        settings["spark.driver.host"] = "127.0.0.1"
    return settings


def _log_difference(master: str, asked: ResourceConfig) -> None:
    if asked.master and asked.master != master:
        _log.warning(
            "The session runs on %s; `resources.master` %s of the job file is not used.",
            master,
            asked.master,
        )


def _validate_active(session: SparkSession) -> None:
    name = "spark.sql.extensions"
    if SPARK_SETTINGS[name] not in (session.conf.get(name, "") or ""):
        msg = (
            "The Spark session has no Delta Lake. Start it with `--properties-file "
            "conf/spark-defaults.conf`, or let ubspark start its own."
        )
        raise ParameterError(msg)
