"""Sentinels: values by which a source says that there is no value."""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from ubspark.errors import ParameterError, SchemaError

__all__ = ["NullRules"]


@dataclass(frozen=True)
class NullRules:
    """Which values become null, in all number columns or in one column.

    A float column is compared in its own type: the float32 nearest to 99.99 matches the
    sentinel 99.99. Numbers inside lists are treated alike, element by element.
    """

    #: Numbers, as text, that are null in every number column.
    values: tuple[str, ...] = ()
    #: Numbers or text that are null in the column of that name only.
    by_column: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, rules: Iterable[str]) -> "NullRules":
        """Read rules written ``-999`` (every number column) or ``psfMag=99.99`` (one column).

        Raises
        ------
        ParameterError
            If a rule for every column is not a number, or a rule names no column.
        """
        values: list[str] = []
        by_column: dict[str, tuple[str, ...]] = {}
        for rule in rules:
            name, equals, value = rule.rpartition("=")
            name, value = name.strip(), value.strip()
            if not equals and _to_decimal(value) is None:
                msg = (
                    f"`null` must be a number or `column=value`, got {rule!r}. "
                    "Text is null in named columns only."
                )
                raise ParameterError(msg)
            if equals and not name:
                msg = f"`null` must be a number or `column=value`, got {rule!r}."
                raise ParameterError(msg)
            if equals:
                by_column[name] = (*by_column.get(name, ()), value)
            else:
                values.append(value)
        return cls(tuple(values), by_column)

    def renamed(self, names: Mapping[str, str]) -> "NullRules":
        """Return the rules with columns called as in ``names`` (old to new)."""
        by_column: dict[str, tuple[str, ...]] = {}
        for name, values in self.by_column.items():
            new = names.get(name, name)
            by_column[new] = (*by_column.get(new, ()), *values)
        return NullRules(self.values, by_column)

    def validate(self, types: Mapping[str, pa.DataType]) -> None:
        """Check the rules against the columns of a source, before Spark.

        Raises
        ------
        SchemaError
            If a rule names a column that is not in ``types``.
        ParameterError
            If a rule gives a number column something that is not a number.
        """
        for value in self.values:
            if _to_decimal(value) is None:
                msg = f"`null` must be a number or `column=value`, got {value!r}."
                raise ParameterError(msg)
        for name, values in self.by_column.items():
            if name not in types:
                raise SchemaError(_describe_unknown(name, list(types)))
            for value in values:
                if _is_number(types[name]) and _to_decimal(value) is None:
                    msg = f"`null` for the number column `{name}` must be a number, got {value!r}."
                    raise ParameterError(msg)

    def apply(self, rows: DataFrame) -> DataFrame:
        """Return ``rows`` with sentinels as null; columns, names and order stay. No shuffle."""
        if not self.values and not self.by_column:
            return rows
        return rows.select(*(self._clean(column) for column in rows.schema.fields))

    def _clean(self, column: T.StructField) -> Column:
        """Return the expression of one column without its sentinels."""
        value = F.col(f"`{column.name}`")
        own = self.by_column.get(column.name, ())
        if isinstance(column.dataType, T.ArrayType):
            element = column.dataType.elementType
            texts = self._texts(element, own)
            if not texts or isinstance(element, T.ArrayType):
                return value
            return F.transform(value, lambda item: _nullify(item, element, texts)).alias(
                column.name
            )
        texts = self._texts(column.dataType, own)
        return _nullify(value, column.dataType, texts).alias(column.name)

    def _texts(self, data_type: T.DataType, own: tuple[str, ...]) -> tuple[str, ...]:
        """Return the sentinels that count for values of one type."""
        return (*self.values, *own) if isinstance(data_type, T.NumericType) else own


def _nullify(value: Column, data_type: T.DataType, texts: tuple[str, ...]) -> Column:
    """Return ``value``, null where it equals one of ``texts`` in its own type."""
    tests = [test for text in texts if (test := _equals(value, data_type, text)) is not None]
    if not tests:
        return value
    is_null = tests[0]
    for test in tests[1:]:
        is_null = is_null | test
    return F.when(~F.coalesce(is_null, F.lit(False)), value)


def _equals(value: Column, data_type: T.DataType, text: str) -> Column | None:
    """Return the test ``value == text``, None where the type cannot hold that value."""
    if isinstance(data_type, T.StringType):
        return value == F.lit(text)
    if not isinstance(data_type, T.NumericType):
        return None
    if isinstance(data_type, T.FractionalType) and not isinstance(data_type, T.DecimalType):
        # Parsed by Spark in the column's own type: by way of a double, a float would round twice.
        number = float(text)
        exact = F.lit("NaN" if math.isnan(number) else text).cast(data_type)
        return F.isnan(value) if math.isnan(number) else value == exact
    number_exact = _to_decimal(text)
    if number_exact is None or not number_exact.is_finite():
        return None
    if isinstance(data_type, T.DecimalType):
        return value == F.lit(number_exact) if len(number_exact.as_tuple().digits) <= 38 else None
    if number_exact != number_exact.to_integral_value() or abs(number_exact) >= 2**63:
        return None
    return value == F.lit(int(number_exact)).cast("bigint")


def _to_decimal(text: str) -> Decimal | None:
    """Return a number written as text, None if it is not one."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _is_number(arrow_type: pa.DataType) -> bool:
    """Tell whether a column, or the elements of its lists, are numbers."""
    while pa.types.is_list(arrow_type):
        arrow_type = arrow_type.value_type
    return bool(
        pa.types.is_integer(arrow_type)
        or pa.types.is_floating(arrow_type)
        or pa.types.is_decimal(arrow_type)
    )


def _describe_unknown(name: str, available: list[str]) -> str:
    """Return the message for a rule on a column that is not there."""
    near = difflib.get_close_matches(name, available, n=1)
    hint = f" Did you mean `{near[0]}`?" if near else f" Available columns: {', '.join(available)}."
    return f"`null` names column `{name}`, which the source does not have.{hint}"
