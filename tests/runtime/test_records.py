"""Whether a run still works, as far as its machine, or another one, can tell."""

import os
import time
from pathlib import Path

import pytest

from ubspark.runtime.records import RunRecord


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    """A run of this process."""
    return RunRecord("run", tmp_path, "ingest", "key")


def age(record: RunRecord, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(record.folder / "alive", (moment, moment))


def test_a_run_of_this_machine_lives_as_its_process(record: RunRecord) -> None:
    assert not record.is_lost
    record.pid_started -= 10
    assert record.is_lost
    record.phase = "COMPLETED"
    assert not record.is_lost


def test_a_run_of_another_machine_is_lost_after_long_silence(record: RunRecord) -> None:
    record.host, record.pid_started = "elsewhere", 0.0
    # Runs of older versions gave no sign.
    assert not record.is_lost
    (record.folder / "alive").touch()
    assert not record.is_lost
    age(record, 1500)
    assert not record.is_lost
    age(record, 2000)
    assert record.is_lost


def test_a_run_that_works_gives_a_sign(record: RunRecord) -> None:
    record.host = "elsewhere"
    with record.keep_alive(0.02):
        while not (record.folder / "alive").exists():
            time.sleep(0.01)
        age(record, 5000)
        for _ in range(500):
            if not record.is_lost:
                break
            time.sleep(0.01)
        assert not record.is_lost
    assert not (record.folder / "alive").exists()
