"""Covers: the bound they rest on, and arithmetic of ranges against sets."""

import healpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubspark.sky.cover import MAX_RANGES, PIXEL_RADIUS, intersect_ranges, limit_ranges
from ubspark.sky.healpix import find_in_ranges, merge_ranges
from ubspark.sky.vectors import IntArray


@pytest.mark.parametrize("order", [0, 1, 2, 5, 10, 20])
def test_no_point_of_a_pixel_is_farther_than_the_bound(order: int) -> None:
    nside = 1 << order
    rng = np.random.default_rng(order)
    n_face = nside * nside
    ends = np.concatenate([np.arange(12) * n_face, np.arange(1, 13) * n_face - 1])
    pixels = np.unique(np.append(ends, rng.integers(0, 12 * n_face, 2000)))
    centres = np.stack(healpy.pix2vec(nside, pixels, nest=True), axis=1)
    edges = np.moveaxis(healpy.boundaries(nside, pixels, step=16, nest=True), 1, 2)
    chord = np.linalg.norm(edges - centres[:, None], axis=2).max()
    assert 2 * np.arcsin(chord / 2) * nside < PIXEL_RADIUS * 0.999
    assert healpy.max_pixrad(nside) * nside < PIXEL_RADIUS * 0.999


def to_ranges(edges: list[int]) -> IntArray:
    return merge_ranges(np.array(edges[: len(edges) // 2 * 2]).reshape(-1, 2))


lists = st.lists(st.integers(0, 60), max_size=16).map(to_ranges)


@settings(max_examples=300, deadline=None)
@given(lists, lists)
def test_intersection_is_that_of_the_sets(a: IntArray, b: IntArray) -> None:
    both = intersect_ranges(a, b)
    values = np.arange(-1, 62)
    expected = find_in_ranges(values, a) & find_in_ranges(values, b)
    np.testing.assert_array_equal(find_in_ranges(values, both), expected)
    assert (both[:, 0] < both[:, 1]).all()
    assert (both[1:, 0] >= both[:-1, 1]).all()


def test_limit_closes_the_smallest_gaps() -> None:
    n = MAX_RANGES + 100
    gaps = np.where(np.arange(n) % 3 == 0, 1, 50)
    low = np.cumsum(gaps + 5)
    ranges = np.stack([low, low + 5], axis=1)
    limited = limit_ranges(ranges)
    assert len(limited) == MAX_RANGES
    assert find_in_ranges(ranges[:, 0], limited).all()
    assert find_in_ranges(ranges[:, 1] - 1, limited).all()
    assert (limited[:, 1] - limited[:, 0]).sum() == n * 5 + 100
    np.testing.assert_array_equal(limit_ranges(ranges[:7]), ranges[:7])
