"""Matching one cell: read its field, choose the pairs, give the output rows and their counts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ubspark.crossmatch.choose import Chosen, choose_pairs, find_chance
from ubspark.crossmatch.field import Field, Rows, Side, read_field
from ubspark.crossmatch.kernels.pairs import count_pairs
from ubspark.crossmatch.options import MatchOptions
from ubspark.crossmatch.rows import join_rows, list_left_rows
from ubspark.sky.offsets import compute_offsets

__all__ = ["Match", "MatchedCell", "Side"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: A cell with more candidate pairs is cut in two, which bounds the memory of a task.
_MAX_PAIRS = 1_500_000
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
    #: Chosen pairs of own left rows: separation and offsets from left to right, shape (k,).
    dist_arcsec: FloatArray
    east_arcsec: FloatArray
    north_arcsec: FloatArray
    #: Places beside own left rows that were matched too, those of them that found a right row,
    #: and the separations found.
    n_shifted: int
    n_shifted_matched: int
    chance_arcsec: FloatArray
    #: Candidates of every own left row.
    n_candidates: NDArray[np.int32]
    #: Own rows of either side that come twice: same identifier, same place.
    n_repeated: tuple[int, int]


@dataclass(frozen=True)
class Match:
    """Two catalogs and the question; called for each cell."""

    left: Side
    right: Side
    options: MatchOptions

    @property
    def ring_arcsec(self) -> float:
        """How far from a left row, at the match epoch, right rows are read.

        The fastest right rows, where they are handled apart, come from wherever they are.
        """
        return self.options.radius_arcsec + self.right.motion_arcsec

    def match_cell(self, low: int, high: int) -> Iterator[MatchedCell]:
        """Match the rows whose index lies in ``[low, high)``; a crowded cell comes in parts."""
        halo = self.first_halo_arcsec
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

    @property
    def first_halo_arcsec(self) -> float:
        """How far around the own rows other left rows matter, at first."""
        radius = self.options.radius_arcsec
        if self.options.select == "one_to_one":
            return _FIRST_HALO * radius
        if self.options.select == "mutual":
            return 2 * radius
        return radius if self.options.keeps_right else 0.0

    def _find_middle(self, field: Field, low: int, high: int) -> int | None:
        """Return where to cut a cell that holds too many pairs, None where it need not be."""
        if self.options.needs_no_pairs:
            return None
        counts = count_pairs(
            field.left.vectors,
            field.right.vectors,
            radius_arcsec=self.options.radius_arcsec,
            left_healpix=field.left.healpix,
            index=field.right.plan_index(self.options.radius_arcsec),
        )
        if counts.sum() <= _MAX_PAIRS:
            return None
        own = field.left.index[field.left.is_own]
        middle = int(np.median(own)) + 1 if len(own) else high
        if not low < middle < high or not np.any(own >= middle):
            middle = (low + high) // 2
        # The halo, not the cell, may be what is crowded: then cutting does not help.
        share = counts[field.left.is_own].sum() / counts.sum()
        return middle if low < middle < high and share > _MIN_OWN_SHARE else None

    def _finish(self, field: Field, chosen: Chosen) -> MatchedCell:
        is_own, is_matched = field.left.is_own, _mark(field.left, chosen.left)
        is_taken = _mark(field.right, chosen.right)
        own = chosen.select(is_own[chosen.left])
        offsets = compute_offsets(
            field.left.vectors,
            field.right.vectors,
            own.left,
            own.right,
            own.dist_arcsec,
            ra_a=field.left.positions.ra,
        )
        if self.options.has_pairs:
            keeps_left, keeps_right = self.options.keeps_all_left, self.options.keeps_right
            alone_left = np.flatnonzero(is_own & ~is_matched & keeps_left)
            alone_right = np.flatnonzero(field.right.is_own & ~is_taken & keeps_right)
            angle_deg = offsets.position_angle_deg
            rows = join_rows(field, self.left, self.right, own, angle_deg, alone_left, alone_right)
        else:
            wanted = is_matched if self.options.how == "semi" else ~is_matched
            rows = list_left_rows(field, self.left, own, np.flatnonzero(is_own & wanted))
        chance_arcsec, n_shifted_matched = find_chance(field, self.options)
        return MatchedCell(
            rows=rows,
            left_healpix=field.left.index[is_own],
            is_matched=is_matched[is_own],
            n_right=field.right.table.num_rows,
            dist_arcsec=own.dist_arcsec,
            east_arcsec=offsets.east_arcsec,
            north_arcsec=offsets.north_arcsec,
            n_shifted=len(field.shifted),
            n_shifted_matched=n_shifted_matched,
            chance_arcsec=chance_arcsec,
            n_candidates=chosen.n_candidates[is_own],
            n_repeated=(
                field.left.count_repeated(self.left.columns.id),
                field.right.count_repeated(self.right.columns.id),
            ),
        )


#: Share of the pairs that must be the cell's own for a cut to be worth it.
_MIN_OWN_SHARE = 0.25


def _mark(side: Rows, rows: IntArray) -> NDArray[np.bool_]:
    """Return which rows of a side are among some."""
    marked = np.zeros(side.table.num_rows, dtype=bool)
    marked[rows] = True
    return marked
