"""Matching one cell: read it and its ring, move both sides to one epoch, pair them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ubspark.columns import (
    DIST_ARCSEC,
    FLAGS,
    HEALPIX_29,
    LEFT_ID,
    N_CANDIDATES,
    PA_DEG,
    RANK,
    RIGHT_ID,
)
from ubspark.crossmatch.epoch import Positions, compute_positions
from ubspark.crossmatch.kernels import Nearest, find_nearest
from ubspark.crossmatch.options import (
    FLAG_LEFT_UNUSABLE,
    LEFT_MISSING_SHIFT,
    RIGHT_MISSING_SHIFT,
    MatchOptions,
    PositionColumns,
)
from ubspark.crossmatch.plan import CatalogSource
from ubspark.sky.healpix import compute_healpix_29_from_vectors
from ubspark.sky.rings import compute_ring_of_positions
from ubspark.sky.vectors import compute_position_angle_deg, is_usable_position

__all__ = ["Match", "MatchedCell", "Side"]

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
class MatchedCell:
    """The result of one cell."""

    #: Output rows, sorted by ``_healpix_29`` and left id.
    rows: pa.Table
    #: Index of every left row that was read, and whether it found a match.
    left_healpix: IntArray
    is_matched: NDArray[np.bool_]
    #: Rows read of the right side, the ring included.
    n_right: int


@dataclass(frozen=True)
class Match:
    """Two catalogs and the question; called for each cell."""

    left: Side
    right: Side
    options: MatchOptions

    @property
    def ring_arcsec(self) -> float:
        """How far from a left row, at the match epoch, right rows are read."""
        return self.options.radius_arcsec + self.right.motion_arcsec

    def match_cell(self, low: int, high: int) -> MatchedCell:
        """Match the left rows whose index lies in ``[low, high)``."""
        left = self.left.source.read(np.array([[low, high]]), self.left.names)
        here = compute_positions(left, self.left.columns, epoch=self.options.epoch)
        healpix = compute_healpix_29_from_vectors(here.vectors)
        ring = compute_ring_of_positions(healpix, self.ring_arcsec)
        right = self.right.source.read(ring, self.right.names)
        there = compute_positions(right, self.right.columns, epoch=self.options.epoch)
        found = find_nearest(
            here.vectors,
            there.vectors,
            compute_id_keys(right[self.right.columns.id]),
            there.ra,
            there.dec,
            radius_arcsec=self.options.radius_arcsec,
            left_healpix=healpix,
        )
        is_matched = found.right >= 0
        kept = (
            np.arange(left.num_rows) if self.options.how == "left" else np.flatnonzero(is_matched)
        )
        rows = self._assemble(left, right, here, there, kept, found)
        order = pc.sort_indices(
            rows, sort_keys=[(HEALPIX_29.name, "ascending"), (LEFT_ID.name, "ascending")]
        )
        return MatchedCell(
            rows.take(order), left[HEALPIX_29.name].to_numpy(), is_matched, right.num_rows
        )

    def _assemble(
        self,
        left: pa.Table,
        right: pa.Table,
        here: Positions,
        there: Positions,
        kept: IntArray,
        found: Nearest,
    ) -> pa.Table:
        """Return the output rows of the kept left rows."""
        partner = found.right[kept]
        has_partner = partner >= 0
        left_rows = pa.array(kept)
        right_rows = pa.array(partner, mask=~has_partner)
        angle = np.full(len(kept), np.nan)
        angle[has_partner] = compute_position_angle_deg(
            here.vectors[kept[has_partner]], there.vectors[partner[has_partner]]
        )
        missing_right = np.zeros(len(kept), dtype=np.int32)
        missing_right[has_partner] = there.missing[partner[has_partner]]
        usable = is_usable_position(here.ra[kept], here.dec[kept])
        flags = (
            np.where(usable, 0, FLAG_LEFT_UNUSABLE)
            | np.left_shift(here.missing[kept], LEFT_MISSING_SHIFT)
            | np.left_shift(missing_right, RIGHT_MISSING_SHIFT)
        )
        columns = {
            HEALPIX_29.name: left[HEALPIX_29.name].take(left_rows),
            LEFT_ID.name: left[self.left.columns.id].take(left_rows),
            RIGHT_ID.name: right[self.right.columns.id].take(right_rows),
            DIST_ARCSEC.name: pa.array(found.dist_arcsec[kept], from_pandas=True),
            PA_DEG.name: pa.array(angle, from_pandas=True),
            RANK.name: pa.array(np.ones(len(kept), dtype=np.int32), mask=~has_partner),
            N_CANDIDATES.name: pa.array(found.n_candidates[kept].astype(np.int32)),
            FLAGS.name: pa.array(flags.astype(np.int32)),
        }
        for name, output in self.left.payload:
            columns[output] = left[name].take(left_rows)
        for name, output in self.right.payload:
            columns[output] = right[name].take(right_rows)
        return pa.table(columns)


def compute_id_keys(ids: pa.ChunkedArray) -> IntArray:
    """Return int64 keys that sort as the identifiers do: numbers by value, text by its bytes."""
    if pa.types.is_integer(ids.type):
        return np.require(ids.to_numpy(), np.int64, ["C", "W"])
    if len(ids) == 0:
        return np.zeros(0, dtype=np.int64)
    ranks = pc.rank(ids.combine_chunks(), sort_keys="ascending", tiebreaker="dense")
    return np.require(ranks.to_numpy(), np.int64, ["C", "W"])
