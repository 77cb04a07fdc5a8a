"""Factors from the unit that a column states to the one that its values are taken in."""

from astropy import units as u

from ubspark.catalogs.schema import TableColumn
from ubspark.columns import MJD_UNITS
from ubspark.errors import SchemaError

__all__ = ["find_factor"]

#: Words that astropy does not read: days from some origin, magnitudes of some system.
_WORDS = {
    **dict.fromkeys(MJD_UNITS | {"jd", "hjd", "bjd"}, "d"),
    **dict.fromkeys(("abmag", "stmag", "vegamag"), "mag"),
}


def find_factor(column: TableColumn, wanted: str, *, table: str) -> float:
    """Return what a column's values are multiplied by to be in the unit wanted.

    Parameters
    ----------
    column
        Its unit counts; one without a unit is in the unit wanted.
    table
        Name of its table, for the error.

    Raises
    ------
    SchemaError
        If the unit of the column is no word that is known, or of something else.
    """
    unit = column.unit
    if not unit or unit == wanted:
        return 1.0
    try:
        return float(_parse(unit).to(_parse(wanted)))
    except (TypeError, ValueError) as error:
        msg = (
            f"Column `{column.name}` of `{table}` is in `{unit}`, which cannot be converted to "
            f"`{wanted}`. Name the column that is meant, or give it its right unit."
        )
        raise SchemaError(msg) from error


def _parse(text: str) -> u.UnitBase:
    """Return a unit; that of a magnitude of some system is the magnitude."""
    found = u.Unit(_WORDS.get(text.lower(), text))
    return found.function_unit if isinstance(found, u.FunctionUnitBase) else found
