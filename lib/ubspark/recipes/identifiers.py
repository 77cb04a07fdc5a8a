"""Columns of identifiers: whole numbers or text, and of two tables the same of them."""

import pyarrow as pa

from ubspark.catalogs.schema import TableColumn
from ubspark.errors import SchemaError

__all__ = ["validate_ids"]


def validate_ids(**columns: TableColumn) -> None:
    """Refuse identifiers that cannot be compared, or that rounding may have made equal.

    Parameters
    ----------
    columns
        By the name of what they are columns of: ``list``, ``table``.

    Raises
    ------
    SchemaError
        If they are neither all whole numbers, of any width, nor all text.
    """
    kinds = [column.type for column in columns.values()]
    if all(map(_is_whole, kinds)) or all(map(pa.types.is_string, kinds)):
        return
    shown = ", ".join(
        f"column `{column.name}` of the {owner} is {column.type}"
        for owner, column in columns.items()
    )
    who = "of both " if len(columns) > 1 else ""
    msg = f"{shown[0].upper()}{shown[1:]}; identifiers {who}must be whole numbers, or text."
    raise SchemaError(msg)


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0))
