"""The parts of a condition: each can be an Arrow expression, a Spark column and canonical text.

A comparison with NaN is false in both, ``!=`` too, and its ``not`` is true. A comparison with null
is unknown in both, and so is its ``not``. Both sides of a comparison are cast to one type that is
chosen once, so that neither engine applies rules of its own.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from pyspark.sql import Column

__all__ = [
    "Arithmetic",
    "Comparison",
    "IsNull",
    "Joined",
    "Member",
    "Minus",
    "Name",
    "Node",
    "Not",
    "Value",
    "walk",
]

#: Names that stand in backquotes, for the parser takes them for its own.
_NOT_BARE = re.compile(
    "and|or|not|in|between|is|null|true|false|case|cast|date|timestamp|time|interval|exists|"
    "distinct|select|from|where|like|div",
    re.IGNORECASE,
)
_SPARK_TYPES = {
    pa.float32(): "float",
    pa.float64(): "double",
    pa.int64(): "bigint",
    pa.string(): "string",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.timestamp("us", tz="UTC"): "timestamp",
}


class Node(Protocol):
    """A part of a condition."""

    @property
    def type(self) -> pa.DataType:
        """The type of its values."""

    @property
    def parts(self) -> "Sequence[Node]":
        """The parts it is made of."""

    def to_arrow(self) -> Any:
        """Return it as an Arrow expression."""

    def to_spark(self) -> "Column":
        """Return it as a Spark column over a DataFrame with the columns of the table."""

    def __str__(self) -> str:
        """Return its canonical text."""


@dataclass(frozen=True)
class Name:
    """A column."""

    name: str
    type: pa.DataType

    parts: Sequence[Node] = ()

    def to_arrow(self) -> Any:
        """Return the field."""
        return pc.field(self.name)

    def to_spark(self) -> "Column":
        """Return the column, by its exact name."""
        column: Column = _functions().col("`" + self.name.replace("`", "``") + "`")
        return column

    def __str__(self) -> str:
        """Return the name, in backquotes where it needs them."""
        if re.fullmatch(r"[A-Za-z_]\w*", self.name) and not _NOT_BARE.fullmatch(self.name):
            return self.name
        return "`" + self.name.replace("`", "``") + "`"


@dataclass(frozen=True)
class Value:
    """A literal."""

    value: Any
    type: pa.DataType

    parts: Sequence[Node] = ()

    def to_arrow(self) -> Any:
        """Return the scalar."""
        return pc.scalar(pa.scalar(self.value, self.type))

    def to_spark(self) -> "Column":
        """Return the literal."""
        value = self.value if isinstance(self.value, bool | int | float) else str(self.value)
        literal: Column = _functions().lit(value).cast(_to_spark_type(self.type))
        return literal

    def __str__(self) -> str:
        """Return the literal as SQL."""
        if isinstance(self.value, bool):
            return str(self.value).lower()
        if isinstance(self.value, int | float | Decimal):
            return str(self.value)
        return "'" + str(self.value).replace("\\", "\\\\").replace("'", "\\'") + "'"


@dataclass(frozen=True)
class Arithmetic:
    """A sum, difference, product or result, in int64 or float64.

    A result is always one of float64, with inf or NaN by zero.
    """

    operator: Literal["+", "-", "*", "/"]
    left: Node
    right: Node
    type: pa.DataType

    @property
    def parts(self) -> Sequence[Node]:
        """Both sides."""
        return (self.left, self.right)

    def to_arrow(self) -> Any:
        """Return the expression; integers that overflow are an error, as in Spark."""
        a, b = (_cast_arrow(side, self.type) for side in self.parts)
        if self.operator == "/":
            # Not `a / b`, which raises where a row divides by zero; -0.0 + 0.0 is 0.0.
            return pc.divide(a, pc.add(b, 0.0))
        return _apply(self.operator, a, b)

    def to_spark(self) -> "Column":
        """Return the expression; division by zero goes its own way, for Spark raises."""
        a, b = (_cast_spark(side, self.type) for side in self.parts)
        functions = _functions()
        result: Column
        if self.operator == "/":
            by_zero = a * functions.lit(float("inf"))
            result = functions.when(b == 0.0, by_zero).otherwise(functions.try_divide(a, b))
        else:
            result = _apply(self.operator, a, b)
        return result

    def __str__(self) -> str:
        """Return the sides in parentheses where they are arithmetic themselves."""
        a, b = (f"({side})" if _is_made(side) else str(side) for side in self.parts)
        return f"{a} {self.operator} {b}"


@dataclass(frozen=True)
class Minus:
    """The negative of a number."""

    of: Node
    type: pa.DataType

    @property
    def parts(self) -> Sequence[Node]:
        """The number."""
        return (self.of,)

    def to_arrow(self) -> Any:
        """Return the expression."""
        return pc.negate_checked(_cast_arrow(self.of, self.type))

    def to_spark(self) -> "Column":
        """Return the expression."""
        return -_cast_spark(self.of, self.type)

    def __str__(self) -> str:
        """Return it with its sign."""
        return f"-({self.of})" if _is_made(self.of) else f"-{self.of}"


@dataclass(frozen=True)
class Comparison:
    """Two sides compared as values of one type."""

    operator: Literal["=", "!=", "<", "<=", ">", ">="]
    left: Node
    right: Node
    #: What both sides are cast to.
    common: pa.DataType

    type = pa.bool_()

    @property
    def parts(self) -> Sequence[Node]:
        """Both sides."""
        return (self.left, self.right)

    def to_arrow(self) -> Any:
        """Return the expression."""
        a, b = (_cast_arrow(side, self.common) for side in self.parts)
        if self.operator == "!=" and pa.types.is_floating(self.common):
            # NaN is neither below nor above.
            return (a < b) | (a > b)
        return _apply(self.operator, a, b)

    def to_spark(self) -> "Column":
        """Return the expression; Spark itself takes NaN for equal to NaN and above all numbers."""
        a, b = (_cast_spark(side, self.common) for side in self.parts)
        holds: Column = _apply(self.operator, a, b)
        if not pa.types.is_floating(self.common):
            return holds
        functions = _functions()
        pairs = zip((a, b), self.parts, strict=True)
        open_sides = [column for column, side in pairs if not isinstance(side, Value)]
        for column in open_sides:
            holds = holds & ~functions.isnan(column)
        if len(open_sides) < 2:
            return holds
        # NaN beside null is unknown, as in Arrow.
        known: Column = functions.when(a.isNotNull() & b.isNotNull(), holds)
        return known

    def __str__(self) -> str:
        """Return both sides."""
        return f"{self.left} {self.operator} {self.right}"


@dataclass(frozen=True)
class Member:
    """Whether a value is one of some."""

    of: Node
    values: tuple[Any, ...]
    #: Type of the values, to which ``of`` is cast.
    common: pa.DataType

    type = pa.bool_()

    @property
    def parts(self) -> Sequence[Node]:
        """The value."""
        return (self.of,)

    @property
    def _keys(self) -> list[Any]:
        """The values; hashing tells -0.0 from 0.0, equality does not."""
        zeros = pa.types.is_floating(self.common) and 0.0 in self.values
        return [*self.values, *((-0.0, 0.0) if zeros else ())]

    def to_arrow(self) -> Any:
        """Return the expression; Arrow's own answer for null is false, of which `not` is true."""
        value = _cast_arrow(self.of, self.common)
        found = value.isin(pa.array(self._keys, self.common))
        return pc.if_else(value.is_null(), pc.scalar(pa.scalar(None, pa.bool_())), found)

    def to_spark(self) -> "Column":
        """Return the expression."""
        keys = [Value(key, self.common).to_spark() for key in self._keys]
        return _cast_spark(self.of, self.common).isin(keys)

    def __str__(self) -> str:
        """Return the value and the list."""
        return f"{self.of} in ({', '.join(str(Value(v, self.common)) for v in self.values)})"


@dataclass(frozen=True)
class IsNull:
    """Whether there is no value; NaN is one."""

    of: Node

    type = pa.bool_()

    @property
    def parts(self) -> Sequence[Node]:
        """The value."""
        return (self.of,)

    def to_arrow(self) -> Any:
        """Return the expression."""
        return self.of.to_arrow().is_null()

    def to_spark(self) -> "Column":
        """Return the expression."""
        return self.of.to_spark().isNull()

    def __str__(self) -> str:
        """Return the value and the question."""
        return f"{self.of} is null"


@dataclass(frozen=True)
class Not:
    """The contrary; of unknown it is unknown."""

    of: Node

    type = pa.bool_()

    @property
    def parts(self) -> Sequence[Node]:
        """The condition."""
        return (self.of,)

    def to_arrow(self) -> Any:
        """Return the expression."""
        return ~self.of.to_arrow()

    def to_spark(self) -> "Column":
        """Return the expression."""
        return ~self.of.to_spark()

    def __str__(self) -> str:
        """Return the condition in parentheses."""
        return f"not ({self.of})"


@dataclass(frozen=True)
class Joined:
    """Conditions of which all, or any, must hold."""

    operator: Literal["and", "or"]
    of: tuple[Node, ...]

    type = pa.bool_()

    @property
    def parts(self) -> Sequence[Node]:
        """The conditions."""
        return self.of

    def to_arrow(self) -> Any:
        """Return the expression."""
        return self._join([part.to_arrow() for part in self.of])

    def to_spark(self) -> "Column":
        """Return the expression."""
        column: Column = self._join([part.to_spark() for part in self.of])
        return column

    def _join(self, parts: list[Any]) -> Any:
        """Join as a balanced tree: both engines walk it by recursion."""
        while len(parts) > 1:
            pairs = list(zip(parts[::2], parts[1::2], strict=False))
            joined = [_apply(self.operator, a, b) for a, b in pairs]
            parts = joined + parts[len(joined) * 2 :]
        return parts[0]

    def __str__(self) -> str:
        """Return the conditions, other junctions in parentheses."""
        texts = (f"({part})" if isinstance(part, Joined) else str(part) for part in self.of)
        return f" {self.operator} ".join(texts)


def walk(node: Node) -> Iterator[Node]:
    """Yield a part and all parts of it."""
    yield node
    for part in node.parts:
        yield from walk(part)


def _apply(operator: str, a: Any, b: Any) -> Any:
    return _OPERATIONS[operator](a, b)


_OPERATIONS: dict[str, Any] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
}


def _is_made(node: Node) -> bool:
    return isinstance(node, Arithmetic | Minus)


def _cast_arrow(node: Node, common: pa.DataType) -> Any:
    expression = node.to_arrow()
    # Not safe: an int64 above 2**53 as float64 is rounded, as everywhere.
    return expression if node.type == common else expression.cast(common, safe=False)


def _cast_spark(node: Node, common: pa.DataType) -> "Column":
    column = node.to_spark()
    return column if node.type == common else column.cast(_to_spark_type(common))


def _to_spark_type(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    return _SPARK_TYPES[kind]


def _functions() -> Any:
    # Here and not above: `ubspark show` filters without Spark, whose import takes a while.
    from pyspark.sql import functions

    return functions
