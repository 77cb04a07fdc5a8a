"""Polygons on the sphere: sides that are arcs of great circles, no side crossing another."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ubspark.errors import ParameterError
from ubspark.sky.cover import compute_cover
from ubspark.sky.rings import SLACK_ARCSEC
from ubspark.sky.shapes import EDGE_ARCSEC, Region, to_text
from ubspark.sky.vectors import (
    ARCSEC_PER_RADIAN,
    BoolArray,
    FloatArray,
    IntArray,
    to_unit_vectors,
)

__all__ = ["MAX_VERTICES", "Polygon"]

#: More vertices are for a MOC.
MAX_VERTICES = 2000

# Candidates for the pole of a polygon, from which a point inside is told from one outside.
_N_POLES = 64
_HEMISPHERE = 2.0 * np.pi
#: Points times sides looked at in one piece.
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Polygon(Region):
    """What a closed line of great-circle arcs encloses: the smaller of its two sides.

    The direction of the vertices does not matter; each side is shorter than 180 degrees.
    """

    #: Vertices, degrees, without the first one again at the end.
    ra: tuple[float, ...]
    dec: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what encloses nothing, crosses itself or has no smaller side.

        Raises
        ------
        ParameterError
            Saying what is wrong.
        """
        if not 3 <= len(self.ra) <= MAX_VERTICES:
            msg = f"A polygon has 3 to {MAX_VERTICES} vertices, got {len(self.ra)}."
            raise ParameterError(msg)
        cosine = np.sum(self._vertices * self._ends, axis=1)
        # Twice the sine of its length; NaN where a vertex is no position.
        bad = ~(self._lengths > np.where(cosine < 0, 1e-6, 1e-15))
        if np.any(bad):
            row = int(np.argmax(bad)) + 1
            what = "opposite" if cosine[row - 1] < 0 else "the same"
            msg = f"Vertices {row} and {row % len(bad) + 1} of a polygon are {what} on the sky."
            raise ParameterError(msg)
        self._validate_simple()
        if abs(self._area - _HEMISPHERE) < 1e-9:
            msg = "A polygon must enclose less than half of the sky, got exactly half."
            raise ParameterError(msg)

    @cached_property
    def ranges(self) -> IntArray:
        """Ranges that hold the polygon."""
        return compute_cover(self._classify)

    def contains(self, ra: ArrayLike, dec: ArrayLike) -> BoolArray:
        """Tell which positions lie inside or on a side."""
        points = to_unit_vectors(ra, dec)
        usable = np.isfinite(points[:, 0])
        inside = np.zeros(len(points), dtype=bool)
        inside[usable] = _in_pieces(self._holds, points[usable], len(self.ra))
        return inside

    def __str__(self) -> str:
        """Return the region as `parse_region` reads it."""
        return "polygon " + " ".join(
            to_text(ra, dec) for ra, dec in zip(self.ra, self.dec, strict=True)
        )

    def _classify(self, centres: FloatArray, reach_arcsec: float) -> tuple[BoolArray, BoolArray]:
        # The cosine rounds a distance of zero to as much as 0.005 arcsec.
        reach = (reach_arcsec + SLACK_ARCSEC) / ARCSEC_PER_RADIAN

        def is_near(points: FloatArray) -> BoolArray:
            return self._compute_distance_rad(points) <= reach

        near = _in_pieces(is_near, centres, len(self.ra))
        encloses = _in_pieces(self._encloses, centres, len(self.ra))
        return near | encloses, encloses & ~near

    @cached_property
    def _vertices(self) -> FloatArray:
        return to_unit_vectors(self.ra, self.dec)

    @cached_property
    def _normals(self) -> FloatArray:
        """Twice start x end of each side, precise for the shortest ones; shape (n, 3)."""
        start, end = self._vertices, self._ends
        return np.cross(start - end, start + end)

    @cached_property
    def _ends(self) -> FloatArray:
        return np.roll(self._vertices, -1, axis=0)

    @cached_property
    def _lengths(self) -> FloatArray:
        """Lengths of the normals, shape (n,)."""
        lengths: FloatArray = np.sqrt(np.sum(self._normals**2, axis=1))
        return lengths

    @cached_property
    def _pole(self) -> FloatArray:
        """A point whose meridians run along no side, so that no sign below is left to rounding."""
        # Fibonacci's lattice, turned by odd angles: users draw along round ones.
        rows = np.arange(_N_POLES) + 0.5
        z = 1.0 - 2.0 * rows / _N_POLES
        angle = rows * (np.pi * (3.0 - np.sqrt(5.0))) + 0.3711
        rho = np.sqrt(1.0 - z * z)
        poles = np.stack([rho * np.cos(angle), rho * np.sin(angle), z], axis=1)
        units = self._normals / self._lengths[:, None]
        best: FloatArray = poles[np.argmax(np.abs(poles @ units.T).min(axis=1))]
        return best

    @cached_property
    def _area(self) -> float:
        """Area, in steradian, of the side of the line where the pole is not.

        The sum of the signed triangles that each side makes with the point opposite the pole:
        none of them holds the pole. tan(E/2) = a.(b x c) / (1 + a.b + b.c + c.a), Eriksson 1990.
        """
        a, b, z = self._vertices, self._ends, -self._pole
        volume = self._normals @ z * 0.5
        excess = 2.0 * np.arctan2(volume, 1.0 + np.sum(a * b, axis=1) + a @ z + b @ z)
        return float(abs(excess.sum()))

    def _encloses(self, points: FloatArray) -> BoolArray:
        """Tell points inside by the sides that lie between them and the pole.

        The meridian from the point to the pole meets a side where the side's ends lie on both
        sides of it; each vertex is judged once, so that no side is counted twice at its end.
        """
        pole = self._pole
        # Whether a vertex lies to the east of the point's meridian: pole . (point x vertex) >= 0.
        is_east = np.cross(pole, points) @ self._vertices.T >= 0.0
        rises = ~is_east & np.roll(is_east, -1, axis=1)
        falls = is_east & ~np.roll(is_east, -1, axis=1)
        eastward = self._normals @ pole > 0.0
        # On the point's own meridian, not on the opposite one, ...
        meets = (rises & eastward) | (falls & ~eastward)
        # ... and with the point and the pole on different sides of it.
        between = (points @ self._normals.T > 0.0) != eastward
        is_across = np.count_nonzero(meets & between, axis=1) % 2 == 1
        inside: BoolArray = is_across != (self._area > _HEMISPHERE)
        return inside

    def _holds(self, points: FloatArray) -> BoolArray:
        """Tell points inside or within `EDGE_ARCSEC` of a side."""
        across, after_start, before_end = self._compute_places(points)
        slack = EDGE_ARCSEC / ARCSEC_PER_RADIAN
        on_side = (np.abs(across) <= slack) & (after_start >= -slack) & (before_end >= -slack)
        inside: BoolArray = on_side.any(axis=1) | self._encloses(points)
        return inside

    def _compute_distance_rad(self, points: FloatArray) -> FloatArray:
        """Return the distance to the nearest side, shape (n,)."""
        across, after_start, before_end = self._compute_places(points)
        to_arc = np.arcsin(np.minimum(np.abs(across), 1.0))
        to_vertex = np.arccos(np.clip(points @ self._vertices.T, -1.0, 1.0))
        is_beside = (after_start > 0.0) & (before_end > 0.0)
        nearest: FloatArray = np.where(is_beside, np.minimum(to_arc, to_vertex), to_vertex)
        least: FloatArray = nearest.min(axis=1)
        return least

    def _compute_places(self, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return where points lie from each side, each shape (n points, n sides).

        Sines of the distances from the circle of the side, and, past its start and before its
        end, from the circles that stand on it there.
        """
        units = self._normals / self._lengths[:, None]
        at_start, at_end = np.cross(units, self._vertices), np.cross(self._ends, units)
        return points @ units.T, points @ at_start.T, points @ at_end.T

    def _validate_simple(self) -> None:
        """Refuse a side that crosses another."""
        heights = (self._normals / self._lengths[:, None]) @ self._vertices.T
        # A vertex that touches a side is on neither side of it.
        side = np.where(np.abs(heights) < 1e-15, 0.0, np.sign(heights))
        # Row i, column j: the ends of side j lie on both sides of the circle of side i ...
        splits = side * np.roll(side, -1, axis=1) < 0
        # ... and the two circles meet there, not at the opposite point.
        crosses = splits & splits.T & (side == -side.T)
        rows = np.arange(len(side))
        for step in (-1, 0, 1):
            crosses[rows, (rows + step) % len(side)] = False
        if np.any(crosses):
            first, second = (int(row) + 1 for row in np.argwhere(crosses)[0])
            msg = f"Sides {first} and {second} of a polygon cross each other."
            raise ParameterError(msg)


def _in_pieces(
    test: Callable[[FloatArray], BoolArray], points: FloatArray, n_sides: int
) -> BoolArray:
    """Call a test on so many points at a time as memory is small for."""
    step = max(1, _CHUNK // n_sides)
    parts = [test(points[i : i + step]) for i in range(0, len(points), step)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)
