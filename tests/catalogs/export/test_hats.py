"""A table written as a HATS catalog: its rows, its partitions, what it says of itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from cdshealpix.skymap import Skymap

from ubspark.catalogs.export import read_manifest, verify_export
from ubspark.catalogs.hats import HatsCatalog, open_hats
from ubspark.catalogs.hats.planning import PixelItem, compute_margin_ranges
from ubspark.catalogs.hats.spark import read_hats
from ubspark.errors import ConflictError, ParameterError, SchemaError
from ubspark.runtime.config import parse_job
from ubspark.runtime.run_job import run_job
from ubspark.sky.healpix import find_in_ranges
from ubspark.sky.vectors import to_unit_vectors

pytestmark = pytest.mark.spark

Place = Any
N_PLACED = 2995
MARGINS = {"60 arcsec": 60.0, "0.5 deg": 1800.0}


@pytest.fixture(scope="module")
def made(workplace: Place) -> Path:
    """A collection with two margins and an index, in small partitions."""
    folder = workplace.folder / "made"
    workplace.export(
        folder,
        format="hats",
        max_rows=150,
        highest_order=9,
        row_group_rows=40,
        margins=list(MARGINS),
        indexes=["id"],
        statistics=True,
        properties={"obs_title": "Stars made up", "hats_creator": "tests"},
    )
    return Path(folder)


def read_all(catalog: HatsCatalog) -> pa.Table:
    files = [pq.read_table(catalog.folder.join(f.path), partitioning=None) for f in catalog.files]
    return pa.concat_tables(files)


def test_every_row_with_a_position_is_there(
    made: Path, expected: pa.Table, assert_same: Callable[..., None]
) -> None:
    catalog = open_hats(str(made))
    placed = expected.filter(pc.is_finite(expected["dec"]))
    assert placed.num_rows == N_PLACED == catalog.n_rows
    assert_same(read_all(catalog), placed)


def test_partitions_hold_their_own_rows_sorted_in_row_groups(made: Path) -> None:
    catalog = open_hats(str(made))
    sizes = []
    assert catalog.partitions is not None
    for file, (low, high) in zip(catalog.files, catalog.partitions.ranges, strict=True):
        with pq.ParquetFile(catalog.folder.join(file.path)) as parquet:
            rows = parquet.read()
            groups = [parquet.metadata.row_group(i) for i in range(parquet.num_row_groups)]
        index = rows["_healpix_29"].to_numpy()
        assert index.min() >= low
        assert index.max() < high
        order = [(row["_healpix_29"], row["id"]) for row in rows.to_pylist()]
        assert order == sorted(order)
        assert all(group.num_rows == 40 for group in groups[:-1])
        assert groups[0].sorting_columns == (pq.SortingColumn(0),)
        sizes.append(rows.num_rows)
    # The crowd of equal positions does not fit, and is one partition of the deepest order.
    assert sorted(sizes)[-1] >= 200
    assert sorted(sizes)[-2] <= 150
    deepest = catalog.partitions.order[int(np.argmax(sizes))]
    assert deepest == 9


def test_metadata_files_tell_the_truth(made: Path) -> None:
    catalog = open_hats(str(made))
    root = Path(catalog.uri)
    assert (root / "hats.properties").read_text() == (root / "properties").read_text()
    metadata = pq.read_metadata(root / "dataset" / "_metadata")
    assert metadata.num_rows == N_PLACED
    names = [metadata.row_group(i).column(0).file_path for i in range(metadata.num_row_groups)]
    assert list(dict.fromkeys(names)) == [f.path.removeprefix("dataset/") for f in catalog.files]
    schema = pq.read_schema(root / "dataset" / "_common_metadata")
    assert schema.names[0] == "_healpix_29"
    assert schema.field("mag").metadata == {b"unit": b"mag", b"description": b"G, Vega"}
    thumbnail = pq.read_table(root / "data_thumbnail.parquet")
    assert thumbnail.num_rows == catalog.n_files
    assert thumbnail.schema.equals(schema)
    statistics = pq.read_table(root / "per_partition_statistics.parquet")
    assert statistics.num_rows == metadata.num_row_groups
    assert pc.sum(statistics["id::row_count"]).as_py() == N_PLACED


def test_skymap_counts_every_row(made: Path) -> None:
    catalog = open_hats(str(made))
    root = Path(catalog.uri)
    assert (root / "skymap.fits").read_bytes() == (root / "point_map.fits").read_bytes()
    order = int(catalog.properties.entries["hats_skymap_order"])
    # Three thousand rows fill less than half of the map: only pixels with rows are there.
    found = Skymap.from_fits(str(root / "skymap.fits")).skymap
    pixel, n_rows = np.unique(
        read_all(catalog)["_healpix_29"].to_numpy() >> 2 * (29 - order), return_counts=True
    )
    np.testing.assert_array_equal(found.keys, pixel)
    np.testing.assert_array_equal(found.values, n_rows)


def test_properties_name_the_rows_and_where_they_come_from(made: Path, workplace: Place) -> None:
    manifest = read_manifest(made)
    stars = workplace.stars
    entries = open_hats(str(made)).properties.entries
    wanted = {
        "obs_collection": "stars",
        "dataproduct_type": "object",
        "hats_nrows": str(N_PLACED),
        "hats_col_ra": "ra",
        "hats_col_dec": "dec",
        "hats_col_healpix": "_healpix_29",
        "hats_col_healpix_order": "29",
        "hats_npix_suffix": ".parquet",
        "hats_version": "v1.0",
        "hats_coordinate_epoch": "J2016.0",
        "hats_cols_survey_id": "id",
        "hats_creator": "tests",
        "obs_title": "Stars made up",
        "hats_order": "9",
        "prov_progenitor": str(stars),
        "ubspark_table": f"{stars.uri}@v{stars.version}",
        "ubspark_table_id": stars.table_id,
        "ubspark_run_id": manifest.record["run"],
        "ubspark_run_key": manifest.record["key"],
    }
    assert {key: entries.get(key) for key in wanted} == wanted
    catalog = open_hats(str(made))
    sizes = [(made / "stars" / file.path).stat().st_size for file in catalog.files]
    assert catalog.partitions is not None
    share = np.diff(catalog.partitions.ranges, axis=1).sum() / (12 * 4**29)
    assert 0.1 < share < 1
    assert float(entries["moc_sky_fraction"]) == pytest.approx(share, rel=1e-4)
    assert entries["hats_estsize"] == str(-(-sum(sizes) // 1024))
    assert entries["hats_max_bytes"] == str(max(sizes))
    rows = [pq.read_metadata(made / "stars" / file.path).num_rows for file in catalog.files]
    assert entries["hats_max_rows"] == str(max(rows))


@pytest.mark.parametrize(("name", "threshold"), [("60", 60.0), ("1800", 1800.0)])
def test_margin_holds_every_row_near_its_pixel(made: Path, name: str, threshold: float) -> None:
    """Of each pixel of the sky, also of those without a partition."""
    catalog = open_hats(str(made))
    margin = open_hats(str(made / f"stars_{name}arcs"))
    assert margin.properties.margin_threshold_arcsec == threshold
    rows = read_all(catalog)
    index = rows["_healpix_29"].to_numpy()
    vectors = to_unit_vectors(rows["ra"].to_numpy(), rows["dec"].to_numpy())
    ids = rows["id"].to_numpy()
    assert margin.partitions is not None
    assert catalog.partitions is not None
    held = {
        (int(k), int(p)): set(
            pq.read_table(margin.folder.join(f.path), partitioning=None)["id"].to_pylist()
        )
        for k, p, f in zip(
            margin.partitions.order, margin.partitions.pixel, margin.files, strict=True
        )
    }
    checked = 0
    own = zip(catalog.partitions.order.tolist(), catalog.partitions.pixel.tolist(), strict=True)
    for order, pixel in own:
        item = PixelItem("", order, pixel)
        inside = find_in_ranges(index, np.array([item.range]))
        near = find_in_ranges(index, compute_margin_ranges(item, threshold))
        chord = 2 * np.sin(np.radians(threshold / 3600) / 2)
        # What lies near a row of the pixel lies near the pixel.
        close = [
            row
            for row in np.flatnonzero(~inside)
            if ((vectors[inside] - vectors[row]) ** 2).sum(axis=1).min() <= chord**2
        ]
        assert set(ids[close].tolist()) <= held.get((order, pixel), set())
        assert held.get((order, pixel), set()) == set(ids[near].tolist())
        checked += len(close)
    assert checked > 20
    # Rows beside an empty part of the sky.
    main = set(zip(catalog.partitions.order, catalog.partitions.pixel, strict=True))
    assert (set(held) - main) or catalog.properties.entries["moc_sky_fraction"] == "1"


def test_index_points_to_the_partition_of_each_id(made: Path) -> None:
    catalog = open_hats(str(made))
    collection = catalog.collection
    assert collection is not None
    assert collection.indexes == {"id": "stars_id_index"}
    index = open_hats(str(made / "stars_id_index"))
    rows = read_all(index)
    assert rows.schema.field("Npix").type == pa.uint64()
    assert rows["id"].to_pylist() == sorted(rows["id"].to_pylist())
    assert rows.num_rows == N_PLACED
    pixel = rows["_healpix_29"].to_numpy() >> 2 * (29 - rows["Norder"].to_numpy().astype(np.int64))
    np.testing.assert_array_equal(pixel, rows["Npix"].to_numpy().astype(np.int64))
    by_id = dict(
        zip(*(read_all(catalog)[n].to_pylist() for n in ("id", "_healpix_29")), strict=True)
    )
    assert dict(zip(rows["id"].to_pylist(), rows["_healpix_29"].to_pylist(), strict=True)) == by_id


def test_manifest_knows_every_file(made: Path) -> None:
    check = verify_export(made)
    assert check.is_good, check.findings
    manifest = check.manifest
    assert manifest.kind == "hats"
    assert manifest.n_rows == N_PLACED
    assert manifest.record["spec"]["inputs"]["table"]["version"] == 0


def test_partitions_do_not_change_the_rows(workplace: Place, made: Path, tmp_path: Path) -> None:
    workplace.export(tmp_path / "one", format="hats", lowest_order=1, max_rows=100_000)
    one = open_hats(str(tmp_path / "one"))
    assert one.collection is None
    assert one.partitions is not None
    assert set(one.partitions.order.tolist()) == {1}
    assert read_all(one).equals(read_all(open_hats(str(made))))


def test_files_become_a_catalog_without_a_table(
    workplace: Place, expected: pa.Table, assert_same: Callable[..., None], tmp_path: Path
) -> None:
    given = {
        "path": str(workplace.folder / "stars.parquet"),
        "roles": {"id": "id"},
        "epoch": 2016.0,
        "pm_includes_cos_dec": True,
    }
    content = {
        "job": "export",
        "inputs": {"table": given},
        "params": {"format": "hats", "max_rows": 300},
        "outputs": {"folder": {"path": str(tmp_path / "direct")}},
    }
    job = parse_job(content)
    outcome = run_job(job, home=workplace.home, spark=workplace.spark)
    assert outcome.record.metrics["rows_without_position"] == 5
    catalog = open_hats(str(tmp_path / "direct"))
    assert_same(read_all(catalog), expected.filter(pc.is_finite(expected["dec"])))
    assert catalog.properties.entries["hats_coordinate_epoch"] == "J2016.0"
    assert "stars.parquet" in catalog.properties.entries["ubspark_table"]
    assert run_job(job, home=workplace.home, spark=workplace.spark).already_made


def test_a_part_is_exported_and_said_to_be_one(workplace: Place, tmp_path: Path) -> None:
    workplace.export(
        tmp_path / "part",
        format="hats",
        region="cone 56.75 24.1 0.5 deg",
        where="mag < 18",
        columns=["mag", "id"],
    )
    part = open_hats(str(tmp_path / "part"))
    rows = read_all(part)
    assert rows.column_names == ["_healpix_29", "ra", "dec", "mag", "id"]
    assert 0 < rows.num_rows < 900
    assert pc.max(rows["mag"]).as_py() < 18
    assert part.properties.entries["ubspark_where"] == "mag < 18"
    assert "56.75" in part.properties.entries["ubspark_region"]


def test_rows_without_a_position_are_counted_or_refused(
    workplace: Place, tmp_path: Path, made: Path
) -> None:
    outcome = workplace.export(tmp_path / "some", format="hats")
    assert outcome.record.metrics["rows_without_position"] == 5
    assert outcome.record.notes == [
        "5 rows have no usable position; they are left out of the catalog."
    ]
    with pytest.raises(SchemaError, match=r"^5 rows of `.*stars@v0` have no usable position"):
        workplace.export(tmp_path / "none", format="hats", bad_rows="error")
    # There is nothing in it that another run could take up.
    assert [path.name for path in tmp_path.iterdir()] == ["some"]
    assert not (tmp_path / "none").exists()


def test_empty_choice_is_refused(workplace: Place, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="there is nothing to write"):
        workplace.export(tmp_path / "none", format="hats", where="mag > 1000")


def test_same_export_is_not_made_twice(workplace: Place, tmp_path: Path) -> None:
    first = workplace.export(tmp_path / "twice", format="hats")
    again = workplace.export(tmp_path / "twice", format="hats")
    assert again.already_made
    assert again.outputs == first.outputs
    assert again.record.run_id == first.record.run_id
    # A file that was lost makes it a new one.
    next((tmp_path / "twice").rglob("Npix*")).unlink()
    assert not workplace.export(tmp_path / "twice", format="hats").already_made
    assert verify_export(tmp_path / "twice").is_good


def test_another_export_is_replaced_only_if_asked(workplace: Place, tmp_path: Path) -> None:
    workplace.export(tmp_path / "out", format="hats")
    with pytest.raises(ConflictError, match=r"holds another export\. Choose another folder"):
        workplace.export(tmp_path / "out", format="hats", max_rows=500)
    workplace.export(tmp_path / "out", format="hats", max_rows=500, mode="overwrite")
    assert open_hats(str(tmp_path / "out")).n_files > 6
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_foreign_folder_is_never_replaced(workplace: Place, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(ConflictError, match="is not empty and no export of ubspark"):
        workplace.export(tmp_path / "mine", format="hats", mode="overwrite")


def test_files_of_others_are_not_replaced(workplace: Place, tmp_path: Path) -> None:
    out = tmp_path / "out"
    workplace.export(out, format="parquet")
    (out / "notes.txt").write_text("mine")
    for params in ({"mode": "error"}, {"mode": "overwrite"}, {"mode": "overwrite", "max_rows": 9}):
        with pytest.raises(ConflictError, match=r"is not replaced: `notes\.txt` in it is not of"):
            workplace.export(out, format="parquet", **params)
    assert (out / "notes.txt").read_text() == "mine"
    (out / "notes.txt").unlink()
    (out / "ubspark-manifest.json").write_text("{")
    with pytest.raises(ConflictError, match="is not replaced: its manifest is damaged"):
        workplace.export(out, format="parquet", mode="overwrite")


def test_links_are_no_place_for_an_export(workplace: Place, tmp_path: Path) -> None:
    workplace.export(tmp_path / "out", format="parquet")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    for name in ("link", "broken"):
        with pytest.raises(ConflictError, match=rf"{name}` is a link; name the folder"):
            workplace.export(tmp_path / name, format="parquet", mode="overwrite", max_rows=9)
    assert verify_export(tmp_path / "out").is_good


def test_export_does_not_go_into_another(workplace: Place, tmp_path: Path) -> None:
    workplace.export(tmp_path / "out", format="parquet")
    with pytest.raises(ConflictError, match=r"`.*/out/a/b` lies in the export `.*/out`; choose"):
        workplace.export(tmp_path / "out" / "a" / "b", format="parquet")


@pytest.mark.parametrize(
    ("params", "says"),
    [
        (
            {"format": "hats", "lowest_order": 5, "highest_order": 3},
            "`params.lowest_order` must be",
        ),
        ({"format": "hats", "indexes": ["curve"]}, "`params.indexes` cannot hold `curve`"),
        ({"format": "hats", "margins": ["0 arcsec"]}, "`params.margins` must be larger than 0"),
        ({"format": "hats", "margins": ["1 arcsec", "1000 mas"]}, "`params.margins` must differ"),
        ({"format": "hats", "indexes": ["_healpix_29"]}, "`params.indexes` cannot hold `_healpix"),
        (
            {"format": "hats", "properties": {"hats_nrows": "5"}},
            "`params.properties` cannot hold `hats_nrows`, which the writer states itself",
        ),
        (
            {"format": "hats", "properties": {"dataproduct_type": "margin"}},
            "`params.properties` cannot hold `dataproduct_type`",
        ),
        ({"format": "hats", "indexes": ["id", "id"]}, "`params.indexes` must differ, got id twice"),
        ({"format": "parquet", "name": "n" * 101}, "`params.name`"),
        ({"format": "hats", "margins": ["170 deg"]}, "at most 36000 arcsec, got 612000 arcsec"),
        ({"format": "hats", "margins": [5]}, "must be an angle with a unit"),
        ({"format": "hats", "compression_level": 99}, "`compression_level` of `zstd` must be in"),
        ({"format": "hdf5"}, "`params.format`"),
    ],
)
def test_wrong_parameter_is_refused_at_once(
    workplace: Place, tmp_path: Path, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(ParameterError, match=says):
        workplace.export(tmp_path / "no", **params)
    assert list(tmp_path.iterdir()) == []


def test_names_that_no_index_can_have_are_refused(workplace: Place, tmp_path: Path) -> None:
    rows = {"id": [1, 2], "ra": [1.0, 2.0], "dec": [1.0, 2.0], "B/V": [1, 2], "norder": [3, 4]}
    pq.write_table(pa.table(rows), tmp_path / "odd.parquet")
    for column, says in {
        "B/V": "may have no blank and no slash",
        "norder": "has of its own",
    }.items():
        content = {
            "job": "export",
            "inputs": {"table": {"path": str(tmp_path / "odd.parquet"), "roles": {"id": "id"}}},
            "params": {"format": "hats", "indexes": [column]},
            "outputs": {"folder": {"path": str(tmp_path / "out")}},
        }
        with pytest.raises(ParameterError, match=says):
            run_job(parse_job(content), home=workplace.home, spark=workplace.spark)


def test_columns_of_default_must_be_there(workplace: Place, tmp_path: Path) -> None:
    properties = {"hats_cols_default": "id magg"}
    with pytest.raises(SchemaError, match=r"`magg`.*Did you mean `mag`"):
        workplace.export(tmp_path / "no", format="hats", properties=properties)
    assert list(tmp_path.iterdir()) == []


def test_statistics_of_wide_integers_are_exact(workplace: Place, tmp_path: Path) -> None:
    wide = np.array([1, 2**63 - 1, 2**63, 2**64 - 1], dtype=np.uint64)
    rows = {"id": wide, "ra": np.arange(4.0) * 90, "dec": np.zeros(4)}
    pq.write_table(pa.table(rows), tmp_path / "wide.parquet")
    content = {
        "job": "export",
        "inputs": {"table": {"path": str(tmp_path / "wide.parquet"), "roles": {"id": "id"}}},
        "params": {"format": "hats", "statistics": True, "max_rows": 1},
        "outputs": {"folder": {"path": str(tmp_path / "out")}},
    }
    run_job(parse_job(content), home=workplace.home, spark=workplace.spark)
    found = pq.read_table(tmp_path / "out" / "per_partition_statistics.parquet")
    assert sorted(found["id::max_value"].to_pylist()) == wide.tolist()


def test_catalog_is_found_from_where_one_is(
    workplace: Place, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.parent)
    place = f"./{made.name}"
    rows = read_hats(workplace.spark, place)
    # The working folder of another process is another one.
    monkeypatch.chdir("/")
    assert rows.count() == N_PLACED
    monkeypatch.chdir(made.parent)
    outcome = workplace.ingest(Path(made.name), "from_here", roles={"id": "id"})
    assert outcome.record.metrics["rows"] == N_PLACED
