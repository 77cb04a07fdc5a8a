"""What is broken in a catalog is said in one sentence."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.hats import open_hats
from ubspark.catalogs.hats.spark import read_hats
from ubspark.errors import InputMissingError, ParameterError, SchemaError, SourceError, UbsparkError

FIRST = "dataset/Norder=0/Dir=0/Npix=0.parquet"


def remove_properties(folder: Path) -> None:
    (folder / "hats.properties").unlink()


def set_property(key: str, value: str | None) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "hats.properties"
        lines = [line for line in file.read_text().splitlines() if not line.startswith(f"{key}=")]
        file.write_text("\n".join([*lines, *([] if value is None else [f"{key}={value}"])]))

    return change


def set_partitions(text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "partition_info.csv").write_text(text)

    return change


def remove_file(folder: Path) -> None:
    (folder / FIRST).unlink()


def cut_file(folder: Path) -> None:
    content = (folder / FIRST).read_bytes()
    (folder / FIRST).write_bytes(content[: len(content) // 2])


def write_text_as_file(folder: Path) -> None:
    (folder / FIRST).write_text("<html>not found</html>")


def change_type(folder: Path) -> None:
    rows = pq.ParquetFile(folder / FIRST).read()
    place = rows.schema.get_field_index("mag")
    pq.write_table(rows.set_column(place, "mag", rows["mag"].cast(pa.string())), folder / FIRST)


def drop_index(folder: Path) -> None:
    pq.write_table(pq.ParquetFile(folder / FIRST).read().drop("_healpix_29"), folder / FIRST)


def cut_schema(folder: Path) -> None:
    (folder / "dataset/_common_metadata").write_bytes(b"PAR1")


BROKEN = {
    "no properties": (remove_properties, InputMissingError, "holds no HATS catalog"),
    "no type": (
        set_property("dataproduct_type", "galaxy"),
        SchemaError,
        "`dataproduct_type` must be one of .* got 'galaxy'",
    ),
    "no ra": (
        set_property("hats_col_ra", None),
        SchemaError,
        "does not say `hats_col_ra`, which a catalog of type object needs",
    ),
    "other ra": (
        set_property("hats_col_ra", "RAJ2000"),
        SchemaError,
        "says `hats_col_ra=RAJ2000`, but there is no such column",
    ),
    "ra is text": (
        set_property("hats_col_ra", "name"),
        SchemaError,
        "says `hats_col_ra=name`, but that column is string; it must be a number",
    ),
    "index is a float": (
        set_property("hats_col_healpix", "mag"),
        SchemaError,
        "says `hats_col_healpix=mag`, but that column is double; it must be an integer",
    ),
    "order 30": (
        set_property("hats_col_healpix_order", "30"),
        SchemaError,
        r"`hats_col_healpix_order` must be in \[0, 29\], got 30",
    ),
    "rows are no number": (
        set_property("hats_nrows", "many"),
        SchemaError,
        "`hats_nrows` must be a number, got 'many'",
    ),
    "no file": (
        remove_file,
        InputMissingError,
        f"names the partition Norder=0, Npix=0, whose file `{FIRST}` is not there",
    ),
    "unknown pixel": (
        set_partitions("Norder,Npix\n1,48\n"),
        SchemaError,
        "names pixel 48 of order 1; that order has pixels 0 to 47",
    ),
    "unknown order": (set_partitions("Norder,Npix\n31,0\n"), SchemaError, "names order 31"),
    "no such partition": (
        set_partitions("Norder,Npix\n5,77\n"),
        InputMissingError,
        "names the partition Norder=5, Npix=77",
    ),
    "pixel in pixel": (
        set_partitions("Norder,Npix\n0,0\n1,3\n"),
        SchemaError,
        "names the partition Norder=0, Npix=0 and, inside it, Norder=1, Npix=3",
    ),
    "no order": (
        set_partitions("Npix\n0\n"),
        SchemaError,
        "has no column `Norder`; its columns are: Npix",
    ),
    "pixel is text": (
        set_partitions("Norder,Npix\n0,a\n"),
        SchemaError,
        "line 2: order and pixel must be integers",
    ),
    "cut file": (cut_file, SourceError, "its footer is missing or damaged"),
    "web page": (write_text_as_file, SourceError, "its footer is missing or damaged"),
    "cut schema": (cut_schema, SourceError, "_common_metadata` cannot be read as Parquet"),
    "other type": (
        change_type,
        SchemaError,
        "Column `mag` has type string in .*, but double in the catalog's `_common_metadata`",
    ),
    "index lost": (drop_index, SchemaError, "lacks the column `_healpix_29`"),
}


@pytest.mark.spark
@pytest.mark.parametrize("case", list(BROKEN))
def test_one_sentence_names_what_is_broken(made: Path, spark: SparkSession, case: str) -> None:
    damage, kind, match = BROKEN[case]
    damage(made)
    for read in (
        lambda: read_hats(spark, str(made)),
        lambda: open_hats(str(made)).read_layout().refine(),
    ):
        with pytest.raises(kind, match=match) as caught:
            read()
        text = str(caught.value)
        assert isinstance(caught.value, UbsparkError)
        assert text.endswith(".")
        assert "\n" not in text
        assert str(made) in text


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="is not there"):
        open_hats(str(tmp_path / "nowhere"))


def test_a_collection_whose_catalog_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "collection.properties").write_text("hats_primary_table_url=gone\n")
    with pytest.raises(InputMissingError, match="names the catalog `gone`, which is not there"):
        open_hats(str(tmp_path))
    (tmp_path / "collection.properties").write_text("obs_collection=c\n")
    with pytest.raises(SchemaError, match="does not say `hats_primary_table_url`"):
        open_hats(str(tmp_path))
    (tmp_path / "collection.properties").write_text("hats_primary_table_url=a\nall_indexes=id\n")
    with pytest.raises(SchemaError, match="`all_indexes` must be pairs"):
        open_hats(str(tmp_path))


@pytest.mark.spark
def test_columns_and_conditions_that_are_not_there(made: Path, spark: SparkSession) -> None:
    with pytest.raises(SchemaError, match=r"Column `magg` is not in table .* Did you mean `mag`\?"):
        read_hats(spark, str(made), columns=["magg"])
    with pytest.raises(SchemaError, match="Column `r` is not in table"):
        read_hats(spark, str(made), where="r < 17")
    with pytest.raises(ParameterError, match="`region` must be one of"):
        read_hats(spark, str(made), region="circle 1 2 3")


@pytest.mark.spark
def test_regions_need_positions(conformance: Path, spark: SparkSession) -> None:
    index = conformance / "small_sky_order1_collection" / "small_sky_order1_id_index"
    with pytest.raises(SchemaError, match="names no positions; `region` cannot be taken from it"):
        read_hats(spark, str(index), region="cone 1 2 3 deg")
    with pytest.raises(SchemaError, match="of type index has no spatial index"):
        open_hats(str(index)).read_layout()


def test_units_other_than_degrees_are_refused(write: Callable[..., Path], rows: pa.Table) -> None:
    schema = rows.schema.set(1, rows.schema.field("ra").with_metadata({"unit": "rad"}))
    with pytest.raises(SchemaError, match=r"Column `ra` of .* is in `rad`"):
        open_hats(str(write(rows.cast(schema))))


def test_footers_are_the_digest_of_large_catalogs(made: Path) -> None:
    from ubspark.catalogs.hats.folder import Folder
    from ubspark.catalogs.hats.manifest import compute_manifest

    catalog = open_hats(str(made))
    metadata = ["hats.properties", "partition_info.csv", "not_there"]
    listed = compute_manifest(Folder(str(made)), metadata, catalog.files, full_bytes=0)
    kinds = {path.rsplit("/", 1)[-1]: digest.startswith("footer:") for path, _, digest in listed}
    assert not kinds["hats.properties"]
    assert kinds["Npix=0.parquet"]
    assert "not_there" not in kinds
    content = bytearray((made / FIRST).read_bytes())
    content[-20] ^= 1
    (made / FIRST).write_bytes(content)
    assert listed != compute_manifest(Folder(str(made)), metadata, catalog.files, full_bytes=0)
    assert re.fullmatch(r"footer:[0-9a-f]{64}", listed[0][2])


def test_an_empty_catalog_has_no_rows(write: Callable[..., Path], rows: pa.Table) -> None:
    catalog = open_hats(str(write(rows.slice(0, 0))))
    assert catalog.n_rows == 0
    assert catalog.read_layout().read(np.array([[0, 1 << 61]]), ["id"]).num_rows == 0
