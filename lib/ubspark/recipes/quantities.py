"""Parameters with units: a text such as ``1 arcsec``, never a bare number where that is unclear."""

from typing import Annotated, Any

from astropy import units as u
from pydantic import BeforeValidator, PlainSerializer

__all__ = ["AngleArcsec"]


def _to_arcsec(value: Any) -> float:
    if isinstance(value, u.Quantity):
        quantity = value
    elif isinstance(value, str):
        try:
            quantity = u.Quantity(value)
        except (TypeError, ValueError) as error:
            msg = f"must be an angle with a unit such as `1 arcsec`, got {value!r}"
            raise ValueError(msg) from error
    else:
        msg = f"must be an angle with a unit such as `{value} arcsec`, got the bare number {value}"
        raise ValueError(msg)  # noqa: TRY004 - pydantic turns a ValueError into its own error
    if not quantity.isscalar or quantity.unit.physical_type != "angle":
        unit = str(quantity.unit) or "no unit"
        msg = f"must be an angle with a unit such as `1 arcsec`, got {value!r} ({unit})"
        raise ValueError(msg)
    return float(quantity.to_value(u.arcsec))


#: An angle given with its unit, held in arcsec, written as ``<number> arcsec``.
AngleArcsec = Annotated[
    float,
    BeforeValidator(_to_arcsec),
    PlainSerializer(lambda value: f"{value!r} arcsec", return_type=str),
]
