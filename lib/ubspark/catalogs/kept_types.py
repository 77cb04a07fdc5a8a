"""Arrow types that a Delta table cannot hold: kept beside the column, restored when it leaves.

A column of unsigned bytes is a smallint in a table. Its Arrow type is kept in the metadata of the
column, through every table that the column is copied to, and an export gives it back.
"""

import base64
from collections.abc import Mapping

import pyarrow as pa

from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.errors import SchemaError

__all__ = ["ARROW_TYPE", "find_kept_type", "keep_type", "restore_rows", "to_kept_schema"]

#: Key of the column's metadata.
ARROW_TYPE = "ubspark.arrow_type"


def keep_type(stored: pa.DataType, table: pa.DataType) -> dict[str, str]:
    """Return the metadata that keeps a stored type, none where the table's type is the same."""
    if stored == table:
        return {}
    content = pa.schema([("column", stored)]).serialize().to_pybytes()
    return {ARROW_TYPE: base64.b64encode(content).decode()}


def find_kept_type(column: TableColumn) -> pa.DataType:
    """Return the type that a column had where it came from, else its own."""
    kept = column.extra.get(ARROW_TYPE)
    if kept is None:
        return column.type
    try:
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(kept))).field(0).type
    # Somebody else may have written the metadata of a table.
    except (pa.ArrowException, ValueError):
        return column.type


def to_kept_schema(schema: TableSchema) -> pa.Schema:
    """Return the Arrow schema of a table's columns in the types that they came with."""
    return pa.schema([_to_field(column) for column in schema.columns])


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
        except pa.ArrowException as error:
            msg = (
                f"Column `{field.name}` came as {field.type} and now holds values that do not "
                f"fit it ({str(error).partition(chr(10))[0].rstrip('.')})."
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
    return column.cast(kind)


def _to_field(column: TableColumn) -> pa.Field:
    facts: Mapping[bytes, bytes] = column.to_arrow().metadata or {}
    metadata = {key: value for key, value in facts.items() if key != ARROW_TYPE.encode()}
    return pa.field(column.name, find_kept_type(column), column.nullable, metadata or None)
