"""Binary tables of FITS 4.0 (section 7.3): their columns, and bytes to Arrow arrays."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io.fits import Header
from numpy.typing import NDArray

from ubspark.catalogs.sources.fits_layout import (
    ColumnLayout,
    TableLayout,
    read_scaling,
    validate_size,
)
from ubspark.catalogs.sources.fits_text import decode_text
from ubspark.catalogs.sources.schema import UNSIGNED_64
from ubspark.errors import SchemaError, SourceError

__all__ = ["ELEMENT_NULL", "BinaryColumn", "BinaryLayout", "plan_binary_table"]

#: Keyword of our exports: what stands for null in arrays of differing lengths. TNULL is the
#: standard's, but astropy reads no table where such arrays have one.
ELEMENT_NULL = "UNULL"
_TFORM = re.compile(r"\s*(\d*)([LXBIJKAEDCMPQ])(.*)")
_DTYPES: dict[str, np.dtype[Any]] = {
    "L": np.dtype("u1"),
    "X": np.dtype("u1"),
    "A": np.dtype("u1"),
    "B": np.dtype("u1"),
    "I": np.dtype(">i2"),
    "J": np.dtype(">i4"),
    "K": np.dtype(">i8"),
    "E": np.dtype(">f4"),
    "D": np.dtype(">f8"),
}
_PLAIN = {
    "L": pa.bool_(),
    "X": pa.bool_(),
    "A": pa.string(),
    "B": pa.int16(),
    "I": pa.int16(),
    "J": pa.int32(),
    "K": pa.int64(),
    "E": pa.float32(),
    "D": pa.float64(),
}
# Types of the integers that FITS stores with an offset because it lacks them (table 19).
_OFFSET = {
    ("B", -(2**7)): pa.int8(),
    ("I", 2**15): pa.int32(),
    ("J", 2**31): pa.int64(),
    ("K", 2**63): UNSIGNED_64,
}


@dataclass(frozen=True)
class BinaryColumn(ColumnLayout):
    """A column of a binary table; ``code`` is that of the elements."""

    #: Lengths of a fixed array, outermost first; empty for one value per row.
    shape: tuple[int, ...] = ()
    #: Bytes of one string.
    width: int = 1
    #: ``P`` or ``Q`` where the elements lie in the heap.
    descriptor: str = ""
    null: int | None = None
    #: Type of one element in the table.
    element_type: pa.DataType = None


@dataclass(frozen=True)
class BinaryLayout(TableLayout):
    """A binary table; its heap is opened only for variable-length arrays."""

    #: First byte of the heap.
    heap_start: int = 0

    def _read_column(self, column: BinaryColumn, rows: NDArray[np.uint8]) -> pa.Array:
        if column.descriptor:
            return self._read_heap(column, rows)
        cells = column.slice(rows)
        if column.code == "A":
            flat = decode_text(cells.reshape(-1, column.width)) if column.n_bytes else None
        elif column.code == "X":
            bits = np.unpackbits(cells, axis=1)[:, : math.prod(column.shape)]
            flat = pa.array(bits.reshape(-1).astype(bool))
        else:
            flat = _decode(column, cells.reshape(-1).view(_DTYPES[column.code]))
        if flat is None:
            n_texts = len(rows) * math.prod(column.shape)
            flat = pa.array([""] * n_texts, pa.string())
        return _nest(flat, column.shape, len(rows))

    def _read_heap(self, column: BinaryColumn, rows: NDArray[np.uint8]) -> pa.Array:
        """Return the variable-length arrays that the rows point to."""
        dtype = np.dtype(">i4" if column.descriptor == "P" else ">i8")
        counts, offsets = column.slice(rows).view(dtype).astype(np.int64).T
        size = _DTYPES[column.code].itemsize
        inside = (counts >= 0) & (offsets >= 0) & (offsets + counts * size <= self.heap_bytes)
        if not np.all(inside | (counts == 0)):
            msg = f"Column `{column.name}` of `{self.data}` points outside the heap of its table."
            raise SourceError(msg)
        pieces = [np.empty(0, np.uint8)]
        if counts.any():
            heap = np.memmap(self.data, np.uint8, "r", self.heap_start, (self.heap_bytes,))
            spans = zip(offsets.tolist(), (offsets + counts * size).tolist(), strict=True)
            pieces += [heap[first:last] for first, last in spans]
        if column.code == "A":
            return decode_text([piece.tobytes() for piece in pieces[1:]] or [b""] * len(rows))
        flat = _decode(column, np.concatenate(pieces).view(_DTYPES[column.code]))
        bounds = np.concatenate(([0], np.cumsum(counts)))
        if bounds[-1] >= 2**31:
            msg = f"Column `{column.name}` of `{self.data}` holds arrays too long to be read."
            raise SourceError(msg)
        return pa.ListArray.from_arrays(pa.array(bounds.astype(np.int32)), flat)


def plan_binary_table(header: Header, *, data: Path, start: int, name: str) -> BinaryLayout:
    """Return the layout of a binary table from its header.

    Parameters
    ----------
    header
        Header of the HDU.
    data
        The file, not packed.
    start
        First byte of the first row.
    name
        The file as the user knows it, for messages.

    Raises
    ------
    SourceError
        If the file is cut short, or its header contradicts itself.
    SchemaError
        If a column holds what a table cannot (complex numbers), or the table is compressed.
    """
    if header.get("ZTABLE", False):
        msg = f"`{name}` holds a compressed FITS table, which is not read. Unpack it by `funpack`."
        raise SchemaError(msg)
    validate_size(header, data=data, start=start, name=name)
    columns: list[BinaryColumn] = []
    offset = 0
    for position in range(1, header["TFIELDS"] + 1):
        column = _plan_column(header, position, offset, name)
        offset += column.n_bytes
        columns.append(column)
    if offset != header["NAXIS1"]:
        msg = f"`{name}` says its rows have {header['NAXIS1']} bytes, its columns have {offset}."
        raise SourceError(msg)
    heap = header.get("THEAP", header["NAXIS1"] * header["NAXIS2"])
    used = header["NAXIS1"] * header["NAXIS2"] + header.get("PCOUNT", 0)
    return BinaryLayout(
        data=str(data),
        start=start,
        n_rows=header["NAXIS2"],
        row_bytes=header["NAXIS1"],
        heap_bytes=max(used - heap, 0),
        columns=tuple(columns),
        heap_start=start + heap,
    )


def _plan_column(header: Header, position: int, offset: int, name: str) -> BinaryColumn:
    """Return place, form and type of one column."""
    title = str(header.get(f"TTYPE{position}", "")).strip() or f"col{position}"
    form = str(header.get(f"TFORM{position}", ""))
    match = _TFORM.fullmatch(form.strip())
    if match is None:
        msg = f"Column `{title}` of `{name}` has TFORM {form!r}, which is no format of FITS."
        raise SourceError(msg)
    repeat = int(match[1] or 1)
    code, descriptor = match[2], ""
    if code in "PQ":
        descriptor, code = code, match[3][:1]
    if code not in _DTYPES or (descriptor and code == "X"):
        kind = {"C": "complex numbers", "M": "complex numbers"}.get(code, f"TFORM {form!r}")
        msg = f"Column `{title}` of `{name}` holds {kind}, which a table cannot hold."
        raise SchemaError(msg)
    scale, zero = read_scaling(header, position, column=title, name=name)
    null = header.get(f"TNULL{position}") if code in "BIJK" else None
    if descriptor and null is None:
        null = header.get(f"{ELEMENT_NULL}{position}")
    element = _element_type(code, scale, zero)
    shape, width = _read_shape(header.get(f"TDIM{position}"), code, repeat, match[3])
    arrow_type = element
    for _ in [0] if descriptor and code != "A" else () if descriptor else shape:
        arrow_type = pa.list_(arrow_type)
    return BinaryColumn(
        name=title,
        position=position,
        offset=offset,
        n_bytes=_count_bytes(descriptor or code, repeat),
        code=code,
        arrow_type=arrow_type,
        scale=scale,
        zero=zero,
        shape=shape,
        width=width,
        descriptor=descriptor,
        null=null if isinstance(null, int) else None,
        element_type=element,
    )


def _count_bytes(code: str, repeat: int) -> int:
    """Return the bytes of a column in a row."""
    if code == "X":
        return (repeat + 7) // 8
    return repeat * ({"P": 8, "Q": 16}.get(code) or _DTYPES[code].itemsize)


def _read_shape(
    dimensions: str | None, code: str, repeat: int, rest: str
) -> tuple[tuple[int, ...], int]:
    """Return the shape of a cell, outermost first, and the bytes of one string."""
    if dimensions is not None and re.fullmatch(r"\s*\(\s*\d+\s*(,\s*\d+\s*)*\)\s*", dimensions):
        lengths = tuple(int(length) for length in re.findall(r"\d+", dimensions))
        # A TDIM that contradicts TFORM is ignored, as astropy and CFITSIO do.
        if math.prod(lengths) == repeat:
            return (lengths[:0:-1], lengths[0]) if code == "A" else (lengths[::-1], 1)
    if code == "A":
        width = int(rest) if rest.isdigit() and int(rest) else repeat
        return ((repeat // width,), width) if width and width < repeat else ((), repeat)
    return (() if repeat == 1 else (repeat,)), 1


def _element_type(code: str, scale: float, zero: float) -> pa.DataType:
    """Return the table type of one element, after scaling."""
    if code not in "BIJKED" or (scale == 1 and zero == 0):
        return _PLAIN[code]
    if code in "ED" or scale != 1 or not isinstance(zero, int):
        return pa.float64()
    return _OFFSET.get((code, zero), pa.int64())


def _decode(column: BinaryColumn, stored: NDArray[np.generic]) -> pa.Array:
    """Return numbers or booleans as stored, shape (k,), in the type of the table.

    TNULL (integers), NaN (floats) and a zero byte (booleans) become null.
    """
    native = stored.astype(stored.dtype.newbyteorder("="))
    if column.code in "LX":
        return pa.array(native == ord("T"), mask=native == 0)
    if column.code in "ED":
        values = native if column.element_type != pa.float64() else native.astype(np.float64)
        return pa.array(_scale(values, column), mask=np.isnan(values))
    mask = None if column.null is None else native == column.null
    if column.element_type == UNSIGNED_64:
        unsigned = native.view(np.uint64) ^ np.uint64(2**63)
        return pa.array(unsigned, mask=mask).cast(UNSIGNED_64)
    if column.element_type == pa.float64():
        return pa.array(_scale(native.astype(np.float64), column), mask=mask)
    values = pa.array(native.astype(np.int64), mask=mask)
    if column.zero:
        try:
            values = pc.add_checked(values, pa.scalar(int(column.zero), pa.int64()))
        except pa.ArrowInvalid as error:
            msg = f"Column `{column.name}` has values that overflow 64 bits by their TZERO."
            raise SourceError(msg) from error
    return values.cast(column.element_type)


def _scale(values: NDArray[np.floating], column: BinaryColumn) -> NDArray[np.floating]:
    """Return ``TSCAL * values + TZERO`` (FITS 4.0, equation 7)."""
    if column.scale == 1 and column.zero == 0:
        return values
    return values * column.scale + column.zero


def _nest(flat: pa.Array, shape: tuple[int, ...], n_rows: int) -> pa.Array:
    """Return ``flat`` as ``n_rows`` lists of the given lengths, outermost first."""
    for depth in reversed(range(len(shape))):
        n_lists = n_rows * math.prod(shape[:depth])
        offsets = pa.array(np.arange(n_lists + 1, dtype=np.int32) * np.int32(shape[depth]))
        flat = pa.ListArray.from_arrays(offsets, flat)
    return flat
