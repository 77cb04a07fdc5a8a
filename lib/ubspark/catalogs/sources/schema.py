"""The types a table can hold, made from the types of a source."""

from collections.abc import Iterable

import pyarrow as pa

from ubspark.errors import SchemaError

__all__ = ["UNSIGNED_64", "merge_types", "tell_unsigned", "to_table_type"]

#: What Spark makes of unsigned 64-bit integers: no id is lost, but it is not a bigint.
UNSIGNED_64 = pa.decimal128(20, 0)

_KEPT = (
    pa.bool_(),
    pa.int8(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.float32(),
    pa.float64(),
    pa.string(),
    pa.binary(),
    pa.date32(),
)
_CHANGED = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): UNSIGNED_64,
    pa.float16(): pa.float32(),
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    pa.date64(): pa.date32(),
    pa.null(): pa.string(),
}


def to_table_type(arrow_type: pa.DataType, *, column: str, path: str) -> pa.DataType:
    """Return the type a table gives to values of ``arrow_type``.

    Unsigned integers widen to the next signed type, unsigned 64-bit to ``decimal(20, 0)``;
    float16 becomes float32; timestamps become UTC microseconds, a column of nulls text; lists and
    structs are kept, with the names of their fields.

    Raises
    ------
    SchemaError
        If no column of a table can hold such values.
    """
    if arrow_type in _KEPT:
        return arrow_type
    if arrow_type in _CHANGED:
        return _CHANGED[arrow_type]
    nested = _convert_nested(arrow_type, column=column, path=path)
    if nested is not None:
        return nested
    if pa.types.is_timestamp(arrow_type):
        return pa.timestamp("us", "UTC")
    if pa.types.is_fixed_size_binary(arrow_type):
        return pa.binary()
    if pa.types.is_decimal(arrow_type) and arrow_type.precision <= 38 and arrow_type.scale >= 0:
        return pa.decimal128(arrow_type.precision, arrow_type.scale)
    msg = (
        f"Column `{column}` of `{path}` has type {arrow_type}, which a table cannot hold. "
        "Convert it to numbers, text, timestamps or lists first."
    )
    raise SchemaError(msg)


def _convert_nested(arrow_type: pa.DataType, *, column: str, path: str) -> pa.DataType | None:
    """Return the table type of a type made of other types, None for all others."""
    if isinstance(arrow_type, pa.BaseExtensionType):
        return to_table_type(arrow_type.storage_type, column=column, path=path)
    if pa.types.is_dictionary(arrow_type):
        return to_table_type(arrow_type.value_type, column=column, path=path)
    if (
        pa.types.is_list(arrow_type)
        or pa.types.is_large_list(arrow_type)
        or pa.types.is_fixed_size_list(arrow_type)
        or pa.types.is_list_view(arrow_type)
    ):
        return pa.list_(to_table_type(arrow_type.value_type, column=column, path=path))
    if pa.types.is_struct(arrow_type):
        fields = [(f.name, to_table_type(f.type, column=column, path=path)) for f in arrow_type]
        return pa.struct(fields)
    return None


def tell_unsigned(names: Iterable[str]) -> tuple[str, ...]:
    """Say what becomes of columns of unsigned 64-bit integers, if there are any."""
    listed = ", ".join(f"`{name}`" for name in names)
    if not listed:
        return ()
    sentence = (
        f"Unsigned 64-bit integers ({listed}) are DECIMAL(20,0) in the table; an export to HATS or "
        f"Parquet gives them back as they came."
    )
    return (sentence,)


def merge_types(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of both exactly, None if there is none.

    Only widening within integers or within floats counts: an integer column that a second file
    writes as floats would lose digits of its ids.
    """
    if left == right or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    for is_kind in (pa.types.is_signed_integer, pa.types.is_floating):
        if is_kind(left) and is_kind(right):
            return left if left.bit_width >= right.bit_width else right
    return None
