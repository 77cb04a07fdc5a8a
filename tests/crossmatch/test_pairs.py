"""All pairs within a radius, and what is chosen of them."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord, search_around_sky

from ubspark.crossmatch.kernels import find_nearest
from ubspark.crossmatch.kernels.limits import combine_radii
from ubspark.crossmatch.kernels.pairs import count_pairs, find_pairs, sort_pairs
from ubspark.crossmatch.kernels.selections import (
    ACCEPTED,
    UNDECIDED,
    compute_ranks,
    decide_one_to_one,
    is_mutual,
)
from ubspark.errors import ParameterError
from ubspark.sky.vectors import to_unit_vectors

RADIUS = 30.0


def _field(n: int, seed: int, dec: float = 89.9) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 360, n), rng.uniform(dec - 0.1, dec + 0.1, n)


@pytest.fixture(scope="module")
def positions() -> list[tuple[np.ndarray, np.ndarray]]:
    return [_field(2000, 1), _field(1500, 2)]


def test_pairs_are_those_of_astropy(positions: list[tuple[np.ndarray, np.ndarray]]) -> None:
    left, right = (to_unit_vectors(*side) for side in positions)
    pairs = find_pairs(left, right, radius_arcsec=RADIUS)
    here, there = (SkyCoord(*side, unit="deg") for side in positions)
    i, j, separation, _ = search_around_sky(here, there, RADIUS * u.arcsec)
    theirs = dict(zip(zip(i.tolist(), j.tolist(), strict=True), separation.arcsec, strict=True))
    ours = zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)
    found = dict(zip(ours, pairs.dist_arcsec, strict=True))
    assert found.keys() == theirs.keys()
    assert max(abs(found[pair] - theirs[pair]) for pair in found) < 1e-7
    counts = count_pairs(left, right, radius_arcsec=RADIUS)
    assert np.array_equal(counts, np.bincount(pairs.left, minlength=len(left)))


def test_first_of_sorted_pairs_is_the_nearest(
    positions: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    (left, right), ids = (to_unit_vectors(*side) for side in positions), np.arange(1500)
    pairs = sort_pairs(find_pairs(left, right, radius_arcsec=RADIUS), ids, *positions[1])
    ranks = compute_ranks(pairs)
    nearest = find_nearest(left, right, ids, *positions[1], radius_arcsec=RADIUS)
    first = pairs.select(ranks == 1)
    assert np.array_equal(first.left, np.flatnonzero(nearest.right >= 0))
    assert np.array_equal(first.right, nearest.right[first.left])
    assert np.array_equal(first.dist_arcsec, nearest.dist_arcsec[first.left])
    steps = np.diff(pairs.dist_arcsec)[ranks[1:] > 1]
    assert np.all(steps >= 0)


def test_mutual_pairs_are_nearest_both_ways(
    positions: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    left, right = (to_unit_vectors(*side) for side in positions)
    pairs = sort_pairs(
        find_pairs(left, right, radius_arcsec=RADIUS), np.arange(1500), *positions[1]
    )
    mutual = pairs.select(is_mutual(pairs, np.arange(2000), *positions[0]))
    there = find_nearest(left, right, np.arange(1500), *positions[1], radius_arcsec=RADIUS).right
    back = find_nearest(right, left, np.arange(2000), *positions[0], radius_arcsec=RADIUS).right
    expected = [i for i in range(2000) if there[i] >= 0 and back[there[i]] == i]
    assert mutual.left.tolist() == expected


def test_one_to_one_leaves_open_what_hidden_rows_could_change() -> None:
    # A chain of ever wider steps: taking away the first left row turns every choice around.
    steps = np.cumsum(np.concatenate([[0.0], 1.0 + 0.1 * np.arange(9)])) / 3600
    left = to_unit_vectors(np.full(5, 10.0), steps[0::2])
    right = to_unit_vectors(np.full(5, 10.0), steps[1::2])
    pairs = find_pairs(left, right, radius_arcsec=2.0)
    ids = np.arange(5)
    whole = decide_one_to_one(pairs, ids, ids, n_left=5, is_right_complete=np.ones(5, dtype=bool))
    assert pairs.select(whole == ACCEPTED).left.tolist() == [0, 1, 2, 3, 4]
    hidden = pairs.select(pairs.left > 0)
    is_complete = ids > 0
    rest = decide_one_to_one(hidden, ids, ids, n_left=5, is_right_complete=is_complete)
    assert np.all(rest == UNDECIDED)


def test_ties_go_to_the_lower_identifiers() -> None:
    left = to_unit_vectors([10.0, 10.0], [0.0, 0.0])
    right = to_unit_vectors([10.0, 10.0], [1 / 3600, 1 / 3600])
    pairs = find_pairs(left, right, radius_arcsec=2.0)
    pairs = sort_pairs(pairs, np.array([7, 3]), np.zeros(2), np.zeros(2))
    assert pairs.right.tolist() == [1, 0, 1, 0]
    decided = decide_one_to_one(
        pairs,
        np.array([5, 2]),
        np.array([7, 3]),
        n_left=2,
        is_right_complete=np.ones(2, dtype=bool),
    )
    found = pairs.select(decided == ACCEPTED)
    assert sorted(zip(found.left.tolist(), found.right.tolist(), strict=True)) == [(0, 0), (1, 1)]


def test_radii_combine() -> None:
    pairs = find_pairs(*(to_unit_vectors([1.0], [1.0]),) * 2, radius_arcsec=1.0)
    left, right = np.array([3.0]), np.array([4.0])
    assert combine_radii(pairs, left, right, combine="sum").tolist() == [7.0]
    assert combine_radii(pairs, left, right, combine="quadrature").tolist() == [5.0]


@pytest.mark.parametrize("radius", [0.0, -1.0, 4e5, np.nan])
def test_radius_must_be_an_angle(radius: float) -> None:
    vectors = to_unit_vectors([1.0], [1.0])
    with pytest.raises(ParameterError, match="`radius_arcsec` must be in"):
        find_pairs(vectors, vectors, radius_arcsec=radius)
