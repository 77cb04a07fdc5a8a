"""The broadcast plan: the smaller side in memory, the larger one read near it alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ubspark.columns import HEALPIX_29, NO_POSITION
from ubspark.crossmatch.field import Side
from ubspark.crossmatch.match import Match
from ubspark.crossmatch.plan import CatalogSource
from ubspark.sky.cover import intersect_ranges, meets_ranges
from ubspark.sky.healpix import N_PIXELS_29
from ubspark.sky.rings import MAX_RING_RADIUS_ARCSEC, compute_ring_of_positions

__all__ = ["MAX_BROADCAST_ROWS", "CutSource", "HeldSource", "choose_plan", "hold_smaller"]

IntArray = NDArray[np.int64]

PlanKind = Literal["auto", "cells", "broadcast", "shuffle"]
#: A side of at most so many rows is held in memory where the other is so many times larger.
_MAX_HELD_ROWS = 1_000_000
_MIN_RATIO = 20
#: Asked for by name, a side of this many rows is held too.
MAX_BROADCAST_ROWS = 5_000_000
_ENTRY_ROWS = 65_536


@dataclass(frozen=True, eq=False)
class HeldSource:
    """A catalog in memory, sorted by ``_healpix_29``; its entries are runs of rows."""

    rows: pa.Table
    index: IntArray = field(init=False)

    def __post_init__(self) -> None:
        """Take the index out."""
        object.__setattr__(self, "index", self.rows[HEALPIX_29.name].to_numpy())

    @property
    def low(self) -> IntArray:
        """Smallest index of each entry."""
        low: IntArray = self.index[::_ENTRY_ROWS]
        return low

    @property
    def high(self) -> IntArray:
        """Largest index of each entry."""
        last = np.minimum(np.arange(0, len(self.index), _ENTRY_ROWS) + _ENTRY_ROWS, len(self.index))
        high: IntArray = self.index[last - 1]
        return high

    @property
    def n_rows(self) -> IntArray:
        """Rows of each entry."""
        starts = np.arange(0, len(self.index), _ENTRY_ROWS)
        return np.minimum(_ENTRY_ROWS, len(self.index) - starts).astype(np.int64)

    @property
    def n_bytes(self) -> IntArray:
        """Bytes of each entry."""
        width = self.rows.nbytes / max(len(self.index), 1)
        n_bytes: IntArray = (self.n_rows * width).astype(np.int64)
        return n_bytes

    def read(self, ranges: IntArray, columns: Sequence[str]) -> pa.Table:
        """Return the rows inside half-open ranges, sorted by index."""
        rows = self.rows.select(list(dict.fromkeys([HEALPIX_29.name, *columns])))
        first = np.searchsorted(self.index, ranges[:, 0])
        last = np.searchsorted(self.index, ranges[:, 1])
        parts = [
            rows.slice(start, stop - start)
            for start, stop in zip(first.tolist(), last.tolist(), strict=True)
            if stop > start
        ]
        return pa.concat_tables(parts) if parts else rows.slice(0, 0)


@dataclass(frozen=True, eq=False)
class CutSource:
    """The part of a catalog that lies in some ranges of the index, shape (k, 2)."""

    source: CatalogSource
    ranges: IntArray

    @property
    def low(self) -> IntArray:
        """Smallest index of each entry."""
        return self.source.low[self._meets]

    @property
    def high(self) -> IntArray:
        """Largest index of each entry."""
        return self.source.high[self._meets]

    @property
    def n_rows(self) -> IntArray:
        """Rows of each entry."""
        return self.source.n_rows[self._meets]

    @property
    def n_bytes(self) -> IntArray:
        """Bytes of each entry."""
        return self.source.n_bytes[self._meets]

    def read(self, ranges: IntArray, columns: Sequence[str]) -> pa.Table:
        """Return the rows inside half-open ranges, sorted by index."""
        return self.source.read(intersect_ranges(ranges, self.ranges), columns)

    @property
    def _meets(self) -> NDArray[np.bool_]:
        return meets_ranges(self.source.low, self.source.high, self.ranges)


def choose_plan(match: Match, asked: PlanKind) -> PlanKind:
    """Return ``cells`` or ``broadcast``: what was asked for, else what the sizes suggest."""
    if asked in ("cells", "broadcast"):
        return asked
    sizes = sorted(int(side.source.n_rows.sum()) for side in (match.left, match.right))
    is_small = 0 < sizes[0] <= _MAX_HELD_ROWS and sizes[1] >= _MIN_RATIO * sizes[0]
    return "broadcast" if is_small else "cells"


def hold_smaller(match: Match) -> Match:
    """Return the match with its smaller side in memory.

    Where the right side is the smaller one and left rows without a pair do not count, the left
    side is read near right rows alone.
    """
    left, right = (int(side.source.n_rows.sum()) for side in (match.left, match.right))
    if left < right:
        return replace(match, left=replace(match.left, source=_hold(match.left)))
    held = _hold(match.right)
    match = replace(match, right=replace(match.right, source=held))
    if match.options.keeps_all_left or match.options.select in ("mutual", "one_to_one"):
        return match
    reach = match.options.radius_arcsec + match.left.motion_arcsec + match.right.motion_arcsec
    if reach > MAX_RING_RADIUS_ARCSEC:
        return match
    near = CutSource(match.left.source, compute_ring_of_positions(held.index, reach))
    # Rows near right rows say nothing of chance.
    options = replace(match.options, chance=None)
    return replace(match, left=replace(match.left, source=near), options=options)


def _hold(side: Side) -> HeldSource:
    everything = np.array([[NO_POSITION, N_PIXELS_29]], dtype=np.int64)
    rows = side.source.read(everything, side.names).combine_chunks()
    return HeldSource(rows)
