"""ECSV and VOTable: equal to astropy's own reading, frame and epoch, and the memory limit."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table

from ubspark.catalogs.sources import Source
from ubspark.errors import SchemaError, SourceError

Open = Callable[..., Source]
Read = Callable[..., list[dict[str, Any]]]

VOTABLE = """<?xml version="1.0"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE>
<COOSYS ID="s" system="ICRS" epoch="J2015.5"/><COOSYS ID="g" system="galactic"/>
<TABLE>
<FIELD name="l" datatype="double" unit="deg" ucd="pos.galactic.lon" ref="g"/>
<FIELD name="ra" datatype="double" unit="deg" ucd="pos.eq.ra;meta.main" ref="s">
<DESCRIPTION>Right ascension</DESCRIPTION></FIELD>
<FIELD name="n" datatype="int"><VALUES null="-9"/></FIELD>
<FIELD name="name" datatype="char" arraysize="*"/>
<FIELD name="flux" datatype="float" arraysize="*"/>
<FIELD name="pair" datatype="short" arraysize="2"/>
<FIELD name="ok" datatype="boolean"/>
<FIELD name="G3.6mag" datatype="unsignedByte"/>
<DATA><TABLEDATA>
<TR><TD>1</TD><TD>10.5</TD><TD>1</TD><TD>a b</TD><TD>1 NaN 3</TD>
<TD>1 2</TD><TD>T</TD><TD>255</TD></TR>
<TR><TD>2</TD><TD>NaN</TD><TD>-9</TD><TD></TD><TD></TD><TD>3 4</TD><TD>F</TD><TD>1</TD></TR>
</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>
"""


def as_python(value: Any) -> Any:
    if value is np.ma.masked:
        return None
    if isinstance(value, np.ndarray):
        return [as_python(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and value != value else value


@pytest.mark.spark
def test_gaia_epoch_photometry_equals_astropy(data_root: Path, read: Read) -> None:
    path = data_root / "format_samples" / "gaia_epoch.ecsv"
    rows, table = read(path), Table.read(path, format="ascii.ecsv")
    assert len(rows) == len(table) == 3
    for name in table.colnames:
        assert [row[name] for row in rows] == [as_python(value) for value in table[name]], name


@pytest.mark.spark
def test_ecsv_of_every_kind(tmp_path: Path, read: Read) -> None:
    table = QTable(
        {
            "id": np.array([2**63 - 1, -1]),
            "u64": np.array([2**64 - 1, 0], np.uint64),
            "n": MaskedColumn([1, 2], mask=[False, True]),
            "x": [1.5, np.nan],
            "t": MaskedColumn(["a", "b"], mask=[True, False]),
            "pair": np.array([[1, 2], [3, 4]], np.int16),
            "lists": np.array([[1.0, 2.0], [3.0]], object),
            "pos": SkyCoord([1, 2], [3, 4], unit="deg"),
        }
    )
    table.write(tmp_path / "x.ecsv")
    first, second = read(tmp_path / "x.ecsv")
    assert (first["id"], second["id"]) == (2**63 - 1, -1)
    assert int(first["u64"]) == 2**64 - 1
    assert (first["n"], second["n"]) == (1, None)
    assert (first["x"], second["x"]) == (1.5, None)
    assert (first["t"], second["t"]) == (None, "b")
    assert (first["pair"], second["lists"]) == ([1, 2], [3.0])
    assert (first["pos_ra"], second["pos_dec"]) == (1.0, 4.0)


@pytest.mark.spark
def test_votable_values(tmp_path: Path, read: Read) -> None:
    (tmp_path / "x.vot").write_text(VOTABLE)
    first, second = read(tmp_path / "x.vot")
    assert first == {
        "l": 1.0,
        "ra": 10.5,
        "n": 1,
        "name": "a b",
        "flux": [1.0, None, 3.0],
        "pair": [1, 2],
        "ok": True,
        "G3_6mag": 255,
    }
    assert (second["ra"], second["n"], second["flux"], second["ok"]) == (None, None, [], False)


def test_votable_notes_frame_and_epoch_of_the_main_position(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "x.xml.gz"
    path.write_bytes(gzip.compress(VOTABLE.encode()))
    source = opened(path)
    assert (source.format, source.frame, source.epoch) == ("votable", "ICRS", 2015.5)
    assert source.files == (str(path),)
    ra = source.columns[1]
    assert (ra.unit, ra.ucd, ra.description) == ("deg", "pos.eq.ra;meta.main", "Right ascension")
    assert source.renamed == {"G3.6mag": "G3_6mag"}


def test_large_files_are_refused_before_reading(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "x.vot").write_text(VOTABLE)
    with pytest.raises(SourceError, match=r"GiB of memory .* by `stilts tcopy`\.$"):
        opened(tmp_path / "x.vot", max_memory_bytes=5000)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.vot", VOTABLE[:900], "is not a complete VOTable"),
        ("x.vot", "<a/>", "VOTable"),
        ("x.vot", "<html></html>", "is a web page"),
        ("x.vot", "", "is empty"),
        ("x.ecsv", "a,b\n1,2\n", "is not a complete ECSV file"),
    ],
)
def test_broken_files(tmp_path: Path, opened: Open, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=message):
        opened(tmp_path / name)


def test_complex_columns_are_refused(tmp_path: Path, opened: Open) -> None:
    Table({"z": [1j]}).write(tmp_path / "x.ecsv")
    with pytest.raises(SchemaError, match=r"Column `z` of .* holds complex128"):
        opened(tmp_path / "x.ecsv")
