"""A disk that is full ends a run with one sentence, and nothing appears."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import is_delta_table
from ubspark.errors import TransientError
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.records import iterate_records
from ubspark.runtime.run_job import run_job

_BLOCKS = 32


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few kilobytes."""
    place = tmp_path / "tiny"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={_BLOCKS * 4}k", "tmpfs", str(place)]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("Mounting a small file system needs root.")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.spark
def test_full_disk_under_the_output_is_temporary(
    tiny_disk: Path, small_home: Home, spark: SparkSession, match_job: Callable[..., dict[str, Any]]
) -> None:
    (tiny_disk / "ballast").write_bytes(b"\0" * 4096 * (_BLOCKS - 4))
    job = parse_job(match_job(str(tiny_disk / "x")))
    with pytest.raises(TransientError, match=r"The disk is full\. Free some and run again\."):
        run_job(job, home=small_home, spark=spark)
    assert not is_delta_table(str(tiny_disk / "x"))
    record = next(iterate_records(small_home.runs))
    assert record.phase == "ERROR"
    (tiny_disk / "ballast").unlink()
    assert not run_job(job, home=small_home, spark=spark).already_made


def test_full_disk_under_the_home_is_temporary(tiny_disk: Path) -> None:
    (tiny_disk / "ballast").write_bytes(b"\0" * 4096 * (_BLOCKS - 4))
    with pytest.raises(TransientError, match="cannot be written: No space left on device"):
        Home(tiny_disk / "home").validate_writable()


def test_read_only_home_is_temporary(tiny_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(TransientError, match="cannot be written: Read-only file system"):
        Home(tiny_disk / "home").validate_writable()
