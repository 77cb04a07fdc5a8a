"""Rows as FITS and VOTable hold them: no structs, no types that they have no word for."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from ubspark.errors import SchemaError

__all__ = ["flatten_rows", "flatten_schema", "to_text"]


def flatten_schema(schema: pa.Schema, *, table: str, format: str) -> pa.Schema:  # noqa: A002
    """Return the columns with the fields of each struct as columns ``<struct>_<field>``.

    Raises
    ------
    SchemaError
        If two columns would have one name, or the format cannot hold a column.
    """
    fields = [part for field in schema for part in _flatten(field)]
    names = [field.name.lower() for field in fields]
    for field in fields:
        if names.count(field.name.lower()) > 1:
            msg = f"Two columns of `{table}` would be named `{field.name}` in {format}."
            raise SchemaError(msg)
        if not _is_held(field.type):
            msg = (
                f"Column `{field.name}` of `{table}` has type {field.type}, which {format} cannot "
                f"hold. Leave it out with `columns`, or export to Parquet."
            )
            raise SchemaError(msg)
    return pa.schema(fields)


def flatten_rows(rows: pa.Table) -> pa.Table:
    """Return the rows of a table with the columns of `flatten_schema`."""
    columns = [pair for name in rows.column_names for pair in _unfold(name, rows[name])]
    return pa.table([column for _, column in columns], names=[name for name, _ in columns])


def to_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return dates, times and decimals as text: ISO 8601, UTC."""
    if pa.types.is_timestamp(column.type):
        # What is formatted is the time of day in the zone of the type.
        utc = column.cast(pa.timestamp("us", column.type.tz and "UTC"))
        return pc.strftime(utc, format="%Y-%m-%dT%H:%M:%S")
    return column.cast(pa.string())


def _flatten(field: pa.Field) -> Iterator[pa.Field]:
    if not pa.types.is_struct(field.type):
        yield field
        return
    for part in field.type:
        yield from _flatten(pa.field(f"{field.name}_{part.name}", part.type, True, part.metadata))


def _unfold(name: str, column: pa.ChunkedArray) -> Iterator[tuple[str, pa.ChunkedArray]]:
    if not pa.types.is_struct(column.type):
        yield name, column
        return
    for part in column.type:
        # Unlike `flatten`, this gives null for the fields of a struct that is null.
        yield from _unfold(f"{name}_{part.name}", pc.struct_field(column, part.name))


def _is_held(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        element = kind.value_type
        is_number = pa.types.is_integer(element) or pa.types.is_floating(element)
        return bool(is_number and not pa.types.is_uint64(element))
    return not (pa.types.is_nested(kind) or _is_bytes(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    )
