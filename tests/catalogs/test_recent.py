"""Row groups that were read a moment ago are not read again, and no more is kept than fits."""

import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ubspark.catalogs.recent import RecentReads

#: A column of a row group: its numbers, and which of them are null.
GROUP_BYTES = 8 * 1000 + 1000 // 8


@pytest.fixture
def file(tmp_path: Path) -> pq.ParquetFile:
    path = tmp_path / "a.parquet"
    table = pa.table({"a": range(4000), "b": [float(i) for i in range(4000)]})
    pq.write_table(table, path, row_group_size=1000)
    return pq.ParquetFile(path)


class Counting:
    """A file that counts how often it is read."""

    def __init__(self, file: pq.ParquetFile) -> None:
        self.file, self.n = file, 0

    def read_row_groups(self, *arguments: object, **named: object) -> pa.Table:
        self.n += 1
        return self.file.read_row_groups(*arguments, **named)


def test_what_was_read_is_not_read_again(file: pq.ParquetFile) -> None:
    counting, recent = Counting(file), RecentReads()
    first = recent.read(counting, "a", [1], ["a"])
    assert recent.read(counting, "a", [1], ["a"]) is first
    assert first["a"].to_pylist() == list(range(1000, 2000))
    for path, groups, columns in (("b", [1], ["a"]), ("a", [2], ["a"]), ("a", [1], ["b"])):
        recent.read(counting, path, groups, columns)
    assert counting.n == 4


def test_the_oldest_give_way(file: pq.ParquetFile) -> None:
    counting, recent = Counting(file), RecentReads(limit_bytes=2 * GROUP_BYTES)
    for group in (0, 1, 0, 2, 0):
        recent.read(counting, "a", [group], ["a"])
    assert counting.n == 3
    recent.read(counting, "a", [1], ["a"])
    assert counting.n == 4


def test_what_is_too_large_is_not_kept(file: pq.ParquetFile) -> None:
    counting, recent = Counting(file), RecentReads(limit_bytes=GROUP_BYTES - 1)
    for _ in range(2):
        assert recent.read(counting, "a", [0], ["a"]).num_rows == 1000
    assert counting.n == 2


def test_several_row_groups_at_once_are_not_kept(file: pq.ParquetFile) -> None:
    counting, recent = Counting(file), RecentReads()
    recent.read(counting, "a", [3], ["a"])
    for _ in range(2):
        assert recent.read(counting, "a", [0, 1], ["a"]).num_rows == 2000
    recent.read(counting, "a", [3], ["a"])
    assert counting.n == 3


def test_no_row_travels(file: pq.ParquetFile) -> None:
    recent = RecentReads()
    recent.read(file, "a", [0], ["a"])
    assert len(pickle.dumps(recent)) < 200
