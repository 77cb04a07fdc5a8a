"""Files that a task writes, and what it says of them."""

import datetime as dt
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubspark.catalogs.digests import compute_digest
from ubspark.catalogs.parquet_sink import Constraint, ParquetSink, WrittenFile
from ubspark.errors import SchemaError

LAST = "\U0010ffff"
#: Characters whose order differs between UTF-16, UTF-8 and the end of what exists.
CHARACTERS = st.sampled_from(
    ["a", "b", "\0", "é", "\ud7ff", "\ue000", "\uffff", "\U0001f600", LAST]
)
TEXT = st.text(CHARACTERS, max_size=70) | st.integers(28, 36).map(lambda n: LAST * n)


def write(folder: Path, rows: pa.Table, **options: Any) -> list[WrittenFile]:
    options.setdefault("schema", rows.schema)
    sink = ParquetSink(str(folder), **options)
    return [file for file, _ in sink.write(rows.to_batches(max_chunksize=100)) if file is not None]


def read_stats(folder: Path, values: Any, kind: pa.DataType) -> dict[str, Any]:
    (file,) = write(folder, pa.table({"v": pa.array(values, kind)}))
    stats: dict[str, Any] = json.loads(file.stats)
    return stats


def read_footer(folder: Path, file: WrittenFile, column: int = 0) -> Any:
    return pq.read_metadata(folder / file.path).row_group(0).column(column).statistics


def assert_bounds(
    folder: Path, values: list[Any], kind: pa.DataType, decode: Callable[[Any], Any]
) -> None:
    """The bounds of the log enclose every value, and are there whenever there is one."""
    stats = read_stats(folder, values, kind)
    there = [value for value in values if value is not None]
    assert stats["numRecords"] == len(values)
    assert stats["nullCount"] == {"v": len(values) - len(there)}
    if not there:
        assert (stats["minValues"], stats["maxValues"]) == ({}, {})
        return
    low, high = decode(stats["minValues"]["v"]), decode(stats["maxValues"]["v"])
    assert all(low <= value <= high for value in there)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of hypothesis; the names of files never repeat."""
    return tmp_path_factory.mktemp("sink")


@given(st.lists(st.none() | TEXT, min_size=1, max_size=8))
@settings(max_examples=150, deadline=None)
def test_bounds_of_text_enclose_it_in_the_order_of_its_bytes(
    folder: Path, values: list[str | None]
) -> None:
    encoded = [None if value is None else value.encode() for value in values]
    stats = read_stats(folder, values, pa.string())
    there = [value for value in encoded if value is not None]
    if there:
        low, high = (stats[name]["v"].encode() for name in ("minValues", "maxValues"))
        assert all(low <= value <= high for value in there)


@pytest.mark.parametrize("n", [31, 32, 33, 34, 50])
@pytest.mark.parametrize("tail", ["", "a", "\U0001f600"])
def test_text_of_the_last_character_has_an_upper_bound(folder: Path, n: int, tail: str) -> None:
    """Appending U+10FFFF to a prefix is no bound where the text goes on with it."""
    text = LAST * n + tail
    assert read_stats(folder, [text], pa.string())["maxValues"]["v"].encode() >= text.encode()


def test_bounds_of_long_text_are_short(folder: Path) -> None:
    stats = read_stats(folder, ["x" * 1000, "\U0001f600" * 1000], pa.string())
    assert stats["minValues"]["v"] == "x" * 32
    assert stats["maxValues"]["v"] == "\U0001f600" * 32 + LAST


@given(st.lists(st.none() | st.floats(allow_nan=False), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_bounds_of_floats_enclose_them(folder: Path, values: list[float | None]) -> None:
    if any(value is not None and math.isinf(value) for value in values):
        stats = read_stats(folder, values, pa.float64())
        assert (stats["minValues"], stats["maxValues"]) == ({}, {})
    else:
        assert_bounds(folder, values, pa.float64(), float)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_bounds_of_float32_enclose_them(folder: Path, values: list[float]) -> None:
    assert_bounds(folder, values, pa.float32(), np.float32)


@pytest.mark.parametrize("kind", [pa.int8(), pa.int16(), pa.int32(), pa.int64()])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_bounds_of_integers_enclose_them(
    folder: Path, kind: pa.DataType, data: st.DataObject
) -> None:
    most = 1 << (kind.bit_width - 1)
    values = data.draw(st.lists(st.none() | st.integers(-most, most - 1), min_size=1, max_size=6))
    assert_bounds(folder, values, kind, int)


@given(st.lists(st.none() | st.dates(), min_size=1, max_size=6))
@settings(max_examples=50, deadline=None)
def test_bounds_of_dates_enclose_them(folder: Path, values: list[dt.date | None]) -> None:
    assert_bounds(folder, values, pa.date32(), dt.date.fromisoformat)


@given(
    st.lists(st.none() | st.datetimes(max_value=dt.datetime(9999, 12, 31, 23, 59, 59)), min_size=1)
)
@settings(max_examples=100, deadline=None)
def test_bounds_of_times_are_milliseconds_rounded_outwards(
    folder: Path, values: list[dt.datetime | None]
) -> None:
    def decode(text: str) -> dt.datetime:
        assert len(text) == len("2026-11-22T00:00:00.000Z")
        return dt.datetime.fromisoformat(text)

    aware = [None if value is None else value.replace(tzinfo=dt.UTC) for value in values]
    assert_bounds(folder, aware, pa.timestamp("us", tz="UTC"), decode)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 2**62], pa.timestamp("us", tz="UTC")),
        ([-(2**62), 0], pa.timestamp("us", tz="UTC")),
        ([0, 2**30], pa.date32()),
        ([-(2**30), 0], pa.date32()),
        ([253402300799_999_999], pa.timestamp("us", tz="UTC")),
    ],
)
def test_times_that_no_text_can_hold_have_no_bounds(
    folder: Path, values: list[int], kind: pa.DataType
) -> None:
    """Arrow knows years that neither Python's nor Delta's text can say; the rows are written."""
    stats = read_stats(folder, values, kind)
    assert (stats["minValues"], stats["maxValues"]) == ({}, {})
    assert stats["nullCount"] == {"v": 0}


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_column_with_nan_has_no_bounds_in_log_and_footer(tmp_path: Path, kind: pa.DataType) -> None:
    """Spark takes NaN for the largest number; a maximum without it would lose rows."""
    rows = pa.table({"v": pa.array([1.0, math.nan, None], kind), "w": pa.array([1.0, 2.0, 3.0])})
    (file,) = write(tmp_path, rows)
    stats = json.loads(file.stats)
    assert (stats["minValues"], stats["maxValues"]) == ({"w": 1.0}, {"w": 3.0})
    assert stats["nullCount"] == {"v": 1, "w": 0}
    assert read_footer(tmp_path, file) is None
    assert read_footer(tmp_path, file, 1).has_min_max


def test_floats_with_a_zero_have_no_dictionary(tmp_path: Path) -> None:
    """Spark prunes by dictionaries, in which -0.0 is not 0.0: it would lose rows."""
    lists = pa.array([["g", "r"], None] * 8, pa.list_(pa.string()))
    kind = pa.struct([("a", pa.int8()), ("z", pa.float32())])
    parts = pa.array([{"a": 1, "z": 0.5}, None] * 8, kind)
    floats = {"v": [-0.0, 1.0] * 8, "w": [0.0, None] * 8, "x": [1.0, 2.0] * 8}
    rows = pa.table({**floats, "l": lists, "st": parts})
    (file,) = write(tmp_path, rows)
    group = pq.read_metadata(tmp_path / file.path).row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    assert {column.path_in_schema: column.has_dictionary_page for column in columns} == {
        "v": False,
        "w": False,
        "x": True,
        "l.list.element": True,
        "st.a": True,
        "st.z": False,
    }


def test_only_values_that_repeat_have_a_dictionary(tmp_path: Path) -> None:
    n = 10_000
    rows = pa.table(
        {
            "id": np.arange(n),
            "flux": np.random.default_rng(1).normal(10, 1, n),
            "name": [f"star {i}" for i in range(n)],
            "band": ["g", "r"] * (n // 2),
            "count": np.arange(n) % 7,
        }
    )
    (file,) = write(tmp_path, rows)
    group = pq.read_metadata(tmp_path / file.path).row_group(0)
    coded = {
        group.column(i).path_in_schema
        for i in range(group.num_columns)
        if group.column(i).has_dictionary_page
    }
    assert coded == {"band", "count"}


def test_many_small_batches_make_the_file_of_one(tmp_path: Path) -> None:
    """Rows, order, statistics and digest; also where types have to be cast."""
    n = 5000
    rows = pa.table({"v": np.arange(n) / 7, "s": [f"s{i}" for i in range(n)]})
    rows = rows.append_column("l", pa.array([[i] * (i % 3) for i in range(n)]))
    schema = pa.schema([("v", pa.float32()), ("s", pa.string()), ("l", pa.list_(pa.int64()))])
    found = []
    for size in (n, 7):
        sink = ParquetSink(str(tmp_path), schema)
        ((file, digest),) = sink.write(rows.slice(i, size) for i in range(0, n, size))
        assert file is not None
        table = pq.read_table(tmp_path / file.path)
        found.append((table.to_pylist(), file.stats, digest))
        assert table["v"].to_pylist() == rows["v"].cast(pa.float32()).to_pylist()
    assert found[0] == found[1]


def test_nan_of_one_file_does_not_cost_another_its_bounds(tmp_path: Path) -> None:
    rows = pa.table({"v": [math.nan] * 100 + [1.0] * 100})
    first, second = write(tmp_path, rows, file_bytes=1)
    assert json.loads(first.stats)["maxValues"] == {}
    assert json.loads(second.stats)["maxValues"] == {"v": 1.0}


@pytest.mark.parametrize(
    ("array", "nulls"),
    [
        (pa.array([True, False]), {"v": 0}),
        (pa.array([b"\0", None]), {"v": 1}),
        (pa.array([None, 1], pa.decimal128(20, 0)), {"v": 1}),
        (pa.array([[math.nan], None]), {}),
        (pa.array([{"a": math.nan}, None]), {}),
        (pa.array([math.inf, 1.0]), {"v": 0}),
        (pa.array([-math.inf, 1.0]), {"v": 0}),
    ],
)
def test_types_whose_bounds_json_cannot_hold_have_none(
    tmp_path: Path, array: pa.Array, nulls: dict[str, int]
) -> None:
    (file,) = write(tmp_path, pa.table({"v": array}))
    stats = json.loads(file.stats)
    assert (stats["minValues"], stats["maxValues"], stats["nullCount"]) == ({}, {}, nulls)


def test_statistics_are_strict_json(tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        pytest.fail(f"{name} is not JSON")

    rows = pa.table({"v": [math.inf, -math.inf, math.nan], "s": ['"', "\\", "\n"], "z": [-0.0] * 3})
    (file,) = write(tmp_path, rows)
    stats = json.loads(file.stats, parse_constant=refuse)
    assert math.copysign(1.0, stats["minValues"]["z"]) == -1.0


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = pa.table(
        {
            "x": pa.array([1.5, None, math.inf]),
            "s": ["", "é", None],
            "l": pa.array([[1, None], [], None], pa.list_(pa.int32())),
            "d": pa.array([1, 2, None], pa.decimal128(20, 0)),
        }
    )
    (file,) = write(tmp_path, rows)
    assert pq.read_table(tmp_path / file.path).equals(rows)
    assert file.n_bytes == (tmp_path / file.path).stat().st_size
    assert file.n_rows == 3


def test_columns_are_put_in_the_order_and_types_of_the_schema(tmp_path: Path) -> None:
    schema = pa.schema([("b", pa.int64()), ("a", pa.string())])
    rows = pa.table({"a": ["x"], "other": [1.0], "b": pa.array([7], pa.int8())})
    (file,) = write(tmp_path, rows, schema=schema)
    assert pq.read_table(tmp_path / file.path).to_pylist() == [{"b": 7, "a": "x"}]


def test_batches_become_as_few_files_as_their_size_allows(tmp_path: Path) -> None:
    rows = pa.table({"v": np.arange(1000)})
    assert len(write(tmp_path, rows)) == 1
    files = write(tmp_path, rows, file_bytes=8 * 250)
    assert [file.n_rows for file in files] == [300, 300, 300, 100]
    assert len({file.path for file in files}) == 4
    read = pa.concat_tables(pq.read_table(tmp_path / file.path) for file in files)
    assert read.equals(rows)


def test_row_groups_are_the_grain_of_the_index(tmp_path: Path) -> None:
    (file,) = write(tmp_path, pa.table({"v": np.arange(1000)}), row_group_rows=300)
    metadata = pq.read_metadata(tmp_path / file.path)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [300, 300, 300, 100]
    assert [group.column(0).statistics.min for group in groups] == [0, 300, 600, 900]


@pytest.mark.parametrize("batches", [[], [pa.table({"v": pa.array([], pa.int64())})]])
def test_task_without_rows_writes_nothing(tmp_path: Path, batches: list[pa.Table]) -> None:
    sink = ParquetSink(str(tmp_path), pa.schema([("v", pa.int64())]))
    ((file, digest),) = sink.write(batches)
    assert file is None
    assert digest.n_rows == 0
    assert list(tmp_path.iterdir()) == []


def test_digests_of_the_files_add_up_to_that_of_the_rows(tmp_path: Path) -> None:
    rows = pa.table({"v": np.arange(1000), "x": np.linspace(0, 1, 1000)})
    sink = ParquetSink(str(tmp_path), rows.schema, file_bytes=1)
    digests = [digest for _, digest in sink.write(rows.to_batches(max_chunksize=300))]
    total = digests[0]
    for digest in digests[1:]:
        total = total + digest
    assert len(digests) == 4
    assert total == compute_digest(rows)


def test_null_in_a_column_that_may_not_be_null_is_refused(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("v", pa.int64(), nullable=False)])
    message = r"^Column `v` may not be null, but 2 rows have no value in it; nothing was kept\.$"
    with pytest.raises(SchemaError, match=message):
        write(tmp_path, pa.table({"v": [1, None, None]}), schema=schema)
    assert list(tmp_path.iterdir()) == []


def test_broken_constraint_is_refused(tmp_path: Path) -> None:
    constraint = Constraint("v", 0)
    message = r"^Column `v` breaks `v >= 0` in 1 rows; nothing was kept\.$"
    with pytest.raises(SchemaError, match=message):
        write(tmp_path, pa.table({"v": [1.0, None, -1e-300]}), constraints=(constraint,))
    assert list(tmp_path.iterdir()) == []


def test_null_nan_and_the_bound_itself_keep_a_constraint(tmp_path: Path) -> None:
    rows = pa.table({"v": [0.0, None, math.nan, math.inf]})
    assert len(write(tmp_path, rows, constraints=(Constraint("v", 0),))) == 1
