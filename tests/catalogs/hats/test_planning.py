"""Partitions from sparse counts, and margins against every row's true distance."""

import healpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ubspark.catalogs.hats.counts import SparseCounts
from ubspark.catalogs.hats.partitions import Partitions
from ubspark.catalogs.hats.planning import (
    PixelItem,
    compute_margin_ranges,
    find_empty_pixels,
    plan_partitions,
    subtract_ranges,
)
from ubspark.columns import HEALPIX_ORDER
from ubspark.sky.healpix import N_PIXELS_29, compute_healpix_29, find_in_ranges, merge_ranges

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def count(index: IntArray, order: int, row_bytes: int = 100) -> SparseCounts:
    pixel, n_rows = np.unique(index >> 2 * (HEALPIX_ORDER - order), return_counts=True)
    return SparseCounts(order, pixel, n_rows, n_rows * row_bytes)


def make_index(n_rows: int, seed: int) -> IntArray:
    rng = np.random.default_rng(seed)
    spread = rng.integers(0, N_PIXELS_29, n_rows)
    crowd = rng.integers(0, N_PIXELS_29) + rng.integers(0, 1 << 30, n_rows // 2)
    return np.sort(np.concatenate([spread, crowd]) % N_PIXELS_29)


def plan_slowly(
    index: IntArray, order: int, pixel: int, max_rows: int, highest: int
) -> list[tuple[int, int, int]]:
    """The definition: the largest pixels that hold no more than so many rows."""
    inside = index[index >> 2 * (HEALPIX_ORDER - order) == pixel]
    if len(inside) == 0:
        return []
    if len(inside) <= max_rows or order == highest:
        return [(order, pixel, len(inside))]
    parts = (4 * pixel + i for i in range(4))
    return [
        leaf for part in parts for leaf in plan_slowly(inside, order + 1, part, max_rows, highest)
    ]


@pytest.mark.parametrize(("max_rows", "highest"), [(1, 12), (7, 5), (50, 12), (10_000, 3)])
def test_partitions_are_the_largest_that_fit(max_rows: int, highest: int) -> None:
    index = make_index(800, seed=5)
    items = plan_partitions(count(index, 12), max_rows=max_rows, highest_order=highest)
    expected = [
        leaf for base in range(12) for leaf in plan_slowly(index, 0, base, max_rows, highest)
    ]
    assert [(i.order, i.pixel, i.n_rows) for i in items] == expected


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1 << 30), max_rows=st.integers(1, 300), lowest=st.integers(0, 4))
def test_partitions_are_disjoint_and_hold_every_row(seed: int, max_rows: int, lowest: int) -> None:
    index = make_index(300, seed)
    items = plan_partitions(
        count(index, 9), max_rows=max_rows, lowest_order=lowest, highest_order=9
    )
    ranges = np.array([item.range for item in items])
    assert np.all(ranges[1:, 0] >= ranges[:-1, 1])
    assert find_in_ranges(index, merge_ranges(ranges)).all()
    assert sum(item.n_rows for item in items) == len(index)
    assert all(item.n_rows <= max_rows or item.order == 9 for item in items)
    assert all(lowest <= item.order <= 9 for item in items)


def test_bytes_limit_a_partition_too() -> None:
    index = make_index(400, seed=1)
    counts = count(index, 8, row_bytes=1000)
    by_rows = plan_partitions(counts, max_rows=50, highest_order=8)
    by_bytes = plan_partitions(counts, max_rows=1000, max_bytes=50_000, highest_order=8)
    assert by_rows == by_bytes


def test_one_crowded_pixel_is_one_partition_of_the_deepest_order() -> None:
    counts = SparseCounts(29, np.array([77]), np.array([10**9]), np.array([10**11]))
    items = plan_partitions(counts, max_rows=1000, highest_order=14)
    assert [(i.order, i.pixel, i.n_rows) for i in items] == [(14, 77 >> 30, 10**9)]


def test_counts_add_up_and_stay_sparse() -> None:
    index = make_index(500, seed=9)
    parts = [count(index[::2], 29), count(index[1::2], 29)]
    total = SparseCounts.sum(29, parts)
    assert total.n_rows.sum() == len(index)
    assert len(total.pixel) == len(np.unique(index))
    coarse = total.degrade(3)
    np.testing.assert_array_equal(coarse.pixel, np.unique(index >> 52))
    assert coarse.n_bytes.sum() == total.n_bytes.sum()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1 << 30))
def test_empty_pixels_are_the_rest_of_the_sky(seed: int) -> None:
    items = plan_partitions(count(make_index(60, seed), 7), max_rows=3, highest_order=7)
    own = Partitions.from_pairs([(item.order, item.pixel) for item in items])
    rest = Partitions.from_pairs(find_empty_pixels(own))
    both = np.concatenate([own.ranges, rest.ranges])
    assert (both[:, 1] - both[:, 0]).sum() == N_PIXELS_29
    assert merge_ranges(both).tolist() == [[0, N_PIXELS_29]]
    # No four of them make up a larger one.
    siblings = [(k, p >> 2) for k, p in zip(rest.order, rest.pixel, strict=True) if k > 0]
    assert all(siblings.count(pair) < 4 for pair in siblings)


def test_ranges_are_subtracted() -> None:
    ranges = np.array([[0, 10], [20, 30], [40, 50]])
    others = np.array([[5, 6], [8, 25], [45, 60]])
    assert subtract_ranges(ranges, others).tolist() == [[0, 5], [6, 8], [25, 30], [40, 45]]
    assert subtract_ranges(ranges, np.zeros((0, 2), dtype=np.int64)).tolist() == ranges.tolist()


def find_distances(order: int, pixel: int, ra: FloatArray, dec: FloatArray) -> FloatArray:
    """Distance of positions from the edge of a pixel, arcsec, by a dense walk along the edge."""
    edge = healpy.boundaries(1 << order, pixel, step=4096, nest=True).T
    places = np.asarray(healpy.ang2vec(ra, dec, lonlat=True))
    chords = np.array([np.sqrt(((edge - place) ** 2).sum(axis=1)).min() for place in places])
    found: FloatArray = np.degrees(2 * np.arcsin(chords / 2)) * 3600
    return found


@pytest.mark.parametrize(
    ("order", "pixel", "threshold"),
    [
        (0, 0, 3600.0),
        (0, 4, 30.0),
        (0, 8, 600.0),
        (2, 15, 60.0),
        (3, 255, 5.0),
        (5, 1023, 20.0),
        (6, 40_000, 120.0),
        (9, 12_345, 300.0),
        (11, 7, 400.0),
    ],
)
def test_margin_holds_every_row_within_its_threshold(
    order: int, pixel: int, threshold: float
) -> None:
    """Rows are dropped about the corners and along the edge, at up to three times the threshold."""
    rng = np.random.default_rng(order + pixel)
    edge = healpy.boundaries(1 << order, pixel, step=256, nest=True).T
    edge = np.concatenate([np.repeat(edge[::256], 100, axis=0), edge])
    step = np.radians(3 * threshold / 3600) * rng.uniform(-1, 1, edge.shape) / np.sqrt(3)
    vectors = edge + step
    ra, dec = healpy.vec2ang(vectors, lonlat=True)
    index = compute_healpix_29(ra, dec)
    item = PixelItem("", order, pixel)
    own = np.array([item.range])
    ranges = compute_margin_ranges(item, threshold)
    assert not find_in_ranges(ranges[:, 0], own).any()
    outside = ~find_in_ranges(index, own)
    is_near = find_distances(order, pixel, ra, dec) <= threshold
    assert (outside & is_near).sum() > 100
    held = find_in_ranges(index, ranges)
    assert held[outside & is_near].all()
    assert not held[~outside].any()
