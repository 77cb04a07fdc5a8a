"""Matching one cell: read its field, choose the pairs, put the output rows together."""

from collections.abc import Iterator
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
from ubspark.crossmatch.choose import Chosen, choose_pairs
from ubspark.crossmatch.field import Field, Rows, Side, read_field
from ubspark.crossmatch.kernels.pairs import count_pairs
from ubspark.crossmatch.options import (
    FLAG_LEFT_UNUSABLE,
    FLAG_RIGHT_UNUSABLE,
    LEFT_MISSING_SHIFT,
    RIGHT_MISSING_SHIFT,
    MatchOptions,
)
from ubspark.sky.vectors import compute_position_angle_deg

__all__ = ["Match", "MatchedCell", "Side"]

IntArray = NDArray[np.int64]

#: A cell with more candidate pairs is cut in two, which bounds the memory of a task.
_MAX_PAIRS = 4_000_000
#: First halo of a one-to-one match, in radii; it doubles until every own row is decided.
_FIRST_HALO = 4.0


@dataclass(frozen=True)
class MatchedCell:
    """The result of one cell, or of a part of it."""

    #: Output rows, sorted by ``_healpix_29`` and left id.
    rows: pa.Table
    #: Index of every own left row, and whether it found a match.
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

    def match_cell(self, low: int, high: int) -> Iterator[MatchedCell]:
        """Match the rows whose index lies in ``[low, high)``; a crowded cell comes in parts."""
        halo = self._first_halo()
        field = read_field(self.left, self.right, self.options, (low, high), halo_arcsec=halo)
        middle = self._find_middle(field, low, high)
        if middle is not None:
            del field
            yield from self.match_cell(low, middle)
            yield from self.match_cell(middle, high)
            return
        chosen = choose_pairs(field, self.left, self.right, self.options)
        while not chosen.is_decided:
            halo *= 2
            field = read_field(self.left, self.right, self.options, (low, high), halo_arcsec=halo)
            chosen = choose_pairs(field, self.left, self.right, self.options)
        yield self._finish(field, chosen)

    def _first_halo(self) -> float:
        """Return how far around the own rows other left rows matter."""
        radius = self.options.radius_arcsec
        if self.options.select == "one_to_one":
            return _FIRST_HALO * radius
        if self.options.select == "mutual":
            return 2 * radius
        return radius if self.options.keeps_right else 0.0

    def _find_middle(self, field: Field, low: int, high: int) -> int | None:
        """Return where to cut a cell that holds too many pairs, None where it need not be."""
        if self.options.select == "nearest" and self.options.is_plain:
            return None
        counts = count_pairs(
            field.left.vectors,
            field.right.vectors,
            radius_arcsec=self.options.radius_arcsec,
            left_healpix=field.left.healpix,
            right_healpix=field.right.healpix,
        )
        if counts.sum() <= _MAX_PAIRS:
            return None
        own = field.left.table[HEALPIX_29.name].to_numpy()[field.left.is_own]
        middle = int(np.median(own)) + 1 if len(own) else high
        if not low < middle < high or not np.any(own >= middle):
            middle = (low + high) // 2
        # The halo, not the cell, may be what is crowded: then cutting does not help.
        share = counts[field.left.is_own].sum() / counts.sum()
        return middle if low < middle < high and share > _MIN_OWN_SHARE else None

    def _finish(self, field: Field, chosen: Chosen) -> MatchedCell:
        n_left = field.left.table.num_rows
        is_matched = np.zeros(n_left, dtype=bool)
        is_matched[chosen.left] = True
        is_own = field.left.is_own
        if self.options.has_pairs:
            rows = self._join(field, chosen, is_matched)
        else:
            wanted = is_matched if self.options.how == "semi" else ~is_matched
            rows = self._list_left(field, chosen, np.flatnonzero(is_own & wanted))
        keys = [(HEALPIX_29.name, "ascending"), (LEFT_ID.name, "ascending")]
        if self.options.has_pairs:
            keys += [(RANK.name, "ascending"), (RIGHT_ID.name, "ascending")]
        index = field.left.table[HEALPIX_29.name].to_numpy()[is_own]
        return MatchedCell(
            rows.take(pc.sort_indices(rows, sort_keys=keys)),
            index,
            is_matched[is_own],
            field.right.table.num_rows,
        )

    def _join(self, field: Field, chosen: Chosen, is_matched: NDArray[np.bool_]) -> pa.Table:
        """Return the pairs of the own left rows and the rows without a pair that are kept."""
        own_pairs = field.left.is_own[chosen.left]
        left, right = chosen.left[own_pairs], chosen.right[own_pairs]
        dist, rank = chosen.dist_arcsec[own_pairs], chosen.rank[own_pairs]
        if self.options.how in ("left", "outer"):
            alone = np.flatnonzero(field.left.is_own & ~is_matched)
            left, right = np.append(left, alone), np.append(right, np.full(len(alone), -1))
        if self.options.keeps_right:
            is_taken = np.zeros(field.right.table.num_rows, dtype=bool)
            is_taken[chosen.right] = True
            alone = np.flatnonzero(field.right.is_own & ~is_taken)
            left, right = np.append(left, np.full(len(alone), -1)), np.append(right, alone)
        n_alone = len(left) - len(dist)
        dist = np.append(dist, np.full(n_alone, np.nan))
        rank = np.append(rank, np.zeros(n_alone, dtype=np.int32))
        angle = np.full(len(left), np.nan)
        both = slice(0, len(left) - n_alone)
        angle[both] = compute_position_angle_deg(
            field.left.vectors[left[both]], field.right.vectors[right[both]]
        )
        here, there = (pa.array(rows, mask=rows < 0) for rows in (left, right))
        left_table, right_table = field.left.table, field.right.table
        counts = np.where(left >= 0, _take(chosen.n_candidates, left), 0)
        index = (left_table[HEALPIX_29.name].take(here), right_table[HEALPIX_29.name].take(there))
        columns = {
            HEALPIX_29.name: pc.coalesce(*index),
            LEFT_ID.name: left_table[self.left.columns.id].take(here),
            RIGHT_ID.name: right_table[self.right.columns.id].take(there),
            DIST_ARCSEC.name: pa.array(dist, from_pandas=True),
            PA_DEG.name: pa.array(angle, from_pandas=True),
            RANK.name: pa.array(rank, mask=rank == 0),
            N_CANDIDATES.name: pa.array(counts.astype(np.int32)),
            FLAGS.name: pa.array(_flag(field.left, left) | _flag_right(field.right, right)),
        }
        columns |= {name: left_table[own].take(here) for own, name in self.left.payload}
        columns |= {name: right_table[own].take(there) for own, name in self.right.payload}
        return pa.table(columns)

    def _list_left(self, field: Field, chosen: Chosen, kept: IntArray) -> pa.Table:
        """Return left rows once each, without anything of the right side."""
        table = field.left.table.take(pa.array(kept))
        columns = {
            HEALPIX_29.name: table[HEALPIX_29.name],
            LEFT_ID.name: table[self.left.columns.id],
            N_CANDIDATES.name: pa.array(chosen.n_candidates[kept]),
            FLAGS.name: pa.array(_flag(field.left, kept)),
        }
        return pa.table(columns | {name: table[own] for own, name in self.left.payload})


#: Share of the pairs that must be the cell's own for a cut to be worth it.
_MIN_OWN_SHARE = 0.25


def _take(values: NDArray[np.int32], rows: IntArray) -> NDArray[np.int32]:
    """Return values of rows; of a negative row, any value."""
    return values[np.maximum(rows, 0)] if len(values) else np.zeros(len(rows), dtype=np.int32)


def _flag(side: Rows, rows: IntArray) -> NDArray[np.int32]:
    """Return the bits of left rows, 0 for a negative row."""
    flags = np.left_shift(side.positions.missing, LEFT_MISSING_SHIFT)
    flags = flags | np.where(side.healpix < 0, FLAG_LEFT_UNUSABLE, 0)
    return np.where(rows >= 0, _take(flags.astype(np.int32), rows), 0).astype(np.int32)


def _flag_right(side: Rows, rows: IntArray) -> NDArray[np.int32]:
    """Return the bits of right rows, 0 for a negative row."""
    flags = np.left_shift(side.positions.missing, RIGHT_MISSING_SHIFT)
    flags = flags | np.where(side.healpix < 0, FLAG_RIGHT_UNUSABLE, 0)
    return np.where(rows >= 0, _take(flags.astype(np.int32), rows), 0).astype(np.int32)
