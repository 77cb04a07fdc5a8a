"""Whether rows fit a table that is there: Delta itself takes any file that a transaction adds."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ubspark.catalogs.parquet_sink import Constraint
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.errors import SchemaError

__all__ = ["validate_append"]

_CONSTRAINT = "delta.constraints."
_MAPPING = "delta.columnMapping.mode"
_LENGTH = "__CHAR_VARCHAR_TYPE_STRING"


def validate_append(
    there: Mapping[str, Any],
    schema: TableSchema,
    constraints: Iterable[Constraint],
    *,
    table: str,
) -> None:
    """Refuse rows that a table cannot hold, or whose rules nobody has checked.

    Parameters
    ----------
    there
        The table's metadata, as the ``metaData`` action of its log holds it.
    schema, constraints
        Of the rows: what their writer has checked.

    Raises
    ------
    SchemaError
        With the first thing that does not fit.
    """
    checked = {constraint.sql for constraint in constraints}
    reason = next(_find_reasons(there, schema, checked), None)
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
        yield f"column `{ours.name}` is {json.dumps(wanted)} there and {json.dumps(kind)} here"
    if ours.nullable and not field.get("nullable", True):
        yield f"column `{ours.name}` may not be null there"
    for key in field.get("metadata") or {}:
        if key == _LENGTH or (key.startswith("delta.") and "columnMapping" not in key):
            yield f"column `{ours.name}` has the rule `{key}`, which ubspark does not check"


def _strip(kind: Any) -> Any:
    """Return a Delta type without the comments of its parts."""
    if isinstance(kind, dict):
        return {key: _strip(part) for key, part in kind.items() if key != "metadata"}
    return [_strip(part) for part in kind] if isinstance(kind, list) else kind
