"""FITS tables: equal to astropy's own reading, and the rules that go beyond it."""

import gzip
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits

from ubspark.catalogs.sources import Source, fits_layout
from ubspark.catalogs.sources import fits as fits_module
from ubspark.errors import ParameterError, SchemaError, SourceError

Open = Callable[..., Source]
Read = Callable[..., list[dict[str, Any]]]


def write(path: Path, *columns: fits.Column, **header: object) -> Path:
    hdu = fits.BinTableHDU.from_columns(list(columns))
    hdu.header.update(header)
    hdu.writeto(path)
    return path


def to_python(value: Any) -> Any:
    """Return a cell of astropy as our rules have it: NaN is null, text is stripped."""
    if isinstance(value, np.ndarray):
        return [to_python(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and value != value else value


@pytest.mark.spark
@pytest.mark.parametrize(
    "name",
    [
        "format_samples/tess_gam02_10rows.fits",
        "format_samples/zall-pix-iron_10rows.fits",
        "refcat_htm_147267/gaia_dr3_147267.fits",
        "refcat_htm_147267/ps1_147267.fits",
    ],
)
def test_rows_equal_those_of_astropy(data_root: Path, read: Read, name: str) -> None:
    rows = read(data_root / name)
    with warnings.catch_warnings(action="ignore"), fits.open(data_root / name) as hdus:
        table = hdus[1].data
        assert len(rows) == len(table)
        for column in hdus[1].columns.names:
            expected = [to_python(value) for value in table[column]]
            assert [row[column] for row in rows] == expected, column


def test_units_and_descriptions_are_kept_as_written(data_root: Path, opened: Open) -> None:
    source = opened(data_root / "refcat_htm_147267" / "gaia_dr3_147267.fits")
    columns = {column.name: column for column in source.columns}
    assert columns["pm_ra"].unit == "rad"
    assert columns["coord_ra"].description == "position in ra/dec"
    assert "rad^2/year" in {column.unit for column in source.columns}
    assert source.n_rows == 1579


@pytest.mark.spark
def test_unsigned_and_64_bit_integers_lose_nothing(tmp_path: Path, read: Read) -> None:
    ids = np.array([0, 2**63 - 1, 2**63, 2**64 - 1], np.uint64)
    signed = np.array([-(2**63), 2**63 - 1, 2**53 + 1, 0])
    path = write(
        tmp_path / "ints.fits",
        fits.Column("u64", "K", bzero=2**63, array=ids),
        fits.Column("u32", "J", bzero=2**31, array=np.array([0, 1, 2**31, 2**32 - 1], np.uint32)),
        fits.Column("u16", "I", bzero=2**15, array=np.array([0, 1, 2**15, 65535], np.uint16)),
        fits.Column("i64", "K", array=signed),
        fits.Column("u8", "B", array=np.array([0, 1, 128, 255], np.uint8)),
    )
    rows = read(path)
    assert [int(row["u64"]) for row in rows] == ids.tolist()
    assert [row["u32"] for row in rows] == [0, 1, 2**31, 2**32 - 1]
    assert [row["u16"] for row in rows] == [0, 1, 2**15, 65535]
    assert [row["i64"] for row in rows] == signed.tolist()
    assert [row["u8"] for row in rows] == [0, 1, 128, 255]


def test_type_says_that_unsigned_64_bit_is_decimal(tmp_path: Path, opened: Open) -> None:
    column = fits.Column("id", "K", bzero=2**63, array=np.array([1], np.uint64))
    assert opened(write(tmp_path / "u.fits", column)).columns[0].type == pa.decimal128(20, 0)


@pytest.mark.spark
def test_tnull_nan_and_scaling(tmp_path: Path, read: Read) -> None:
    path = write(
        tmp_path / "nulls.fits",
        fits.Column("n", "J", null=-99, array=np.array([1, -99, 3])),
        fits.Column("x", "E", array=np.array([1.5, np.nan, np.inf], np.float32)),
        fits.Column("flag", "L", array=np.array([True, False, True])),
        fits.Column("scaled", "I", array=np.array([1, -1, 2], np.int16)),
    )
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[1].header["TSCAL4"] = 0.5
        hdus[1].header["TZERO4"] = 10.0
        hdus[1].header["TNULL4"] = -1
    rows = read(path)
    assert [row["n"] for row in rows] == [1, None, 3]
    assert [row["x"] for row in rows] == [1.5, None, np.inf]
    assert [row["flag"] for row in rows] == [True, False, True]
    assert [row["scaled"] for row in rows] == [10.5, None, 11.0]


@pytest.mark.spark
def test_text_loses_trailing_blanks_only(tmp_path: Path, read: Read) -> None:
    texts = np.array([b" a  ", b"", b"b\0cd", "\xe9".encode(), b"\xe9"], "S5")
    path = write(tmp_path / "text.fits", fits.Column("t", "5A", array=np.char.ljust(texts, 5)))
    assert [row["t"] for row in read(path)] == [" a", "", "b", "é", "é"]


@pytest.mark.spark
def test_arrays_of_fixed_and_variable_length(tmp_path: Path, read: Read) -> None:
    variable = np.empty(3, object)
    variable[:] = [np.array([1.0, np.nan]), np.array([]), np.array([3.0, 4.0, 5.0])]
    path = write(
        tmp_path / "arrays.fits",
        fits.Column("v", "PD()", array=variable),
        fits.Column("q", "QD()", array=variable),
        fits.Column("m", "6J", dim="(3,2)", array=np.arange(18).reshape(3, 2, 3)),
        fits.Column("s", "6A", dim="(3,2)", array=np.array([["ab", "c"]] * 3, "S3")),
        fits.Column("bits", "10X", array=np.arange(30).reshape(3, 10) % 2 == 0),
    )
    rows = read(path)
    assert [row["v"] for row in rows] == [[1.0, None], [], [3.0, 4.0, 5.0]]
    assert [row["q"] for row in rows] == [row["v"] for row in rows]
    assert rows[1]["m"] == [[6, 7, 8], [9, 10, 11]]
    assert rows[0]["s"] == ["ab", "c"]
    assert rows[0]["bits"] == [True, False] * 5


@pytest.mark.spark
def test_ascii_table(tmp_path: Path, read: Read) -> None:
    columns = [
        fits.Column("i", "I20", array=np.array([2**62 + 1, -5])),
        fits.Column("f", "F8.3", array=np.array([1.5, -2.25])),
        fits.Column("d", "D25.17", array=np.array([1e-300, 0.1])),
        fits.Column("a", "A4", array=np.array(["ab", ""])),
    ]
    fits.TableHDU.from_columns(columns).writeto(tmp_path / "ascii.fits")
    rows = read(tmp_path / "ascii.fits")
    assert [tuple(row.values()) for row in rows] == [
        (2**62 + 1, 1.5, 1e-300, "ab"),
        (-5, -2.25, 0.1, ""),
    ]


@pytest.mark.spark
def test_splits_and_batches_do_not_change_the_rows(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.arange(1000)
    path = write(tmp_path / "many.fits", fits.Column("n", "K", array=values))
    monkeypatch.setattr(fits_module, "MAX_SPLIT_ROWS", 300)
    monkeypatch.setattr(fits_module, "MAX_BATCH_BYTES", 8 * 70)
    assert [row["n"] for row in read(path)] == values.tolist()


def test_rows_within_counts_the_heap() -> None:
    class Layout(fits_layout.TableLayout):
        def _read_column(self, column: Any, rows: Any) -> pa.Array:
            raise NotImplementedError

    layout = Layout("x", 0, n_rows=10, row_bytes=16, heap_bytes=840, columns=())
    assert layout.rows_within(1000, 100) == 10
    assert layout.rows_within(1, 100) == 1


@pytest.mark.spark
def test_gzipped_table_and_empty_table(tmp_path: Path, read: Read) -> None:
    plain = write(tmp_path / "a.fits", fits.Column("n", "K", array=np.arange(3)))
    packed = tmp_path / "b.fits.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read(packed) == read(plain)
    empty = write(tmp_path / "c.fits", fits.Column("n", "K", array=np.arange(0)))
    assert read(empty) == []


@pytest.mark.spark
def test_folder_of_tables_is_one_source(tmp_path: Path, read: Read, opened: Open) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for part in range(2):
        write(folder / f"{part}.fits", fits.Column("n", "K", array=np.arange(2) + 2 * part))
    assert [row["n"] for row in read(folder)] == [0, 1, 2, 3]
    write(folder / "2.fits", fits.Column("m", "K", array=np.arange(2)))
    with pytest.raises(SchemaError, match=r"does not have the columns of"):
        opened(folder)


@pytest.mark.parametrize(
    ("cards", "frame"),
    [
        ({"RADESYS": "ICRS"}, "ICRS"),
        ({"RADESYS": "FK5", "EQUINOX": 2000.0}, "FK5 J2000"),
        ({"RADESYS": "FK4"}, "FK4 B1950"),
        ({"EQUINOX": 1950.0}, "FK4 B1950"),
        ({"RADESYS": "FK5", "EQUINOX": 1991.25}, "FK5 J1991.25"),
        ({}, None),
    ],
)
def test_declared_frame(
    tmp_path: Path, opened: Open, cards: dict[str, Any], frame: str | None
) -> None:
    path = write(tmp_path / "f.fits", fits.Column("n", "K", array=np.arange(1)), **cards)
    assert opened(path).frame == frame


def test_hdu_by_name_and_number(tmp_path: Path, opened: Open) -> None:
    tables = [
        fits.BinTableHDU.from_columns([fits.Column(name, "K", array=np.arange(1))], name=name)
        for name in ("one", "two")
    ]
    path = tmp_path / "two.fits"
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path)
    assert opened(path).columns[0].name == "one"
    assert opened(path, options={"hdu": "2"}).columns[0].name == "two"
    assert opened(path, options={"hdu": "two"}).columns[0].name == "two"
    with pytest.raises(ParameterError, match=r"Tables: 1 \(ONE\), 2 \(TWO\)\."):
        opened(path, options={"hdu": "3"})


def test_truncated_table_is_refused(data_root: Path, tmp_path: Path, opened: Open) -> None:
    content = (data_root / "refcat_htm_147267" / "des_147267.fits").read_bytes()
    path = tmp_path / "cut.fits"
    for size in (100_000, 9000, 3000, 100):
        path.write_bytes(content[:size])
        with pytest.raises(SourceError, match=r"cut\.fits` (is cut short|is not a|holds no)"):
            opened(path)


def test_broken_files_are_refused_in_one_sentence(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "x.fits"
    path.write_text("<!DOCTYPE html><html>Not found</html>")
    with pytest.raises(SourceError, match=r"is a web page \(HTML\), not FITS"):
        opened(path)
    path.write_bytes(b"")
    with pytest.raises(SourceError, match=r"x\.fits` is empty\.$"):
        opened(path)
    path.write_bytes(b"PAR1" * 100)
    with pytest.raises(SourceError, match=r"does not begin with the keyword SIMPLE"):
        opened(path)
    fits.PrimaryHDU(np.zeros((2, 2))).writeto(path, overwrite=True)
    with pytest.raises(SourceError, match=r"holds no table, only images"):
        opened(path)


def test_truncated_gzip_is_refused(tmp_path: Path, opened: Open) -> None:
    plain = write(tmp_path / "a.fits", fits.Column("n", "K", array=np.arange(3)))
    path = tmp_path / "b.fits.gz"
    path.write_bytes(gzip.compress(plain.read_bytes())[:-20])
    with pytest.raises(SourceError, match=r"is not a complete gzip file"):
        opened(path)


def test_complex_numbers_are_refused(tmp_path: Path, opened: Open) -> None:
    path = write(tmp_path / "c.fits", fits.Column("z", "C", array=np.array([1j], np.complex64)))
    with pytest.raises(SchemaError, match=r"Column `z` of .* holds complex numbers"):
        opened(path)


def test_names_a_table_cannot_hold_are_replaced(tmp_path: Path, opened: Open) -> None:
    columns = [fits.Column(name, "K", array=np.arange(1)) for name in ("a b", "a_b", "G3.6(mag)")]
    source = opened(write(tmp_path / "n.fits", *columns))
    assert [column.name for column in source.columns] == ["a_b_2", "a_b", "G3_6_mag_"]
    assert source.renamed == {"a b": "a_b_2", "G3.6(mag)": "G3_6_mag_"}
