"""Row filters: a documented subset of SQL, parsed once.

``where`` knows comparisons, ``and``, ``or``, ``not``, ``in``, ``between``, ``is null``, arithmetic
and parentheses over the columns of one table. A comparison with NaN or null is false.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from sqlglot import exp

from ubspark.catalogs.schema import TableSchema
from ubspark.errors import ParameterError

__all__ = ["parse_where"]

_BINARY: Mapping[type[exp.Expression], Callable[[Any, Any], Any]] = {
    exp.EQ: lambda a, b: a == b,
    exp.NEQ: lambda a, b: a != b,
    exp.LT: lambda a, b: a < b,
    exp.LTE: lambda a, b: a <= b,
    exp.GT: lambda a, b: a > b,
    exp.GTE: lambda a, b: a >= b,
    exp.And: lambda a, b: a & b,
    exp.Or: lambda a, b: a | b,
    exp.Add: lambda a, b: a + b,
    exp.Sub: lambda a, b: a - b,
    exp.Mul: lambda a, b: a * b,
    exp.Div: lambda a, b: a.cast(pa.float64()) / b,
}


def parse_where(text: str, schema: TableSchema, *, table: str) -> pc.Expression:
    """Turn a condition into an Arrow expression.

    Parameters
    ----------
    text
        Such as ``phot_g_mean_mag < 18 and (ra between 10 and 20 or dec > 0)``.
    schema
        The columns that the condition may name; letter case does not matter.

    Raises
    ------
    ParameterError
        If it is not in the subset.
    SchemaError
        If it names a column that is not there.
    """
    try:
        tree = sqlglot.parse_one(text, dialect="spark", into=exp.Condition)
    except (sqlglot.errors.SqlglotError, ValueError) as error:
        first = str(error).splitlines()[0].split(". Line")[0]
        msg = f"`where` must be a condition such as `mag < 18`, got {text!r}: {first}."
        raise ParameterError(msg) from error
    names = {name.lower(): name for name in schema.names}
    asked = [column.name for column in tree.find_all(exp.Column)]
    schema.validate_columns([names.get(n.lower(), n) for n in asked], table=table)
    if not isinstance(tree, exp.Predicate | exp.Connector | exp.Not | exp.Paren):
        msg = f"`where` must be a condition such as `mag < 18`, got {text!r}."
        raise ParameterError(msg)
    return _convert(tree, names, text)


def _convert(node: Any, names: dict[str, str], text: str) -> Any:
    def convert(part: Any) -> Any:
        return _convert(part, names, text)

    kind = type(node)
    if kind in _BINARY:
        return _BINARY[kind](convert(node.this), convert(node.args["expression"]))
    if isinstance(node, exp.Paren):
        return convert(node.this)
    if isinstance(node, exp.Not):
        return ~convert(node.this)
    if isinstance(node, exp.Neg):
        return pc.negate(convert(node.this))
    if isinstance(node, exp.Column):
        return pc.field(names[node.name.lower()])
    if isinstance(node, exp.Literal | exp.Boolean):
        return pc.scalar(_read_literal(node))
    if isinstance(node, exp.Between):
        value = convert(node.this)
        return (value >= convert(node.args["low"])) & (value <= convert(node.args["high"]))
    if isinstance(node, exp.In) and node.expressions:
        return convert(node.this).isin([_read_value(e) for e in node.expressions])
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        return convert(node.this).is_null()
    msg = (
        f"`where` knows comparisons, and, or, not, in, between, is null and arithmetic; "
        f"`{node.sql()}` in {text!r} is none of these."
    )
    raise ParameterError(msg)


def _read_value(node: exp.Expression) -> Any:
    if isinstance(node, exp.Neg):
        return -_read_value(node.this)
    return _read_literal(node)


def _read_literal(node: exp.Expression) -> Any:
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if node.args.get("is_string"):
        return node.this
    number = str(node.this)
    return int(number) if number.isdigit() else float(number)
