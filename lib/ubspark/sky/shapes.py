"""Parts of the sky: what holds them in the index, and which positions lie in them."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ubspark.sky.cover import MAX_RANGES, compute_cover, intersect_ranges, limit_ranges
from ubspark.sky.healpix import N_PIXELS_29, compute_healpix_29, find_in_ranges
from ubspark.sky.moc import format_moc
from ubspark.sky.vectors import (
    BoolArray,
    FloatArray,
    IntArray,
    compute_separation_arcsec,
    is_usable_position,
    to_float_columns,
    to_ra_dec,
    to_unit_vectors,
)

__all__ = ["EDGE_ARCSEC", "Box", "Cells", "Cone", "Intersection", "Region", "to_text"]

#: A position as near to an edge as this lies in the region: the rounding of unit vectors.
EDGE_ARCSEC = 1e-9

#: Longer lists of cells stand in a spec by their digest.
_MAX_TEXT = 4000


class Region(ABC):
    """A part of the sky; its edges belong to it.

    A region can be pickled, and ``str`` gives the text that stands in a spec.
    """

    @cached_property
    @abstractmethod
    def ranges(self) -> IntArray:
        """Half-open ranges of order-29 indices that hold the region, and maybe more.

        Shape (k, 2), sorted and disjoint, with k bounded by `MAX_RANGES`.
        """

    @property
    def is_exact(self) -> bool:
        """Whether the ranges hold the region and nothing else."""
        return False

    @abstractmethod
    def contains(self, ra: ArrayLike, dec: ArrayLike) -> BoolArray:
        """Tell which positions lie in the region.

        Parameters
        ----------
        ra, dec
            Positions, shape (n,), ICRS degrees; ``ra`` is wrapped. A position that is not usable
            (NaN, inf, ``|dec| > 90``) lies in no region.

        Returns
        -------
        BoolArray
            Shape (n,).
        """

    @abstractmethod
    def __str__(self) -> str:
        """Return the canonical text: equal text, equal region."""

    def __and__(self, other: "Region") -> "Region":
        """Return the part that two regions have in common."""
        parts = {str(part): part for one in (self, other) for part in one.parts}
        kept = [parts[text] for text in sorted(parts) if text != str(SKY)]
        return Intersection(tuple(kept)) if len(kept) > 1 else (kept or [SKY])[0]

    @property
    def parts(self) -> tuple["Region", ...]:
        """The regions of which this one is the common part."""
        return (self,)


@dataclass(frozen=True)
class Cone(Region):
    """Everything within a radius of a centre."""

    #: Degrees, [0, 360).
    ra: float
    #: Degrees.
    dec: float
    #: In (0, 648000].
    radius_arcsec: float

    @cached_property
    def ranges(self) -> IntArray:
        """Ranges that hold the cone."""
        return compute_cover(self._classify)

    def _classify(self, centres: FloatArray, reach_arcsec: float) -> tuple[BoolArray, BoolArray]:
        separation = compute_separation_arcsec(centres, self._centre)
        near = separation <= self.radius_arcsec + reach_arcsec
        return near, separation + reach_arcsec <= self.radius_arcsec

    @property
    def _centre(self) -> FloatArray:
        centre: FloatArray = to_unit_vectors([self.ra], [self.dec])[0]
        return centre

    def contains(self, ra: ArrayLike, dec: ArrayLike) -> BoolArray:
        """Tell which positions are within the radius."""
        separation = compute_separation_arcsec(to_unit_vectors(ra, dec), self._centre)
        inside: BoolArray = separation <= self.radius_arcsec + EDGE_ARCSEC
        return inside

    def __str__(self) -> str:
        """Return the region as `parse_region` reads it."""
        return f"cone {to_text(self.ra, self.dec, self.radius_arcsec)} arcsec"


@dataclass(frozen=True)
class Box(Region):
    """Everything between two meridians, from the first to the east, and two parallels.

    A pole lies in a box that reaches it, whatever the ``ra`` it is given with.
    """

    #: Degrees, [0, 360); equal where the box goes all the way round.
    ra_min: float
    ra_max: float
    #: Degrees.
    dec_min: float
    dec_max: float

    @cached_property
    def ranges(self) -> IntArray:
        """Ranges that hold the box."""
        return compute_cover(self._classify)

    @property
    def _width(self) -> float:
        return (self.ra_max - self.ra_min) % 360.0 or 360.0

    def _classify(self, centres: FloatArray, reach_arcsec: float) -> tuple[BoolArray, BoolArray]:
        ra, dec = to_ra_dec(centres)
        reach = reach_arcsec / 3600.0
        low, high = np.maximum(dec - reach, -90.0), np.minimum(dec + reach, 90.0)
        # Half the span of the cap in ra: all of it where the cap holds a pole.
        sine = np.sin(np.deg2rad(min(reach, 90.0))) / np.maximum(np.cos(np.deg2rad(dec)), 1e-300)
        holds_pole = (low <= -90.0) | (high >= 90.0) | (sine >= 1.0)
        span = np.where(holds_pole, 180.0, np.rad2deg(np.arcsin(np.minimum(sine, 1.0))))
        offset = (ra - self.ra_min) % 360.0
        if self._width == 360.0:
            meets, is_inside = np.ones(len(ra), dtype=bool), np.ones(len(ra), dtype=bool)
        else:
            meets = (offset <= self._width + span) | (offset >= 360.0 - span)
            is_inside = (offset >= span) & (offset + span <= self._width)
        meets &= (high >= self.dec_min) & (low <= self.dec_max)
        return meets, is_inside & (low >= self.dec_min) & (high <= self.dec_max)

    def contains(self, ra: ArrayLike, dec: ArrayLike) -> BoolArray:
        """Tell which positions lie between the edges."""
        ra_deg, dec_deg = to_float_columns(ra=ra, dec=dec)
        inside: BoolArray = is_usable_position(ra_deg, dec_deg)
        inside &= (dec_deg >= self.dec_min) & (dec_deg <= self.dec_max)
        if self.ra_min == self.ra_max:
            return inside
        with np.errstate(invalid="ignore"):
            wrapped = ra_deg % 360.0
        # A tiny negative angle rounds to 360 itself.
        wrapped = np.where(wrapped == 360.0, 0.0, wrapped)
        after, before = wrapped >= self.ra_min, wrapped <= self.ra_max
        between = after & before if self.ra_min < self.ra_max else after | before
        inside &= between | (np.abs(dec_deg) == 90.0)
        return inside

    def __str__(self) -> str:
        """Return the region as `parse_region` reads it."""
        if self.ra_min == self.ra_max:
            return f"box {to_text(0.0, 360.0, self.dec_min, self.dec_max)}"
        return f"box {to_text(self.ra_min, self.ra_max, self.dec_min, self.dec_max)}"


@dataclass(frozen=True, eq=False)
class Cells(Region):
    """HEALPix cells, as of a MOC; a position lies in the cell of its index."""

    #: Half-open ranges of order-29 indices, sorted, disjoint and not touching, shape (k, 2).
    cells: IntArray

    @cached_property
    def ranges(self) -> IntArray:
        """The cells, the nearest of very many merged."""
        return limit_ranges(self.cells)

    @property
    def is_exact(self) -> bool:
        """Whether the ranges hold the cells and nothing else."""
        return len(self.cells) <= MAX_RANGES

    def contains(self, ra: ArrayLike, dec: ArrayLike) -> BoolArray:
        """Tell which positions have their index in a cell."""
        return find_in_ranges(compute_healpix_29(ra, dec), self.cells)

    def __str__(self) -> str:
        """Return ``moc ORDER/PIX ...``, or the digest of a long list of cells."""
        if self.cells.tolist() == [[0, N_PIXELS_29]]:
            return "sky"
        text = format_moc(self.cells) if len(self.cells) <= _MAX_TEXT else ""
        if 0 < len(text) <= _MAX_TEXT:
            return f"moc {text}"
        digest = hashlib.sha256(np.ascontiguousarray(self.cells, dtype="<i8").tobytes())
        return f"moc sha256:{digest.hexdigest()}"


@dataclass(frozen=True, eq=False)
class Intersection(Region):
    """What several regions have in common."""

    of: tuple[Region, ...]

    @cached_property
    def ranges(self) -> IntArray:
        """What the ranges of the regions have in common."""
        found = self.of[0].ranges
        for part in self.of[1:]:
            found = intersect_ranges(found, part.ranges)
        return limit_ranges(found)

    @property
    def is_exact(self) -> bool:
        """Whether the ranges hold the region and nothing else."""
        return len(self.ranges) < MAX_RANGES and all(part.is_exact for part in self.of)

    @property
    def parts(self) -> tuple[Region, ...]:
        """The regions."""
        return self.of

    def contains(self, ra: ArrayLike, dec: ArrayLike) -> BoolArray:
        """Tell which positions lie in all regions."""
        inside = self.of[0].contains(ra, dec)
        for part in self.of[1:]:
            inside &= part.contains(ra, dec)
        return inside

    def __str__(self) -> str:
        """Return the regions, joined by ``&``."""
        return " & ".join(str(part) for part in self.of)


#: The full sky: every usable position.
SKY = Cells(np.array([[0, N_PIXELS_29]], dtype=np.int64))


def to_text(*numbers: float) -> str:
    """Return numbers as the shortest text that reads back the same."""
    return " ".join(repr(float(number) + 0.0).removesuffix(".0") for number in numbers)
