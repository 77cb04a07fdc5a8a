"""One VOTable of an export: BINARY2, with units, UCDs and descriptions."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io.votable import tree

from ubspark.catalogs.export.blanks import fill_elements, find_blank
from ubspark.catalogs.export.flat_columns import flatten_rows, flatten_schema, to_text
from ubspark.catalogs.export.origin import Origin

__all__ = ["VOTableForm"]

#: VOTable has no unsigned integers but bytes: the next wider type holds their values.
_CODES = {
    pa.bool_(): ("boolean", None),
    pa.int8(): ("short", pa.int16()),
    pa.int16(): ("short", None),
    pa.int32(): ("int", None),
    pa.int64(): ("long", None),
    pa.uint8(): ("unsignedByte", None),
    pa.uint16(): ("int", pa.int32()),
    pa.uint32(): ("long", pa.int64()),
    pa.float16(): ("float", pa.float32()),
    pa.float32(): ("float", None),
    pa.float64(): ("double", None),
}
_TEXT = "unicodeChar"


@dataclass(frozen=True)
class VOTableForm:
    """VOTables; structs become columns ``<struct>_<field>``, lists variable arrays."""

    suffix: str = ".vot"

    def validate(self, schema: pa.Schema, *, table: str) -> None:
        """Refuse columns that no VOTable can hold.

        Raises
        ------
        SchemaError
            With the first one.
        """
        flatten_schema(schema, table=table, format="VOTable")

    def write(
        self, path: Path, pieces: Iterable[pa.Table], schema: pa.Schema, origin: Origin
    ) -> int:
        """Write rows, held in memory, as one table; integers of 64 bits without sign as text."""
        rows = flatten_rows(pa.concat_tables([schema.empty_table(), *pieces]))
        fields = flatten_schema(schema, table=origin.table, format="VOTable")
        document = tree.VOTableFile(version="1.4")
        resource = tree.Resource()
        document.resources.append(resource)
        for name, value in origin.to_file_entries().items():
            resource.infos.append(tree.Info(name=name, value=value))
        table = tree.TableElement(document, name="catalog")
        resource.tables.append(table)
        table.fields.extend(_to_field(document, field) for field in fields)
        table.create_arrays(rows.num_rows)
        for field, place in zip(fields, table.fields, strict=True):
            place.values.null = _find_null(field.name, rows[field.name])
            _fill(table.array, place, rows[field.name], field.type)
        document.set_all_tables_format("binary2")
        document.to_xml(str(path))
        return int(rows.num_rows)


def _to_field(document: tree.VOTableFile, field: pa.Field) -> tree.Field:
    kind = _get_plain(field.type)
    is_list = _is_list(kind)
    code, _ = _CODES.get(kind.value_type if is_list else kind, (_TEXT, None))
    size = "*" if is_list or code == _TEXT else None
    if pa.types.is_fixed_size_list(kind):
        size = str(kind.list_size)
    facts = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    found = tree.Field(document, name=field.name, datatype=code, arraysize=size)
    found.unit = facts.get("unit")
    found.ucd = facts.get("ucd")
    found.description = facts.get("description")
    return found


def _find_null(name: str, column: pa.ChunkedArray) -> int | None:
    """Return what stands for no element of lists of integers; the flags are of whole cells."""
    kind = column.type
    if not (_is_list(kind) and pa.types.is_integer(kind.value_type)):
        return None
    _, wide = _CODES[kind.value_type]
    if pa.types.is_fixed_size_list(kind):
        column = column.fill_null(pa.scalar([None] * kind.list_size, kind))
    elements = pc.list_flatten(column)
    return find_blank(name, elements if wide is None else elements.cast(wide), format="VOTable")


def _fill(array: Any, place: tree.Field, column: pa.ChunkedArray, kind: pa.DataType) -> None:
    """Put a column into the masked array of a table."""
    name = place.ID
    kind = _get_plain(kind)
    column = column.cast(kind)
    missing = column.is_null().to_numpy()
    if _is_list(kind):
        _, wide = _CODES.get(kind.value_type, (_TEXT, None))
        values = [_to_elements(value, wide, place.values.null) for value in column]
        if pa.types.is_fixed_size_list(kind):
            array[name] = np.array(values).reshape(len(values), kind.list_size)
        else:
            # Through the masked array itself, NumPy would strip the masks of the elements.
            for i, value in enumerate(values):
                array.data[name][i] = value
    elif kind in _CODES:
        _, wide = _CODES[kind]
        whole = column if wide is None else column.cast(wide)
        blank: Any = np.nan if pa.types.is_floating(kind) else False
        is_number = not pa.types.is_boolean(kind)
        filled = whole.fill_null(pa.scalar(blank if not is_number or blank else 0, whole.type))
        array[name] = filled.to_numpy()
    else:
        array[name] = np.array(to_text(column).fill_null("").to_pylist(), dtype=object)
    array.mask[name] = missing if array.mask[name].ndim == 1 else missing[:, None]


def _to_elements(value: pa.Scalar, wide: pa.DataType | None, null: int | None) -> Any:
    """Return a list as a masked array; null in it is NaN, or the blank of the column."""
    if not value.is_valid:
        kind = wide or value.type.value_type
        size = value.type.list_size if pa.types.is_fixed_size_list(value.type) else 0
        return np.ma.array(np.zeros(size, dtype=kind.to_pandas_dtype()), mask=np.ones(size, bool))
    values = value.values if wide is None else value.values.cast(wide)
    # Astropy asks every array for its mask.
    plain = fill_elements(values, null).to_numpy(zero_copy_only=False)
    return np.ma.array(plain, mask=np.zeros(len(plain), dtype=bool))


def _get_plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
