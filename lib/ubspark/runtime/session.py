"""The Spark session of a run: its settings, and which of them win."""

import atexit
import logging
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import resources
from typing import Any

from pyspark import SparkConf
from pyspark.sql import SparkSession

from ubspark.errors import ParameterError, TransientError
from ubspark.runtime.config import ResourceConfig
from ubspark.runtime.jars import validate_jars
from ubspark.runtime.java import validate_java

__all__ = ["SPARK_SETTINGS", "build_session", "is_under_spark_submit"]

_log = logging.getLogger(__name__)

#: Settings that the jobs rely on; ``conf/spark-defaults.conf`` holds the same for spark-submit.
SPARK_SETTINGS: Mapping[str, str] = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    # Delta reads its own log as a Spark job; 50 partitions, its default, is for huge logs.
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.ui.showConsoleProgress": "false",
    # Kernels are parallel over tasks; threads inside a task would only fight.
    "spark.executorEnv.OMP_NUM_THREADS": "1",
    "spark.executorEnv.OPENBLAS_NUM_THREADS": "1",
    "spark.executorEnv.MKL_NUM_THREADS": "1",
    "spark.executorEnv.NUMBA_NUM_THREADS": "1",
}
_DEFAULT_MASTER = "local[*]"
_DEFAULT_MEMORY = "2g"


def is_under_spark_submit() -> bool:
    """Whether ``spark-submit`` started this Python."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def build_session(resources_asked: ResourceConfig, *, app_name: str) -> SparkSession:
    """Return the session that is there, or start one.

    A session of a notebook, and the master and memory of ``spark-submit``, win over
    ``resources``; a difference is logged.

    Raises
    ------
    ParameterError
        If Java or the Delta JARs are missing or do not fit.
    TransientError
        If Spark does not start.
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        _log_difference(active.sparkContext.master or "", resources_asked)
        _validate_active(active)
        return active
    builder = SparkSession.builder.appName(app_name).config(map=dict(SPARK_SETTINGS))
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
    builder = builder.config(map=dict(resources_asked.spark))
    try:
        session = builder.getOrCreate()
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        msg = f"Spark did not start: {first}"
        raise TransientError(msg) from error
    _validate_active(session)
    # A JVM that ends leaves this server with a stack trace that tells nobody anything.
    setattr(session.sparkContext._accumulatorServer, "handle_error", lambda *_: None)  # noqa: B010
    if not _is_one_process(session.sparkContext.master or ""):
        # A cluster takes an application that just goes away for a failed one.
        atexit.register(_stop, session)
    return session


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
