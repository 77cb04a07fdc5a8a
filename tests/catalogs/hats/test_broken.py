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


def drop_position(folder: Path) -> None:
    pq.write_table(pq.ParquetFile(folder / FIRST).read().drop("ra"), folder / FIRST)


def drop_index(folder: Path) -> None:
    pq.write_table(pq.ParquetFile(folder / FIRST).read().drop("_healpix_29"), folder / FIRST)


def move_rows(folder: Path) -> None:
    """Give a row of the first pixel the index of one far away, as a wrong import would."""
    rows = pq.ParquetFile(folder / FIRST).read()
    index = rows["_healpix_29"].to_numpy().copy()
    index[-1] = 11 << 58
    place = rows.schema.get_field_index("_healpix_29")
    pq.write_table(rows.set_column(place, "_healpix_29", pa.array(index)), folder / FIRST)


def drop_partition(folder: Path) -> None:
    file = folder / "partition_info.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(line for line in lines if not line.startswith("0,0")))


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
    "rows without end": (
        set_property("hats_nrows", "inf"),
        SchemaError,
        "`hats_nrows` must be a number, got 'inf'",
    ),
    "order is none": (
        set_property("hats_col_healpix_order", "nan"),
        SchemaError,
        "`hats_col_healpix_order` must be a number, got 'nan'",
    ),
    "long field": (
        set_partitions("Norder,Npix\n0," + "1" * 200_000 + "\n"),
        SchemaError,
        "is no table of partitions: field larger than field limit",
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
    "empty list": (set_partitions(""), SchemaError, "has no column `Norder`; it is empty"),
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
    "position lost": (drop_position, SchemaError, "lacks the column `ra`"),
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


@pytest.mark.spark
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (move_rows, "holds rows whose `_healpix_29` lies outside of its pixel"),
        (drop_partition, f"has the file `{FIRST}`, whose partition is not among the"),
        (set_partitions("Norder,Npix\n"), f"has the file `{FIRST}`, whose partition"),
    ],
)
def test_rows_that_would_be_missed_are_said(
    made: Path, spark: SparkSession, damage: Callable[[Path], None], words: str
) -> None:
    damage(made)
    for read in (lambda: read_hats(spark, str(made)), lambda: open_hats(str(made)).n_rows):
        with pytest.raises(SchemaError, match=words):
            read()


@pytest.mark.parametrize("n_rows", [None, "as counted"])
def test_files_that_no_list_names_are_said_whatever_the_number(
    made: Path, monkeypatch: pytest.MonkeyPatch, n_rows: str | None
) -> None:
    """Of a catalog with very many files no footer is read to count its rows."""
    monkeypatch.setattr("ubspark.catalogs.hats.catalog.MAX_FOOTERS", 0)
    drop_partition(made)
    set_property("hats_nrows", None if n_rows is None else "1")(made)
    with pytest.raises(SchemaError, match="whose partition is not among the"):
        _ = open_hats(str(made)).n_rows or open_hats(str(made)).n_files


def test_part_of_a_catalog_that_says_it_is_whole_is_read(made: Path) -> None:
    """Someone took some partitions, and left the properties as they were."""
    drop_partition(made)
    (made / FIRST).unlink()
    with pytest.warns(UserWarning, match=r"says `hats_nrows=\d+`, but its files hold \d+ rows"):
        assert open_hats(str(made)).n_rows > 0


def test_index_that_is_not_there_is_computed(made: Path) -> None:
    whole = open_hats(str(made)).read_layout().read(np.array([[0, 12 << 58]]), ["id"])
    set_property("hats_col_healpix", "hpx")(made)
    with pytest.warns(UserWarning, match="says `hats_col_healpix=hpx`, but there is no such col"):
        catalog = open_hats(str(made))
    assert catalog.read_layout().read(np.array([[0, 12 << 58]]), ["id"]) == whole


def test_file_without_its_head_is_named(made: Path) -> None:
    content = (made / FIRST).read_bytes()
    (made / FIRST).write_bytes(content[300:])
    layout = open_hats(str(made)).read_layout()
    with pytest.raises(SourceError, match=rf"{FIRST}` cannot be read: it is cut or damaged \("):
        layout.read(np.array([[0, 12 << 58]]), ["id", "mag"])


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
