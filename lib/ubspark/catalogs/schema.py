"""The schema of a table: Arrow types inside, Delta's JSON in the log, units beside both."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import pyarrow as pa

from ubspark.columns import Column
from ubspark.errors import SchemaError

__all__ = ["TableColumn", "TableSchema", "to_delta_type"]

_TO_DELTA = {
    pa.bool_(): "boolean",
    pa.int8(): "byte",
    pa.int16(): "short",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.binary(): "binary",
    pa.date32(): "date",
    pa.timestamp("us", tz="UTC"): "timestamp",
}
_FROM_DELTA = {name: arrow for arrow, name in _TO_DELTA.items()}
#: What Arrow knows and Delta does not, and the type that holds its values without loss.
_WIDENED = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
    pa.large_string(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.string_view(): pa.string(),
    pa.binary_view(): pa.binary(),
}
#: Metadata by which Spark keeps the default of a column.
_OF_THE_TABLE = frozenset({"CURRENT_DEFAULT", "EXISTS_DEFAULT"})


@dataclass(frozen=True)
class TableColumn:
    """A column of a table, with what an archive says about it."""

    name: str
    type: pa.DataType
    nullable: bool = True
    unit: str | None = None
    ucd: str | None = None
    description: str | None = None
    #: Other metadata of the field, as text, carried along unread.
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def comment(self) -> str | None:
        """The column comment a person reads: description, unit, UCD."""
        return _compose_comment(self.description, self.unit, self.ucd)

    @classmethod
    def from_vocabulary(
        cls, column: Column, *, source: "TableColumn | None" = None, nullable: bool | None = None
    ) -> "TableColumn":
        """Return a column that ubspark adds; its type is that of ``source`` where it has none."""
        kind = source.type if source is not None else pa.type_for_alias(str(column.type))
        allows_null = column.nullable if nullable is None else nullable
        return cls(column.name, kind, allows_null, column.unit, column.ucd, column.description)

    def rename(self, name: str) -> "TableColumn":
        """Return the column under another name, as a payload that may be null."""
        return replace(self, name=name, nullable=True)

    def to_arrow(self) -> pa.Field:
        """Return the Arrow field, unit and UCD in its metadata."""
        facts = {"unit": self.unit, "ucd": self.ucd, "description": self.description, **self.extra}
        metadata = {key: value for key, value in facts.items() if value}
        return pa.field(self.name, self.type, self.nullable, metadata or None)

    def to_delta(self) -> dict[str, Any]:
        """Return the field of Delta's schema JSON."""
        facts = {"comment": self.comment, "unit": self.unit, "ucd": self.ucd}
        facts |= {"description": self.description, **self.extra}
        return {
            "name": self.name,
            "type": to_delta_type(self.type, self.name),
            "nullable": self.nullable,
            "metadata": {key: value for key, value in facts.items() if value},
        }


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table, in order."""

    columns: tuple[TableColumn, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, in order."""
        return tuple(column.name for column in self.columns)

    def __contains__(self, name: object) -> bool:
        """Whether a column of this name is there."""
        return name in self.names

    def __getitem__(self, name: str) -> TableColumn:
        """Return a column by its name.

        Raises
        ------
        KeyError
            If it is not there.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def select(self, names: Iterable[str]) -> "TableSchema":
        """Return the named columns, in the order asked for."""
        return TableSchema(tuple(self[name] for name in names))

    def validate_columns(self, names: Iterable[str], *, table: str, cure: str = "") -> None:
        """Refuse names that are not columns of this table.

        Raises
        ------
        SchemaError
            For the first such name, with the nearest one that exists.
        """
        for name in names:
            if name in self.names:
                continue
            near = get_close_matches(name, self.names, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            shown = ", ".join(self.names[:30]) + (", …" if len(self.names) > 30 else "")
            msg = (
                f"Column `{name}` is not in table `{table}`.{hint} Available columns: {shown}."
                f"{' ' + cure if cure else ''}"
            )
            raise SchemaError(msg)

    def to_arrow(self) -> pa.Schema:
        """Return the Arrow schema."""
        return pa.schema([column.to_arrow() for column in self.columns])

    def to_delta_json(self) -> str:
        """Return the schema string of a Delta metadata action."""
        return json.dumps(
            {"type": "struct", "fields": [column.to_delta() for column in self.columns]},
            ensure_ascii=False,
        )

    @classmethod
    def from_delta_json(cls, text: str) -> "TableSchema":
        """Read the schema string of a Delta metadata action."""
        return cls(tuple(_read_field(entry) for entry in json.loads(text)["fields"]))

    def widen(self) -> "TableSchema":
        """Return the schema with each type that Delta cannot hold replaced by one it can."""
        return TableSchema(
            tuple(replace(column, type=_widen(column.type)) for column in self.columns)
        )


def to_delta_type(arrow: pa.DataType, name: str) -> Any:
    """Return Delta's name, or JSON object, for an Arrow type.

    Raises
    ------
    SchemaError
        If Delta has no such type.
    """
    if arrow in _TO_DELTA:
        return _TO_DELTA[arrow]
    if pa.types.is_decimal128(arrow):
        return f"decimal({arrow.precision},{arrow.scale})"
    if pa.types.is_list(arrow):
        element = to_delta_type(arrow.value_type, name)
        return {"type": "array", "elementType": element, "containsNull": True}
    if pa.types.is_struct(arrow):
        fields = [TableColumn(part.name, part.type).to_delta() for part in arrow]
        return {"type": "struct", "fields": fields}
    msg = f"Column `{name}` has the type {arrow}, which a Delta table cannot hold. Leave it out."
    raise SchemaError(msg)


def _widen(arrow: pa.DataType) -> pa.DataType:
    if arrow in _WIDENED:
        return _WIDENED[arrow]
    if pa.types.is_timestamp(arrow):
        return pa.timestamp("us", tz="UTC")
    if pa.types.is_dictionary(arrow):
        return _widen(arrow.value_type)
    if (
        pa.types.is_list(arrow)
        or pa.types.is_large_list(arrow)
        or pa.types.is_fixed_size_list(arrow)
    ):
        return pa.list_(_widen(arrow.value_type))
    if pa.types.is_struct(arrow):
        return pa.struct([pa.field(part.name, _widen(part.type)) for part in arrow])
    return arrow


def _compose_comment(description: str | None, unit: str | None, ucd: str | None) -> str | None:
    parts = [description, f"[{unit}]" if unit else None, f"(ucd: {ucd})" if ucd else None]
    return " ".join(part for part in parts if part) or None


def _read_field(entry: Mapping[str, Any]) -> TableColumn:
    metadata = dict(entry.get("metadata") or {})
    comment = metadata.pop("comment", None)
    unit, ucd = metadata.pop("unit", None), metadata.pop("ucd", None)
    description = metadata.pop("description", None)
    if comment is not None and comment != _compose_comment(description, unit, ucd):
        # Not our comment, or no longer: somebody has written a better one.
        description = comment
    return TableColumn(
        name=entry["name"],
        type=_read_type(entry["type"]),
        nullable=bool(entry.get("nullable", True)),
        unit=unit,
        ucd=ucd,
        description=description,
        extra={key: value for key, value in metadata.items() if _is_carried(key, value)},
    )


def _is_carried(key: str, value: Any) -> bool:
    """Whether metadata of a field goes with it to another table.

    Generated columns and defaults do not: they speak of the other columns of their own table.
    """
    return isinstance(value, str) and not key.startswith("delta.") and key not in _OF_THE_TABLE


def _read_type(delta: Any) -> pa.DataType:
    if isinstance(delta, str):
        if delta.startswith("decimal("):
            precision, scale = delta[len("decimal(") : -1].split(",")
            return pa.decimal128(int(precision), int(scale))
        if delta in _FROM_DELTA:
            return _FROM_DELTA[delta]
    elif delta.get("type") == "array":
        return pa.list_(_read_type(delta["elementType"]))
    elif delta.get("type") == "struct":
        return pa.struct([pa.field(f["name"], _read_type(f["type"])) for f in delta["fields"]])
    elif delta.get("type") == "map":
        return pa.map_(_read_type(delta["keyType"]), _read_type(delta["valueType"]))
    msg = f"The Delta type {delta!r} is not known to this version of ubspark."
    raise SchemaError(msg)
