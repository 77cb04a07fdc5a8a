"""Parameters with units: a text such as ``1 arcsec``, never a bare number where that is unclear."""

import math
from typing import Annotated, Any, Literal

from astropy import units as u
from pydantic import BeforeValidator, PlainSerializer

__all__ = ["AngleArcsec", "JulianYear", "MatchEpoch"]

#: Positions are known since Hipparchus; an MJD or a Unix time lies far outside.
_FIRST_YEAR, _LAST_YEAR = -200, 3000
_EPOCH_WORDS = ("auto", "left", "right", "none")


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
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        came = f"the bare number {value}" if is_number else repr(value)
        example = f"{value} arcsec" if is_number else "1 arcsec"
        msg = f"must be an angle with a unit such as `{example}`, got {came}"
        raise ValueError(msg)  # noqa: TRY004 - pydantic turns a ValueError into its own error
    if not quantity.isscalar or quantity.unit.physical_type != "angle":
        unit = str(quantity.unit) or "no unit"
        msg = f"must be an angle with a unit such as `1 arcsec`, got {value!r} ({unit})"
        raise ValueError(msg)
    angle = float(quantity.to_value(u.arcsec))
    if not math.isfinite(angle):
        msg = f"must be a finite angle, got {value!r}"
        raise ValueError(msg)
    return angle


def _to_year(value: Any, words: str = "") -> float:
    try:
        year = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        year = float("nan")
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        msg = (
            f"must be a Julian year such as 2016.0, from {_FIRST_YEAR} to {_LAST_YEAR}{words}, "
            f"got {value!r}"
        )
        raise ValueError(msg)
    return year


def _to_match_epoch(value: Any) -> Any:
    return value if value in _EPOCH_WORDS else _to_year(value, f", or {', '.join(_EPOCH_WORDS)}")


#: An angle given with its unit, held in arcsec, written as ``<number> arcsec``.
AngleArcsec = Annotated[
    float,
    BeforeValidator(_to_arcsec),
    PlainSerializer(lambda value: f"{value!r} arcsec", return_type=str),
]
#: A year of positions, such as 2016.0.
JulianYear = Annotated[float, BeforeValidator(_to_year)]
#: A year to match at, or a word that says where it comes from.
MatchEpoch = Annotated[
    float | Literal["auto", "left", "right", "none"], BeforeValidator(_to_match_epoch)
]
