"""Every form of a catalog gives the same rows, whole and in part, by Arrow and by Spark."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.filters import parse_condition
from ubspark.catalogs.hats import open_hats
from ubspark.catalogs.hats.spark import read_hats
from ubspark.catalogs.selection import read_rows
from ubspark.columns import HEALPIX_29
from ubspark.sky.healpix import N_PIXELS_29, compute_healpix_29, find_in_ranges
from ubspark.sky.regions import parse_region

SKY = np.array([[0, N_PIXELS_29]])
OWN = ["id", "ra", "dec", "mag", "name", "curve"]
REGIONS = [
    "cone 0 0 20 deg",
    "cone 90 90 3 deg",
    "cone 0 -90 10 deg",
    "box 350 10 -5 40",
    "healpix 1 44 17 0",
    "healpix 14 300 301",
]


def by_id(rows: pa.Table) -> list[dict[str, Any]]:
    return sorted(rows.select(OWN).to_pylist(), key=lambda row: row["id"])


def keep(rows: pa.Table, region: str) -> pa.Table:
    part = parse_region(region)
    ra, dec = rows["ra"].to_numpy(), rows["dec"].to_numpy()
    if part.is_exact:
        return rows.filter(pa.array(find_in_ranges(compute_healpix_29(ra, dec), part.ranges)))
    return rows.filter(pa.array(part.contains(np.array(ra), np.array(dec))))


def test_rows_are_read_sorted_with_their_index(form: Path, rows: pa.Table) -> None:
    catalog = open_hats(str(form))
    found = catalog.read_layout().read(SKY, OWN)
    index = found[HEALPIX_29.name].to_numpy()
    assert catalog.is_catalog
    assert catalog.n_rows == rows.num_rows
    assert by_id(found) == by_id(rows)
    assert np.all(index[1:] >= index[:-1])
    expected = compute_healpix_29(found["ra"].to_numpy(), found["dec"].to_numpy())
    np.testing.assert_array_equal(index, expected)
    assert found[HEALPIX_29.name].type == pa.int64()
    assert catalog.schema.names[0] == HEALPIX_29.name


def test_ranges_are_read_from_the_row_groups_that_meet_them(form: Path, rows: pa.Table) -> None:
    layout = open_hats(str(form)).read_layout().refine()
    healpix = np.sort(compute_healpix_29(rows["ra"].to_numpy(), rows["dec"].to_numpy()))
    cuts = np.array([[0, healpix[7]], [healpix[100], healpix[101] + 1], [healpix[-1], N_PIXELS_29]])
    found = layout.read(cuts, ["id"])
    expected = healpix[find_in_ranges(healpix, cuts)]
    np.testing.assert_array_equal(found[HEALPIX_29.name].to_numpy(), expected)
    assert layout.read(np.empty((0, 2), dtype=np.int64), OWN).num_rows == 0
    assert int(layout.n_rows.sum()) == rows.num_rows
    assert np.all(layout.low <= layout.high)


def test_bounds_of_the_layout_hold_every_row(form: Path, rows: pa.Table) -> None:
    layout = open_hats(str(form)).read_layout().refine()
    for low, high, n_rows in zip(layout.low, layout.high, layout.n_rows, strict=True):
        assert layout.read(np.array([[low, high + 1]]), ["id"]).num_rows >= n_rows


@pytest.mark.spark
def test_spark_reads_the_same_rows(form: Path, rows: pa.Table, spark: SparkSession) -> None:
    frame = read_hats(spark, str(form))
    found = frame.toArrow()
    assert frame.columns[0] == HEALPIX_29.name
    assert by_id(found) == by_id(rows)
    expected = compute_healpix_29(found["ra"].to_numpy(), found["dec"].to_numpy())
    np.testing.assert_array_equal(found[HEALPIX_29.name].to_numpy(), expected)


@pytest.mark.spark
@pytest.mark.parametrize("name", ["plain", "folders", "order 13", "no index", "unsigned index"])
def test_regions_are_those_of_brute_force(
    forms: dict[str, Path], rows: pa.Table, spark: SparkSession, name: str
) -> None:
    for region in REGIONS:
        found = read_hats(spark, str(forms[name]), columns=OWN, region=region).toArrow()
        assert by_id(found) == by_id(keep(rows, region)), region


@pytest.mark.spark
def test_conditions_and_columns_go_together(
    form: Path, rows: pa.Table, spark: SparkSession
) -> None:
    frame = read_hats(
        spark, str(form), columns=["name"], region="cone 0 0 60 deg", where="mag < 17 or id = 3"
    )
    inside = keep(rows, "cone 0 0 60 deg").to_pylist()
    names = [r["name"] for r in inside if (r["mag"] is not None and r["mag"] < 17) or r["id"] == 3]
    assert sorted(row.name for row in frame.collect()) == sorted(names)
    assert frame.columns == ["name"]


@pytest.mark.spark
def test_the_scan_is_native_and_pruned(forms: dict[str, Path], spark: SparkSession) -> None:
    frame = read_hats(spark, str(forms["plain"]), columns=["id"], region="healpix 1 44")
    plan = frame._jdf.queryExecution().executedPlan().toString()
    assert "Batched: true" in plan
    assert "GreaterThanOrEqual(_healpix_29" in plan
    assert "ArrowEvalPython" not in plan
    assert [name.rsplit("/", 1)[-1] for name in frame.inputFiles()] == ["Npix=44.parquet"]


@pytest.mark.spark
def test_a_region_without_partitions_is_empty(
    write: Callable[..., Path], rows: pa.Table, spark: SparkSession
) -> None:
    south = rows.filter(pa.array(rows["dec"].to_numpy() < -50))
    frame = read_hats(spark, str(write(south)), region="cone 0 80 1 deg")
    assert frame.count() == 0
    assert frame.columns[1:] == OWN


@pytest.mark.spark
def test_unsigned_ids_lose_nothing(
    write: Callable[..., Path], rows: pa.Table, spark: SparkSession
) -> None:
    ids = pa.array([2**64 - 1 - i for i in range(rows.num_rows)], pa.uint64())
    folder = write(rows.set_column(0, "id", ids))
    catalog = open_hats(str(folder))
    assert catalog.schema["id"].type == pa.decimal128(20, 0)
    read = catalog.read_layout().read(SKY, ["id"])["id"].to_pylist()
    seen = [row.id for row in read_hats(spark, str(folder), columns=["id"]).collect()]
    assert sorted(map(int, read)) == sorted(map(int, seen)) == sorted(ids.to_pylist())


@pytest.mark.spark
@pytest.mark.filterwarnings("ignore:Nanoseconds of `seen`")
def test_nanoseconds_are_read_as_utc(
    write: Callable[..., Path], rows: pa.Table, spark: SparkSession
) -> None:
    """As pandas writes them, and as Spark cannot read them."""
    times = pa.array(np.arange(rows.num_rows) * 1_000_000_007, pa.int64())
    folder = write(rows.append_column("seen", times.cast(pa.timestamp("ns"))))
    found = read_hats(spark, str(folder), columns=["id", "seen"]).toArrow().sort_by("seen")
    micros = found["seen"].cast(pa.int64()).to_numpy()
    np.testing.assert_array_equal(micros, np.arange(rows.num_rows) * 1_000_000_007 // 1000)
    read = open_hats(str(folder)).read_layout().read(SKY, ["seen"])
    assert read["seen"].type == pa.timestamp("us", tz="UTC")


@pytest.mark.spark
def test_units_and_descriptions_are_kept(
    write: Callable[..., Path], rows: pa.Table, spark: SparkSession
) -> None:
    notes = {"unit": "mag", "description": "Brightness", "ucd": "phot.mag"}
    schema = rows.schema.set(3, rows.schema.field("mag").with_metadata(notes))
    folder = write(rows.cast(schema))
    column = open_hats(str(folder)).schema["mag"]
    assert (column.unit, column.ucd, column.description) == ("mag", "phot.mag", "Brightness")
    metadata = read_hats(spark, str(folder)).schema["mag"].metadata
    assert metadata["unit"] == "mag"
    assert metadata["comment"] == "Brightness [mag] (ucd: phot.mag)"


@pytest.mark.spark
def test_columns_that_a_file_lacks_are_null(made: Path, spark: SparkSession) -> None:
    wider = open_hats(str(made)).stored.append(pa.field("later", pa.float64()))
    pq.write_metadata(wider, made / "dataset" / "_common_metadata")
    read = open_hats(str(made)).read_layout().read(SKY, ["later"])
    assert read["later"].null_count == 200
    assert read_hats(spark, str(made)).where("later is null").count() == 200


def test_very_many_files_are_planned_without_their_footers(
    form: Path, rows: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ubspark.catalogs.hats.layout.MAX_FOOTERS", 3)
    monkeypatch.setattr("ubspark.catalogs.hats.catalog.MAX_FOOTERS", 3)
    catalog = open_hats(str(form))
    layout = catalog.read_layout().refine()
    assert len(layout.paths) == catalog.n_files
    assert layout.n_rows.sum() == pytest.approx(rows.num_rows, rel=0.03)
    part = parse_region("cone 0 0 20 deg")
    whole = layout.read(part.ranges, OWN)
    few = layout.select(layout.find_files(part.ranges)[:3]).refine()
    assert np.all(few.groups >= 0)
    index = compute_healpix_29(rows["ra"].to_numpy(), rows["dec"].to_numpy())
    assert by_id(whole) == by_id(rows.filter(pa.array(find_in_ranges(index, part.ranges))))
    assert few.read(part.ranges, ["id"]).num_rows <= whole.num_rows


def test_conditions_skip_row_groups(forms: dict[str, Path]) -> None:
    layout = open_hats(str(forms["plain"])).read_layout()
    found = layout.narrow({"mag": (99.0, np.inf)}).read(SKY, ["mag"])
    assert found.num_rows == 0


def test_rows_are_read_into_memory(form: Path, rows: pa.Table) -> None:
    catalog = open_hats(str(form))
    found = read_rows(catalog, [HEALPIX_29.name, *OWN])
    assert by_id(found) == by_id(rows)
    region = parse_region("cone 0 0 20 deg")
    condition = parse_condition("mag < 18", catalog.schema, table="made")
    part = read_rows(catalog, OWN, region=region, condition=condition)
    near = keep(rows, "cone 0 0 20 deg")
    assert by_id(part) == by_id(near.filter(pc.field("mag") < 18))


def test_numbers_of_rows_that_differ_are_said(made: Path) -> None:
    file = made / "hats.properties"
    file.write_text(file.read_text().replace("hats_nrows=200", "hats_nrows=201"))
    with pytest.warns(UserWarning, match="says `hats_nrows=201`, but its files hold 200 rows"):
        assert open_hats(str(made)).n_rows == 200
