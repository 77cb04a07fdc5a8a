"""The narrowest type that holds all values of a text column, and text to that type."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ubspark.errors import SourceError

__all__ = ["Evidence", "convert_text"]

#: What means "no value" in a column of numbers or booleans; text columns keep the words.
NULL_WORDS = pa.array(["", "null", "NULL", "NaN", "nan", "NAN"])
# An id like 007 is no number; Arrow would also take 0x10 for one.
_NO_NUMBER = r"^[+-]?0(?:[0-9]+|[xX].*)$"
_INTEGER = r"^[+-]?[0-9]+$"
_EXACT_DIGITS = 15
# Arrow reads a whole array before it says that a cast failed: a few values tell it sooner.
_PROBE_ROWS = 64


@dataclass
class Evidence:
    """What the values of one column have been so far; pieces may come in any order."""

    is_text: bool = False
    has_bool: bool = False
    has_int: bool = False
    has_float: bool = False
    #: Digits of the longest integer beyond 64 bits, 0 if there is none.
    big_digits: int = 0
    #: True if a double cannot hold an integer of this column.
    is_inexact: bool = False

    def add(self, texts: pa.Array) -> None:
        """Take in the values of one piece."""
        if self.is_text:
            return
        values = _clean(texts).drop_null()
        if len(values) == 0:
            return
        if pc.any(pc.match_substring_regex(values, _NO_NUMBER)).as_py() or not (
            self._add_integers(values) or self._add_floats(values) or self._add_booleans(values)
        ):
            self.is_text = True

    @property
    def type(self) -> pa.DataType:
        """The narrowest type for all values; text where numbers would lose digits."""
        is_number = self.has_int or self.has_float or self.big_digits > 0
        if self.is_text or (self.has_bool and is_number):
            return pa.string()
        if self.has_bool:
            return pa.bool_()
        if self.has_float:
            return pa.string() if self.is_inexact else pa.float64()
        if self.big_digits:
            return pa.decimal128(38, 0) if self.big_digits <= 38 else pa.string()
        return pa.int64() if self.has_int else pa.string()

    @property
    def is_empty(self) -> bool:
        """True if the column has had no value."""
        return not (
            self.is_text or self.has_bool or self.has_int or self.has_float or self.big_digits
        )

    def _add_integers(self, values: pa.Array) -> bool:
        """Take in values that are all 64-bit integers; False if they are not."""
        try:
            _to_integers(values[:_PROBE_ROWS])
            numbers = _to_integers(values).to_numpy()
        except pa.ArrowInvalid:
            return False
        self.has_int = True
        if not self.is_inexact:
            floats = numbers.astype(np.float64)
            inside = np.abs(floats) < 2.0**63
            back = np.where(inside, floats, 0).astype(np.int64)
            self.is_inexact = bool(np.any(~inside | (back != numbers)))
        return True

    def _add_floats(self, values: pa.Array) -> bool:
        """Take in values that are all numbers; False if they are not."""
        try:
            values[:_PROBE_ROWS].cast(pa.float64())
            values.cast(pa.float64())
        except pa.ArrowInvalid:
            return False
        is_integer = pc.match_substring_regex(values, _INTEGER)
        if pc.all(is_integer).as_py():
            self.big_digits = max(self.big_digits, pc.max(pc.utf8_length(values)).as_py())
            self.is_inexact = True
            return True
        self.has_float = True
        is_long = pc.greater(pc.utf8_length(values), _EXACT_DIGITS)
        long = values.filter(pc.and_(is_integer, is_long)).to_pylist()
        self.is_inexact = self.is_inexact or any(int(text) != float(text) for text in long)
        return True

    def _add_booleans(self, values: pa.Array) -> bool:
        """Take in values that are all true or false; False if they are not."""
        is_bool = pc.is_in(pc.utf8_lower(values), value_set=pa.array(["true", "false"]))
        if not pc.all(is_bool).as_py():
            return False
        self.has_bool = True
        return True


def convert_text(texts: pa.Array, arrow_type: pa.DataType, *, column: str, name: str) -> pa.Array:
    """Return text in a type; in numbers and booleans the words for "no value" become null.

    Floats are the double nearest to the text, then rounded to float32 if that is the type.

    Raises
    ------
    SourceError
        If a value cannot have that type.
    """
    if arrow_type == pa.string():
        return texts
    values = _clean(texts)
    try:
        return _cast(values, arrow_type)
    except pa.ArrowInvalid as error:
        bad = next(value for value in values.to_pylist() if not _fits(value, arrow_type))
        msg = f"Column `{column}` of `{name}` holds {bad!r}, which is not {arrow_type}."
        raise SourceError(msg) from error


def _cast(values: pa.Array, arrow_type: pa.DataType) -> pa.Array:
    """Return cleaned text in a type other than text; `pa.ArrowInvalid` if it does not fit."""
    if pa.types.is_boolean(arrow_type):
        lower = pc.utf8_lower(values)
        if not pc.all(pc.is_in(lower.drop_null(), value_set=pa.array(["true", "false"]))).as_py():
            raise pa.ArrowInvalid
        return pc.equal(lower, "true")
    if pa.types.is_floating(arrow_type):
        numbers = values.cast(pa.float64())
        return pc.if_else(pc.is_nan(numbers), None, numbers).cast(arrow_type)
    if pc.any(pc.match_substring_regex(values, "[xX]")).as_py():
        raise pa.ArrowInvalid
    if pa.types.is_decimal(arrow_type):
        return values.cast(arrow_type)
    return _to_integers(values).cast(arrow_type)


def _fits(value: str | None, arrow_type: pa.DataType) -> bool:
    """Tell whether one value can have a type."""
    try:
        _cast(pa.array([value], pa.string()), arrow_type)
    except pa.ArrowInvalid:
        return False
    return True


def _clean(texts: pa.Array) -> pa.Array:
    """Return texts without outer blanks, the words for "no value" as null."""
    trimmed = pc.ascii_trim_whitespace(texts)
    return pc.if_else(pc.is_in(trimmed, value_set=NULL_WORDS), None, trimmed)


def _to_integers(values: pa.Array) -> pa.Array:
    """Return texts as 64-bit integers; a plus sign, which Arrow does not take, is allowed."""
    try:
        return values.cast(pa.int64())
    except pa.ArrowInvalid:
        if not pc.any(pc.starts_with(values, "+")).as_py():
            raise
    return pc.replace_substring_regex(values, r"^\+([0-9])", r"\1").cast(pa.int64())
