"""Which columns of a catalog table make its positions, in which units, and how far rows move."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from astropy import units as u

from ubspark.catalogs.catalog import Catalog
from ubspark.catalogs.roles import CatalogRoles
from ubspark.columns import MJD_UNITS, ROLES
from ubspark.crossmatch.options import PositionColumns
from ubspark.errors import ParameterError, SchemaError
from ubspark.sky.motion import compute_motion_bound_arcsec, to_julian_year

__all__ = [
    "compute_arcsec_factor",
    "compute_motion_bound",
    "resolve_epoch",
    "to_position_columns",
]


def to_position_columns(table: Catalog, roles: Mapping[str, str]) -> PositionColumns:
    """Return the position columns of a catalog table.

    Parameters
    ----------
    table
        A catalog table.
    roles
        Roles given in the job, which win over those of the table.

    Raises
    ------
    SchemaError
        If the table has no spatial index, a role is missing, or a column is not a number.
    """
    if not table.is_catalog:
        msg = (
            f"Table `{table.uri}` is not a catalog table: it has no `_healpix_29`. "
            f"Make one of it with `ubspark ingest`."
        )
        raise SchemaError(msg)
    known = table.roles.override(roles)
    for role in ("id", "ra", "dec"):
        if known.get(role) is None:
            shown = ", ".join(table.schema.names[:30]) + (", …" * (len(table.schema.names) > 30))
            msg = (
                f"Table `{table.uri}` does not say which column is its `{role}`. Name it in the "
                f"job under `roles: {{{role}: COLUMN}}`. Columns: {shown}."
            )
            raise SchemaError(msg)
    table.schema.validate_columns(known.columns.values(), table=table.uri)
    for role, column in known.columns.items():
        if role != "id" and role in _NUMERIC and not _is_number(table.schema[column].type):
            kind = table.schema[column].type
            msg = f"Column `{column}` of role `{role}` must be a number, got {kind}."
            raise SchemaError(msg)
    has_motion = known.get("pmra") is not None and known.get("pmdec") is not None
    return PositionColumns(
        id=known["id"],
        ra=known["ra"],
        dec=known["dec"],
        pmra=known.get("pmra") if has_motion else None,
        pmdec=known.get("pmdec") if has_motion else None,
        pm_factor=_compute_factor(table, known["pmra"], "pmra") if has_motion else 1.0,
        pm_includes_cos_dec=known.pm_includes_cos_dec is not False,
        parallax=known.get("parallax"),
        parallax_factor=_compute_factor(table, known.get("parallax"), "parallax"),
        rv=known.get("rv"),
        rv_factor=_compute_factor(table, known.get("rv"), "rv"),
        epoch=known.get("epoch") or known.epoch,
        epoch_is_mjd=_is_mjd(table, known),
        common_epoch=_find_common_epoch(table, known),
        ra_error=known.get("ra_error"),
        dec_error=known.get("dec_error"),
        error_factor=_find_error_factor(table, known),
        ra_dec_corr=known.get("ra_dec_corr"),
    )


def compute_arcsec_factor(table: Catalog, column: str, unit: str | None) -> float:
    """Return the factor from a column of angles to arcsec.

    Parameters
    ----------
    unit
        Its unit where the table does not say.

    Raises
    ------
    ParameterError
        If the column holds no numbers, or its unit is not known or no angle.
    """
    table.schema.validate_columns([column], table=table.uri)
    if not _is_number(table.schema[column].type):
        kind = table.schema[column].type
        msg = f"Column `{column}` of `{table.uri}` must hold numbers, got {kind}."
        raise ParameterError(msg)
    known = table.schema[column].unit or unit
    if known is None:
        msg = (
            f"Column `{column}` of `{table.uri}` does not say its unit. Give it as "
            f"`unit: arcsec` beside the column."
        )
        raise ParameterError(msg)
    try:
        return float(u.Unit(known).to(u.arcsec))
    except (ValueError, u.UnitConversionError) as error:
        msg = f"Column `{column}` of `{table.uri}` is in `{known}`, which is no angle."
        raise ParameterError(msg) from error


def resolve_epoch(
    epoch: float | str, left: PositionColumns, right: PositionColumns
) -> float | None:
    """Return the year to match at, or None to leave positions as they are.

    Raises
    ------
    ParameterError
        If an epoch is asked for that the catalogs cannot give.
    """
    if epoch == "none":
        return None
    sides = {"left": left, "right": right}
    if epoch != "auto":
        for name, side in sides.items():
            if side.pmra is not None and side.epoch is None:
                msg = (
                    f"`params.epoch` is {epoch}, but the epoch of the {name} catalog's positions "
                    f"is not known. Ingest it with `--epoch YEAR`."
                )
                raise ParameterError(msg)
        return (
            _read_constant_epoch(sides[str(epoch)], str(epoch)) if epoch in sides else float(epoch)
        )
    # auto
    if left.epoch is None or right.epoch is None:
        return None
    if left.common_epoch is not None and left.common_epoch == right.common_epoch:
        return None
    if left.pmra is None and right.pmra is None:
        return None
    towards = left if left.pmra is None else right
    return towards.common_epoch


def compute_motion_bound(table: Catalog, columns: PositionColumns, epoch: float | None) -> float:
    """Return an upper bound, in arcsec, of how far any row moves to the match epoch."""
    if epoch is None or columns.pmra is None or columns.pmdec is None or columns.epoch is None:
        return 0.0
    largest = [
        max(abs(bound) for bound in _read_bounds(table, name)) * columns.pm_factor
        for name in (columns.pmra, columns.pmdec)
    ]
    if isinstance(columns.epoch, str):
        bounds = np.array(_read_bounds(table, columns.epoch))
        bounds = to_julian_year(bounds) if columns.epoch_is_mjd else bounds
        years = float(np.max(np.abs(epoch - bounds)))
    else:
        years = abs(epoch - columns.epoch)
    return float(compute_motion_bound_arcsec(largest[0], largest[1], years))


_NUMERIC = frozenset(role.name for role in ROLES.values() if role.unit and role.name != "time")


def _find_common_epoch(table: Catalog, known: CatalogRoles) -> float | None:
    """Return the epoch that all rows share which have one."""
    column = known.get("epoch")
    if column is None:
        return known.epoch
    bounds = table.read_bounds(column)
    if bounds is None or bounds[0] != bounds[1]:
        return None
    return float(to_julian_year(np.array(bounds[0]))) if _is_mjd(table, known) else bounds[0]


def _is_mjd(table: Catalog, known: CatalogRoles) -> bool:
    """Whether the epoch column holds days; a date is always an MJD, a year a Julian year."""
    column = known.get("epoch")
    return column is not None and (table.schema[column].unit or "").lower() in MJD_UNITS


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _compute_factor(table: Catalog, column: str | None, role: str) -> float:
    """Return the factor from the column's unit to the unit of the role."""
    unit = table.schema[column].unit if column else None
    wanted = ROLES[role].unit
    if column is None or unit is None or wanted is None:
        return 1.0
    try:
        return float(u.Unit(unit).to(u.Unit(wanted)))
    except (ValueError, u.UnitConversionError) as error:
        msg = f"Column `{column}` of role `{role}` is in `{unit}`, which is no unit of {wanted}."
        raise SchemaError(msg) from error


def _find_error_factor(table: Catalog, known: CatalogRoles) -> float:
    """Return the factor from the errors of ra and dec, of one unit, to arcsec.

    Raises
    ------
    SchemaError
        If the two have different units.
    """
    factors = {
        _compute_factor(table, known.get(role), role)
        for role in ("ra_error", "dec_error")
        if known.get(role)
    }
    if len(factors) > 1:
        msg = (
            f"The errors of ra and dec of `{table.uri}` have different units. Ingest the table "
            f"again with one of them, `--unit COLUMN=mas`."
        )
        raise SchemaError(msg)
    return 1e-3 * (factors.pop() if factors else 1.0)


def _read_constant_epoch(side: PositionColumns, name: str) -> float:
    if side.common_epoch is not None:
        return side.common_epoch
    what = f"a column (`{side.epoch}`)" if side.epoch else "not known"
    msg = f"`params.epoch` is `{name}`, but the epoch of the {name} catalog is {what}. Give a year."
    raise ParameterError(msg)


def _read_bounds(table: Catalog, column: str) -> tuple[float, float]:
    """Return the bounds of a column: from the log where it has them, else by reading it."""
    return table.read_bounds(column) or table.scan_bounds(column)
