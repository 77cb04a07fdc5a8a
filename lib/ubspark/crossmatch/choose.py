"""Which pairs of a field are the answer: limits first, then the selection."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ubspark.crossmatch.field import Field, Rows, Side
from ubspark.crossmatch.kernels import find_nearest
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

__all__ = ["Chosen", "choose_pairs", "compute_id_keys"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


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
    """

    left: IntArray
    right: IntArray
    dist_arcsec: FloatArray
    rank: NDArray[np.int32]
    n_candidates: NDArray[np.int32]
    is_decided: bool = True


def choose_pairs(field: Field, left: Side, right: Side, options: MatchOptions) -> Chosen:
    """Choose the pairs of a field."""
    left_keys = compute_id_keys(field.left.table[left.columns.id])
    right_keys = compute_id_keys(field.right.table[right.columns.id])
    if options.select == "nearest" and options.is_plain:
        return _choose_nearest(field, right_keys, options)
    pairs = find_pairs(
        field.left.vectors,
        field.right.vectors,
        radius_arcsec=options.radius_arcsec,
        left_healpix=field.left.healpix,
        right_healpix=field.right.healpix,
    )
    pairs = _limit(pairs, field, left.columns, right.columns, options)
    there = field.right.positions
    pairs = sort_pairs(pairs, right_keys, there.ra, there.dec)
    ranks = compute_ranks(pairs)
    counts = np.bincount(pairs.left, minlength=len(left_keys)).astype(np.int32)
    kept, is_decided = _select(pairs, ranks, field, left_keys, right_keys, options)
    found = pairs.select(kept)
    return Chosen(found.left, found.right, found.dist_arcsec, ranks[kept], counts, is_decided)


def compute_id_keys(ids: pa.ChunkedArray) -> IntArray:
    """Return int64 keys that sort as the identifiers do: numbers by value, text by its bytes."""
    if pa.types.is_integer(ids.type):
        return np.require(ids.to_numpy(), np.int64, ["C", "W"])
    if len(ids) == 0:
        return np.zeros(0, dtype=np.int64)
    ranks = pc.rank(ids.combine_chunks(), sort_keys="ascending", tiebreaker="dense")
    return np.require(ranks.to_numpy(), np.int64, ["C", "W"])


def _choose_nearest(field: Field, right_keys: IntArray, options: MatchOptions) -> Chosen:
    found = find_nearest(
        field.left.vectors,
        field.right.vectors,
        right_keys,
        field.right.positions.ra,
        field.right.positions.dec,
        radius_arcsec=options.radius_arcsec,
        left_healpix=field.left.healpix,
        right_healpix=field.right.healpix,
    )
    left = np.flatnonzero(found.right >= 0)
    ones = np.ones(len(left), dtype=np.int32)
    return Chosen(left, found.right[left], found.dist_arcsec[left], ones, found.n_candidates)


def _limit(
    pairs: Pairs,
    field: Field,
    left: PositionColumns,
    right: PositionColumns,
    options: MatchOptions,
) -> Pairs:
    """Return the pairs within all limits."""
    if options.excludes_same_id:
        here = field.left.table[left.id].take(pa.array(pairs.left))
        there = field.right.table[right.id].take(pa.array(pairs.right))
        pairs = pairs.select(~pc.equal(here, there).to_numpy())
    if options.min_radius_arcsec > 0:
        pairs = pairs.select(pairs.dist_arcsec >= options.min_radius_arcsec)
    if options.combine is not None:
        radii = (
            _to_arcsec(rows, columns.radius, columns.radius_factor)
            for rows, columns in ((field.left, left), (field.right, right))
        )
        limit = options.n_sigma * combine_radii(pairs, *radii, combine=options.combine)
        pairs = pairs.select(pairs.dist_arcsec <= limit)
    if options.is_elliptic:
        separation = compute_normalised_separation(
            pairs,
            field.left.vectors,
            field.right.vectors,
            compute_covariance(field.left, left),
            compute_covariance(field.right, right),
        )
        pairs = pairs.select(separation <= options.n_sigma)
    return pairs


def _select(
    pairs: Pairs,
    ranks: NDArray[np.int32],
    field: Field,
    left_keys: IntArray,
    right_keys: IntArray,
    options: MatchOptions,
) -> tuple[NDArray[np.bool_], bool]:
    """Return which pairs are chosen, and whether that is final for all own rows."""
    if options.select == "mutual":
        here = field.left.positions
        return is_mutual(pairs, left_keys, here.ra, here.dec), True
    if options.select == "one_to_one":
        decided = decide_one_to_one(
            pairs,
            left_keys,
            right_keys,
            n_left=len(left_keys),
            is_right_complete=_find_complete_right(field, options),
        )
        is_own = field.left.is_own[pairs.left] | (
            field.right.is_own[pairs.right] & options.keeps_right
        )
        return decided == ACCEPTED, not np.any(is_own & (decided == UNDECIDED))
    largest = {"nearest": 1, "k": options.k}.get(options.select, np.iinfo(np.int32).max)
    return ranks <= largest, True


def _find_complete_right(field: Field, options: MatchOptions) -> NDArray[np.bool_]:
    """Tell which right rows have all left rows within the radius in the field."""
    own = [field.left.vectors[field.left.is_own]]
    if options.keeps_right:
        own.append(field.right.vectors[field.right.is_own])
    centres = np.concatenate(own)
    reach = field.halo_arcsec - options.radius_arcsec
    if reach <= 0 or len(centres) == 0:
        return np.zeros(len(field.right.healpix), dtype=bool)
    nothing = np.zeros(len(centres))
    near = find_nearest(
        field.right.vectors,
        centres,
        nothing.astype(np.int64),
        nothing,
        nothing,
        radius_arcsec=reach,
        left_healpix=field.right.healpix,
    )
    complete: NDArray[np.bool_] = near.right >= 0
    return complete


def compute_covariance(rows: Rows, columns: PositionColumns) -> FloatArray:
    """Return variances in ra and dec and the covariance, shape (n, 3), arcsec squared."""
    sigma_ra, sigma_dec = (
        _to_arcsec(rows, name, columns.error_factor)
        for name in (columns.ra_error, columns.dec_error)
    )
    correlation = _to_arcsec(rows, columns.ra_dec_corr, 1.0)
    return np.stack([sigma_ra**2, sigma_dec**2, correlation * sigma_ra * sigma_dec], axis=1)


def _to_arcsec(rows: Rows, name: str | None, factor: float) -> FloatArray:
    """Return a column in arcsec, missing values and columns as 0."""
    if name is None:
        return np.zeros(rows.table.num_rows)
    values: FloatArray = rows.table[name].cast(pa.float64()).to_numpy()
    return np.nan_to_num(values, nan=0.0) * factor
