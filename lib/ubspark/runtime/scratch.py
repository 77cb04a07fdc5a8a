"""Where a run keeps what lives no longer than itself, so that all who need it see it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyspark.sql import SparkSession

from ubspark.catalogs.layout import open_filesystem
from ubspark.recipes.base import is_one_machine
from ubspark.runtime.freeze import PreparedJob
from ubspark.runtime.home import Home

__all__ = ["STAGING_NAME", "make_scratch", "make_staging"]

#: How the folder of staged rows begins; names with ``_`` are no data to any reader of Delta.
STAGING_NAME = "_ubspark_staging-"


@contextmanager
def make_scratch(home: Home, master: str) -> Iterator[Path]:
    """Make a folder for files that the driver unpacks for tasks, and remove it at the end.

    On a cluster it lies in the home: other machines do not see the driver's own disk.
    """
    parent = None
    if not is_one_machine(master):
        parent = home.path / "scratch"
        parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="ubspark-", dir=parent))
    # Workers may run as someone else.
    folder.chmod(0o755 if parent else 0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def make_staging(
    job: PreparedJob, run_id: str, scratch: Path, spark: SparkSession
) -> Iterator[str]:
    """Yield the place of rows that tasks write for other tasks, and remove it at the end.

    On a cluster it lies with the first output table, the one place that all workers can write to.
    """
    tables = [name for name, output in job.spec.outputs.items() if output.get("kind") != "folder"]
    if is_one_machine(spark.sparkContext.master or "") or not tables:
        yield str(scratch)
        return
    staging = f"{job.get_output_uri(tables[0])}/{STAGING_NAME}{run_id}"
    try:
        yield staging
    finally:
        filesystem, path = open_filesystem(staging)
        with suppress(OSError):
            filesystem.delete_dir(path)
