"""The rows that the answer of one cell depends on, read and moved to one epoch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ubspark.columns import HEALPIX_29
from ubspark.crossmatch.chance import shift_sample
from ubspark.crossmatch.epoch import Positions, compute_positions
from ubspark.crossmatch.kernels.candidates import RightIndex, plan_right_index
from ubspark.crossmatch.options import MatchOptions, PositionColumns
from ubspark.crossmatch.plan import CatalogSource
from ubspark.sky.healpix import (
    compute_healpix_29_from_vectors,
    find_in_ranges,
    merge_ranges,
)
from ubspark.sky.rings import compute_ring_of_positions, extend_ring

__all__ = ["Field", "Side", "read_field"]

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """One of the two catalogs of a match.

    Attributes
    ----------
    source
        Where the rows come from.
    columns
        Where position and motion stand.
    payload
        Columns that the output keeps, and the names they get there.
    motion_arcsec
        No row moves by more than this between its own epoch and that of the match, but the fast.
    fast
        The rows that move by more, all of them, with the columns to read; None where there are
        none.
    extra
        Further columns to read, for a scorer.
    """

    source: CatalogSource
    columns: PositionColumns
    payload: Sequence[tuple[str, str]]
    motion_arcsec: float = 0.0
    fast: pa.Table | None = None
    extra: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns to read."""
        payload = (name for name, _ in self.payload)
        return tuple(dict.fromkeys([*self.columns.names, *payload, *self.extra]))


@dataclass(frozen=True)
class Rows:
    """Rows of one side.

    Attributes
    ----------
    table
        Their columns.
    positions
        Where they are at the match epoch.
    healpix
        Order-29 index at the match epoch, -1 without a position, shape (n,).
    is_own
        Whether the row belongs to the cell; the others are its surroundings, shape (n,).
    """

    table: pa.Table
    positions: Positions
    healpix: IntArray
    is_own: BoolArray
    _indices: dict[float, RightIndex] = field(default_factory=dict, repr=False)

    def plan_index(self, radius_arcsec: float) -> RightIndex:
        """Return the rows as the right side of a search; made once for a radius."""
        if radius_arcsec not in self._indices:
            made = plan_right_index(self.vectors, self.healpix, radius_arcsec)
            self._indices[radius_arcsec] = made
        return self._indices[radius_arcsec]

    @property
    def vectors(self) -> NDArray[np.float64]:
        """Unit vectors at the match epoch, shape (n, 3)."""
        return self.positions.vectors

    @property
    def index(self) -> IntArray:
        """Order-29 index in the catalog, shape (n,)."""
        index: IntArray = self.table[HEALPIX_29.name].to_numpy()
        return index

    def count_repeated(self, id_column: str) -> int:
        """Count own rows whose identifier and place are those of an earlier own row."""
        index = self.index
        # Rows of one place stand together; alike rows that others stand between are few.
        is_near = np.flatnonzero((index[1:] == index[:-1]) & self.is_own[1:] & self.is_own[:-1])
        if len(is_near) == 0:
            return 0
        ids = self.table[id_column]
        again, before = (ids.take(pa.array(is_near + step)) for step in (1, 0))
        return int(pc.sum(pc.equal(again, before)).as_py() or 0)


@dataclass(frozen=True)
class Field:
    """Both sides of a cell and its surroundings.

    Attributes
    ----------
    halo_arcsec
        Every left row this near to an own row, and every right row within the radius of any left
        row here, is there.
    shifted, shifted_healpix
        Places beside own left rows where matches are chance, vectors of shape (m, 3) and
        their indices, shape (m,); the right rows within the radius of them are there too.
    """

    left: Rows
    right: Rows
    halo_arcsec: float
    shifted: NDArray[np.float64]
    shifted_healpix: IntArray


def read_field(
    left: Side, right: Side, options: MatchOptions, cell: tuple[int, int], *, halo_arcsec: float
) -> Field:
    """Read a cell and what lies around it.

    Parameters
    ----------
    cell
        Half-open range of ``_healpix_29``; rows whose catalog index lies in it are its own.
    halo_arcsec
        How far around the own rows left rows are wanted too; 0 for none but the own.
    """
    own_range = np.array([cell], dtype=np.int64)
    own_left = _read(left, _Reach.exactly(own_range), cell, options)
    own_healpix = own_left.healpix
    if options.keeps_right:
        own_right = _read(right, _Reach.exactly(own_range), cell, options)
        own_healpix = np.concatenate([own_healpix, own_right.healpix])
    around_left = own_left
    if halo_arcsec > 0:
        reach = _Reach.around(own_healpix, halo_arcsec, left)
        around_left = _read(left, reach.with_ranges(own_range), cell, options)
    shifted = shift_sample(own_left.index, own_left.vectors, options.chance)
    shifted_healpix = compute_healpix_29_from_vectors(shifted)
    # Apart, so that a few places across the border do not count for whole pixels of a cell.
    radius = options.radius_arcsec
    reach = _Reach.around(around_left.healpix, radius, right)
    reach = reach.extend(shifted_healpix, radius, right)
    if options.probability is not None:
        wide = options.probability.density_radius_arcsec
        reach = reach.extend(own_left.healpix, wide, right)
    if options.keeps_right:
        reach = reach.with_ranges(own_range)
    around_right = _read(right, reach, cell, options)
    return Field(around_left, around_right, halo_arcsec, shifted, shifted_healpix)


class _Reach(NamedTuple):
    """A part of the sky of which all rows are wanted."""

    #: Where they may be in the catalog, but for the fast ones.
    ranges: IntArray
    #: Where they are at the match epoch.
    moved: IntArray

    @classmethod
    def exactly(cls, ranges: IntArray) -> "_Reach":
        """Return the reach of rows by their catalog index alone."""
        return cls(ranges, np.zeros((0, 2), dtype=np.int64))

    @classmethod
    def around(cls, healpix: IntArray, radius_arcsec: float, side: Side) -> "_Reach":
        """Return the reach of rows within a radius of positions at the match epoch."""
        ranges = compute_ring_of_positions(healpix, radius_arcsec + side.motion_arcsec)
        if side.fast is None:
            return cls(ranges, np.zeros((0, 2), dtype=np.int64))
        return cls(ranges, compute_ring_of_positions(healpix, radius_arcsec))

    def extend(self, healpix: IntArray, radius_arcsec: float, side: Side) -> "_Reach":
        """Return the reach with that of rows within a radius of further positions."""
        ranges = extend_ring(self.ranges, healpix, radius_arcsec + side.motion_arcsec)
        if side.fast is None:
            return _Reach(ranges, self.moved)
        return _Reach(ranges, extend_ring(self.moved, healpix, radius_arcsec))

    def with_ranges(self, ranges: IntArray) -> "_Reach":
        return _Reach(merge_ranges(np.concatenate([self.ranges, ranges])), self.moved)


def _read(side: Side, reach: _Reach, cell: tuple[int, int], options: MatchOptions) -> Rows:
    table = side.source.read(reach.ranges, side.names)
    rows = _move(side, table, cell, options)
    if side.fast is None or len(reach.moved) == 0:
        return rows
    # Few rows: moving them again for each cell costs less than telling every task where they are.
    fast = _move(side, side.fast.select(table.column_names), cell, options)
    wanted = find_in_ranges(fast.healpix, reach.moved) & ~find_in_ranges(fast.index, reach.ranges)
    if not wanted.any():
        return rows
    joined = pa.concat_tables([table, fast.table.filter(pa.array(wanted))])
    return _move(side, joined, cell, options)


def _move(side: Side, table: pa.Table, cell: tuple[int, int], options: MatchOptions) -> Rows:
    positions = compute_positions(table, side.columns, epoch=options.epoch)
    index = table[HEALPIX_29.name].to_numpy()
    is_own = (index >= cell[0]) & (index < cell[1])
    return Rows(table, positions, compute_healpix_29_from_vectors(positions.vectors), is_own)
