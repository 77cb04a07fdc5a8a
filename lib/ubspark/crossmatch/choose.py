"""Which pairs of a field are the answer: limits first, then the selection."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ubspark.columns import P_ANY, P_MATCH, SCORE
from ubspark.crossmatch.errors import compute_pair_errors, read_arcsec
from ubspark.crossmatch.field import Field, Rows, Side
from ubspark.crossmatch.kernels import Nearest, find_nearest
from ubspark.crossmatch.kernels.limits import combine_radii, compute_normalised_separation
from ubspark.crossmatch.kernels.pairs import Pairs, find_pairs, sort_pairs
from ubspark.crossmatch.kernels.selections import (
    ACCEPTED,
    UNDECIDED,
    compute_ranks,
    decide_one_to_one,
    is_mutual,
)
from ubspark.crossmatch.options import MatchOptions, PositionColumns
from ubspark.crossmatch.probability import judge_pairs
from ubspark.crossmatch.scorer import Scorer

__all__ = ["Chosen", "choose_pairs", "compute_id_keys", "find_chance"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
#: Places that are looked around at once, which bounds the memory.
_CHANCE_CHUNK = 4096


@dataclass(frozen=True)
class Chosen:
    """The chosen pairs of a field, its surroundings included.

    Attributes
    ----------
    left, right
        Rows of the field, shape (k,), by left row and rank.
    dist_arcsec, rank
        Separation and place among the candidates of the left row, shape (k,).
    n_candidates
        Right rows within the limits of each left row of the field, shape (n left,).
    is_decided
        Whether every own row has its final answer; else the field must be read wider.
    extra
        Further columns of the pairs by name, each of shape (k,).
    """

    left: IntArray
    right: IntArray
    dist_arcsec: FloatArray
    rank: NDArray[np.int32]
    n_candidates: NDArray[np.int32]
    is_decided: bool = True
    extra: Mapping[str, FloatArray] = field(default_factory=dict)

    def select(self, rows: NDArray[np.bool_]) -> "Chosen":
        """Return some of the pairs, with all counts."""
        return Chosen(
            self.left[rows],
            self.right[rows],
            self.dist_arcsec[rows],
            self.rank[rows],
            self.n_candidates,
            self.is_decided,
            {name: values[rows] for name, values in self.extra.items()},
        )


def choose_pairs(here: Field, left: Side, right: Side, options: MatchOptions) -> Chosen:
    """Choose the pairs of a field."""
    left_keys = compute_id_keys(here.left.table[left.columns.id])
    right_keys = compute_id_keys(here.right.table[right.columns.id])
    if options.needs_no_pairs:
        nearest = _choose_nearest(here, right_keys, options)
        if options.select == "nearest":
            return nearest
        return nearest.select(_is_returned(here, left_keys, nearest, options))
    pairs = find_pairs(
        here.left.vectors,
        here.right.vectors,
        radius_arcsec=options.radius_arcsec,
        left_healpix=here.left.healpix,
        index=here.right.plan_index(options.radius_arcsec),
    )
    pairs = _limit(pairs, here, left.columns, right.columns, options)
    if options.scorer is not None:
        pairs = _score(pairs, here, left.columns, right.columns, options.scorer)
    there = here.right.positions
    pairs = sort_pairs(pairs, right_keys, there.ra, there.dec)
    ranks = compute_ranks(pairs)
    counts = np.bincount(pairs.left, minlength=len(left_keys)).astype(np.int32)
    extra = {} if options.scorer is None else {SCORE.name: 0.0 - pairs.key}
    if options.probability is not None:
        found = judge_pairs(pairs, here, left.columns, right.columns, options)
        extra |= {P_MATCH.name: found.p_match, P_ANY.name: found.p_any}
    kept, is_decided = _select(pairs, ranks, here, left_keys, right_keys, options)
    chosen = pairs.select(kept)
    return Chosen(
        chosen.left,
        chosen.right,
        chosen.dist_arcsec,
        ranks[kept],
        counts,
        is_decided,
        {name: values[kept] for name, values in extra.items()},
    )


def find_chance(here: Field, options: MatchOptions) -> tuple[FloatArray, int]:
    """Return the separations found from places beside own rows, and the places that found any.

    Chosen as the pairs are where the left row alone decides, else the nearest; the radii are the
    only limits.
    """
    if len(here.shifted) == 0:
        return np.zeros(0), 0
    if options.needs_no_pairs:
        # Which of several at one distance is the nearest does not matter here.
        keys = np.zeros(len(here.right.healpix), dtype=np.int64)
        nearest = _find_nearest(here.shifted, here.shifted_healpix, here.right, keys, options)
        found_any = nearest.right >= 0
        return nearest.dist_arcsec[found_any], int(np.count_nonzero(found_any))
    largest = {"all": np.iinfo(np.int32).max, "k": options.k}.get(options.select, 1)
    found, n_found = [], 0
    for start in range(0, len(here.shifted), _CHANCE_CHUNK):
        part = slice(start, start + _CHANCE_CHUNK)
        pairs = find_pairs(
            here.shifted[part],
            here.right.vectors,
            radius_arcsec=options.radius_arcsec,
            left_healpix=here.shifted_healpix[part],
            index=here.right.plan_index(options.radius_arcsec),
        )
        pairs = pairs.select(pairs.dist_arcsec >= options.min_radius_arcsec)
        pairs = pairs.select(np.lexsort((pairs.key, pairs.left)))
        ranks = compute_ranks(pairs)
        found.append(pairs.dist_arcsec[ranks <= largest])
        n_found += int(np.count_nonzero(ranks == 1))
    return np.concatenate(found), n_found


def compute_id_keys(ids: pa.ChunkedArray) -> IntArray:
    """Return int64 keys that sort as the identifiers do: numbers by value, text by its bytes."""
    if pa.types.is_integer(ids.type) and ids.type != pa.uint64():
        # Foreign catalogs may have rows without identifier: those come last, as of text.
        ids = ids.cast(pa.int64()).fill_null(np.iinfo(np.int64).max)
        return np.require(ids.to_numpy(), np.int64, ["C", "W"])
    if len(ids) == 0:
        return np.zeros(0, dtype=np.int64)
    ranks = pc.rank(ids.combine_chunks(), sort_keys="ascending", tiebreaker="dense")
    return np.require(ranks.to_numpy(), np.int64, ["C", "W"])


def _choose_nearest(here: Field, right_keys: IntArray, options: MatchOptions) -> Chosen:
    found = _find_nearest(here.left.vectors, here.left.healpix, here.right, right_keys, options)
    left = np.flatnonzero(found.right >= 0)
    ones = np.ones(len(left), dtype=np.int32)
    return Chosen(left, found.right[left], found.dist_arcsec[left], ones, found.n_candidates)


def _is_returned(
    here: Field, left_keys: IntArray, chosen: Chosen, options: MatchOptions
) -> NDArray[np.bool_]:
    """Tell which left rows are the nearest to the right row that they chose."""
    back = _find_nearest(here.right.vectors, here.right.healpix, here.left, left_keys, options)
    returned: NDArray[np.bool_] = back.right[chosen.right] == chosen.left
    return returned


def _find_nearest(
    vectors: FloatArray, healpix: IntArray, among: Rows, keys: IntArray, options: MatchOptions
) -> Nearest:
    """Return the nearest of some rows, with their keys, to places."""
    return find_nearest(
        vectors,
        among.vectors,
        keys,
        among.positions.ra,
        among.positions.dec,
        radius_arcsec=options.radius_arcsec,
        left_healpix=healpix,
        index=among.plan_index(options.radius_arcsec),
    )


def _limit(
    pairs: Pairs,
    here: Field,
    left: PositionColumns,
    right: PositionColumns,
    options: MatchOptions,
) -> Pairs:
    """Return the pairs within all limits."""
    if options.excludes_same_id:
        ids = here.left.table[left.id].take(pa.array(pairs.left))
        others = here.right.table[right.id].take(pa.array(pairs.right))
        pairs = pairs.select(~pc.equal(ids, others).fill_null(False).to_numpy())
    if options.min_radius_arcsec > 0:
        pairs = pairs.select(pairs.dist_arcsec >= options.min_radius_arcsec)
    if options.combine is not None:
        radii = (
            read_arcsec(rows, columns.radius, columns.radius_factor)
            for rows, columns in ((here.left, left), (here.right, right))
        )
        limit = options.n_sigma * combine_radii(pairs, *radii, combine=options.combine)
        pairs = pairs.select(pairs.dist_arcsec <= limit)
    if options.is_elliptic:
        separation = compute_normalised_separation(*compute_pair_errors(pairs, here, left, right))
        pairs = pairs.select(separation <= options.n_sigma)
    return pairs


def _score(
    pairs: Pairs, here: Field, left: PositionColumns, right: PositionColumns, scorer: Scorer
) -> Pairs:
    """Return the pairs that the scorer keeps, the best with the lowest key.

    Pairs of one score keep the order of their separations.
    """
    ours, theirs = (
        rows.table.select(list(dict.fromkeys([columns.id, *wanted]))).take(pa.array(taken))
        for rows, columns, wanted, taken in (
            (here.left, left, scorer.left, pairs.left),
            (here.right, right, scorer.right, pairs.right),
        )
    )
    if len(pairs.left) == 0:
        return pairs
    score = scorer.score(ours, theirs, pairs.dist_arcsec.copy())
    # Plus zero, so that no score is minus zero.
    return pairs._replace(key=0.0 - score).select(~np.isnan(score))


def _select(
    pairs: Pairs,
    ranks: NDArray[np.int32],
    here: Field,
    left_keys: IntArray,
    right_keys: IntArray,
    options: MatchOptions,
) -> tuple[NDArray[np.bool_], bool]:
    """Return which pairs are chosen, and whether that is final for all own rows."""
    if options.select == "mutual":
        positions = here.left.positions
        return is_mutual(pairs, left_keys, positions.ra, positions.dec), True
    if options.select == "one_to_one":
        decided = decide_one_to_one(
            pairs,
            left_keys,
            right_keys,
            n_left=len(left_keys),
            is_right_complete=_find_complete_right(here, options),
        )
        is_own = here.left.is_own[pairs.left] | (
            here.right.is_own[pairs.right] & options.keeps_right
        )
        return decided == ACCEPTED, not np.any(is_own & (decided == UNDECIDED))
    largest = {"nearest": 1, "k": options.k}.get(options.select, np.iinfo(np.int32).max)
    return ranks <= largest, True


def _find_complete_right(here: Field, options: MatchOptions) -> NDArray[np.bool_]:
    """Tell which right rows have all left rows within the radius in the field."""
    own = [here.left.vectors[here.left.is_own]]
    if options.keeps_right:
        own.append(here.right.vectors[here.right.is_own])
    centres = np.concatenate(own)
    reach = here.halo_arcsec - options.radius_arcsec
    if reach <= 0 or len(centres) == 0:
        return np.zeros(len(here.right.healpix), dtype=bool)
    nothing = np.zeros(len(centres))
    near = find_nearest(
        here.right.vectors,
        centres,
        nothing.astype(np.int64),
        nothing,
        nothing,
        radius_arcsec=reach,
        left_healpix=here.right.healpix,
    )
    complete: NDArray[np.bool_] = near.right >= 0
    return complete
