"""One FITS file of an export: a binary table with units, UCDs and descriptions."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy import units as u
from astropy.io import fits
from numpy.typing import NDArray

from ubspark import __version__
from ubspark.catalogs.export.flat_columns import flatten_rows, flatten_schema, to_text
from ubspark.catalogs.export.origin import Origin

__all__ = ["FitsForm"]

_CODES = {
    pa.bool_(): ("L", None),
    pa.int8(): ("B", -(1 << 7)),
    pa.int16(): ("I", None),
    pa.int32(): ("J", None),
    pa.int64(): ("K", None),
    pa.uint8(): ("B", None),
    pa.uint16(): ("I", 1 << 15),
    pa.uint32(): ("J", 1 << 31),
    pa.uint64(): ("K", 1 << 63),
    pa.float16(): ("E", None),
    pa.float32(): ("E", None),
    pa.float64(): ("D", None),
}


@dataclass(frozen=True)
class FitsForm:
    """FITS binary tables; structs become columns ``<struct>_<field>``, lists variable arrays."""

    suffix: str = ".fits"

    def validate(self, schema: pa.Schema, *, table: str) -> None:
        """Refuse columns that no FITS table can hold.

        Raises
        ------
        SchemaError
            With the first one.
        """
        flatten_schema(schema, table=table, format="FITS")

    def write(
        self, path: Path, pieces: Iterable[pa.Table], schema: pa.Schema, origin: Origin
    ) -> int:
        """Write rows, held in memory, as one table.

        Null is NaN, TNULL or blank; of text an empty one cannot be told from none.
        """
        rows = flatten_rows(pa.concat_tables([schema.empty_table(), *pieces]))
        fields = flatten_schema(schema, table=origin.table, format="FITS")
        columns = [_to_column(field, rows[field.name]) for field in fields]
        table = fits.BinTableHDU.from_columns(fits.ColDefs(columns), nrows=rows.num_rows)
        _describe(table.header, fields, origin)
        primary = fits.PrimaryHDU()
        primary.header["ORIGIN"] = f"ubspark {__version__}"
        fits.HDUList([primary, table]).writeto(path, checksum=True, output_verify="exception")
        return int(rows.num_rows)


def _to_column(field: pa.Field, column: pa.ChunkedArray) -> fits.Column:
    kind = field.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    unit = _find_unit(field)
    if pa.types.is_fixed_size_list(kind):
        return _to_arrays(field.name, column.combine_chunks(), kind, unit)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _to_lists(field.name, column, kind, unit)
    if kind not in _CODES:
        return _to_texts(field.name, column, unit)
    code, zero = _CODES[kind]
    facts: dict[str, Any] = {"name": field.name, "format": code, "unit": unit, "bzero": zero}
    if pa.types.is_floating(kind):
        return fits.Column(array=_to_floats(column, kind), **facts)
    if pa.types.is_boolean(kind):
        # FITS has a word for no truth value, astropy has not: it writes F.
        return fits.Column(array=column.fill_null(False).to_numpy(), **facts)
    values, null = _fill(column)
    if null is not None:
        facts["null"] = null - (zero or 0)
    return fits.Column(array=values, **facts)


def _fill(column: pa.ChunkedArray) -> tuple[NDArray[Any], int | None]:
    """Return integers with a value in place of null that is none of the others."""
    if column.null_count == 0:
        return column.to_numpy(), None
    bounds = np.iinfo(column.type.to_pandas_dtype())
    known = column.drop_null().unique()
    taken = set(known.slice(0, 1 << 16).to_pylist()) if len(known) < 1 << 16 else set()
    ends = pc.min_max(known).as_py()
    free = [bounds.min, bounds.max, *range(bounds.min + 1, bounds.max)]
    null = next(v for v in free if v not in taken and v not in ends.values())
    return column.fill_null(pa.scalar(null, column.type)).to_numpy(), int(null)


def _to_floats(column: pa.ChunkedArray, kind: pa.DataType) -> NDArray[Any]:
    wide = pa.float64() if kind == pa.float64() else pa.float32()
    values: NDArray[Any] = column.cast(wide).to_numpy()
    return values


def _to_texts(name: str, column: pa.ChunkedArray, unit: str | None) -> fits.Column:
    texts = to_text(column).fill_null("")
    # FITS knows ASCII only; our own reader, and most others, take UTF-8.
    encoded = [text.encode() for text in texts.to_pylist()]
    width = max(1, max(map(len, encoded), default=1))
    return fits.Column(
        name=name, format=f"{width}A", unit=unit, array=np.array(encoded, dtype=f"S{width}")
    )


def _to_lists(
    name: str, column: pa.ChunkedArray, kind: pa.DataType, unit: str | None
) -> fits.Column:
    code, zero = _CODES[kind.value_type]
    arrays = np.empty(len(column), dtype=object)
    for i, value in enumerate(column):
        values = [] if not value.is_valid else value.values
        arrays[i] = np.zeros(0) if len(values) == 0 else _to_elements(values)
    dtype = _to_elements(pa.array([0], kind.value_type)).dtype
    arrays[:] = [array.astype(dtype) for array in arrays]
    return fits.Column(name=name, format=f"Q{code}()", unit=unit, bzero=zero, array=arrays)


def _to_arrays(name: str, column: pa.Array, kind: pa.DataType, unit: str | None) -> fits.Column:
    code, zero = _CODES[kind.value_type]
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    width = kind.list_size
    values = _to_elements(pc.list_flatten(column.fill_null(_blank(kind))))
    shape = values.reshape(-1, width)
    return fits.Column(name=name, format=f"{width}{code}", unit=unit, bzero=zero, array=shape)


def _blank(kind: pa.DataType) -> pa.Scalar:
    is_float = pa.types.is_floating(kind.value_type)
    return pa.scalar([np.nan if is_float else 0] * kind.list_size, kind)


def _to_elements(values: pa.Array) -> NDArray[Any]:
    """Return the elements of lists; null is NaN, or 0 among integers."""
    if pa.types.is_floating(values.type):
        wide = pa.float64() if values.type == pa.float64() else pa.float32()
        return np.asarray(values.cast(wide).to_numpy(zero_copy_only=False))
    return np.asarray(values.fill_null(0).to_numpy(zero_copy_only=False))


def _find_unit(field: pa.Field) -> str | None:
    """Return the unit as FITS spells it; as it is where it has no such spelling."""
    text = _read(field, "unit")
    if text is None:
        return None
    try:
        return str(u.Unit(text).to_string("fits"))
    except (ValueError, TypeError):
        return text


def _read(field: pa.Field, key: str) -> str | None:
    value = (field.metadata or {}).get(key.encode())
    return None if value is None else value.decode()


def _describe(header: fits.Header, fields: pa.Schema, origin: Origin) -> None:
    """Write UCDs and descriptions as TOPCAT reads them, and where the rows come from."""
    header["EXTNAME"] = "catalog"
    for number, field in enumerate(fields, start=1):
        for keyword, key in (("TUCD", "ucd"), ("TCOMM", "description")):
            text = _read(field, key)
            if text:
                header[f"{keyword}{number}"] = text.encode("ascii", "replace").decode()
    for name, value in origin.to_entries().items():
        header.add_history(f"{name} = {value}".encode("ascii", "replace").decode())
