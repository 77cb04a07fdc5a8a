"""Neighbours of HEALPix pixels, against healpy."""

import healpy
import numpy as np
import pytest

from ubspark.sky.neighbours import compute_neighbours


@pytest.mark.parametrize("order", range(7))
def test_all_neighbours_are_those_of_healpy(order: int) -> None:
    pixels = np.arange(12 * 4**order)
    ours = np.sort(compute_neighbours(pixels, order), axis=1)
    peer = np.sort(healpy.get_all_neighbours(1 << order, pixels, nest=True).T, axis=1)
    np.testing.assert_array_equal(ours, peer)


@pytest.mark.parametrize("order", [13, 22, 29])
def test_neighbours_of_high_orders_are_those_of_healpy(order: int) -> None:
    n_face = 4**order
    corners = np.arange(13) * n_face
    rng = np.random.default_rng(order)
    pixels = np.concatenate([rng.integers(0, 12 * n_face, 5000), corners[:-1], corners[1:] - 1])
    ours = np.sort(compute_neighbours(pixels, order), axis=1)
    peer = np.sort(healpy.get_all_neighbours(1 << order, pixels, nest=True).T, axis=1)
    np.testing.assert_array_equal(ours, peer)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_no_neighbour_is_named_twice(order: int) -> None:
    """A kernel that walks them must not count a row twice."""
    for row in compute_neighbours(np.arange(12 * 4**order), order):
        there = row[row >= 0]
        assert len(set(there)) == len(there)
