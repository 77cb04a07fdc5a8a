"""Parquet: what Spark reads, what Arrow must read for it, and notes in the footer."""

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from pyspark.sql import SparkSession

from ubspark.catalogs.sources import Source
from ubspark.catalogs.sources.parquet import ParquetSource
from ubspark.errors import SchemaError, SourceError

Open = Callable[..., Source]
Read = Callable[..., list[dict[str, Any]]]

UTC = dt.UTC
NOON = dt.datetime(2020, 1, 2, 12, 0, 0, 123456, UTC)


@pytest.mark.spark
@pytest.mark.parametrize("name", ["lightcurve.parquet", "vsx-x-ztfdr22_lc-m31.parquet"])
def test_samples_equal_those_of_arrow(data_root: Path, read: Read, name: str) -> None:
    path = data_root / "format_samples" / name
    assert read(path) == pq.read_table(path).to_pylist()


@pytest.fixture
def far_time_zone(spark: SparkSession) -> Iterator[None]:
    """Put the session into a time zone in which a shift would be seen."""
    before = spark.conf.get("spark.sql.session.timeZone") or "UTC"
    spark.conf.set("spark.sql.session.timeZone", "America/Lima")
    yield
    spark.conf.set("spark.sql.session.timeZone", before)


@pytest.mark.spark
@pytest.mark.usefixtures("far_time_zone")
def test_types_spark_lacks(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "types.parquet"
    table = pa.table(
        {
            "u8": pa.array([255, None], pa.uint8()),
            "u32": pa.array([2**32 - 1, 0], pa.uint32()),
            "u64": pa.array([2**64 - 1, 0], pa.uint64()),
            "half": pa.array(np.array([0.5, 2], np.float16)),
            "nano": pa.array([NOON, None], pa.timestamp("ns")),
            "naive": pa.array([NOON, None], pa.timestamp("us")),
            "utc": pa.array([NOON, None], pa.timestamp("ms", "UTC")),
            "none": pa.nulls(2),
            "cat": pa.array(["a", "b"]).dictionary_encode(),
            "nested": pa.array([[{"a b": 1}], None], pa.list_(pa.struct([("a b", pa.uint64())]))),
        }
    )
    pq.write_table(table, path)
    with pytest.warns(UserWarning, match=r"Nanoseconds of `nano` in .* are cut to microseconds\."):
        first, second = read(path)
    assert first == {
        "u8": 255,
        "u32": 2**32 - 1,
        "u64": Decimal(2**64 - 1),
        "half": 0.5,
        "nano": NOON,
        "naive": NOON,
        "utc": NOON.replace(microsecond=123000),
        "none": None,
        "cat": "a",
        "nested": [{"a_b": Decimal(1)}],
    }
    assert second["nested"] is None


@pytest.mark.spark
def test_fields_of_structs_are_renamed_and_keep_their_values(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"s t": [{"a b": 1, "c": [{"d=e": 2}]}, None]}), path)
    assert read(path) == [{"s_t": {"a_b": 1, "c": [{"d_e": 2}]}}, {"s_t": None}]


@pytest.mark.spark
def test_unsigned_types_without_arrow(tmp_path: Path, read: Read, opened: Open) -> None:
    path = tmp_path / "[odd] {name}*.parquet"
    names = ["u8", "u16", "u32", "u64"]
    types = [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
    largest = [2**8 - 1, 2**16 - 1, 2**32 - 1, 2**64 - 1]
    columns = [pa.array([value], kind) for value, kind in zip(largest, types, strict=True)]
    pq.write_table(pa.Table.from_arrays(columns, names), path)
    source = opened(path)
    assert isinstance(source, ParquetSource)
    assert not source.needs_arrow
    assert [column.type for column in source.columns] == [
        pa.int16(),
        pa.int32(),
        pa.int64(),
        pa.decimal128(20, 0),
    ]
    assert [int(value) for value in read(path)[0].values()] == largest


@pytest.mark.spark
@pytest.mark.parametrize("needs_arrow", [False, True])
def test_folder_with_columns_that_grow(tmp_path: Path, read: Read, needs_arrow: bool) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    extra = {"half": pa.array(np.array([1], np.float16))} if needs_arrow else {}
    pq.write_table(pa.table({"a b": pa.array([1], pa.int32()), **extra}), folder / "0.parquet")
    pq.write_table(pa.table({"y": [2.5], "a b": [2**40]}), folder / "1.parq")
    pq.write_table(pa.table({"z": [1]}), folder / "_metadata.parquet")
    rows = sorted(read(folder), key=lambda row: row["a_b"])
    assert [(row["a_b"], row["y"]) for row in rows] == [(1, None), (2**40, 2.5)]


def test_types_that_do_not_go_together(tmp_path: Path, opened: Open) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    pq.write_table(pa.table({"id": [1]}), folder / "0.parquet")
    pq.write_table(pa.table({"id": [1.0]}), folder / "1.parquet")
    with pytest.raises(SchemaError, match=r"Column `id` has type double in .* and int64 in"):
        opened(folder)


def test_partition_folders_are_told(tmp_path: Path, opened: Open) -> None:
    leaf = tmp_path / "set" / "Norder=1"
    leaf.mkdir(parents=True)
    pq.write_table(pa.table({"id": [1]}), leaf / "Npix=3.parquet")
    with pytest.warns(UserWarning, match=r"hold the columns Norder; only columns inside"):
        assert opened(tmp_path / "set").n_rows == 1


def test_notes_of_fields(tmp_path: Path, opened: Open) -> None:
    metadata = {"unit": "mas/yr", "ucd": "pos.pm;pos.eq.ra", "description": "Motion"}
    schema = pa.schema([pa.field("pmra", pa.float64(), metadata=metadata)])
    pq.write_table(pa.table({"pmra": [1.0]}, schema=schema), tmp_path / "x.parquet")
    (column,) = opened(tmp_path / "x.parquet").columns
    assert (column.unit, column.ucd, column.description) == tuple(metadata.values())


def test_notes_of_astropy(tmp_path: Path, opened: Open) -> None:
    table = Table({"ra": [1.0]}, units={"ra": "deg"}, descriptions={"ra": "Right ascension"})
    table["ra"].meta["ucd"] = "pos.eq.ra"
    table.write(tmp_path / "x.parquet")
    (column,) = opened(tmp_path / "x.parquet").columns
    assert (column.unit, column.ucd, column.description) == ("deg", "pos.eq.ra", "Right ascension")


def test_notes_of_voparquet(tmp_path: Path, opened: Open) -> None:
    xml = b"""<VOTABLE version="1.4"><RESOURCE>
    <COOSYS ID="s" system="eq_FK5" equinox="J2000" epoch="J1991.25"/>
    <TABLE><FIELD name="ra" datatype="double" unit="deg" ucd="pos.eq.ra;meta.main" ref="s"/>
    </TABLE></RESOURCE></VOTABLE>"""
    schema = pa.schema(
        [("ra", pa.float64())], metadata={"IVOA.VOTable-Parquet.content": xml.decode()}
    )
    pq.write_table(pa.table({"ra": [1.0]}, schema=schema), tmp_path / "x.parquet")
    source = opened(tmp_path / "x.parquet")
    assert (source.columns[0].unit, source.columns[0].ucd) == ("deg", "pos.eq.ra;meta.main")
    assert (source.frame, source.epoch) == ("FK5 J2000", 1991.25)


def test_broken_files_are_refused(data_root: Path, tmp_path: Path, opened: Open) -> None:
    content = (data_root / "format_samples" / "lightcurve.parquet").read_bytes()
    path = tmp_path / "cut.parquet"
    path.write_bytes(content[:-100])
    with pytest.raises(SourceError, match=r"cut\.parquet` cannot be read as Parquet"):
        opened(path)
    path.write_bytes(b"")
    with pytest.raises(SourceError, match=r"cut\.parquet` is empty\.$"):
        opened(path)


def test_types_no_table_holds(tmp_path: Path, opened: Open) -> None:
    pq.write_table(pa.table({"t": pa.array([1], pa.time64("us"))}), tmp_path / "t.parquet")
    with pytest.raises(SchemaError, match=r"Column `t` of .* has type time64\[us\]"):
        opened(tmp_path / "t.parquet")
