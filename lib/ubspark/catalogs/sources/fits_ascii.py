"""ASCII tables of FITS 4.0 (section 7.2): their columns, and text to Arrow arrays."""

import re
from dataclasses import dataclass
from pathlib import Path

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
from ubspark.errors import SourceError

__all__ = ["AsciiColumn", "AsciiLayout", "plan_ascii_table"]

_TFORM = re.compile(r"([AIFED])(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class AsciiColumn(ColumnLayout):
    """A column of an ASCII table."""

    #: Digits after an implied decimal point.
    decimals: int = 0
    #: Text of a null, without outer blanks.
    null: str | None = None


@dataclass(frozen=True)
class AsciiLayout(TableLayout):
    """An ASCII table: rows of fixed width."""

    def _read_column(self, column: AsciiColumn, rows: NDArray[np.uint8]) -> pa.Array:
        texts = decode_text(column.slice(rows))
        if column.code == "A":
            return texts
        trimmed = pc.utf8_trim(texts, " ")
        # The standard reads a blank number as 0; catalogues write it for a value they lack.
        missing = pc.equal(trimmed, "")
        if column.null is not None:
            missing = pc.or_(missing, pc.equal(trimmed, column.null))
        try:
            return _to_numbers(column, pc.if_else(missing, None, trimmed))
        except pa.ArrowInvalid as error:
            msg = f"Column `{column.name}` of `{self.data}` holds text that is no 64-bit number."
            raise SourceError(msg) from error


def plan_ascii_table(header: Header, *, data: Path, start: int, name: str) -> AsciiLayout:
    """Return the layout of an ASCII table from its header; see `plan_binary_table`."""
    validate_size(header, data=data, start=start, name=name)
    columns = tuple(
        _plan_column(header, position, name) for position in range(1, header["TFIELDS"] + 1)
    )
    for column in columns:
        if column.offset < 0 or column.offset + column.n_bytes > header["NAXIS1"]:
            msg = f"Column `{column.name}` of `{name}` lies outside its row."
            raise SourceError(msg)
    return AsciiLayout(
        data=str(data),
        start=start,
        n_rows=header["NAXIS2"],
        row_bytes=header["NAXIS1"],
        heap_bytes=0,
        columns=columns,
    )


def _plan_column(header: Header, position: int, name: str) -> AsciiColumn:
    """Return place, form and type of one column."""
    title = str(header.get(f"TTYPE{position}", "")).strip() or f"col{position}"
    form = str(header.get(f"TFORM{position}", "")).strip()
    match = _TFORM.fullmatch(form)
    first = header.get(f"TBCOL{position}")
    if match is None or not isinstance(first, int):
        msg = f"Column `{title}` of `{name}` has TFORM {form!r}, TBCOL {first!r}: not FITS."
        raise SourceError(msg)
    scale, zero = read_scaling(header, position, column=title, name=name)
    is_scaled = scale != 1 or zero != 0
    plain = {"A": pa.string(), "I": pa.int64()}.get(match[1], pa.float64())
    null = header.get(f"TNULL{position}")
    return AsciiColumn(
        name=title,
        position=position,
        offset=first - 1,
        n_bytes=int(match[2]),
        code=match[1],
        arrow_type=pa.float64() if is_scaled and match[1] != "A" else plain,
        scale=scale,
        zero=zero,
        decimals=int(match[3] or 0),
        null=None if null is None else str(null).strip(),
    )


def _to_numbers(column: AsciiColumn, texts: pa.Array) -> pa.Array:
    """Return texts as numbers; null stays null, NaN becomes null."""
    if column.code == "I":
        unsigned = pc.replace_substring_regex(texts, r"^\+", "")
        values = unsigned.cast(pa.int64())
    else:
        values = pc.replace_substring_regex(texts, "[dD]", "E").cast(pa.float64())
        if column.decimals:
            # Section 7.2.2: without a point the last digits are the fraction.
            implied = pc.invert(pc.match_substring_regex(texts, "[.a-zA-Z]"))
            values = pc.if_else(implied, pc.divide(values, 10.0**column.decimals), values)
        values = pc.if_else(pc.is_nan(values), None, values)
    if column.arrow_type == pa.float64() and (column.scale != 1 or column.zero != 0):
        scaled = pc.multiply(values.cast(pa.float64()), float(column.scale))
        values = pc.add(scaled, float(column.zero))
    return values.cast(column.arrow_type)
