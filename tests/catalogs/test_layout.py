"""The spatial index of files, and reading by it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubspark.catalogs.layout import FileLayout, naming, open_filesystem
from ubspark.errors import SourceError
from ubspark.sky.cover import meets_ranges
from ubspark.sky.healpix import find_in_ranges, merge_ranges
from ubspark.sky.vectors import IntArray

TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("_healpix_29", pa.int64(), nullable=False),
        pa.field("x", pa.float64(), metadata={"unit": "mag"}),
        pa.field("name", pa.string()),
    ]
)
#: The sky of these tests ends here.
N = 1000


def make_rows(index: IntArray, seed: int = 0) -> pa.Table:
    x = np.random.default_rng(seed).random(len(index))
    names = pa.array([None if value < 0.2 else f"n{value:.3f}" for value in x], pa.string())
    return pa.table([pa.array(index), pa.array(x), names], schema=SCHEMA)


def write(folder: Path, tables: Sequence[pa.Table], **options: Any) -> FileLayout:
    """Write each table as a file, and describe the files as the log of a table does."""
    paths = []
    for i, table in enumerate(tables):
        paths.append(str(folder / f"part-{i}.parquet"))
        pq.write_table(table, paths[-1], **{"row_group_size": 7, **options})
    index = [table["_healpix_29"].to_numpy() for table in tables]
    return FileLayout(
        tuple(paths),
        np.array([part.min() for part in index], dtype=np.int64),
        np.array([part.max() for part in index], dtype=np.int64),
        np.array([len(part) for part in index], dtype=np.int64),
        np.array([Path(path).stat().st_size for path in paths], dtype=np.int64),
        SCHEMA,
    )


def sort(rows: pa.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rows.sort_by([("_healpix_29", "ascending"), ("x", "ascending")])
    return found.to_pylist()  # type: ignore[attr-defined, no-any-return]


@pytest.fixture(scope="module")
def tables() -> list[pa.Table]:
    """Files that overlap, repeat an index, hold rows without a place, and leave a gap."""
    rng = np.random.default_rng(1)
    bounds = [(-1, 3), (0, 300), (100, 200), (150, 151), (600, 601), (500, 700), (999, 1000)]
    return [
        make_rows(np.sort(rng.integers(low, high, 20)), seed)
        for seed, (low, high) in enumerate(bounds)
    ]


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory, tables: list[pa.Table]) -> FileLayout:
    return write(tmp_path_factory.mktemp("layout"), tables)


ranges = st.lists(
    st.tuples(st.integers(-1, N), st.integers(0, 80)).map(lambda r: (r[0], r[0] + r[1])), max_size=6
).map(merge_ranges)


@given(ranges=ranges, refined=st.booleans())
@settings(max_examples=150, deadline=None)
def test_read_is_a_filter_of_the_whole_table(
    layout: FileLayout, tables: list[pa.Table], ranges: IntArray, refined: bool
) -> None:
    source = layout.refine() if refined else layout
    found = source.read(ranges, ["x", "name"])
    whole = pa.concat_tables(tables)
    # Rows without a place lie at -1, where `find_in_ranges` counts from 0.
    inside = find_in_ranges(whole["_healpix_29"].to_numpy() + 1, ranges + 1)
    assert sort(found) == sort(whole.filter(pa.array(inside)))
    assert np.all(np.diff(found["_healpix_29"].to_numpy()) >= 0)
    assert found.schema.equals(SCHEMA, check_metadata=True)


@given(ranges=ranges)
@settings(max_examples=100, deadline=None)
def test_files_and_row_groups_outside_the_ranges_are_not_named(
    layout: FileLayout, ranges: IntArray
) -> None:
    for source in (layout, layout.refine()):
        found = set(source.find_files(ranges).tolist())
        for i, (low, high) in enumerate(zip(source.low, source.high, strict=True)):
            meets = any(start <= high and low < end for start, end in ranges.tolist())
            assert (i in found) == meets


def test_every_row_is_read_by_the_range_of_everything(
    layout: FileLayout, tables: list[pa.Table]
) -> None:
    assert layout.read(np.array([[-1, N]]), []).num_rows == sum(t.num_rows for t in tables)
    assert layout.read(np.array([[0, N]]), []).num_rows < sum(t.num_rows for t in tables)


def test_refined_layout_has_an_entry_for_each_row_group(layout: FileLayout) -> None:
    fine = layout.refine()
    assert len(fine.paths) == 3 * len(layout.paths)
    assert fine.n_rows.sum() == layout.n_rows.sum()
    assert fine.n_rows[:3].tolist() == [7, 7, 6]
    assert np.all(fine.n_bytes > 0)
    for i, path in enumerate(layout.paths):
        mine = np.flatnonzero(np.array(fine.paths) == path)
        assert fine.low[mine].min() == layout.low[i]
        assert fine.high[mine].max() == layout.high[i]


def test_columns_come_in_the_order_asked_for_and_the_index_first(layout: FileLayout) -> None:
    names = layout.read(np.array([[0, N]]), ["name", "x"]).column_names
    assert names == ["_healpix_29", "name", "x"]
    assert layout.read(np.array([[0, N]]), ["x", "_healpix_29", "x"]).column_names == [
        "_healpix_29",
        "x",
    ]


def test_column_that_is_not_there(layout: FileLayout) -> None:
    with pytest.raises(KeyError, match="nothing"):
        layout.read(np.array([[0, N]]), ["nothing"])


def test_no_ranges_and_no_files_give_an_empty_table(layout: FileLayout) -> None:
    nothing = np.zeros((0, 2), dtype=np.int64)
    for source in (layout, layout.select(np.zeros(0, dtype=np.int64))):
        found = source.read(nothing, ["name"])
        assert (found.num_rows, found.column_names) == (0, ["_healpix_29", "name"])
    empty = layout.select(np.zeros(0, dtype=np.int64))
    assert empty.refine().paths == ()
    assert empty.read(np.array([[0, N]]), ["x"]).num_rows == 0


def test_file_without_rows_is_read_as_such(tmp_path: Path, tables: list[pa.Table]) -> None:
    layout = write(tmp_path, tables[:2])
    pq.write_table(SCHEMA.empty_table(), layout.paths[0])
    assert layout.read(np.array([[-1, N]]), ["x"]).num_rows == tables[1].num_rows
    assert layout.refine().n_rows.sum() == tables[1].num_rows


def test_file_without_statistics_is_read_in_full(tmp_path: Path, tables: list[pa.Table]) -> None:
    layout = write(tmp_path, tables[:3], write_statistics=False)
    expected = pa.concat_tables(tables[:3])["_healpix_29"].to_numpy()
    for source in (layout, layout.refine()):
        found = source.read(np.array([[10, 150]]), ["x"])["_healpix_29"].to_numpy()
        np.testing.assert_array_equal(found, np.sort(expected[(expected >= 10) & (expected < 150)]))


def test_rows_of_an_unsorted_file_come_sorted(tmp_path: Path) -> None:
    index = np.random.default_rng(2).permutation(50)
    found = write(tmp_path, [make_rows(index)]).read(np.array([[0, 40]]), ["x"])
    assert found["_healpix_29"].to_pylist() == list(range(40))


def test_files_of_other_writers_come_in_the_types_of_the_table(tmp_path: Path) -> None:
    """Spark's times are INT96, its columns all nullable; a file may be older than a column."""
    schema = pa.schema([*SCHEMA, ("t", TIME), ("new", pa.list_(pa.int32()))])
    moments = pa.array([1_700_000_000_123_456, None], pa.int64()).cast(TIME)
    index = pa.array([1, 3])
    spark = pa.table({"t": moments.cast(pa.timestamp("us")), "_healpix_29": index})
    pq.write_table(spark, tmp_path / "0.parquet", use_deprecated_int96_timestamps=True)
    ours = make_rows(np.array([0, 2])).append_column("t", moments)
    pq.write_table(ours, tmp_path / "1.parquet")
    one, three = np.array([0, 1]), np.array([2, 3])
    paths = tuple(str(tmp_path / f"{i}.parquet") for i in range(2))
    layout = FileLayout(paths, one, three, one + 2, one + 9, schema)
    found = layout.read(np.array([[0, 10]]), ["t", "new", "x"])
    assert found.schema == pa.schema([schema.field(n) for n in ("_healpix_29", "t", "new", "x")])
    assert found["_healpix_29"].to_pylist() == [0, 1, 2, 3]
    assert found["t"].cast(pa.int64()).to_pylist()[:2] == [1_700_000_000_123_456] * 2
    assert found["new"].null_count == 4
    assert found["x"].null_count == 2


def test_statistics_outside_of_bounds_spare_the_row_group(layout: FileLayout) -> None:
    everything = np.array([[-1, N]])
    whole = layout.read(everything, ["x"])
    narrow = layout.narrow({"x": (0.0, 0.1)})
    found = narrow.read(everything, ["x"])
    assert found.filter(pa.compute.field("x") <= 0.1).num_rows == (
        whole.filter(pa.compute.field("x") <= 0.1).num_rows
    )
    assert layout.narrow({"x": (2.0, 3.0)}).read(everything, ["x"]).num_rows == 0
    assert layout.narrow({"x": (2.0, 3.0)}).refine().paths == ()
    assert layout.narrow({"name": (2.0, 3.0)}).read(everything, []).num_rows == whole.num_rows


def test_share_of_columns_is_that_of_their_bytes(layout: FileLayout) -> None:
    shares = [layout.estimate_share(columns) for columns in ([], ["x"], ["x", "name"])]
    assert 0.0 < shares[0] < shares[1] < shares[2] == 1.0
    assert layout.select(np.zeros(0, dtype=np.int64)).estimate_share(["x"]) == 1.0


@pytest.mark.parametrize("name", ["a b", "100%", "a%20b", "é?#"])
def test_odd_paths_are_read(tmp_path: Path, tables: list[pa.Table], name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    layout = write(folder, tables[:2])
    assert layout.refine().read(np.array([[-1, N]]), []).num_rows == 40


def test_file_system_of_a_uri(tmp_path: Path) -> None:
    filesystem, path = open_filesystem((tmp_path / "a b").as_uri())
    assert (filesystem.type_name, path) == ("local", str(tmp_path / "a b"))
    assert open_filesystem("/a%20b")[1] == "/a%20b"


def test_touching_a_range_is_not_meeting_it() -> None:
    ranges = np.array([[10, 20], [30, 40]])
    low = np.array([20, 9, 5, 39, 40, 0, 25, 19])
    high = np.array([29, 9, 10, 39, 50, 99, 30, 19])
    expected = [False, False, True, True, False, True, True, True]
    assert meets_ranges(low, high, ranges).tolist() == expected


def test_row_groups_without_a_wanted_row_are_not_read_beyond_their_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = write(tmp_path, [make_rows(np.arange(0, 70, 2))])
    read: list[tuple[list[int], list[str]]] = []
    original = pq.ParquetFile.read_row_groups

    def record(file: pq.ParquetFile, groups: list[int], **options: Any) -> pa.Table:
        read.append((list(groups), list(options["columns"])))
        return original(file, groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", record)
    # Odd numbers lie within the bounds of row groups, and are no row's.
    found = layout.read(np.array([[3, 4], [17, 19], [45, 46]]), ["x"])
    assert found["_healpix_29"].to_pylist() == [18]
    assert read == [([0, 1, 3], ["_healpix_29"]), ([1], ["x"])]
    read.clear()
    assert layout.read(np.array([[3, 4]]), ["x"]).num_rows == 0
    assert read[0] == ([0], ["_healpix_29"])


def test_lists_that_arrow_cannot_read_are_no_damage(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    lists = pa.array([[1.0, 2.0, 3.0], None], pa.list_(pa.float32(), 3))
    pq.write_table(pa.table({"id": [1, 2], "colour": lists}), file)
    with (
        pytest.raises(SourceError, match="lists of fixed size with null rows, which Arrow"),
        naming(str(file)),
    ):
        pq.read_table(file)
