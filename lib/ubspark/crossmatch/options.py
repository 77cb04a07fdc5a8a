"""What a match is asked for, and the bits it answers with."""

from dataclasses import dataclass
from typing import Literal

from ubspark.errors import ParameterError

__all__ = [
    "FLAG_LEFT_UNUSABLE",
    "LEFT_MISSING_SHIFT",
    "MAX_RADIUS_ARCSEC",
    "RIGHT_MISSING_SHIFT",
    "How",
    "MatchOptions",
    "PositionColumns",
]

MAX_RADIUS_ARCSEC = 3600.0

#: The left row has no usable position.
FLAG_LEFT_UNUSABLE = 1
#: The four bits of ``sky.motion`` (proper motion, parallax, radial velocity, epoch missing), left.
LEFT_MISSING_SHIFT = 1
#: The same four bits of the right row.
RIGHT_MISSING_SHIFT = 5

How = Literal["inner", "left"]


@dataclass(frozen=True)
class PositionColumns:
    """Where the position and the motion of a catalog's rows stand.

    A factor turns the column's own unit into the one named. Roles that the catalog lacks are None.

    Attributes
    ----------
    id, ra, dec
        Columns; positions in ICRS degrees.
    pmra, pmdec, pm_factor
        Proper motion columns and the factor to mas/yr.
    pm_includes_cos_dec
        Whether ``pmra`` is the motion along the circle.
    parallax, parallax_factor
        Column and factor to mas.
    rv, rv_factor
        Column and factor to km/s.
    epoch
        A column, or one Julian year for all rows, or None where it is not known.
    epoch_is_mjd
        Whether the epoch column holds MJD; else it holds Julian years.
    """

    id: str
    ra: str
    dec: str
    pmra: str | None = None
    pmdec: str | None = None
    pm_factor: float = 1.0
    pm_includes_cos_dec: bool = True
    parallax: str | None = None
    parallax_factor: float = 1.0
    rv: str | None = None
    rv_factor: float = 1.0
    epoch: str | float | None = None
    epoch_is_mjd: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The columns to read, each once."""
        epoch = self.epoch if isinstance(self.epoch, str) else None
        found = (self.id, self.ra, self.dec, self.pmra, self.pmdec, self.parallax, self.rv, epoch)
        return tuple(dict.fromkeys(name for name in found if name))


@dataclass(frozen=True)
class MatchOptions:
    """The question put to a pair of catalogs.

    Attributes
    ----------
    radius_arcsec
        Largest separation, inclusive.
    how
        ``inner`` keeps matched left rows, ``left`` all of them.
    epoch
        Julian year to which both sides move; None leaves positions as they are.
    """

    radius_arcsec: float
    how: How = "inner"
    epoch: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 < self.radius_arcsec <= MAX_RADIUS_ARCSEC:
            msg = (
                f"`radius` must be above 0 and at most {MAX_RADIUS_ARCSEC:g} arcsec (1 degree), "
                f"got {self.radius_arcsec:g} arcsec."
            )
            raise ParameterError(msg)
