"""Arrow types that a table cannot hold survive it."""

import numpy as np
import pyarrow as pa
import pytest

from ubspark.catalogs.kept_types import (
    ARROW_TYPE,
    find_kept_type,
    keep_type,
    restore_rows,
    to_kept_schema,
)
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.catalogs.sources.schema import to_table_type
from ubspark.errors import SchemaError

COLUMNS = {
    "uint8": pa.array([0, 255, None], pa.uint8()),
    "uint16": pa.array([0, 65_535, None], pa.uint16()),
    "uint32": pa.array([0, 2**32 - 1, None], pa.uint32()),
    "uint64": pa.array([0, 2**64 - 1, None], pa.uint64()),
    "float16": pa.array(np.array([0.5, np.nan, np.inf], dtype=np.float16)),
    "large text": pa.array(["a", "", None], pa.large_string()),
    "codes": pa.array(["g", "r", None]).dictionary_encode(),
    "fixed list": pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32(), 2)),
    "large list": pa.array([[1], [], None], pa.large_list(pa.int64())),
    "milliseconds": pa.array([0, 1, None], pa.timestamp("ms")),
    "days": pa.array([0, 86_400_000, None], pa.date64()),
    "nothing": pa.nulls(3),
    "struct": pa.array(
        [{"a": 1, "b": [2]}, None, {"a": None, "b": []}],
        pa.struct([("a", pa.uint8()), ("b", pa.list_(pa.uint16()))]),
    ),
    "plain": pa.array([1.5, None, np.nan]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_type_and_values_survive_a_table(name: str) -> None:
    stored = COLUMNS[name]
    kind = to_table_type(stored.type, column=name, path="here")
    column = TableColumn(name, kind, unit="mag", extra=keep_type(stored.type, kind))
    schema = TableSchema.from_delta_json(TableSchema((column,)).to_delta_json())
    assert find_kept_type(schema[name]) == stored.type
    as_table = pa.table({name: to_table(stored, kind)})
    kept = to_kept_schema(schema)
    assert kept.field(name).metadata == {b"unit": b"mag"}
    restored = restore_rows(as_table, kept)
    assert restored.schema.field(name).type == stored.type
    assert repr(restored[name].to_pylist()) == repr(stored.to_pylist())


def to_table(stored: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(stored.type):
        stored = stored.dictionary_decode()
    return stored.cast(kind)


@pytest.mark.parametrize("value", [1e6, 0.1, 1e-9])
@pytest.mark.parametrize("form", ["plain", "list", "struct"])
def test_floats_that_no_longer_fit_are_refused(value: float, form: str) -> None:
    """Rows with more digits came to the table later; Arrow would cut them without a word."""
    kinds = {
        "plain": lambda kind: kind,
        "list": pa.list_,
        "struct": lambda kind: pa.struct([("a", kind)]),
    }
    rows = {"plain": [0.5, None], "list": [[0.5, None], None], "struct": [{"a": 0.5}, None]}
    late = {"plain": value, "list": [value], "struct": {"a": value}}
    kind, half = kinds[form](pa.float32()), kinds[form](pa.float16())
    schema = pa.schema([("x", half)])
    kept = restore_rows(pa.table({"x": pa.array(rows[form], kind)}), schema)
    assert kept.schema == schema
    with pytest.raises(SchemaError, match="numbers that a float16 cannot hold"):
        restore_rows(pa.table({"x": pa.array([*rows[form], late[form]], kind)}), schema)


def test_type_that_a_table_holds_is_not_kept() -> None:
    assert keep_type(pa.int64(), pa.int64()) == {}
    assert find_kept_type(TableColumn("x", pa.int64())) == pa.int64()


def test_foreign_metadata_are_no_type() -> None:
    column = TableColumn("x", pa.int16(), extra={ARROW_TYPE: "bm90IGEgc2NoZW1h"})
    assert find_kept_type(column) == pa.int16()


def test_value_that_no_longer_fits_is_refused() -> None:
    schema = pa.schema([("x", pa.uint8())])
    with pytest.raises(SchemaError, match="Column `x` came as uint8 and now holds values"):
        restore_rows(pa.table({"x": pa.array([300], pa.int16())}), schema)
