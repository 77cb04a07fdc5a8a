"""The commits of a table, each by its own version."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from ubspark.catalogs.history import read_history
from ubspark.errors import SourceError


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The log of a table with six versions and a checkpoint of the last."""
    for i in range(6):
        write_deltalake(tmp_path, pa.table({"a": [i]}), mode="append")
    DeltaTable(tmp_path).create_checkpoint()
    return tmp_path / "_delta_log"


def test_versions_and_times_are_those_of_delta(log: Path) -> None:
    told = DeltaTable(log.parent).history()
    found = read_history(str(log.parent))
    assert [(c.version, c.timestamp_ms, c.operation) for c in found] == [
        (entry["version"], entry["timestamp"], entry["operation"]) for entry in told
    ]
    assert [commit.version for commit in found] == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("version", [1, 3, 5])
def test_gap_is_named(log: Path, version: int) -> None:
    """delta-rs would tell of version 2 as if it were 3."""
    name = f"{version:020}.json"
    (log / name).unlink()
    with pytest.raises(SourceError, match=rf"is damaged: its log lacks `{name}`"):
        read_history(str(log.parent))


def test_log_whose_beginning_delta_forgot_has_no_gap(log: Path) -> None:
    for version in (0, 1):
        (log / f"{version:020}.json").unlink()
    assert [commit.version for commit in read_history(str(log.parent))] == [5, 4, 3, 2]


def test_commit_that_says_nothing_of_itself_takes_no_place_of_another(log: Path) -> None:
    path = log / "00000000000000000002.json"
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [action for action in actions if "commitInfo" not in action]
    path.write_text("".join(json.dumps(action) + "\n" for action in kept))
    found = {commit.version: commit for commit in read_history(str(log.parent))}
    assert sorted(found) == [0, 1, 2, 3, 4, 5]
    assert found[2].changed_data
    assert found[2].timestamp_ms == path.stat().st_mtime_ns // 1_000_000


@pytest.mark.parametrize("content", ['{"commitInfo": {"half', "{nonsense", ""])
def test_entry_that_is_damaged_is_named(log: Path, content: str) -> None:
    (log / "00000000000000000004.json").write_text(content)
    with pytest.raises(SourceError, match=r"log entry `.*04\.json` is damaged"):
        read_history(str(log.parent))
