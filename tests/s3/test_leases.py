"""Two drivers at one table: one wins, the other hears why."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from bucket import BUCKET, describe_match, read_lease, run, start
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import is_delta_table, open_table, read_history
from ubspark.catalogs.hadoop_object import HadoopObject
from ubspark.catalogs.lease import LEASE_NAME, Timing, hold_lease
from ubspark.errors import TransientError
from ubspark.runtime import leases
from ubspark.runtime.home import Home

pytestmark = [pytest.mark.s3, pytest.mark.spark]

STARS, MOVED = f"s3a://{BUCKET}/stars", f"s3a://{BUCKET}/moved"
_QUICK = Timing(beat=1, look=0.2, patience=4)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process are as patient as a test."""
    monkeypatch.setattr(leases, "hold_lease", partial(hold_lease, timing=_QUICK))


def test_the_store_keeps_conditions(home_with_tables: Home, spark: SparkSession) -> None:
    found = HadoopObject(spark, f"s3a://{BUCKET}/object")
    assert found.read() is None
    assert found.write("nobody", tag="0") is None
    first = found.write("one", tag=None)
    assert first is not None
    assert found.read() == first
    assert found.write("two", tag=None) is None
    second = found.write("two", tag=first.tag)
    assert second is not None
    assert found.write("three", tag=first.tag) is None
    assert found.read() == second


def test_a_driver_hears_of_another_and_commits_nothing(
    home_with_tables: Home, spark: SparkSession, tmp_path: Path
) -> None:
    table = f"s3a://{BUCKET}/held"
    found = HadoopObject(spark, f"{table}/{LEASE_NAME}")
    with hold_lease(found, table, holder={"run": "abc", "host": "far"}, timing=Timing(beat=2)):
        process = start(describe_match(STARS, MOVED, table), home_with_tables, tmp_path / "job")
        err = process.communicate()[1]
    assert process.returncode == 75, err
    assert f"Run abc on far is writing table `{table}`. Run this again when it has ended." in err
    assert "Traceback" not in err
    assert not is_delta_table(table)
    assert run(describe_match(STARS, MOVED, table), home_with_tables, spark).outputs


def test_of_two_drivers_at_once_one_wins(home_with_tables: Home, tmp_path: Path) -> None:
    table = f"s3a://{BUCKET}/raced"
    jobs = [
        describe_match(STARS, MOVED, table, params={"radius": radius, "association_only": True})
        for radius in ("1.0 arcsec", "2.0 arcsec")
    ]
    started = [start(job, home_with_tables, tmp_path / f"{i}") for i, job in enumerate(jobs)]
    said = [process.communicate()[1] for process in started]
    codes = [process.returncode for process in started]
    assert sorted(codes) == [0, 75], said
    lost = said[codes.index(75)]
    assert "is writing table" in lost or "Another writer changed table" in lost
    record = read_history(table)[0].record
    assert record is not None
    assert record["spec"]["params"]["radius"] == jobs[codes.index(0)]["params"]["radius"]
    assert open_table(table).version == 0
    lease = read_lease(table)
    assert lease is not None
    assert lease["free"]


def test_the_lease_of_a_killed_driver_passes_on(
    home_with_tables: Home, spark: SparkSession, tmp_path: Path
) -> None:
    table = f"s3a://{BUCKET}/killed"
    job = describe_match(STARS, MOVED, table)
    process = start(job, home_with_tables, tmp_path / "job")
    end = time.monotonic() + 300
    while read_lease(table) is None and time.monotonic() < end and process.poll() is None:
        time.sleep(0.05)
    for child in (*psutil.Process(process.pid).children(recursive=True), process):
        os.kill(child.pid, signal.SIGKILL)
    process.communicate()
    lease = read_lease(table)
    assert lease is not None
    assert not lease["free"]
    before = time.monotonic()
    made = run(job, home_with_tables, spark)
    assert time.monotonic() - before > _QUICK.patience
    assert not made.already_made
    assert [commit.version for commit in read_history(table)] == [0]


def test_a_run_whose_lease_was_taken_commits_nothing(
    home_with_tables: Home, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver slept while it computed; the other one had time to take the table."""
    table = f"s3a://{BUCKET}/slept"
    monkeypatch.setattr(
        leases, "hold_lease", partial(hold_lease, timing=Timing(beat=1000, look=0.2, patience=1))
    )
    found = HadoopObject(spark, f"{table}/{LEASE_NAME}")
    taken = hold_lease(found, table, holder={"run": "other"}, timing=Timing(1, 0.1, 0.5))
    renew = leases.Leases.renew

    def sleep(self: leases.Leases, name: str) -> None:
        taken.__enter__()
        renew(self, name)

    monkeypatch.setattr(leases.Leases, "renew", sleep)
    with pytest.raises(TransientError, match="passed on to another writer"):
        run(describe_match(STARS, MOVED, table), home_with_tables, spark)
    taken.__exit__(None, None, None)
    assert not is_delta_table(table)
