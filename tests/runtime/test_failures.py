"""What Spark, Arrow and Java say at length comes to one sentence."""

import pytest

from ubspark.errors import SourceError, UbsparkError
from ubspark.runtime.failures import describe_failure

_WORKER = """An exception was thrown from the Python worker:
Traceback (most recent call last):
  File "pyarrow/error.pxi", line 92, in pyarrow.lib.check_status
pyarrow.lib.ArrowInvalid: Integer value 7 not in range: 0 to 1
"""
_JAVA = """An error occurred while calling o108.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure
\tat org.apache.spark.scheduler.DAGScheduler.runJob(DAGScheduler.scala:1063)
Caused by: java.lang.IllegalStateException: the page has no dictionary
\tat java.base/java.lang.Thread.run(Thread.java:840)
"""
_FILE = """An error occurred while calling o108.collectToPython.
: org.apache.spark.SparkException: [FAILED_READ_FILE.NO_HINT] Encountered error while reading file \
file:///data/a.parquet.  SQLSTATE: KD001
"""


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        (_WORKER, UbsparkError, "The job failed: pyarrow.lib.ArrowInvalid: Integer value 7 not in"),
        (_JAVA, UbsparkError, "The job failed: java.lang.IllegalStateException: the page has no"),
        (_FILE, SourceError, "`/data/a.parquet` cannot be read: it is cut or damaged."),
    ],
)
def test_the_last_error_is_told(text: str, kind: type[UbsparkError], sentence: str) -> None:
    found = describe_failure(RuntimeError(text))
    assert type(found) is kind
    assert str(found).startswith(sentence)
    assert "\n" not in str(found)
