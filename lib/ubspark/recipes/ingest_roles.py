"""What columns of a file stand for, and whether their types and units allow it."""

from collections.abc import Mapping

import pyarrow as pa
from astropy import units as u

from ubspark.catalogs.roles import validate_role_names
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.catalogs.sources import Source
from ubspark.columns import MJD_UNITS, ROLES, YEAR_UNITS
from ubspark.errors import ParameterError, SchemaError, SourceError
from ubspark.sky.frames import is_equatorial

__all__ = [
    "DOUBLE_ROLES",
    "find_roles",
    "find_units",
    "is_exact",
    "validate_convention",
    "validate_frame_names",
    "validate_motion",
    "validate_type",
    "validate_units",
]

#: Roles whose numbers mean nothing without a unit; positions are degrees unless they say.
_UNIT_ROLES = ("pmra", "pmdec", "parallax", "rv", "ra_error", "dec_error")
#: Roles that are doubles in the table where the file holds whole numbers or decimals.
DOUBLE_ROLES = ("ra", "dec", "ra_dec_corr", "epoch", *_UNIT_ROLES)
#: Roles that may be lists, one number per epoch of a light curve.
_CURVE_ROLES = ("flux", "flux_error", "time")


def find_roles(source: Source, given: Mapping[str, str]) -> dict[str, str]:
    """Return the roles; ra and dec default to the columns of that name."""
    validate_role_names(given)
    named = {role: source.renamed.get(column, column) for role, column in given.items()}
    roles = {**source.roles, **named}
    names = {column.name.lower(): column.name for column in source.columns}
    for role in ("ra", "dec"):
        if role not in roles and role in names:
            roles[role] = names[role]
    for role in ("id", "ra", "dec"):
        if role not in roles:
            shown = ", ".join(column.name for column in source.columns[:30])
            msg = (
                f"Say which column is the {ROLES[role].description}: `--{role} COLUMN`, or in a "
                f"job file `roles: {{{role}: COLUMN}}`. Available columns: {shown}."
            )
            raise ParameterError(msg)
    return dict(sorted(roles.items()))


def validate_type(column: TableColumn, role: str, source: Source) -> None:
    """Refuse a column whose type cannot hold what its role says.

    Raises
    ------
    SchemaError
        If it cannot.
    SourceError
        If the source has no rows that would tell the type.
    """
    if _fits(column.type, role):
        return
    if source.n_rows == 0:
        msg = f"`{source.path}` has no rows, by which the types of its columns could be known."
        raise SourceError(msg)
    rule = "an integer or text" if role == "id" else "a number"
    if role in ("ra", "dec"):
        rule += "; sexagesimal text must be converted first"
    msg = f"Column `{column.name}` of role `{role}` must be {rule}, got {column.type}."
    raise SchemaError(msg)


def _fits(kind: pa.DataType, role: str) -> bool:
    if role == "band":
        return True
    if role == "id":
        is_whole = pa.types.is_decimal(kind) and kind.scale == 0
        return bool(is_whole or pa.types.is_integer(kind) or pa.types.is_string(kind))
    if role in _CURVE_ROLES and pa.types.is_list(kind):
        kind = kind.value_type
    return is_exact(kind) or bool(pa.types.is_floating(kind))


def is_exact(kind: pa.DataType) -> bool:
    """Whether a type is one of whole numbers or decimals."""
    return bool(pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def validate_frame_names(frame: str, schema: TableSchema) -> None:
    """Refuse columns in the way of those that positions of another frame are converted to."""
    if is_equatorial(frame):
        return
    taken = [name for name in schema.names if name.lower() in {"ra", "dec"}]
    if taken:
        msg = (
            f"The positions are in the frame {frame} and would be converted to columns `ra` and "
            f"`dec`, but column `{taken[0]}` is there already. Name the ICRS columns as roles and "
            f"set `frame: ICRS`, or rename it."
        )
        raise SchemaError(msg)


def find_units(
    schema: TableSchema, roles: Mapping[str, str], given: Mapping[str, str]
) -> dict[str, str]:
    """Return the units of the role columns that are stated, checked against their role."""
    units = {}
    for role, column in roles.items():
        unit = given.get(column) or schema[column].unit
        wanted = ROLES[role].unit
        if unit is None or wanted is None:
            continue
        if role == "epoch" and unit.lower() in MJD_UNITS | YEAR_UNITS:
            units[column] = unit
            continue
        try:
            u.Unit(unit).to(u.Unit(wanted))
        except (ValueError, TypeError, u.UnitConversionError) as error:
            msg = (
                f"Column `{column}` of role `{role}` has the unit `{unit}`, which is no unit of "
                f"{wanted}. Set `params.units.{column}` to the right one."
            )
            raise SchemaError(msg) from error
        units[column] = unit
    return {**given, **units}


def validate_motion(roles: Mapping[str, str]) -> None:
    """Refuse half a proper motion."""
    for role, other in (("pmra", "pmdec"), ("pmdec", "pmra")):
        if role in roles and other not in roles:
            msg = f"The role `{role}` needs the role `{other}` beside it."
            raise ParameterError(msg)


def validate_units(roles: Mapping[str, str], units: Mapping[str, str]) -> None:
    """Ask for the units of numbers that would be wrong by a factor no one sees."""
    for role in _UNIT_ROLES:
        if role in roles and roles[role] not in units:
            msg = (
                f"Column `{roles[role]}` of role `{role}` has no unit in the file. Say it: "
                f"`--unit {roles[role]}={ROLES[role].unit}` or `params.units`."
            )
            raise ParameterError(msg)


def validate_convention(pmra: str, cos_dec: bool | None, frame: str) -> None:
    """Ask what the proper motion in ra means, and refuse one that cannot be converted."""
    if cos_dec is None:
        msg = (
            f"Say whether `{pmra}` includes cos(dec), as Gaia's pmra does: "
            f"`--pm-cos-dec` or `--no-pm-cos-dec`, or `params.pm_includes_cos_dec`."
        )
        raise ParameterError(msg)
    if not is_equatorial(frame):
        msg = f"Proper motions in the frame {frame} cannot be converted. Leave their roles out."
        raise ParameterError(msg)
