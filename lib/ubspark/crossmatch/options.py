"""What a match is asked for, and the bits it answers with."""

import math
from dataclasses import dataclass
from typing import Literal

from ubspark.crossmatch.kernels.limits import Combine
from ubspark.crossmatch.scorer import Scorer
from ubspark.errors import ParameterError

__all__ = [
    "FLAG_LEFT_UNUSABLE",
    "FLAG_RIGHT_UNUSABLE",
    "LEFT_MISSING_SHIFT",
    "MAX_RADIUS_ARCSEC",
    "RIGHT_MISSING_SHIFT",
    "ChanceSample",
    "How",
    "MatchOptions",
    "PositionColumns",
    "Probability",
    "Select",
]

MAX_RADIUS_ARCSEC = 3600.0

#: The left row has no usable position.
FLAG_LEFT_UNUSABLE = 1
#: The four bits of ``sky.motion`` (proper motion, parallax, radial velocity, epoch missing), left.
LEFT_MISSING_SHIFT = 1
#: The same four bits of the right row.
RIGHT_MISSING_SHIFT = 5
#: The right row has no usable position.
FLAG_RIGHT_UNUSABLE = 1 << 9

How = Literal["inner", "left", "right", "outer", "semi", "anti"]
Select = Literal["nearest", "k", "all", "mutual", "one_to_one"]


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
    common_epoch
        Julian year that all rows with an epoch share; None where they differ, or nobody knows.
    radius, radius_factor
        Column of each row's own radius or error, and the factor to arcsec.
    ra_error, dec_error, error_factor
        Standard errors of the position (ra with cos dec), and the factor to arcsec.
    ra_dec_corr
        Correlation of the two.
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
    common_epoch: float | None = None
    radius: str | None = None
    radius_factor: float = 1.0
    ra_error: str | None = None
    dec_error: str | None = None
    error_factor: float = 1.0
    ra_dec_corr: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns to read, each once."""
        epoch = self.epoch if isinstance(self.epoch, str) else None
        found = (self.id, self.ra, self.dec, self.pmra, self.pmdec, self.parallax, self.rv, epoch)
        errors = (self.radius, self.ra_error, self.dec_error, self.ra_dec_corr)
        return tuple(dict.fromkeys(name for name in (*found, *errors) if name))


@dataclass(frozen=True)
class Probability:
    """What the probability of a pair is computed from, beside the errors of its rows.

    Attributes
    ----------
    prior
        Share of left rows that have a counterpart within the radius, in (0, 1).
    density_radius_arcsec
        Right rows between the radius of the match and this one tell the local density.
    left_error_arcsec, right_error_arcsec
        Standard error per axis of all positions of a side, added in quadrature to those of its
        columns.
    """

    prior: float
    density_radius_arcsec: float
    left_error_arcsec: float = 0.0
    right_error_arcsec: float = 0.0


@dataclass(frozen=True)
class ChanceSample:
    """Left rows that are matched once more from a place beside their own, where none is right.

    Attributes
    ----------
    shift_arcsec
        How far beside, to the north, south, east or west.
    every
        One left row in so many takes part, chosen by its index.
    """

    shift_arcsec: float
    every: int


@dataclass(frozen=True)
class MatchOptions:
    """The question put to a pair of catalogs.

    Attributes
    ----------
    radius_arcsec
        Largest separation of a pair, inclusive, whatever else limits it.
    select
        Which pairs within the limits are kept, seen from the left: ``nearest``, the ``k``
        nearest, ``all``; or seen from both sides: ``mutual`` nearest, ``one_to_one`` (the closest
        pair of all first, then the closest of what is left).
    how
        What happens to rows without a pair: ``inner`` leaves them out; ``left``, ``right`` and
        ``outer`` keep them; ``semi`` and ``anti`` give the left rows with and without a pair.
    k
        Number of neighbours for ``select="k"``.
    epoch
        Julian year to which both sides move; None leaves positions as they are.
    min_radius_arcsec
        Smallest separation of a pair, inclusive.
    combine
        How the radii of the two rows make the radius of their pair; None where they have none.
    n_sigma
        Factor on the rows' radii; or, with ``is_elliptic``, largest normalised separation.
    is_elliptic
        Whether a pair is limited by its separation in units of its errors.
    excludes_same_id
        Whether a row is never paired with the row of the same identifier.
    scorer
        A user's own judgement of the pairs within all limits; None ranks them by separation.
    probability
        What ``p_match`` is computed from; None leaves it out.
    chance
        Which left rows measure the matches by chance; None for none.
    """

    radius_arcsec: float
    how: How = "inner"
    epoch: float | None = None
    select: Select = "nearest"
    k: int = 1
    min_radius_arcsec: float = 0.0
    combine: Combine | None = None
    n_sigma: float = 1.0
    is_elliptic: bool = False
    excludes_same_id: bool = False
    scorer: Scorer | None = None
    probability: Probability | None = None
    chance: ChanceSample | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if not 0 < self.radius_arcsec <= MAX_RADIUS_ARCSEC:
            msg = (
                f"`radius` must be above 0 and at most {MAX_RADIUS_ARCSEC:g} arcsec (1 degree), "
                f"got {self.radius_arcsec:g} arcsec."
            )
            raise ParameterError(msg)
        if not 0 <= self.min_radius_arcsec <= self.radius_arcsec:
            msg = (
                f"`min_radius` must be between 0 and `radius` ({self.radius_arcsec:g} arcsec), "
                f"got {self.min_radius_arcsec:g} arcsec."
            )
            raise ParameterError(msg)
        if self.k < 1:
            msg = f"`k` must be at least 1, got {self.k}."
            raise ParameterError(msg)
        if not 0 < self.n_sigma < math.inf:
            msg = f"`n_sigma` must be above 0 and finite, got {self.n_sigma}."
            raise ParameterError(msg)

    @property
    def is_plain(self) -> bool:
        """Whether the radius alone decides which pairs count."""
        has_limits = self.combine is not None or self.is_elliptic or self.min_radius_arcsec > 0
        is_judged = self.scorer is not None or self.probability is not None
        return not (has_limits or is_judged or self.excludes_same_id)

    @property
    def needs_no_pairs(self) -> bool:
        """Whether the nearest rows, from one side or both, tell all: few bytes for any crowd."""
        return self.select in ("nearest", "mutual") and self.is_plain

    @property
    def keeps_right(self) -> bool:
        """Whether right rows without a pair are part of the answer."""
        return self.how in ("right", "outer")

    @property
    def has_pairs(self) -> bool:
        """Whether the answer holds right rows at all."""
        return self.how not in ("semi", "anti")

    @property
    def keeps_all_left(self) -> bool:
        """Whether left rows without a pair are part of the answer."""
        return self.how in ("left", "outer", "anti")
