"""Arrow types that a Delta table cannot hold: kept beside the column, restored when it leaves.

A column of unsigned bytes is a smallint in a table. Its Arrow type is kept in the metadata of the
column, through every table that the column is copied to, and an export gives it back.
"""

import base64
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.catalogs.sources.schema import to_table_type
from ubspark.errors import SchemaError

__all__ = [
    "ARROW_TYPE",
    "find_kept_type",
    "keep_type",
    "restore_rows",
    "to_kept_schema",
    "to_plain_schema",
]

#: Key of the column's metadata.
ARROW_TYPE = "ubspark.arrow_type"


def keep_type(stored: pa.DataType, table: pa.DataType) -> dict[str, str]:
    """Return the metadata that keeps a stored type, none where the table's type is the same.

    A type that could not be given back, such as one of an extension, is not kept.
    """
    if stored == table:
        return {}
    try:
        _restore(pa.chunked_array([], table), stored)
    except pa.ArrowException:
        return {}
    content = pa.schema([("column", stored)]).serialize().to_pybytes()
    return {ARROW_TYPE: base64.b64encode(content).decode()}


def find_kept_type(column: TableColumn) -> pa.DataType:
    """Return the type that a column had where it came from, else its own."""
    kept = column.extra.get(ARROW_TYPE)
    if kept is None:
        return column.type
    try:
        stored = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(kept))).field(0).type
        fits = to_table_type(stored, column=column.name, path="") == column.type
    # Somebody else may have written the metadata of a table.
    except (pa.ArrowException, SchemaError, ValueError):
        return column.type
    # Fields that the table had to rename, or a type that was changed since.
    return stored if fits else column.type


def to_kept_schema(schema: TableSchema) -> pa.Schema:
    """Return the Arrow schema of a table's columns in the types that they came with."""
    return pa.schema([_to_field(column, find_kept_type(column)) for column in schema.columns])


def to_plain_schema(schema: TableSchema) -> pa.Schema:
    """Return the Arrow schema of a table's columns in the types of the table."""
    return pa.schema([_to_field(column, column.type) for column in schema.columns])


def restore_rows(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the rows in the types of a schema that `to_kept_schema` made.

    Raises
    ------
    SchemaError
        If a value does not fit: it was computed since the column came.
    """
    columns = []
    for field in schema:
        column = rows[field.name]
        try:
            columns.append(_restore(column, field.type))
        except (pa.ArrowException, ValueError) as error:
            msg = (
                f"Column `{field.name}` came as {field.type} and now holds values that do not "
                f"fit it ({str(error).partition(chr(10))[0].rstrip('.')}). Export the types of "
                f"the table, with `params.types: table`."
            )
            raise SchemaError(msg) from error
    return pa.table(columns, schema=schema)


def _restore(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    if pa.types.is_null(kind) and column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column))])
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type).dictionary_encode().cast(kind)
    restored = column.cast(kind)
    # Arrow lets floats lose digits, and large ones become infinite.
    if _has_half(kind) and not _are_same(restored.cast(column.type), column):
        msg = "numbers that a float16 cannot hold"
        raise ValueError(msg)
    return restored


def _has_half(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_has_half(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_float16(kind))


def _are_same(left: pa.ChunkedArray, right: pa.ChunkedArray) -> bool:
    """Whether two columns hold the same values, NaN being NaN."""
    kind = left.type
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        pairs = ((pc.struct_field(left, n), pc.struct_field(right, n)) for n in names)
        return all(_are_same(*pair) for pair in pairs)
    if pa.types.is_nested(kind):
        return _are_same(pc.list_flatten(left), pc.list_flatten(right))
    if not pa.types.is_floating(kind):
        return bool(left.equals(right))
    ours, theirs = (
        np.asarray(pc.fill_null(side, np.nan), dtype=np.float64) for side in (left, right)
    )
    return bool(np.array_equal(ours, theirs, equal_nan=True))


def _to_field(column: TableColumn, kind: pa.DataType) -> pa.Field:
    facts: Mapping[bytes, bytes] = column.to_arrow().metadata or {}
    metadata = {key: value for key, value in facts.items() if key != ARROW_TYPE.encode()}
    return pa.field(column.name, kind, column.nullable, metadata or None)
