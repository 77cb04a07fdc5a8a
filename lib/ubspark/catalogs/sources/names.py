"""Names a Delta table can hold, made from names it cannot."""

import re
from collections.abc import Sequence

import pyarrow as pa

from ubspark.errors import SchemaError

__all__ = ["is_table_name", "make_table_names", "make_table_type", "validate_unique"]

# Delta without column mapping refuses ` ,;{}()\n\t=`. A dot or a backquote it accepts, but Spark
# and pyarrow read `a.b` as field b of a: renamed too, so that a name always means its column.
_REFUSED = re.compile(r"[ ,;{}()\n\t\r=.`]")


def is_table_name(name: str) -> bool:
    """Tell whether a column of a table may have a name as it is."""
    return bool(name) and _replace(name) == name


def make_table_names(names: Sequence[str], path: str) -> dict[str, str]:
    """Return for each column of a source its name in a table.

    Every character of `` ,;{}()=.` `` and every line end or tab becomes ``_``; an empty name
    becomes ``col<position>``; a name that is then taken gets ``_2``, ``_3``, ... Names that
    need no change keep theirs.

    Raises
    ------
    SchemaError
        If two names are equal, or differ only by case, which Spark cannot tell apart.
    """
    validate_unique(names, path)
    taken = {name.lower() for name in names if is_table_name(name)}
    result: dict[str, str] = {}
    for position, name in enumerate(names, start=1):
        wanted = _replace(name) or f"col{position}"
        if wanted != name:
            wanted = _avoid(wanted, taken)
            taken.add(wanted.lower())
        result[name] = wanted
    return result


def make_table_type(arrow_type: pa.DataType, path: str) -> pa.DataType:
    """Return a type whose struct fields are named by the rule of `make_table_names`."""
    if pa.types.is_list(arrow_type):
        return pa.list_(make_table_type(arrow_type.value_type, path))
    if not pa.types.is_struct(arrow_type):
        return arrow_type
    fields = list(arrow_type)
    names = make_table_names([field.name for field in fields], path)
    return pa.struct([(names[f.name], make_table_type(f.type, path)) for f in fields])


def validate_unique(names: Sequence[str], path: str) -> None:
    """Raise a `SchemaError` if two names are equal or differ only by case."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.get(name.lower())
        if other == name:
            msg = f"`{path}` has two columns named `{name}`; names must differ."
            raise SchemaError(msg)
        if other is not None:
            msg = (
                f"`{path}` has columns `{other}` and `{name}`; names must differ by more than case."
            )
            raise SchemaError(msg)
        seen[name.lower()] = name


def _replace(name: str) -> str:
    """Return ``name`` with each refused character as ``_``."""
    return _REFUSED.sub("_", name)


def _avoid(wanted: str, taken: set[str]) -> str:
    """Return ``wanted``, with a number appended if it is taken."""
    candidate, number = wanted, 1
    while candidate.lower() in taken:
        number += 1
        candidate = f"{wanted}_{number}"
    return candidate
