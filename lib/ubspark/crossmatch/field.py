"""The rows that the answer of one cell depends on, read and moved to one epoch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ubspark.columns import HEALPIX_29
from ubspark.crossmatch.epoch import Positions, compute_positions
from ubspark.crossmatch.options import MatchOptions, PositionColumns
from ubspark.crossmatch.plan import CatalogSource
from ubspark.sky.healpix import compute_healpix_29_from_vectors, merge_ranges
from ubspark.sky.rings import compute_ring_of_positions

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
        No row moves by more than this between its own epoch and that of the match.
    """

    source: CatalogSource
    columns: PositionColumns
    payload: Sequence[tuple[str, str]]
    motion_arcsec: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The columns to read."""
        return tuple(dict.fromkeys([*self.columns.names, *(name for name, _ in self.payload)]))


@dataclass(frozen=True)
class Rows:
    """Rows of one side.

    Attributes
    ----------
    table
        Their columns, sorted by ``_healpix_29``.
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

    @property
    def vectors(self) -> NDArray[np.float64]:
        """Unit vectors at the match epoch, shape (n, 3)."""
        return self.positions.vectors


@dataclass(frozen=True)
class Field:
    """Both sides of a cell and its surroundings.

    Attributes
    ----------
    halo_arcsec
        Every left row this near to an own row, and every right row within the radius of any left
        row here, is there.
    """

    left: Rows
    right: Rows
    halo_arcsec: float


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
    own_left = _read(left, own_range, cell, options)
    own_healpix = own_left.healpix
    if options.keeps_right:
        own_right = _read(right, own_range, cell, options)
        own_healpix = np.concatenate([own_healpix, own_right.healpix])
    around_left = own_left
    if halo_arcsec > 0:
        ring = compute_ring_of_positions(own_healpix, halo_arcsec + left.motion_arcsec)
        ranges = merge_ranges(np.concatenate([own_range, ring]))
        around_left = _read(left, ranges, cell, options)
    reach = options.radius_arcsec + right.motion_arcsec
    ring = compute_ring_of_positions(around_left.healpix, reach)
    if options.keeps_right:
        ring = merge_ranges(np.concatenate([own_range, ring]))
    return Field(around_left, _read(right, ring, cell, options), halo_arcsec)


def _read(side: Side, ranges: IntArray, cell: tuple[int, int], options: MatchOptions) -> Rows:
    table = side.source.read(ranges, side.names)
    positions = compute_positions(table, side.columns, epoch=options.epoch)
    index = table[HEALPIX_29.name].to_numpy()
    is_own = (index >= cell[0]) & (index < cell[1])
    return Rows(table, positions, compute_healpix_29_from_vectors(positions.vectors), is_own)
