"""A selected source is the source with the other rows taken away."""

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubspark.catalogs.filters import parse_condition
from ubspark.catalogs.layout import FileLayout
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.catalogs.selection import SelectedSource, select_rows
from ubspark.sky import N_PIXELS_29, compute_healpix_29
from ubspark.sky.regions import parse_region

N_ROWS = 6000
N_FILES = 5
REGIONS = [
    None,
    "cone 0 0 12 deg",
    "cone 77 90 9 deg",
    "box 350 10 -20 20",
    "polygon 350 -5 15 -8 5 30",
    "healpix 2 0 17 100",
    "box 0 360 -90 -75 & cone 10 -80 4 deg",
    "sky",
]
WHERES = [None, "mag < 16.5 and id > 10", "not (mag >= 15)", "id between 2 and 5990"]


def make_rows() -> pa.Table:
    rng = np.random.default_rng(3)
    ra = rng.uniform(0, 360, N_ROWS)
    dec = np.rad2deg(np.arcsin(rng.uniform(-1, 1, N_ROWS)))
    ra[:4], dec[:4] = [0.0, 360.0, 12.0, 50.0], [0.0, 0.0, 90.0, -90.0]
    ra[4], dec[5] = np.nan, np.nan
    index = compute_healpix_29(ra, dec)
    mag = rng.uniform(10, 20, N_ROWS)
    mag[rng.random(N_ROWS) < 0.05] = np.nan
    rows = pa.table(
        {"_healpix_29": index, "ra": ra, "dec": pa.array(dec, from_pandas=True), "mag": mag}
    ).take(np.argsort(index, kind="stable"))
    # Ids rise with the index, so that their statistics say something.
    return rows.append_column("id", pa.array(np.arange(N_ROWS)))


ROWS = make_rows()
SCHEMA = TableSchema(tuple(TableColumn(field.name, field.type) for field in ROWS.schema))


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> FileLayout:
    folder = tmp_path_factory.mktemp("files")
    paths, facts = [], []
    for i, start in enumerate(range(0, N_ROWS, N_ROWS // N_FILES)):
        part = ROWS.slice(start, N_ROWS // N_FILES)
        paths.append(str(folder / f"{i}.parquet"))
        pq.write_table(part, paths[-1], row_group_size=200)
        index = part["_healpix_29"].to_numpy()
        facts.append((index.min(), index.max(), part.num_rows, Path(paths[-1]).stat().st_size))
    low, high, n_rows, n_bytes = np.array(facts, dtype=np.int64).T
    return FileLayout(tuple(paths), low, high, n_rows, n_bytes, ROWS.schema)


def select(layout: FileLayout, region: str | None, where: str | None) -> SelectedSource:
    selected = select_rows(
        layout,
        region=parse_region(region) if region else None,
        condition=parse_condition(where, SCHEMA, table="t") if where else None,
        ra="ra",
        dec="dec",
    )
    return pickle.loads(pickle.dumps(selected.refine()))


def filter_rows(region: str | None, where: str | None) -> pa.Table:
    """Return the rows by whole columns, without any index."""
    rows = ROWS
    if region:
        inside = parse_region(region).contains(rows["ra"].to_numpy(), rows["dec"].to_numpy())
        rows = rows.filter(pa.array(inside))
    return rows.filter(parse_condition(where, SCHEMA, table="t").to_arrow()) if where else rows


@pytest.mark.parametrize("where", WHERES)
@pytest.mark.parametrize("region", REGIONS)
def test_selection_reads_the_filtered_rows(
    layout: FileLayout, region: str | None, where: str | None
) -> None:
    source = select(layout, region, where)
    everything = np.array([[-1, N_PIXELS_29]])
    expected = filter_rows(region, where)
    assert expected.num_rows > 0
    found = source.read(everything, ["id"])
    assert found.column_names == ["_healpix_29", "id"]
    assert found["id"].to_pylist() == expected["id"].to_pylist()
    index = expected["_healpix_29"].to_numpy()
    holds = (source.low <= index[:, None]) & (index[:, None] <= source.high)
    assert holds.any(axis=1).all()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(REGIONS),
    st.sampled_from(WHERES),
    st.lists(st.floats(0, 1), min_size=2, max_size=8, unique=True),
)
def test_any_ranges_are_cut_with_the_region(
    layout: FileLayout, region: str | None, where: str | None, edges: list[float]
) -> None:
    cuts = np.sort((np.array(edges) * N_PIXELS_29).astype(np.int64))
    ranges = cuts[: len(cuts) // 2 * 2].reshape(-1, 2)
    expected = filter_rows(region, where)
    index = expected["_healpix_29"].to_numpy()
    inside = ((index[:, None] >= ranges[:, 0]) & (index[:, None] < ranges[:, 1])).any(axis=1)
    found = select(layout, region, where).read(ranges, ["id", "mag"])
    assert found["id"].to_pylist() == expected["id"].to_numpy()[inside].tolist()


def test_entries_outside_the_region_are_gone(layout: FileLayout) -> None:
    whole = layout.refine()
    source = select(layout, "cone 0 0 12 deg", None)
    assert 0 < len(source.low) < len(whole.low) / 2
    assert source.n_bytes.sum() < whole.n_bytes.sum() / 2
    assert (source.low >= 0).all()
    assert (source.low <= source.high).all()


def test_row_groups_that_the_condition_excludes_are_not_read(
    layout: FileLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = select(layout, None, "id between 1000 and 1100")
    assert source.n_rows.sum() == 200
    read: list[int] = []
    original = pq.ParquetFile.read_row_groups

    def count(file: pq.ParquetFile, groups: list[int], **options: object) -> pa.Table:
        read.extend(groups)
        return original(file, groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", count)
    assert source.read(np.array([[-1, N_PIXELS_29]]), ["id"]).num_rows == 101
    assert set(read) == {read[0]}


def test_nothing_is_left_of_a_region_or_condition_without_rows(layout: FileLayout) -> None:
    for source in (select(layout, None, "id < -5"), select(layout, "cone 1 1 0.1 mas", None)):
        found = source.read(np.array([[-1, N_PIXELS_29]]), ["id"])
        assert found.num_rows == 0
        assert found.schema.field("id").type == pa.int64()
        assert source.read_head(3, ["id"]).num_rows == 0
    assert len(select(layout, None, "id < -5").low) == 0


def test_head_is_the_beginning_in_sky_order(layout: FileLayout) -> None:
    source = select(layout, "box 350 10 -20 20", "mag < 16.5")
    expected = filter_rows("box 350 10 -20 20", "mag < 16.5")["id"].to_pylist()
    assert source.read_head(7, ["id"])["id"].to_pylist() == expected[:7]
    assert source.read_head(None, ["id"])["id"].to_pylist() == expected


def test_only_the_columns_of_the_test_are_read_beside_those_asked_for(layout: FileLayout) -> None:
    cells, cone = select(layout, "healpix 2 0 17", None), select(layout, "cone 1 2 3 deg", None)
    assert cells.estimate_share(["id"]) < cone.estimate_share(["id"])
    assert select_rows(layout, region=None, condition=None) is layout
