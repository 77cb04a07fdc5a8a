"""HATS to Delta to HATS loses nothing: rows, columns, types, units, and what a catalog says."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ubspark.catalogs.delta import open_table
from ubspark.catalogs.hats import HatsCatalog, open_hats
from ubspark.errors import SchemaError
from ubspark.sky.healpix import compute_healpix_29

pytestmark = pytest.mark.spark

Place = Any
N_ROWS = 400
#: Of each collection of the maintainers, and of Rubin, its column of identifiers.
CATALOGS = {
    "hats_conformance/small_sky_order1_collection": "id",
    "hats_conformance/small_sky_order1_source_collection": "source_id",
    "hats_conformance/small_sky_order1_nested_sources": "id",
    "rubin_dp1_hats/object_collection": "objectId",
    "rubin_dp1_hats/dia_object_collection": "diaObjectId",
}


def make_odd() -> pa.Table:
    """A column of every type that a table cannot hold as it is."""
    rng = np.random.default_rng(3)
    hidden = rng.random(N_ROWS) < 0.2
    curve = pa.struct([("mjd", pa.list_(pa.float64())), ("band", pa.list_(pa.uint8()))])
    columns = {
        "id": pa.array(rng.integers(0, 2**64 - 1, N_ROWS, dtype=np.uint64)),
        "ra": pa.array(rng.uniform(0, 360, N_ROWS)),
        "dec": pa.array(rng.uniform(-90, 90, N_ROWS)),
        "flags": pa.array(rng.integers(0, 255, N_ROWS).astype(np.uint8), mask=hidden),
        "ccd": pa.array(rng.integers(0, 65_535, N_ROWS).astype(np.uint16)),
        "visit": pa.array(rng.integers(0, 2**32 - 1, N_ROWS).astype(np.uint32), mask=hidden),
        "half": pa.array(rng.normal(size=N_ROWS).astype(np.float16)),
        "text": pa.array([f"s{i}" for i in range(N_ROWS)], pa.large_string()),
        "band": pa.array([("g", "r", None)[i % 3] for i in range(N_ROWS)]).dictionary_encode(),
        "vector": pa.array(
            [[1.0, 2.0, float(i)] for i in range(N_ROWS)], pa.list_(pa.float32(), 3)
        ),
        "seen": pa.array(np.arange(N_ROWS) + 1_700_000_000_000, pa.timestamp("ms")),
        "night": pa.array(np.arange(N_ROWS) * 86_400_000, pa.date64()),
        "nothing": pa.nulls(N_ROWS),
        "flux": pa.array([None if i % 3 else np.nan for i in range(N_ROWS)], pa.float32()),
        "curve": pa.array(
            [
                None if i % 5 == 0 else {"mjd": [1.0] * (i % 4), "band": [7] * (i % 4)}
                for i in range(N_ROWS)
            ],
            curve,
        ),
    }
    schema = pa.schema(
        [
            pa.field(name, column.type, metadata={"unit": "nJy", "ucd": "phot.flux"})
            if name == "flux"
            else pa.field(name, column.type)
            for name, column in columns.items()
        ]
    )
    return pa.table(list(columns.values()), schema=schema)


def write_hats(folder: Path, rows: pa.Table) -> None:
    """Write the twelve pixels of order 0."""
    index = compute_healpix_29(rows["ra"].to_numpy(), rows["dec"].to_numpy())
    rows = rows.add_column(0, "_healpix_29", pa.array(index)).sort_by("_healpix_29")
    stem = folder / "dataset" / "Norder=0" / "Dir=0"
    stem.mkdir(parents=True)
    for pixel in range(12):
        part = rows.filter(pa.array(rows["_healpix_29"].to_numpy() >> 58 == pixel))
        pq.write_table(part, stem / f"Npix={pixel}.parquet")
    pq.write_metadata(rows.schema, folder / "dataset" / "_common_metadata")
    pixels = "".join(f"0,{pixel}\n" for pixel in range(12))
    (folder / "partition_info.csv").write_text(f"Norder,Npix\n{pixels}")
    (folder / "hats.properties").write_text(
        f"obs_collection=odd\ndataproduct_type=source\nhats_nrows={N_ROWS}\nhats_col_ra=ra\n"
        "hats_col_dec=dec\nhats_cols_survey_id=id\nhats_cols_default=id ra dec flux\n"
        "hats_coordinate_epoch=J2015.5\nobs_title=Odd types\nbib_reference=2026Odd....1T\n"
    )


def read_all(catalog: HatsCatalog) -> pa.Table:
    files = [pq.ParquetFile(catalog.folder.join(file.path)).read() for file in catalog.files]
    return pa.concat_tables(files)


def go_round(place: Place, source: Path, name: str, folder: Path, **params: Any) -> HatsCatalog:
    place.ingest(source, name, **params)
    place.export(folder, table=name, format="hats")
    return open_hats(str(folder))


def assert_same_rows(found: pa.Table, wanted: pa.Table, key: str) -> None:
    assert set(found.column_names) == set(wanted.column_names)
    ours, theirs = (
        rows.take(pa.array(np.argsort([str(v) for v in rows[key].to_pylist()], kind="stable")))
        for rows in (found, wanted)
    )
    for name in wanted.column_names:
        assert ours.schema.field(name).type == theirs.schema.field(name).type, name
        assert repr(ours[name].to_pylist()) == repr(theirs[name].to_pylist()), name


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of odd types."""
    folder = tmp_path_factory.mktemp("odd") / "odd"
    folder.mkdir()
    write_hats(folder, make_odd())
    return folder


def test_every_type_comes_back(workplace: Place, odd: Path, tmp_path: Path) -> None:
    catalog = go_round(workplace, odd, "odd", tmp_path / "odd")
    assert_same_rows(read_all(catalog), read_all(open_hats(str(odd))), "id")
    assert catalog.schema["flux"].unit == "nJy"
    assert catalog.schema["flux"].ucd == "phot.flux"


def test_what_the_catalog_says_comes_back(workplace: Place, odd: Path, tmp_path: Path) -> None:
    catalog = go_round(workplace, odd, "odd_said", tmp_path / "odd_said")
    assert catalog.properties.kind == "source"
    assert catalog.properties.default_columns == ("id", "ra", "dec", "flux")
    assert catalog.properties.survey_ids == ("id",)
    assert catalog.roles.epoch == 2015.5
    entries = catalog.properties.entries
    assert entries["obs_title"] == "Odd types"
    assert entries["bib_reference"] == "2026Odd....1T"
    # But it is another catalog, of another maker.
    assert entries["obs_collection"] == "odd_said"
    assert entries["hats_builder"].startswith("ubspark")


def test_large_integers_are_said_at_ingest(workplace: Place, odd: Path) -> None:
    outcome = workplace.ingest(odd, "odd_notes")
    sentence = (
        "Unsigned 64-bit integers (`id`) are DECIMAL(20,0) in the table; an export to HATS or "
        "Parquet gives them back as they came."
    )
    assert outcome.record.notes == [sentence]
    table = open_table(str(workplace.home.warehouse / "odd_notes"))
    assert table.schema["id"].type == pa.decimal128(20, 0)
    assert table.roles["id"] == "id"
    assert max(table.to_dataset().to_table()["id"].to_pylist()) > 2**63


def test_types_of_flat_files_come_back(workplace: Place, tmp_path: Path) -> None:
    """Also those of structs whose fields the table had to rename: under their new names."""
    stars = make_odd().select(["id", "ra", "dec"])
    odd = {
        "code": pa.array(np.arange(stars.num_rows) % 256, pa.uint8()),
        "half": pa.array(np.linspace(0, 1, stars.num_rows).astype(np.float16)),
        "pair": pa.array([[1.0, 2.0]] * stars.num_rows, pa.list_(pa.float32(), 2)),
        "none": pa.nulls(stars.num_rows),
        "named": pa.array([{"a b": i % 7} for i in range(stars.num_rows)]),
    }
    for name, column in odd.items():
        stars = stars.append_column(name, column)
    pq.write_table(stars, tmp_path / "flat.parquet")
    outcome = workplace.ingest(tmp_path / "flat.parquet", "flat", roles={"id": "id"})
    assert "Unsigned 64-bit integers (`id`) are DECIMAL(20,0)" in outcome.record.notes[0]
    for types in ("source", "table"):
        folder = tmp_path / types
        workplace.export(folder, table="flat", format="parquet", types=types)
        back = pa.concat_tables([pq.read_table(file) for file in sorted(folder.glob("*.parquet"))])
        back, there = back.sort_by("id"), stars.sort_by("id")
        for name in ("id", "code", "half", "pair"):
            is_kept = back.schema.field(name).type == there.schema.field(name).type
            assert is_kept == (types == "source"), name
            assert [to_number(v) for v in back[name].to_pylist()] == there[name].to_pylist()
        assert back["none"].null_count == back.num_rows
        assert back["named"].to_pylist() == [{"a_b": v["a b"]} for v in there["named"].to_pylist()]


def to_number(value: Any) -> Any:
    return int(value) if isinstance(value, Decimal) else value


def test_source_is_known_by_its_content(workplace: Place, odd: Path) -> None:
    first = workplace.ingest(odd, "odd_again")
    assert workplace.ingest(odd, "odd_again").already_made
    spec = (first.record.folder / "spec.json").read_text()
    assert '"kind": "hats"' in spec


def test_index_catalog_is_no_source(workplace: Place, data: Path) -> None:
    index = data / "hats_conformance/small_sky_order1_collection/small_sky_order1_id_index"
    if not index.is_dir():
        pytest.skip("`hats_conformance` is not in UBSPARK_DATA.")
    with pytest.raises(SchemaError, match="is an index, without positions"):
        workplace.ingest(index, "index")


@pytest.mark.parametrize("path", CATALOGS)
def test_catalogs_of_others_come_back(
    workplace: Place, data: Path, path: str, tmp_path: Path, need: Callable[[Path], None]
) -> None:
    source = data / path
    need(source)
    key = CATALOGS[path]
    name = source.name.lower()
    catalog = go_round(workplace, source, name, tmp_path / "out", roles={"id": key})
    before = open_hats(str(source))
    assert_same_rows(read_all(catalog), read_all(before), key)
    for column in before.schema.columns:
        own = catalog.schema[column.name]
        for fact in ("unit", "ucd", "description"):
            assert getattr(own, fact) == (getattr(column, fact) or getattr(own, fact))


@pytest.fixture
def need() -> Callable[[Path], None]:
    """Skips where real data is absent."""

    def check(path: Path) -> None:
        if not path.is_dir():
            pytest.skip(f"`{path.parent.name}` is not in UBSPARK_DATA.")

    return check
