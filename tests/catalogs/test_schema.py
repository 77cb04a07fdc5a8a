"""Schemas of tables, in Arrow and in Delta's JSON."""

import json
from typing import Any

import pyarrow as pa
import pytest

from ubspark.catalogs.schema import TableColumn, TableSchema, to_delta_type
from ubspark.columns import DIST_ARCSEC, HEALPIX_29, LEFT_ID
from ubspark.errors import SchemaError

TIME = pa.timestamp("us", tz="UTC")
TYPES: list[tuple[pa.DataType, Any]] = [
    (pa.bool_(), "boolean"),
    (pa.int8(), "byte"),
    (pa.int16(), "short"),
    (pa.int32(), "integer"),
    (pa.int64(), "long"),
    (pa.float32(), "float"),
    (pa.float64(), "double"),
    (pa.string(), "string"),
    (pa.binary(), "binary"),
    (pa.date32(), "date"),
    (TIME, "timestamp"),
    (pa.decimal128(20, 0), "decimal(20,0)"),
    (pa.decimal128(38, 12), "decimal(38,12)"),
    (
        pa.list_(pa.float64()),
        {"type": "array", "elementType": "double", "containsNull": True},
    ),
    (
        pa.struct([("a", pa.int8()), ("b", pa.list_(TIME))]),
        {
            "type": "struct",
            "fields": [
                {"name": "a", "type": "byte", "nullable": True, "metadata": {}},
                {
                    "name": "b",
                    "type": {"type": "array", "elementType": "timestamp", "containsNull": True},
                    "nullable": True,
                    "metadata": {},
                },
            ],
        },
    ),
]


def read_field(**entry: Any) -> TableColumn:
    text = json.dumps({"type": "struct", "fields": [{"name": "x", "type": "double", **entry}]})
    return TableSchema.from_delta_json(text)["x"]


def round_trip(column: TableColumn) -> TableColumn:
    return TableSchema.from_delta_json(TableSchema((column,)).to_delta_json()).columns[0]


@pytest.mark.parametrize(("arrow", "delta"), TYPES)
def test_type_is_spelled_as_delta_does(arrow: pa.DataType, delta: Any) -> None:
    assert to_delta_type(arrow, "x") == delta


@pytest.mark.parametrize("arrow", [arrow for arrow, _ in TYPES])
@pytest.mark.parametrize("nullable", [True, False])
def test_column_survives_the_json_of_delta(arrow: pa.DataType, nullable: bool) -> None:
    column = TableColumn("x", arrow, nullable, "mas/yr", "pos.pm", "Motion à 1 m²", {"k": "v"})
    assert round_trip(column) == column


@pytest.mark.parametrize("unit", [None, "deg"])
@pytest.mark.parametrize("ucd", [None, "pos.eq.ra"])
@pytest.mark.parametrize("description", [None, "Right ascension", "ends [deg]"])
def test_comment_never_grows(unit: str | None, ucd: str | None, description: str | None) -> None:
    """A unit without a description must not come back as the description."""
    column = TableColumn("ra", pa.float64(), True, unit, ucd, description)
    assert round_trip(column) == column
    assert round_trip(round_trip(column)) == column


def test_comment_is_for_a_person() -> None:
    column = TableColumn("ra", pa.float64(), True, "deg", "pos.eq.ra", "Right ascension")
    assert column.comment == "Right ascension [deg] (ucd: pos.eq.ra)"
    assert TableColumn("ra", pa.float64()).comment is None


def test_comment_of_a_foreign_table_is_the_description() -> None:
    column = read_field(metadata={"comment": "Right ascension, degrees"})
    assert (column.description, column.unit) == ("Right ascension, degrees", None)


def test_comment_changed_by_sql_wins_over_the_old_description() -> None:
    facts = {"comment": "new", "description": "old", "unit": "deg"}
    assert read_field(metadata=facts).description == "new"


def test_rules_of_a_table_do_not_go_with_its_columns() -> None:
    """A generation expression names columns of its own table; in another it stops the commit."""
    facts: dict[str, Any] = {
        "delta.generationExpression": "a * 2",
        "CURRENT_DEFAULT": "3",
        "EXISTS_DEFAULT": "3",
    }
    facts |= {"delta.columnMapping.physicalName": "col-1", "note": "kept", "n": 5}
    assert read_field(metadata=facts).extra == {"note": "kept"}


@pytest.mark.parametrize("entry", [{}, {"nullable": True, "metadata": None}])
def test_what_json_leaves_out_is_nullable_and_bare(entry: dict[str, Any]) -> None:
    assert read_field(**entry) == TableColumn("x", pa.float64())


def test_map_of_a_foreign_table_is_read_and_not_written() -> None:
    kind = {"type": "map", "keyType": "string", "valueType": "long", "valueContainsNull": True}
    column = read_field(type=kind)
    assert column.type == pa.map_(pa.string(), pa.int64())
    with pytest.raises(SchemaError, match=r"^Column `x` has the type map<.*a Delta table cannot"):
        column.to_delta()


@pytest.mark.parametrize("kind", ["timestamp_ntz", "variant", {"type": "new"}])
def test_type_of_a_later_delta_is_refused(kind: Any) -> None:
    with pytest.raises(SchemaError, match=r"^The Delta type .* is not known to this version"):
        read_field(type=kind)


@pytest.mark.parametrize(
    "arrow",
    [
        *(pa.null(), pa.uint64(), pa.float16(), pa.large_string(), pa.list_(pa.uint8())),
        *(pa.time64("us"), pa.duration("s"), pa.timestamp("us"), pa.timestamp("ns", tz="UTC")),
    ],
)
def test_type_that_delta_has_not_is_refused(arrow: pa.DataType) -> None:
    with pytest.raises(SchemaError, match=r"^Column `x` has the type .* Leave it out\.$"):
        to_delta_type(arrow, "x")


@pytest.mark.parametrize(
    ("arrow", "wider"),
    [
        (pa.uint8(), pa.int16()),
        (pa.uint16(), pa.int32()),
        (pa.uint32(), pa.int64()),
        (pa.uint64(), pa.decimal128(20, 0)),
        (pa.float16(), pa.float32()),
        (pa.large_string(), pa.string()),
        (pa.string_view(), pa.string()),
        (pa.large_binary(), pa.binary()),
        (pa.timestamp("s"), TIME),
        (pa.timestamp("ns", tz="Europe/Paris"), TIME),
        (pa.dictionary(pa.int8(), pa.large_string()), pa.string()),
        (pa.large_list(pa.uint64()), pa.list_(pa.decimal128(20, 0))),
        (pa.list_(pa.uint8(), 3), pa.list_(pa.int16())),
        (pa.struct([("a", pa.uint8())]), pa.struct([("a", pa.int16())])),
        (pa.int64(), pa.int64()),
    ],
)
def test_widened_type_can_be_written(arrow: pa.DataType, wider: pa.DataType) -> None:
    schema = TableSchema((TableColumn("x", arrow, False, "deg"),)).widen()
    assert schema == TableSchema((TableColumn("x", wider, False, "deg"),))
    assert json.loads(schema.to_delta_json())["fields"][0]["nullable"] is False


def test_arrow_field_carries_unit_and_ucd() -> None:
    field = TableColumn("ra", pa.float64(), False, "deg", "pos.eq.ra", None, {"k": "v"}).to_arrow()
    assert field.equals(pa.field("ra", pa.float64(), nullable=False))
    assert field.metadata == {b"unit": b"deg", b"ucd": b"pos.eq.ra", b"k": b"v"}
    assert TableColumn("ra", pa.float64()).to_arrow().metadata is None


def test_columns_of_ours_have_their_vocabulary() -> None:
    column = TableColumn.from_vocabulary(DIST_ARCSEC)
    assert (column.type, column.unit, column.nullable) == (pa.float64(), "arcsec", True)
    assert TableColumn.from_vocabulary(HEALPIX_29).nullable is False
    source = TableColumn("hip", pa.string(), False, None, "meta.id;meta.main", "Number")
    column = TableColumn.from_vocabulary(LEFT_ID, source=source, nullable=False)
    assert (column.name, column.type, column.nullable) == ("left_id", pa.string(), False)


def test_renamed_column_may_be_null() -> None:
    column = TableColumn("id", pa.int64(), False, "m", "u", "d").rename("id_gaia")
    assert column == TableColumn("id_gaia", pa.int64(), True, "m", "u", "d")


def test_columns_are_found_by_name() -> None:
    schema = TableSchema((TableColumn("a", pa.int8()), TableColumn("b", pa.int16())))
    assert schema.names == ("a", "b")
    assert "a" in schema
    assert "c" not in schema
    assert schema["b"].type == pa.int16()
    assert schema.select(["b", "a"]).names == ("b", "a")
    with pytest.raises(KeyError, match="c"):
        schema["c"]


def test_missing_column_is_named_with_the_nearest() -> None:
    schema = TableSchema((TableColumn("ra", pa.float64()), TableColumn("decl", pa.float64())))
    schema.validate_columns(["ra"], table="gaia")
    message = (
        r"^Column `dec` is not in table `gaia`\. Did you mean `decl`\? "
        r"Available columns: ra, decl\. Set `columns\.dec`\.$"
    )
    with pytest.raises(SchemaError, match=message):
        schema.validate_columns(["ra", "dec"], table="gaia", cure="Set `columns.dec`.")


def test_long_lists_of_columns_are_cut() -> None:
    schema = TableSchema(tuple(TableColumn(f"c{i}", pa.int8()) for i in range(40)))
    with pytest.raises(SchemaError, match=r"Available columns: c0, .*, c29, …\.$"):
        schema.validate_columns(["zz"], table="t")
