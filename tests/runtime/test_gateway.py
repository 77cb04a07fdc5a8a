"""What Java says while it starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ubspark.errors import ParameterError, TransientError
from ubspark.runtime.gateway import describe_start_failure

_NO_MEMORY = """Error occurred during initialization of VM
Could not reserve enough space for 966367641600KB object heap
"""
_LITTLE_MEMORY = """An error occurred while calling None.org.apache.spark.api.java.JavaSparkContext.
: org.apache.spark.SparkIllegalArgumentException: [INVALID_DRIVER_MEMORY] System memory 104857600.
Please increase heap size.
\tat org.apache.spark.memory.UnifiedMemoryManager$.getMaxMemory(UnifiedMemoryManager.scala:473)
"""
_NO_ADDRESS = """Exception in thread "main" java.net.UnknownHostException: nohost: not known
\tat java.base/java.net.InetAddress.getLocalHost(InetAddress.java:1671)
Caused by: java.net.UnknownHostException: nohost
\t... 12 more
"""
_MEMORY = "Set `resources.memory` to what this machine can give, at least 512m."


@pytest.mark.parametrize(
    ("said", "error", "sentence"),
    [
        (
            _NO_MEMORY,
            ParameterError,
            f"Could not reserve enough space for 966367641600KB object heap. {_MEMORY}",
        ),
        (
            _LITTLE_MEMORY,
            ParameterError,
            f"[INVALID_DRIVER_MEMORY] System memory 104857600. {_MEMORY}",
        ),
        (
            _NO_ADDRESS,
            TransientError,
            "nohost: not known. Set SPARK_LOCAL_IP=127.0.0.1 and run again.",
        ),
        (
            "",
            TransientError,
            "its Java ended without a word. `ubspark doctor` checks what it needs.",
        ),
    ],
)
def test_reason_and_cure_are_one_line(said: str, error: type[Exception], sentence: str) -> None:
    found = describe_start_failure(said)
    assert isinstance(found, error)
    assert str(found) == f"Spark did not start: {sentence}"


@pytest.mark.spark
def test_memory_that_no_machine_has_is_said(tmp_path: Path) -> None:
    (tmp_path / "stars.csv").write_text("id,ra,dec\n1,2.5,3.5\n")
    words = ("ingest", "stars.csv", "stars", "--id", "id", "--set", "resources.memory=900t")
    done = subprocess.run(
        [sys.executable, "-m", "ubspark", *words],
        cwd=tmp_path,
        env=os.environ | {"UBSPARK_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    warned, said = done.stderr.splitlines()
    assert warned.startswith("ubspark: warning: `resources.memory` is 900t, but this machine has")
    assert said.startswith("ubspark: Spark did not start: Could not reserve enough space")
    assert said.endswith(_MEMORY)
