"""Whether rows fit a table that is there."""

import json
from typing import Any

import pyarrow as pa
import pytest

from ubspark.catalogs.appends import RowFacts, validate_append
from ubspark.catalogs.parquet_sink import Constraint
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.errors import SchemaError

SCHEMA = TableSchema(
    (
        TableColumn("_healpix_29", pa.int64(), False),
        TableColumn("x", pa.float64(), True, "mag", None, "Brightness"),
        TableColumn("l", pa.list_(pa.struct([("a", pa.int32())]))),
    )
)
CONSTRAINT = Constraint("_healpix_29", -1)
PROPERTIES = CatalogRoles({"flux": "x"}, 2000.0, pm_includes_cos_dec=True).to_properties()


def describe(
    schema: TableSchema = SCHEMA, configuration: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return the metadata action of a table of ours."""
    kept = {"delta.constraints.healpix_29": CONSTRAINT.sql, **PROPERTIES, **(configuration or {})}
    return {"schemaString": schema.to_delta_json(), "partitionColumns": [], "configuration": kept}


def change_field(name: str, **entry: Any) -> dict[str, Any]:
    there = describe()
    content = json.loads(there["schemaString"])
    field = next(field for field in content["fields"] if field["name"] == name)
    field.update(entry)
    return {**there, "schemaString": json.dumps(content)}


def validate(
    there: dict[str, Any],
    schema: TableSchema = SCHEMA,
    properties: dict[str, str] = PROPERTIES,
) -> None:
    validate_append(there, RowFacts(schema, (CONSTRAINT,), properties), table="t")


def test_rows_of_the_same_schema_fit() -> None:
    validate(describe())


def test_order_comments_and_looser_nulls_there_do_not_matter() -> None:
    validate(describe(), TableSchema(SCHEMA.columns[::-1]))
    validate(change_field("x", metadata={"comment": "Another text", "unit": "mag"}))
    validate(change_field("_healpix_29", nullable=True))
    validate(describe(SCHEMA, {"delta.enableDeletionVectors": "true", "ubspark.job": "other"}))


def test_units_and_numbers_may_be_spelled_otherwise() -> None:
    motion = TableSchema((SCHEMA["_healpix_29"], TableColumn("x", pa.float64(), unit="mas/yr")))
    other = TableSchema((SCHEMA["_healpix_29"], TableColumn("x", pa.float64(), unit="mas yr-1")))
    validate(describe(motion, {"ubspark.epoch": "2000"}), other)


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        (describe(SCHEMA.select(["_healpix_29", "l"])), "it has no column `x`"),
        (
            describe(TableSchema((*SCHEMA.columns, TableColumn("y", pa.int8())))),
            "they have no column `y`",
        ),
        (change_field("x", type="float"), "column `x` is float there and double here"),
        (change_field("x", type="decimal(20,0)"), "column `x` is decimal128(20, 0) there"),
        (change_field("x", type="interval"), 'column `x` is "interval" there and double here'),
        (
            change_field("l", type={"type": "array", "elementType": "long", "containsNull": True}),
            "column `l` is ",
        ),
        (
            change_field("x", metadata={"unit": "mmag"}),
            "column `x` is in `mmag` there and in `mag` here",
        ),
        (
            change_field("x", metadata={"comment": "Brightness"}),
            "column `x` is without a unit there and in `mag` here",
        ),
        (
            change_field("x", metadata={"unit": "mag of 1950"}),
            "column `x` is in `mag of 1950` there and in `mag` here",
        ),
        (
            describe(SCHEMA, {"ubspark.epoch": "2016.0"}),
            "the epoch of all positions is `2016.0` there and `2000.0` here",
        ),
        (
            describe(SCHEMA, {"ubspark.pm_includes_cos_dec": "false"}),
            "whether proper motions include cos(dec) is false there and true here",
        ),
        (
            describe(SCHEMA, {"ubspark.frame": "fk4"}),
            "the frame is `fk4` there and `icrs` here",
        ),
        (
            describe(SCHEMA, {"ubspark.role.flux": "y"}),
            "the column of role `flux` is `y` there and `x` here",
        ),
        (
            describe(SCHEMA, {"ubspark.role.rv": "x"}),
            "the column of role `rv` is `x` there and not said here",
        ),
        (change_field("x", nullable=False), "column `x` may not be null there"),
        (
            change_field("x", metadata={"delta.generationExpression": "l * 2"}),
            "column `x` has the rule `delta.generationExpression`",
        ),
        (
            change_field("x", metadata={"__CHAR_VARCHAR_TYPE_STRING": "varchar(4)"}),
            "column `x` has the rule `__CHAR_VARCHAR_TYPE_STRING`",
        ),
        (describe(SCHEMA, {"delta.constraints.c": "x < 5"}), "its constraint `x < 5` is not one"),
        ({**describe(), "partitionColumns": ["x"]}, "it is partitioned by `x`"),
        (
            describe(SCHEMA, {"delta.columnMapping.mode": "name"}),
            "it maps its columns to other names",
        ),
    ],
)
def test_table_that_cannot_hold_the_rows_is_named_with_the_reason(
    there: dict[str, Any], reason: str
) -> None:
    start, end = "Table `t` cannot take the rows of this run: ", "or choose another output."
    with pytest.raises(SchemaError, match=r"\. Overwrite it, or choose another output\.$") as found:
        validate(there)
    assert str(found.value).startswith(start + reason)
    assert str(found.value).endswith(end)


def test_case_of_a_name_counts() -> None:
    """Delta takes `X` for `x`, the readers of our files do not."""
    schema = TableSchema(
        (*SCHEMA.select(["_healpix_29", "l"]).columns, TableColumn("X", pa.float64()))
    )
    with pytest.raises(SchemaError, match="it has no column `X`"):
        validate(describe(), schema)
