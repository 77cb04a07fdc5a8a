"""Row filters: a documented subset of SQL, parsed once.

``where`` knows comparisons, ``and``, ``or``, ``not``, ``in``, ``between``, ``is null``, arithmetic
and parentheses over the columns of one table, with numbers, text, ``true`` and ``false``; dates and
times are compared with text such as ``'2026-01-31'``. Letter case of names does not matter; odd
names stand in backquotes.

A comparison with null is unknown, as in SQL: neither it nor its ``not`` keeps a row. A comparison
with NaN is false, ``!=`` too, and its ``not`` is true. A division is one of float64 and gives inf
or NaN by zero, which has no sign here. Beside a float32 column a number is taken as float32; whole
numbers are compared exactly, and as float64 with fractions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from sqlglot import exp

from ubspark.catalogs.conditions import (
    Arithmetic,
    Comparison,
    IsNull,
    Joined,
    Member,
    Minus,
    Name,
    Node,
    Not,
    Value,
    walk,
)
from ubspark.catalogs.schema import TableSchema
from ubspark.errors import ParameterError

if TYPE_CHECKING:
    from pyspark.sql import Column

__all__ = ["Condition", "columns_of", "parse_condition", "parse_where", "to_spark"]

#: A part of sqlglot's tree; the names of its base classes change between versions.
_Node = Any

_COMPARISONS: Mapping[type, Any] = {
    exp.EQ: "=",
    exp.NEQ: "!=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_ARITHMETIC: Mapping[type, Any] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/"}
_SWAPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}
#: Arrow binds and simplifies a condition by recursion, and dies of a very deep one.
_MAX_PARTS = 1000
_BIGGEST = 2**63 - 1
_MAX_SHOWN = 200
_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Condition:
    """A condition on the rows of a table; ``str`` gives its canonical text."""

    root: Node

    def to_arrow(self) -> pc.Expression:
        """Return the Arrow expression."""
        return self.root.to_arrow()

    def find_bounds(self) -> dict[str, tuple[float, float]]:
        """Return ranges, both ends inclusive, outside of which no row meets the condition.

        By column name, of the numbers that the condition compares with columns themselves. Ends
        are floats where the comparison is one of floats.
        """
        found: dict[str, tuple[float, float]] = {}
        for part in _split(self.root):
            for name, low, high in _find_bound(part):
                before = found.get(name, (-np.inf, np.inf))
                found[name] = max(before[0], low), min(before[1], high)
        return found

    def __str__(self) -> str:
        """Return the text that `parse_condition` reads."""
        return str(self.root)


def parse_condition(text: str, schema: TableSchema, *, table: str) -> Condition:
    """Read a condition and check it against the columns of a table.

    Parameters
    ----------
    text
        Such as ``phot_g_mean_mag < 18 and (ra between 10 and 20 or dec > 0)``.
    schema
        The columns that the condition may name; letter case does not matter.

    Raises
    ------
    ParameterError
        If it is not in the subset, or compares what cannot be compared.
    SchemaError
        If it names a column that is not there.
    """
    shown = text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
    must = f"`where` must be a condition such as `mag < 18`, got {shown!r}."
    try:
        tree = sqlglot.parse_one(text, dialect="spark", into=exp.Condition)
    except (sqlglot.errors.SqlglotError, ValueError, RecursionError) as error:
        raise ParameterError(must) from error
    if sum(1 for _ in tree.find_all(exp.Predicate)) > _MAX_PARTS:
        msg = f"`where` must not have more than {_MAX_PARTS} comparisons; use `in` for a list."
        raise ParameterError(msg)
    root = _Reader(schema, table, shown).read(tree)
    if root.type != pa.bool_() or isinstance(root, Value):
        raise ParameterError(must)
    condition = Condition(root)
    try:
        schema.to_arrow().empty_table().filter(condition.to_arrow())
    except (pa.ArrowException, OverflowError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        msg = f"`where` cannot be computed for table `{table}`, got {shown!r}: {reason}."
        raise ParameterError(msg) from error
    return condition


def parse_where(text: str, schema: TableSchema, *, table: str) -> pc.Expression:
    """Turn a condition into an Arrow expression; see `parse_condition`."""
    return parse_condition(text, schema, table=table).to_arrow()


def to_spark(condition: Condition) -> "Column":
    """Turn a condition into a Spark column that keeps the very rows of the Arrow expression."""
    return condition.root.to_spark()


def columns_of(condition: Condition) -> tuple[str, ...]:
    """Return the names of the columns that a condition reads, in its order."""
    names = (part.name for part in walk(condition.root) if isinstance(part, Name))
    return tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class _Reader:
    """From a tree of SQL to the parts of a condition.

    Attributes
    ----------
    text
        The condition, for messages.
    """

    schema: TableSchema
    table: str
    text: str

    def read(self, node: _Node) -> Node:
        """Return a node as a part."""
        kind = type(node)
        if kind in _COMPARISONS:
            return self._compare(_COMPARISONS[kind], self.read(node.left), self.read(node.right))
        if kind in _ARITHMETIC:
            return self._compute(_ARITHMETIC[kind], node)
        if isinstance(node, exp.And | exp.Or):
            parts = tuple(self._read_condition(part) for part in node.flatten(unnest=False))
            return Joined("and" if isinstance(node, exp.And) else "or", parts)
        if isinstance(node, exp.Paren):
            return self.read(node.this)
        if isinstance(node, exp.Not):
            return Not(self._read_condition(node.this))
        if isinstance(node, exp.Neg):
            return self._negate(node)
        if isinstance(node, exp.Column) and not node.table:
            return self._find_column(node.name)
        if isinstance(node, exp.Literal | exp.Boolean):
            return self._read_literal(node)
        if isinstance(node, exp.Between) and not node.args.get("symmetric"):
            value, low, high = (self.read(node.args[key]) for key in ("this", "low", "high"))
            ends = self._compare(">=", value, low), self._compare("<=", value, high)
            return Joined("and", ends)
        if isinstance(node, exp.In) and node.expressions:
            return self._find_in(node)
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            return IsNull(self.read(node.this))
        return self._refuse(node)

    def _read_condition(self, node: _Node) -> Node:
        part = self.read(node)
        return part if part.type == pa.bool_() else self._refuse(node)

    def _find_column(self, name: str) -> Node:
        alike = [own for own in self.schema.names if own.lower() == name.lower()]
        found = name if name in alike or len(alike) != 1 else alike[0]
        self.schema.validate_columns([found], table=self.table)
        return Name(found, self.schema[found].type)

    def _compare(self, operator: Any, left: Node, right: Node) -> Node:
        common = _find_common(left.type, right.type)
        if common is None:
            reason = f"{left} ({left.type}) and {right} ({right.type})"
            raise self._cannot(reason)
        if common == pa.float64() and _is_narrow(left, right):
            common = pa.float32()
        left, right = (self._to_time(side, common) for side in (left, right))
        return Comparison(operator, left, right, common)

    def _compute(self, operator: Any, node: _Node) -> Node:
        left, right = self.read(node.left), self.read(node.right)
        if not (_is_number(left.type) and _is_number(right.type)):
            reason = f"{left} {operator} {right} ({left.type}, {right.type})"
            raise self._cannot(reason)
        whole = operator != "/" and all(pa.types.is_integer(s.type) for s in (left, right))
        return Arithmetic(operator, left, right, pa.int64() if whole else pa.float64())

    def _negate(self, node: _Node) -> Node:
        value = self.read(node.this)
        if not _is_number(value.type):
            reason = f"-{value} ({value.type})"
            raise self._cannot(reason)
        if isinstance(value, Value):
            return Value(-value.value, value.type)
        return Minus(value, pa.int64() if pa.types.is_integer(value.type) else pa.float64())

    def _find_in(self, node: _Node) -> Node:
        value = self.read(node.this)
        items = [self.read(item) for item in node.expressions]
        if not all(isinstance(item, Value) for item in items):
            return self._refuse(node)
        sides = [self._compare("=", value, item) for item in items]
        kinds = {side.common for side in sides if isinstance(side, Comparison)}
        common = pa.float64() if kinds == {pa.int64(), pa.float64()} else kinds.pop()
        if kinds - {common, pa.int64()} or common not in _HASHED:
            return Joined("or", tuple(sides)) if len(sides) > 1 else sides[0]
        return Member(value, tuple(item.value for item in items if isinstance(item, Value)), common)

    def _to_time(self, side: Node, common: pa.DataType) -> Node:
        """Return text beside a date or time as such."""
        if common not in (pa.date32(), _TIME) or not isinstance(side, Value):
            return side
        try:
            if common == pa.date32():
                return Value(date.fromisoformat(side.value), common)
            moment = datetime.fromisoformat(side.value)
        except ValueError as error:
            reason = f"{side} is no date such as '2026-01-31'"
            raise self._cannot(reason) from error
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return Value(zoned.astimezone(UTC), common)

    def _read_literal(self, node: _Node) -> Node:
        if isinstance(node, exp.Boolean):
            return Value(bool(node.this), pa.bool_())
        if node.args.get("is_string"):
            return Value(node.this, pa.string())
        number = str(node.this)
        if not number.isdigit():
            return Value(float(number), pa.float64())
        if int(number) <= _BIGGEST:
            return Value(int(number), pa.int64())
        if len(number) > 38:
            reason = f"{number} is too large"
            raise self._cannot(reason)
        return Value(Decimal(number), pa.decimal128(38, 0))

    def _cannot(self, reason: str) -> ParameterError:
        msg = f"`where` cannot be computed for table `{self.table}`, got {self.text!r}: {reason}."
        return ParameterError(msg)

    def _refuse(self, node: _Node) -> Node:
        msg = (
            f"`where` knows comparisons, and, or, not, in, between, is null and arithmetic; "
            f"`{node.sql(dialect='spark')}` in {self.text!r} is none of these."
        )
        raise ParameterError(msg)


_HASHED = (pa.int64(), pa.float32(), pa.float64(), pa.string())


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _find_common(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """Return the type in which two others are compared, or None."""
    kinds = (left, right)
    if all(map(_is_number, kinds)):
        if any(map(pa.types.is_floating, kinds)):
            return pa.float64()
        if any(map(pa.types.is_decimal, kinds)):
            return pa.decimal128(38, max(getattr(kind, "scale", 0) for kind in kinds))
        return pa.int64()
    if all(map(_is_text, kinds)):
        return pa.string()
    if left == right == pa.bool_():
        return pa.bool_()
    for matches, common in ((pa.types.is_date, pa.date32()), (pa.types.is_timestamp, _TIME)):
        if any(map(matches, kinds)) and all(matches(kind) or _is_text(kind) for kind in kinds):
            return common
    return None


def _is_narrow(left: Node, right: Node) -> bool:
    """Whether floats of 32 bits or less meet only their like and literals."""
    sides = (left, right)
    wide = any(not isinstance(s, Value) and s.type in _WIDE for s in sides)
    floats = any(pa.types.is_floating(s.type) and not isinstance(s, Value) for s in sides)
    whole = any(not isinstance(s, Value) and not pa.types.is_floating(s.type) for s in sides)
    return floats and not wide and not whole


_WIDE = (pa.float64(),)


def _split(node: Node) -> Sequence[Node]:
    """Return the parts that all must hold."""
    if isinstance(node, Joined) and node.operator == "and":
        return [part for of in node.of for part in _split(of)]
    return [node]


def _find_bound(part: Node) -> list[tuple[str, float, float]]:
    """Return the column, lowest and highest value of the rows that may meet a comparison."""
    if isinstance(part, Member) and isinstance(part.of, Name) and part.common in _NUMBERS:
        keys = [_to_number(key, part.common) for key in part.values]
        return [(part.of.name, min(keys), max(keys))]
    if not isinstance(part, Comparison) or part.common not in _NUMBERS or part.operator == "!=":
        return []
    left, right, operator = part.left, part.right, str(part.operator)
    if isinstance(left, Value):
        left, right, operator = right, left, _SWAPPED[operator]
    if not isinstance(left, Name) or not isinstance(right, Value):
        return []
    value = _to_number(right.value, part.common)
    low = value if operator in ("=", ">", ">=") else -np.inf
    return [(left.name, low, value if operator in ("=", "<", "<=") else np.inf)]


_NUMBERS = (pa.int64(), pa.float32(), pa.float64())


def _to_number(value: Any, kind: pa.DataType) -> float:
    if kind == pa.int64():
        return int(value)
    return float(np.float32(value)) if kind == pa.float32() else float(value)
