"""Parquet, FITS and VOTable files: read back by other tools, every value, unit and UCD."""

import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Table
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table
from ubspark.catalogs.export.fits_file import FitsForm
from ubspark.catalogs.export.flat_columns import to_text
from ubspark.catalogs.export.manifest import CHECKSUM_FILE, read_manifest
from ubspark.catalogs.export.origin import Origin
from ubspark.catalogs.export.shards import plan_shards
from ubspark.catalogs.export.votable_file import VOTableForm
from ubspark.catalogs.hats.counts import SparseCounts
from ubspark.catalogs.sources.opening import open_source
from ubspark.errors import ParameterError, SchemaError

pytestmark = pytest.mark.spark

Place = Any
Made = Callable[[str], list[Path]]
FLAT = ["id", "ra", "dec", "mag", "pmra", "n_obs", "is_variable", "name", "seen", "big"]


@pytest.fixture(scope="module")
def made(workplace: Place) -> Made:
    """Exports the table once in each format, and returns its files."""

    def export(kind: str) -> list[Path]:
        folder = Path(workplace.folder / f"shards_{kind}")
        workplace.export(folder, format=kind, max_rows=700)
        suffix = {"parquet": ".parquet", "fits": ".fits", "votable": ".vot"}[kind]
        return sorted(folder.glob(f"*{suffix}"))

    return export


def test_parquet_keeps_everything(
    made: Made, expected: pa.Table, assert_same: Callable[..., None]
) -> None:
    files = made("parquet")
    rows = pa.concat_tables([pq.read_table(file) for file in files])
    assert_same(rows.select(expected.column_names), expected)
    assert rows.schema.names[0] == "_healpix_29"
    assert rows.schema.field("pmra").metadata[b"unit"] == b"mas/yr"
    assert rows.schema.field("big").type == pa.decimal128(20, 0)
    metadata = pq.read_metadata(files[0]).metadata
    assert metadata[b"ubspark_table"] == b"stars@v0"
    assert b"ubspark_run_key" in metadata


@pytest.mark.parametrize("kind", ["parquet", "fits", "votable"])
def test_files_follow_the_sky_and_hold_no_more_than_asked(made: Made, kind: str) -> None:
    files = made(kind)
    manifest = read_manifest(files[0].parent)
    assert [file.path for file in manifest.files] == [file.name for file in files]
    counts = [file.n_rows for file in manifest.files]
    assert sum(counts) == manifest.n_rows == 3000
    # The first holds the rows without a position.
    assert counts[0] == 5
    assert max(counts) <= 700
    assert len(counts) <= 8


def test_fits_holds_values_units_and_nulls(made: Made, expected: pa.Table) -> None:
    tables = [Table.read(file, character_as_bytes=False) for file in made("fits")]
    rows = {row["id"]: (table, i) for table in tables for i, row in enumerate(table)}
    assert len(rows) == expected.num_rows
    for wanted in expected.to_pylist():
        table, i = rows[wanted["id"]]
        for name in ("ra", "mag", "pmra", "n_obs", "is_variable"):
            assert same(table[name][i], wanted[name]), (name, wanted["id"])
        assert str(table["name"][i]).strip("-") == (wanted["name"] or "")
        assert table["seen"][i] == wanted["seen"].strftime("%Y-%m-%dT%H:%M:%S.%f")
        assert table["big"][i] == str(wanted["big"])
        assert table["curve_mjd"][i].tolist() == wanted["curve"]["mjd"]
        assert table["curve_band"][i].tolist() == wanted["curve"]["band"]
    assert str(tables[0]["pmra"].unit) == "mas / yr"
    assert tables[0]["mag"].unit == "mag"


def test_times_of_any_zone_are_those_of_utc() -> None:
    seen = np.array(["2023-11-14T22:13:25.123456", "2023-07-01T00:00:00"], "datetime64[us]")
    for zone in ("UTC", "America/New_York", "+05:30"):
        column = pa.chunked_array([pa.array(seen).cast(pa.timestamp("us", zone))])
        assert to_text(column).to_pylist() == [
            "2023-11-14T22:13:25.123456",
            "2023-07-01T00:00:00.000000",
        ]


def same(found: Any, wanted: Any) -> bool:
    if wanted is None:
        return found is np.ma.masked or bool(np.isnan(found))
    return bool(found == wanted) or (wanted != wanted and (found is np.ma.masked or found != found))


def test_fits_file_is_sound_and_says_where_it_comes_from(made: Made) -> None:
    for file in made("fits"):
        with fits.open(file, checksum=True) as hdus:
            hdus.verify("exception")
            header = hdus[1].header
            names = [header[f"TTYPE{i}"] for i in range(1, header["TFIELDS"] + 1)]
            at = names.index("id") + 1
            assert header[f"TUCD{at}"] == "meta.id;meta.main"
            assert header[f"TCOMM{names.index('mag') + 1}"] == "G, Vega"
            assert "ubspark_table = stars@v0" in header["HISTORY"]


@pytest.mark.parametrize("form", [FitsForm(), VOTableForm()])
def test_same_rows_make_the_same_file_at_any_time_and_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: FitsForm | VOTableForm
) -> None:
    """A replay compares exports file by file; astropy puts the time beside checksums."""
    rows = pa.table({"id": [1, 2], "ra": [1.0, None], "lists": [[1.0, 2.0], []]})
    for year, place in (("2026", "/here"), ("2036", "/far/away")):
        clock = "astropy.io.fits.hdu.base._ValidHDU._get_timestamp"
        monkeypatch.setattr(clock, lambda _, year=year: year)
        form.write(tmp_path / year, [rows], rows.schema, Origin(f"{place}/stars@v0", "id"))
    assert (tmp_path / "2026").read_bytes() == (tmp_path / "2036").read_bytes()


def test_votable_holds_values_units_and_nulls(made: Made, expected: pa.Table) -> None:
    wanted = {row["id"]: row for row in expected.to_pylist()}
    for file in made("votable"):
        table = parse_single_table(file)
        found = table.array
        for i, own in enumerate(found["id"].tolist()):
            row = wanted.pop(own)
            for name in ("ra", "mag", "pmra", "n_obs", "is_variable"):
                assert same(found[name][i], row[name]), (name, own)
            if row["name"] is not None:
                assert found["name"][i] == row["name"]
            assert found["seen"][i] == row["seen"].strftime("%Y-%m-%dT%H:%M:%S.%f")
            assert found["big"][i] == str(row["big"])
            assert np.asarray(found["curve_mjd"][i]).tolist() == row["curve"]["mjd"]
        field = table.get_field_by_id_or_name("ra")
        assert (str(field.unit), field.ucd) == ("deg", "pos.eq.ra")
        assert table.get_field_by_id_or_name("mag").description == "G, Vega"
    assert not wanted


#: Lists as light curves have them: nulls among integers, no list, no element in any row.
LISTS = {
    "flags": pa.array([[1, None, 3], [], None, [4]], pa.list_(pa.int32())),
    "bytes": pa.array([[0, None], [255], [], [7]], pa.list_(pa.uint8())),
    "flux": pa.array([[1.5, None, 3], [], None, [4]], pa.list_(pa.float32())),
    "none": pa.array([None] * 4, pa.list_(pa.float32())),
    "empty": pa.array([[], None, [], []], pa.list_(pa.int16())),
    "pair": pa.array([[1, None], [3, 4], None, [None, None]], pa.list_(pa.int32(), 2)),
}


@pytest.mark.parametrize("form", [FitsForm(), VOTableForm()])
def test_null_elements_of_lists_come_back(
    tmp_path: Path, spark: SparkSession, form: FitsForm | VOTableForm
) -> None:
    rows = pa.table({"id": [1, 2, 3, 4], **LISTS})
    file = tmp_path / f"lists{form.suffix}"
    form.write(file, [rows], rows.schema, Origin("stars@v0", "id"))
    source = open_source(str(file), scratch=tmp_path / "scratch")
    pieces = source.open_pieces()
    assert pieces is not None
    back = pa.Table.from_batches(pieces.read(0))
    # A null list is an empty one in FITS; where the length is fixed, one of nulls in both.
    empty: list[int] | None = [] if isinstance(form, FitsForm) else None
    for name, wanted in LISTS.items():
        blank = [None, None] if name == "pair" else empty
        assert back[name].to_pylist() == [blank if v is None else v for v in wanted.to_pylist()]
        element = pa.int16() if name == "bytes" else wanted.type.value_type
        assert back.schema.field(name).type.value_type == element


def test_other_tools_see_no_invented_element(tmp_path: Path) -> None:
    rows = pa.table({"id": [1, 2, 3, 4], **LISTS})
    for form in (FitsForm(), VOTableForm()):
        form.write(tmp_path / f"a{form.suffix}", [rows], rows.schema, Origin("stars@v0", "id"))
    table = Table.read(tmp_path / "a.fits")
    assert table["flags"][0].tolist() == [1, -(2**31), 3]
    assert table["bytes"][0].tolist() == [0, 1]
    assert table["pair"][0].mask.tolist() == [False, True]
    header = fits.getheader(tmp_path / "a.fits", 1)
    assert [header["UNULL2"], header["UNULL3"]] == [-(2**31), 1]
    found = parse_single_table(tmp_path / "a.vot").array
    assert found["flags"][0].tolist() == [1, None, 3]
    assert found["bytes"][0].tolist() == [0, None]


@pytest.mark.parametrize("name", ["\u00f1ame", "n" * 69])
def test_names_that_no_header_holds_are_told(name: str) -> None:
    schema = pa.schema([(name, pa.int64())])
    with pytest.raises(SchemaError, match="cannot be named so in FITS, which takes up to 68 ASCII"):
        FitsForm().validate(schema, table="stars")
    VOTableForm().validate(schema, table="stars")


def test_descriptions_of_several_lines_are_one_in_a_header(tmp_path: Path) -> None:
    told = {"description": "flux\nin\tthe \u00c5-band\x07", "unit": "\u00c5ngstr\u00f6m?"}
    schema = pa.schema([pa.field("id", pa.int64(), metadata=told)])
    rows = pa.table({"id": [1]}, schema=schema)
    FitsForm().write(tmp_path / "a.fits", [rows], schema, Origin("stars@v0", "id"))
    assert fits.getheader(tmp_path / "a.fits", 1)["TCOMM1"] == "flux in the ?-band?"


def test_bytes_that_leave_no_room_for_null_are_named(tmp_path: Path) -> None:
    every = pa.array([[*range(256), None]], pa.list_(pa.uint8()))
    rows = pa.table({"id": [1], "bytes": every})
    for form, title in ((FitsForm(), "FITS"), (VOTableForm(), "VOTable")):
        words = rf"Column `bytes` holds every uint8 and null, for which {title} has no value\."
        with pytest.raises(SchemaError, match=words):
            form.write(tmp_path / "a", [rows], rows.schema, Origin("stars@v0", "id"))


@pytest.mark.parametrize("kind", ["fits", "votable"])
def test_files_of_one_table_have_the_same_types(
    workplace: Place, tmp_path: Path, kind: str
) -> None:
    """Also where no row of a file has an element of a list."""
    lists = pa.array([[1, None], [2], None, []], pa.list_(pa.int32()))
    whole = {"id": [1, 2, 3, 4], "ra": [10.0, 11, 200, 201], "dec": [20.0, 20, -30, -30]}
    pq.write_table(pa.table({**whole, "lists": lists}), tmp_path / "odd.parquet")
    workplace.ingest(tmp_path / "odd.parquet", f"typed_{kind}", roles={"id": "id"})
    folder = tmp_path / "out"
    workplace.export(folder, table=f"typed_{kind}", format=kind, max_rows=2)
    assert len(read_manifest(folder).files) == 2
    workplace.ingest(folder, f"typed_back_{kind}", roles={"id": "id"})
    back = open_table(str(workplace.home.warehouse / f"typed_back_{kind}"))
    assert back.schema["lists"].type == pa.list_(pa.int32())
    rows = back.to_dataset().to_table(columns=["id", "lists"]).sort_by("id")["lists"].to_pylist()
    assert rows == [[1, None], [2], None if kind == "votable" else [], []]


@pytest.mark.parametrize("kind", ["parquet", "fits", "votable"])
def test_ingest_takes_the_files_back(
    workplace: Place, made: Made, kind: str, expected: pa.Table
) -> None:
    files = made(kind)
    table = f"back_{kind}"
    workplace.ingest(files[0].parent, table, roles={"id": "id"})
    rows = workplace.stars.to_dataset().to_table(columns=FLAT)
    back = open_table(str(workplace.home.warehouse / table))
    again = back.to_dataset().to_table(columns=FLAT)
    for name in ("ra", "mag", "n_obs", "pmra"):
        ours, theirs = (t.sort_by("id")[name].to_pylist() for t in (rows, again))
        assert [v if v == v else None for v in ours] == [v if v == v else None for v in theirs]
    assert back.schema["mag"].unit == "mag"
    assert back.schema["ra"].ucd == "pos.eq.ra"


def test_sums_are_those_that_coreutils_compute(made: Made) -> None:
    folder = made("parquet")[0].parent
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", CHECKSUM_FILE], cwd=folder, capture_output=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("kind", "option", "words"),
    [
        ("parquet", {"margins": ["5 arcsec"]}, "`params.margins` is for HATS catalogs, and the"),
        ("fits", {"bad_rows": "error"}, "`params.bad_rows` is for HATS catalogs, and the format"),
        ("votable", {"compression": "gzip"}, "`params.compression` is for HATS and Parquet, and"),
    ],
)
def test_option_of_another_format_is_refused(
    workplace: Place, tmp_path: Path, kind: str, option: dict[str, Any], words: str
) -> None:
    with pytest.raises(ParameterError, match=words):
        workplace.export(tmp_path / "out", format=kind, **option)


@pytest.mark.parametrize("kind", ["fits", "votable"])
def test_column_that_the_format_cannot_hold_is_named(
    workplace: Place, tmp_path: Path, kind: str
) -> None:
    odd = pa.table({"id": [1], "ra": [10.0], "dec": [20.0], "tags": [["a", "b"]]})
    pq.write_table(odd, tmp_path / "odd.parquet")
    workplace.ingest(tmp_path / "odd.parquet", f"odd_{kind}", roles={"id": "id"})
    with pytest.raises(SchemaError, match=r"Column `tags` of `odd_\w+` has type list<.*>, which"):
        workplace.export(tmp_path / "out", table=f"odd_{kind}", format=kind)
    workplace.export(tmp_path / "out", table=f"odd_{kind}", format=kind, columns=["id"])
    assert (tmp_path / "out").is_dir()


def test_shards_are_runs_of_whole_pixels() -> None:
    counts = SparseCounts(1, np.array([3, 4, 9, 40]), np.array([5, 6, 20, 1]), np.zeros(4, int))
    shards = plan_shards(counts, 2, max_rows=11)
    assert [shard.n_rows for shard in shards] == [2, 11, 20, 1]
    assert (shards[0].low, shards[0].high) == (-1, 0)
    edges = [(shard.low, shard.high) for shard in shards[1:]]
    assert edges[0][0] == 0
    assert all(a[1] == b[0] for a, b in pairwise(edges))
    assert edges[-1][1] == 12 << 58
