"""Reading by parts gives what reading at once gives, in the same order."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubspark.catalogs.filters import parse_condition
from ubspark.catalogs.layout import FileLayout
from ubspark.catalogs.parts import PartReader
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.catalogs.selection import select_rows
from ubspark.sky.healpix import merge_ranges

#: The sky of these tests ends here.
N = 400
_BANDS = ("g", "r", None)
TYPES = [pa.int64(), pa.float64(), pa.list_(pa.float64()), pa.list_(pa.string())]
SCHEMA = pa.schema(list(zip(("_healpix_29", "x", "t", "band"), TYPES, strict=True)))


def make_rows(index: np.ndarray, seed: int) -> pa.Table:
    """Return rows with lists of different lengths, some of them null."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 6, len(index)).tolist()
    t = [None if n == 5 else rng.random(n).tolist() for n in lengths]
    names = [None if n == 5 else [_BANDS[k] for k in rng.integers(0, 3, n)] for n in lengths]
    columns = [index, rng.random(len(index)), t, names]
    return pa.table([pa.array(c, k) for c, k in zip(columns, TYPES, strict=True)], schema=SCHEMA)


def write(folder: Path, tables: Sequence[pa.Table], group_rows: int = 7) -> FileLayout:
    paths = []
    for i, table in enumerate(tables):
        paths.append(str(folder / f"part-{i}.parquet"))
        pq.write_table(table, paths[-1], row_group_size=group_rows)
    index = [table["_healpix_29"].to_numpy() for table in tables]
    low, high = (np.array([pick(part) for part in index]) for pick in (np.min, np.max))
    sizes = np.array([len(part) for part in index]), np.full(len(tables), 1 << 10)
    return FileLayout(tuple(paths), low, high, *sizes, SCHEMA)


def make_files(bounds: Sequence[tuple[int, int]]) -> list[pa.Table]:
    rng = np.random.default_rng(4)
    return [
        make_rows(np.sort(rng.integers(low, high, 40)), seed)
        for seed, (low, high) in enumerate(bounds)
    ]


@pytest.fixture(scope="module", params=[7, 30])
def tidy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FileLayout:
    """Files one after the other on the sky, named in another order; two share an index."""
    tables = make_files([(200, 300), (-1, 0), (0, 200), (300, N)])
    border = tables[0]["_healpix_29"][-1].as_py()
    tables.append(make_rows(np.full(3, border), 9))
    return write(tmp_path_factory.mktemp("tidy"), tables, request.param)


@pytest.fixture(scope="module")
def untidy(tmp_path_factory: pytest.TempPathFactory) -> FileLayout:
    """Files that overlap."""
    return write(tmp_path_factory.mktemp("untidy"), make_files([(0, 300), (100, N), (100, 200)]))


ranges = st.lists(
    st.tuples(st.integers(-1, N), st.integers(0, 90)).map(lambda r: (r[0], r[0] + r[1])), max_size=5
).map(merge_ranges)


def read(source: object, wanted: np.ndarray, n_bytes: int) -> list[pa.Table]:
    names = ["x", "t", "band"]
    reader = PartReader(source)  # type: ignore[arg-type]  # either kind of source
    return list(reader.read_parts(wanted, names, n_bytes=n_bytes, coded=["band"]))


@given(wanted=ranges, n_bytes=st.sampled_from([1, 300, 1 << 20]), refined=st.booleans())
@settings(max_examples=60, deadline=None)
def test_parts_make_the_whole(
    tidy: FileLayout, wanted: np.ndarray, n_bytes: int, *, refined: bool
) -> None:
    layout = tidy.refine() if refined else tidy
    parts = read(layout, wanted, n_bytes)
    found = [row for part in parts for row in part.to_pylist()]
    assert found == layout.read(wanted, ["x", "t", "band"]).to_pylist()


@given(wanted=ranges)
@settings(max_examples=20, deadline=None)
def test_files_that_overlap_come_sorted(untidy: FileLayout, wanted: np.ndarray) -> None:
    found = [row for part in read(untidy, wanted, 300) for row in part.to_pylist()]
    assert found == untidy.read(wanted, ["x", "t", "band"]).to_pylist()


def test_a_selection_is_read_in_parts(tidy: FileLayout) -> None:
    columns = tuple(TableColumn(field.name, field.type) for field in SCHEMA)
    condition = parse_condition("x > 0.5", TableSchema(columns), table="t")
    selected = select_rows(tidy, region=None, condition=condition)
    parts = read(selected, np.array([[-1, N]]), 300)
    assert len(parts) > 4
    found = [row for part in parts for row in part.to_pylist()]
    assert found == selected.read(np.array([[-1, N]]), ["x", "t", "band"]).to_pylist()
    assert all(row["x"] > 0.5 for row in found)


def test_parts_are_as_small_as_asked(tidy: FileLayout) -> None:
    small, large = (read(tidy, np.array([[-1, N]]), n) for n in (300, 1 << 20))
    assert max(part.num_rows for part in small) < 10
    assert len(large) == len(tidy.paths)


def test_text_comes_in_dictionaries_where_row_groups_are_long(tmp_path: Path) -> None:
    layout = write(tmp_path, make_files([(0, N)]), 40)
    part = read(layout, np.array([[0, N]]), 300)[0]
    assert pa.types.is_dictionary(part.schema.field("band").type.value_type)
    assert part.schema.field("t").type == TYPES[2]
