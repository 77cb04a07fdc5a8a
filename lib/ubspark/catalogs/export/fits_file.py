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
from ubspark.catalogs.export.blanks import fill_elements, find_blank
from ubspark.catalogs.export.flat_columns import flatten_rows, flatten_schema, to_text
from ubspark.catalogs.export.origin import Origin
from ubspark.catalogs.sources.fits_binary import ELEMENT_NULL
from ubspark.errors import SchemaError

__all__ = ["FitsForm"]

#: What stands beside both checksums.
_CHECKED = "when the file was written"
#: Column code, and the type that is written. FITS has words for integers without sign, but
#: readers mask no nulls among them: the next wider type holds their values.
_CODES = {
    pa.bool_(): ("L", None),
    pa.int8(): ("I", pa.int16()),
    pa.int16(): ("I", None),
    pa.int32(): ("J", None),
    pa.int64(): ("K", None),
    pa.uint8(): ("B", None),
    pa.uint16(): ("J", pa.int32()),
    pa.uint32(): ("K", pa.int64()),
    pa.float16(): ("E", pa.float32()),
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
        for field in flatten_schema(schema, table=table, format="FITS"):
            if not field.name.isascii() or not field.name.isprintable() or len(field.name) > 68:
                msg = (
                    f"Column `{field.name}` of `{table}` cannot be named so in FITS, which takes "
                    f"up to 68 ASCII characters. Leave it out with `columns`, or export to VOTable."
                )
                raise SchemaError(msg)

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
        _blank_booleans(table, rows)
        _describe(table.header, fields, origin)
        _name_blanks(table.header, rows)
        primary = fits.PrimaryHDU()
        primary.header["ORIGIN"] = f"ubspark {__version__}"
        _write(fits.HDUList([primary, table]), path)
        return int(rows.num_rows)


def _write(hdus: fits.HDUList, path: Path) -> None:
    """Write with checksums; astropy puts the time beside them, and no two files would be alike."""
    hdus.writeto(path, checksum=True, output_verify="exception")
    headers = {}
    with fits.open(path) as written:
        for hdu in written:
            hdu.add_checksum(when=_CHECKED)
            headers[hdu.fileinfo()["hdrLoc"]] = hdu.header.tostring().encode("ascii")
    with path.open("r+b") as file:
        for place, header in headers.items():
            file.seek(place)
            file.write(header)


def _to_column(field: pa.Field, column: pa.ChunkedArray) -> fits.Column:
    kind = field.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    unit = _find_unit(field)
    if pa.types.is_fixed_size_list(kind):
        return _to_arrays(field.name, column, kind, unit)
    if _is_list(kind):
        return _to_lists(field.name, column, kind, unit)
    if kind not in _CODES:
        return _to_texts(field.name, column, unit)
    code, wide = _CODES[kind]
    whole = column if wide is None else column.cast(wide)
    facts: dict[str, Any] = {"name": field.name, "format": code, "unit": unit}
    if pa.types.is_floating(kind):
        return fits.Column(array=whole.to_numpy(), **facts)
    if pa.types.is_boolean(kind):
        return fits.Column(array=whole.fill_null(False).to_numpy(), **facts)
    null = find_blank(field.name, whole, format="FITS")
    filled = whole if null is None else whole.fill_null(pa.scalar(null, whole.type))
    return fits.Column(array=filled.to_numpy(), null=null, **facts)


def _name_blanks(header: fits.Header, rows: pa.Table) -> None:
    """Say what stands for null in arrays of differing lengths.

    The standard's word is TNULL, but astropy reads no table where such arrays have one.
    """
    for number, name in enumerate(rows.column_names, start=1):
        if _is_list(rows[name].type):
            null = _find_null(name, _widen(rows[name]))
            if null is not None:
                header[f"{ELEMENT_NULL}{number}"] = (null, "null in the arrays of this column")


def _blank_booleans(table: fits.BinTableHDU, rows: pa.Table) -> None:
    """Write the zero byte that stands for no truth value, for which astropy has no word."""
    stored = table.data.view(np.ndarray)
    for name in rows.column_names:
        if pa.types.is_boolean(rows[name].type) and rows[name].null_count:
            stored[name][rows[name].is_null().to_numpy()] = 0


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
    whole = _widen(column)
    null = _find_null(name, whole)
    arrays = np.empty(len(whole), dtype=object)
    nothing = np.array([], whole.type.value_type.to_pandas_dtype())
    for i, value in enumerate(whole):
        arrays[i] = _to_elements(value.values, null) if value.is_valid else nothing
    code, _ = _CODES[kind.value_type]
    return fits.Column(name=name, format=f"Q{code}()", unit=unit, array=arrays)


def _to_arrays(
    name: str, column: pa.ChunkedArray, kind: pa.DataType, unit: str | None
) -> fits.Column:
    whole = _widen(column)
    filled = whole.fill_null(pa.scalar([None] * kind.list_size, whole.type))
    null = _find_null(name, filled)
    elements = _to_elements(pc.list_flatten(filled).combine_chunks(), null)
    code, _ = _CODES[kind.value_type]
    shape = elements.reshape(-1, kind.list_size)
    return fits.Column(
        name=name, format=f"{kind.list_size}{code}", unit=unit, null=null, array=shape
    )


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _widen(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return lists with elements of the type that is written."""
    kind = column.type
    _, wide = _CODES[kind.value_type]
    if wide is None:
        return column
    is_fixed = pa.types.is_fixed_size_list(kind)
    return column.cast(pa.list_(wide, kind.list_size) if is_fixed else pa.list_(wide))


def _find_null(name: str, column: pa.ChunkedArray) -> int | None:
    """Return what stands for no element of lists; floats have NaN."""
    if not pa.types.is_integer(column.type.value_type):
        return None
    return find_blank(name, pc.list_flatten(column), format="FITS")


def _to_elements(values: pa.Array, null: int | None) -> NDArray[Any]:
    return np.asarray(fill_elements(values, null).to_numpy(zero_copy_only=False))


def _find_unit(field: pa.Field) -> str | None:
    """Return the unit as FITS spells it; as it is where it has no such spelling."""
    text = _read(field, "unit")
    if text is None:
        return None
    try:
        return str(u.Unit(text).to_string("fits"))
    except (ValueError, TypeError):
        return _to_ascii(text)


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
                header[f"{keyword}{number}"] = _to_ascii(text)
    for name, value in origin.to_file_entries().items():
        header.add_history(_to_ascii(f"{name} = {value}"))


def _to_ascii(text: str) -> str:
    """Return a text as headers take it: line breaks as blanks, anything else as `?`."""
    plain = " ".join(text.split()).encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in plain)
