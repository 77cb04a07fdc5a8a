"""Whether rows fit a table that is there: Delta itself takes any file that a transaction adds."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from astropy import units as u

from ubspark.catalogs.delta import open_log
from ubspark.catalogs.parquet_sink import Constraint
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.errors import SchemaError

__all__ = ["RowFacts", "read_metadata", "validate_append"]

_CONSTRAINT = "delta.constraints."
_MAPPING = "delta.columnMapping.mode"
_LENGTH = "__CHAR_VARCHAR_TYPE_STRING"
_FRAME = "ubspark.frame"


@dataclass(frozen=True)
class RowFacts:
    """What is known of rows before there is any: all that decides whether a table takes them."""

    schema: TableSchema
    #: What their writer checks.
    constraints: tuple[Constraint, ...]
    #: Properties of a table of such rows: roles, epoch, frame.
    properties: Mapping[str, str]


def read_metadata(uri: str, *, version: int | None = None) -> dict[str, Any]:
    """Return the metadata of a table as the ``metaData`` action of its log holds it."""
    table = open_log(uri, version=version)
    metadata = table.metadata()
    return {
        "schemaString": table.schema().to_json(),
        "partitionColumns": list(metadata.partition_columns),
        "configuration": dict(metadata.configuration),
    }


def validate_append(there: Mapping[str, Any], rows: RowFacts, *, table: str) -> None:
    """Refuse rows that a table cannot hold, that mean something else, or break its rules.

    Numbers of another unit, epoch or convention would fit, and be wrong without a trace.

    Parameters
    ----------
    there
        The table's metadata, as the ``metaData`` action of its log holds it.
    rows
        What would be added.

    Raises
    ------
    SchemaError
        With the first thing that does not fit.
    """
    checked = {constraint.sql for constraint in rows.constraints}
    reasons = (
        *_find_reasons(there, rows.schema, checked),
        *_compare_roles(there, rows.properties),
    )
    reason = next(iter(reasons), None)
    if reason is not None:
        msg = (
            f"Table `{table}` cannot take the rows of this run: {reason}. "
            f"Overwrite it, or choose another output."
        )
        raise SchemaError(msg)


def _find_reasons(
    there: Mapping[str, Any], schema: TableSchema, checked: set[str]
) -> Iterator[str]:
    fields = {field["name"]: field for field in json.loads(there["schemaString"])["fields"]}
    for name in schema.names:
        if name not in fields:
            yield f"it has no column `{name}`"
    for name, field in fields.items():
        if name not in schema:
            yield f"they have no column `{name}`"
        else:
            yield from _compare(field, schema[name])
    for key, sql in there.get("configuration", {}).items():
        if key.startswith(_CONSTRAINT) and sql not in checked:
            yield f"its constraint `{sql}` is not one that ubspark checks"
    if there.get("partitionColumns"):
        yield f"it is partitioned by `{there['partitionColumns'][0]}`"
    if there.get("configuration", {}).get(_MAPPING, "none") != "none":
        yield "it maps its columns to other names"


def _compare(field: Mapping[str, Any], ours: TableColumn) -> Iterator[str]:
    """Yield why values of a column do not fit the column that is there."""
    kind, wanted = (_strip(found["type"]) for found in (ours.to_delta(), field))
    if kind != wanted:
        types = (_describe_type(field), str(ours.type))
        yield f"column `{ours.name}` is {types[0]} there and {types[1]} here"
    if ours.nullable and not field.get("nullable", True):
        yield f"column `{ours.name}` may not be null there"
    metadata = field.get("metadata") or {}
    for key in metadata:
        if key == _LENGTH or (key.startswith("delta.") and "columnMapping" not in key):
            yield f"column `{ours.name}` has the rule `{key}`, which ubspark does not check"
    if not _is_same_unit(metadata.get("unit"), ours.unit):
        units = (metadata.get("unit"), ours.unit)
        there, here = (f"in `{unit}`" if unit else "without a unit" for unit in units)
        yield f"column `{ours.name}` is {there} there and {here} here"


def _compare_roles(there: Mapping[str, Any], properties: Mapping[str, str]) -> Iterator[str]:
    """Yield why the rows mean something else than those that are there."""
    configuration = there.get("configuration", {})
    old, new = (CatalogRoles.from_properties(found) for found in (configuration, properties))
    facts: dict[str, tuple[Any, Any]] = {
        f"the column of role `{role}`": (old.get(role), new.get(role))
        for role in sorted({*old.columns, *new.columns})
    }
    facts["the epoch of all positions"] = (old.epoch, new.epoch)
    facts["whether proper motions include cos(dec)"] = (
        old.pm_includes_cos_dec,
        new.pm_includes_cos_dec,
    )
    facts["the frame"] = (configuration.get(_FRAME), properties.get(_FRAME))
    for fact, pair in facts.items():
        if pair[0] != pair[1]:
            old_word, new_word = (_say(value) for value in pair)
            yield f"{fact} is {old_word} there and {new_word} here"


def _say(fact: Any) -> str:
    if fact is None:
        return "not said"
    return str(fact).lower() if isinstance(fact, bool) else f"`{fact}`"


def _is_same_unit(there: str | None, here: str | None) -> bool:
    """Whether two units are one: `mas/yr` is `mas yr-1`; what astropy cannot read is text."""
    if there == here or not (there and here):
        return there == here or not (there or here)
    try:
        return bool(u.Unit(there) == u.Unit(here))
    except (TypeError, ValueError):
        return False


def _describe_type(field: Mapping[str, Any]) -> str:
    """Return the type of a column that is there in the words in which ours are told."""
    content = {"type": "struct", "fields": [{**field, "metadata": {}}]}
    try:
        return str(TableSchema.from_delta_json(json.dumps(content)).columns[0].type)
    except SchemaError:
        return json.dumps(_strip(field["type"]))


def _strip(kind: Any) -> Any:
    """Return a Delta type without the comments of its parts."""
    if isinstance(kind, dict):
        return {key: _strip(part) for key, part in kind.items() if key != "metadata"}
    return [_strip(part) for part in kind] if isinstance(kind, list) else kind
