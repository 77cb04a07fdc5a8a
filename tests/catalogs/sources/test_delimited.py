"""CSV and TSV: types over the whole file, no digit lost, damage named by its line."""

import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ubspark.catalogs.sources import Source, text_chunks
from ubspark.errors import ParameterError, SchemaError, SourceError

Open = Callable[..., Source]
Read = Callable[..., list[dict[str, Any]]]


def write(tmp_path: Path, text: str | bytes, name: str = "x.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.spark
def test_gaia_sample(data_root: Path, read: Read) -> None:
    rows = read(data_root / "format_samples" / "gaia_minimum.csv")
    lines = (data_root / "format_samples" / "gaia_minimum.csv").read_text().splitlines()
    header, *body = [line.split(",") for line in lines if line and not line.startswith("#")]
    assert len(rows) == len(body) == 5
    for row, fields in zip(rows, body, strict=True):
        for name, text in zip(header, fields, strict=True):
            value = row[name]
            expected = None if text == "" else type(value)(text) if value is not None else text
            assert value == expected


@pytest.mark.parametrize(
    ("values", "arrow_type"),
    [
        (["1", "-2", "+3"], pa.int64()),
        (["1", "", "null", "NaN"], pa.int64()),
        (["1", "2.5"], pa.float64()),
        (["1e3", "-inf", "nan"], pa.float64()),
        (["true", "False", ""], pa.bool_()),
        (["true", "1"], pa.string()),
        (["9223372036854775807"], pa.int64()),
        (["9223372036854775808"], pa.decimal128(38, 0)),
        (["1" * 39], pa.string()),
        (["007", "8"], pa.string()),
        (["0x10"], pa.string()),
        (["9007199254740993", "1.5"], pa.string()),
        (["9007199254740992", "1.5"], pa.float64()),
        (["12345678901234567890", "1.5"], pa.string()),
        (["-0.5", "0", "00.5"], pa.float64()),
        ([" 1", "2 "], pa.int64()),
        (["12:30:00"], pa.string()),
        (["", ""], pa.string()),
    ],
)
def test_narrowest_type_without_loss(
    tmp_path: Path, opened: Open, values: list[str], arrow_type: pa.DataType
) -> None:
    path = write(tmp_path, "\n".join(["k,v", *(f"a,{value}" for value in values), ""]))
    assert opened(path).columns[1].type == arrow_type


@pytest.mark.parametrize("values", [["1"] * 500 + ["1.5"], ["9007199254740993"] * 500 + ["x"]])
def test_type_holds_over_all_pieces(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch, values: list[str]
) -> None:
    monkeypatch.setattr(text_chunks, "CHUNK_BYTES", 64)
    forward = opened(write(tmp_path, "\n".join(["v", *values]), "a.csv"))
    backward = opened(write(tmp_path, "\n".join(["v", *reversed(values)]), "b.csv"))
    expected = pa.float64() if values[-1] == "1.5" else pa.string()
    assert forward.columns[0].type == backward.columns[0].type == expected


@pytest.mark.spark
def test_values_and_nulls(tmp_path: Path, read: Read) -> None:
    text = (
        "# comment\n#another\n\n"
        "id,x,name,big,ok\r\n"
        '1,+1.5,"a, ""b""\nc",18446744073709551615,TRUE\r\n'
        '2,NaN,NaN,null,false\r\n"3",null,,0,\r\n4,1e-5,"",1,true'
    )
    rows = read(write(tmp_path, text))
    assert [row["id"] for row in rows] == [1, 2, 3, 4]
    assert [row["x"] for row in rows] == [1.5, None, None, 1e-5]
    assert [row["name"] for row in rows] == ['a, "b"\nc', "NaN", None, ""]
    assert [row["big"] and int(row["big"]) for row in rows] == [2**64 - 1, None, 0, 1]
    assert [row["ok"] for row in rows] == [True, False, None, True]


@pytest.mark.spark
def test_floats_are_the_nearest_double(tmp_path: Path, read: Read) -> None:
    rng = random.Random(3)
    texts = [f"{rng.randrange(10**19)}e{rng.randrange(-330, 290)}" for _ in range(500)]
    texts += ["5e-324", "2.4703282292062328e-324", "1.7976931348623157e308", "9007199254740993.0"]
    rows = read(write(tmp_path, "\n".join(["x", *texts])))
    assert [row["x"] for row in rows] == [float(text) for text in texts]


@pytest.mark.spark
def test_pieces_and_gzip_do_not_change_the_rows(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f'{n},"text\n{n}, ""quoted"" ",{n / 7}' for n in range(300)]
    text = "\n".join(["id,t,x", *lines])
    whole = read(write(tmp_path, text))
    assert [row["t"] for row in whole] == [f'text\n{n}, "quoted" ' for n in range(300)]
    monkeypatch.setattr(text_chunks, "CHUNK_BYTES", 1000)
    assert read(write(tmp_path, text)) == whole
    assert read(write(tmp_path, gzip.compress(text.encode()), "y.csv.gz")) == whole


@pytest.mark.spark
def test_tsv_folder_and_declared_types(tmp_path: Path, read: Read) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    write(folder, "id\tx\n1\t2\n", "a.tsv")
    write(folder, "id\tx\n2\t2.5\n", "b.tsv")
    assert read(folder, options={"types": "id=string,x=float"}) == [
        {"id": "1", "x": 2.0},
        {"id": "2", "x": 2.5},
    ]
    write(folder, "id\ty\n2\t2.5\n", "c.tsv")
    with pytest.raises(SchemaError, match=r"c\.tsv` does not have the columns of"):
        read(folder)


@pytest.mark.spark
def test_quote_inside_a_field_is_text(tmp_path: Path, read: Read) -> None:
    rows = read(write(tmp_path, 'name,n\n5" pipe,1\nx,2\n'))
    assert [row["name"] for row in rows] == ['5" pipe', "x"]


@pytest.mark.spark
def test_header_without_rows(tmp_path: Path, read: Read) -> None:
    assert read(write(tmp_path, "a,b\n")) == []


@pytest.mark.spark
def test_latin_1_when_asked(tmp_path: Path, read: Read) -> None:
    path = write(tmp_path, "name,n\nÉtoile,1\n".encode("latin-1"))
    assert read(path, options={"encoding": "latin-1"}) == [{"name": "Étoile", "n": 1}]


def test_notes_of_a_gaia_header(tmp_path: Path, opened: Open) -> None:
    text = """\
# %ECSV 1.0
# ---
# delimiter: ','
# datatype:
# -
#   name: ra
#   datatype: float64
#   unit: deg
#   description: Right ascension
#   meta:
#     ucd: pos.eq.ra;meta.main
# -
#   name: rv
#   datatype: float32
ra,rv
10,null
"""
    ra, rv = opened(write(tmp_path, text)).columns
    assert (ra.type, ra.unit, ra.ucd) == (pa.float64(), "deg", "pos.eq.ra;meta.main")
    assert ra.description == "Right ascension"
    assert rv.type == pa.float64()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# c\na,b\n1,2\n3\n", r"^Line 4 of `.*x\.csv` has 1 fields, the header has 2\.$"),
        ('a,b\n"x\ny",2\n1,2,3\n', r"^Line 4 of `.*x\.csv` has 3 fields, the header has 2\.$"),
        ("", r"x\.csv` is empty\.$"),
        ("# only\n", r"x\.csv` has no line of column names\.$"),
        ("<html>\n", r"is a web page \(HTML\), not CSV"),
        (b"a,b\n1,\xff\n", r"^Line 2 of .* holds the byte 0xff, which is not utf-8\."),
        (b"a\0b,c\n", r"holds binary data, not lines"),
        ("a\r1\r2\r", r"holds line ends of carriage returns only"),
        ("1,2\n3,4\n", r"has no column names: its first line holds numbers"),
        ("a;b\n1;2\n", r"Set the option `delimiter`\.$"),
        ('a,b\n1,"2\n', r"^Line 2 of .* has a quote that is never closed, or misplaced\.$"),
    ],
)
def test_damage_is_told_in_one_sentence(
    tmp_path: Path, opened: Open, text: str | bytes, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        opened(write(tmp_path, text))


def test_line_of_damage_is_right_in_a_later_piece(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_chunks, "CHUNK_BYTES", 100)
    lines = ["a,b", *["1,2"] * 500, "1,2,3", *["1,2"] * 500]
    with pytest.raises(SourceError, match=r"^Line 502 of"):
        opened(write(tmp_path, "\n".join(lines)))


def test_quote_that_never_closes_is_bounded(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_chunks, "CHUNK_BYTES", 100)
    monkeypatch.setattr(text_chunks, "MAX_ROW_BYTES", 1000)
    with pytest.raises(SourceError, match=r"at line 2: an open quote\?$"):
        opened(write(tmp_path, "\n".join(["a,b", '1,"2', *["1,2"] * 500])))


def test_names_must_differ(tmp_path: Path, opened: Open) -> None:
    with pytest.raises(SchemaError, match=r"has two columns named `a`"):
        opened(write(tmp_path, "a,a\n1,2\n"))
    with pytest.raises(SchemaError, match=r"columns `ra` and `RA`; .* more than case"):
        opened(write(tmp_path, "ra,RA\n1,2\n"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": "||"}, "one ASCII character"),
        ({"encoding": "klingon"}, "an encoding Python knows"),
        ({"encoding": "utf-16"}, "one byte per line end"),
        ({"types": "a=complex"}, "`column=type`"),
        ({"hdu": "1"}, "`options.hdu` is unknown for format csv"),
    ],
)
def test_options_are_checked(
    tmp_path: Path, opened: Open, options: dict[str, str], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        opened(write(tmp_path, "a,b\n1,2\n"), options=options)


def test_declared_type_that_does_not_fit(tmp_path: Path, opened: Open) -> None:
    path = write(tmp_path, "a,b\n1,2\nx,3\n")
    with pytest.raises(SourceError, match=r"Column `a` of .* holds 'x', which is not int64\."):
        opened(path, options={"types": "a=bigint"})
    with pytest.raises(SchemaError, match=r"`options.types` names column `c`"):
        opened(path, options={"types": "c=bigint"})
