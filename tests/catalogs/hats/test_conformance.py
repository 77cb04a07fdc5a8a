"""The catalogs of the maintainers of HATS, and of Rubin: what is published of them is read."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.hats import is_hats_folder, open_hats
from ubspark.catalogs.hats.spark import read_hats
from ubspark.columns import HEALPIX_29
from ubspark.errors import InputMissingError
from ubspark.sky.healpix import N_PIXELS_29, compute_healpix_29

SKY = np.array([[-1, N_PIXELS_29]])
KINDS = {
    "small_sky_order1_collection": ("object", 131),
    "small_sky_order1_collection/small_sky_order1": ("object", 131),
    "small_sky_order1_collection/small_sky_order1_id_index": ("index", 131),
    "small_sky_order1_collection/small_sky_order1_margin_1deg": ("margin", 23),
    "small_sky_order1_collection/small_sky_order1_margin_2deg": ("margin", 47),
    "small_sky_order1_source_collection": ("source", 17161),
    "small_sky_order1_source_collection/small_sky_order1_source_margin": ("margin", 6388),
    "small_sky_order1_source_collection/small_sky_order1_source_band_index": ("index", 30),
    "small_sky_order1_source_collection/small_sky_order1_source_object_id_index": ("index", 136),
    "small_sky_order1_nested_sources": ("object", 131),
    "small_sky_order1_nested_sources/small_sky_order1_nested_sources_margin": ("margin", 47),
    "small_sky_order1_nested_sources/small_sky_order1_source_id_index": ("index", 17161),
    "small_sky_xmatch": ("object", 111),
    "small_sky_xmatch_margin": ("margin", 39),
    "small_sky_left_xmatch": ("object", 132),
    "small_sky_to_o1source": ("association", 131),
    "small_sky_object_source_association": ("association", 131),
}


@pytest.mark.parametrize("name", list(KINDS))
def test_every_catalog_opens_with_its_rows(conformance: Path, name: str) -> None:
    catalog = open_hats(str(conformance / name))
    kind, n_rows = KINDS[name]
    assert catalog.properties.kind == kind
    assert catalog.n_rows == catalog.properties.n_rows == n_rows
    assert catalog.is_catalog == (kind != "index")
    if catalog.is_catalog:
        assert catalog.read_layout().read(SKY, []).num_rows == n_rows


@pytest.mark.spark
def test_spark_counts_the_rows_of_every_catalog(conformance: Path, spark: SparkSession) -> None:
    for name, (_, n_rows) in KINDS.items():
        frame = read_hats(spark, str(conformance / name))
        assert frame.count() == n_rows, name
        assert tuple(frame.columns) == open_hats(str(conformance / name)).schema.names


def test_margins_say_their_threshold(conformance: Path) -> None:
    folder = conformance / "small_sky_order1_collection" / "small_sky_order1_margin_1deg"
    catalog = open_hats(str(folder))
    assert catalog.properties.margin_threshold_arcsec == 3600.0
    # Rows lie outside of the pixel of their file: no file can be left out.
    assert len(catalog.select_files(np.array([[0, 1]]))) == catalog.n_files


def test_types_of_an_index_are_those_of_spark(conformance: Path) -> None:
    folder = conformance / "small_sky_order1_nested_sources" / "small_sky_order1_source_id_index"
    schema = open_hats(str(folder)).schema
    assert schema["Norder"].type == pa.int16()
    assert schema["Npix"].type == pa.decimal128(20, 0)
    assert schema["sources.source_id"].type == pa.int64()


@pytest.mark.spark
def test_nested_light_curves_are_structs_of_lists(conformance: Path, spark: SparkSession) -> None:
    catalog = str(conformance / "small_sky_order1_nested_sources")
    frame = read_hats(spark, catalog, columns=["id", "sources"])
    n_points = frame.selectExpr("sum(size(sources.mjd))").first()
    assert n_points is not None
    assert n_points[0] == 17161


@pytest.mark.spark
def test_dp1_is_read_whole(dp1: Path, spark: SparkSession) -> None:
    catalog = open_hats(str(dp1 / "dia_object_collection"))
    found = catalog.read_layout().read(SKY, catalog.schema.names)
    expected = compute_healpix_29(found["ra"].to_numpy(), found["dec"].to_numpy())
    np.testing.assert_array_equal(found[HEALPIX_29.name].to_numpy(), expected)
    frame = read_hats(spark, str(dp1 / "dia_object_collection"))
    assert frame.count() == 40
    # The published number of sources is the length of each light curve.
    assert frame.where("nDiaSources != size(diaSource.midpointMjdTai)").count() == 0
    objects = read_hats(spark, str(dp1 / "object_collection"), columns=["objectId"])
    assert objects.distinct().count() == 50


def test_metadata_alone_can_be_looked_at(data: Path) -> None:
    folder = data / "rubin_dp1_hats_metadata"
    if not folder.is_dir():
        pytest.skip("`rubin_dp1_hats_metadata` is not in UBSPARK_DATA.")
    catalog = open_hats(str(folder))
    assert catalog.properties.n_rows == 2_299_726
    assert catalog.partitions is not None
    assert len(catalog.partitions) == 389
    assert int(catalog.partitions.order.max()) == 11
    assert len(catalog.schema.names) == 1305
    assert len(catalog.properties.default_columns) > 50
    assert open_hats(str(folder / "object_lc_objectId")).properties.kind == "index"
    with pytest.raises(InputMissingError, match=r"names the partition Norder=.*is not there"):
        catalog.read_layout()


def test_no_catalog_of_the_data_is_forgotten(conformance: Path) -> None:
    found = {
        str(Path(folder).relative_to(conformance))
        for folder, _, _ in os.walk(conformance)
        if is_hats_folder(folder)
    }
    same = {"small_sky_order1_object_id_index", "small_sky_order1_source", "catalog"}
    assert {name for name in found if Path(name).name not in same} <= set(KINDS)
