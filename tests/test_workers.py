"""Processes that run Spark's tasks."""

import subprocess
import sys

import pytest

#: A process that settles as a worker does, and then meets an error in PySpark's main function.
_WORKER = """
import gc, io, sys
import pyspark.worker
from pyspark.serializers import read_int
from ubspark.workers import settle_worker
pyspark.worker.handle_worker_exception = lambda error, outfile: print("told", type(error).__name__)
settle_worker()
settle_worker()
print("frozen", gc.get_freeze_count() > 10_000)
def main(infile):
    try:
        {body}
    except BaseException as error:
        pyspark.worker.handle_worker_exception(error, None)
sys.stdout.flush()
main(io.BytesIO())
print("lives")
"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("read_int(infile)", ["frozen True"]),
        ("raise EOFError", ["frozen True", "told EOFError", "lives"]),
        ("raise ValueError", ["frozen True", "told ValueError", "lives"]),
    ],
)
def test_a_worker_whose_java_has_gone_ends_in_silence(body: str, said: list[str]) -> None:
    code = _WORKER.replace("{body}", body)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == said
    assert done.stderr == ""
