"""Records of dead runs: closed where it is known what they committed, else left open."""

import json
import warnings
from pathlib import Path

import pytest

from ubspark.lineage.spec import FrozenSpec
from ubspark.runtime.home import Home
from ubspark.runtime.records import RunRecord
from ubspark.runtime.recovery import close_lost_runs

#: Above the largest process id of Linux.
_NO_PROCESS = 1 << 23


def make_dead_run(home: Home, place: Path) -> RunRecord:
    """Leave the record of a run that was killed at work on a table."""
    outputs = {"matches": {"uri": str(place), "mode": "error"}}
    record = RunRecord.create(home.runs, FrozenSpec("crossmatch", "1", {}, {}, outputs))
    record.pid = _NO_PROCESS
    record.save()
    return record


def reload(record: RunRecord) -> RunRecord:
    return RunRecord.load(record.folder)


def test_damaged_output_of_a_dead_run_stops_nobody(home: Home, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    log = damaged / "_delta_log" / "00000000000000000000.json"
    log.parent.mkdir(parents=True)
    log.write_text("{nonsense")
    (tmp_path / "empty").mkdir()
    older = make_dead_run(home, tmp_path / "empty")
    open_run = make_dead_run(home, damaged)
    newer = make_dead_run(home, tmp_path / "empty")
    with pytest.warns(UserWarning, match=f"Run {open_run.run_id} was killed.* stays open"):
        close_lost_runs(home)
    assert reload(open_run).phase == "EXECUTING"
    assert {reload(run).phase for run in (older, newer)} == {"ERROR"}
    # Said once.
    close_lost_runs(home)
    log.unlink()
    close_lost_runs(home)
    closed = reload(open_run)
    assert closed.phase == "ERROR"
    assert closed.error == "The process of this run was killed; nothing was committed."
    assert closed.notes == []


def test_output_out_of_reach_leaves_the_run_open(home: Home, tmp_path: Path) -> None:
    """The folder is made before the record: without it, a disk is not mounted."""
    mounted = tmp_path / "disk"
    place = mounted / "matches"
    place.mkdir(parents=True)
    record = make_dead_run(home, place)
    mounted.rename(tmp_path / "unmounted")
    with pytest.warns(UserWarning, match="what it committed is not known"):
        close_lost_runs(home)
    assert reload(record).phase == "EXECUTING"
    (tmp_path / "unmounted").rename(mounted)
    close_lost_runs(home)
    assert reload(record).phase == "ERROR"


@pytest.mark.parametrize("content", [None, "", '{"outputs": ', "[]", "{}"])
def test_record_without_its_spec_is_closed(home: Home, tmp_path: Path, content: str | None) -> None:
    record = make_dead_run(home, tmp_path)
    spec = record.folder / "spec.json"
    if content is None:
        spec.unlink()
    else:
        spec.write_text(content)
    with warnings.catch_warnings(action="error"):
        close_lost_runs(home)
    closed = reload(record)
    assert closed.phase == "ERROR"
    assert closed.error == ("The process of this run was killed, and its spec.json cannot be read.")


def test_run_that_lives_is_left_alone(home: Home, tmp_path: Path) -> None:
    outputs = {"matches": {"uri": str(tmp_path), "mode": "error"}}
    record = RunRecord.create(home.runs, FrozenSpec("crossmatch", "1", {}, {}, outputs))
    close_lost_runs(home)
    assert json.loads((record.folder / "record.json").read_text())["phase"] == "EXECUTING"
