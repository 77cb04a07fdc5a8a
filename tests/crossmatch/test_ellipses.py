"""Error ellipses of pairs, against matrices in space."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ubspark.crossmatch.kernels.covariance import sum_covariances
from ubspark.crossmatch.kernels.limits import compute_normalised_separation
from ubspark.crossmatch.kernels.pairs import Pairs, find_pairs
from ubspark.sky.offsets import Offsets, compute_offsets
from ubspark.sky.vectors import ARCSEC_PER_RADIAN, to_unit_vectors

Array = NDArray[np.float64]
Side = tuple[Array, Array, Array]
DECS = [-90.0, -89.9999, -60.0, 0.0, 60.0, 89.9995, 89.99999, 90.0]


def make_side(rng: np.random.Generator, dec: float, n: int = 60) -> Side:
    """Positions within some arcsec, one of them at the very place, and their covariances."""
    if abs(dec) > 89:
        # All around the pole, so that no two norths agree.
        distance = abs(90 - abs(dec)) + rng.uniform(0, 3, n) / 3600
        ra, decs = rng.uniform(0, 360, n), np.sign(dec) * (90 - distance)
    else:
        ra, decs = 40 + rng.normal(0, 1, n) / 3600, dec + rng.normal(0, 1, n) / 3600
    decs[0] = dec
    sigma, rho = rng.uniform(0.1, 1.0, (2, n)), rng.uniform(-0.9, 0.9, n)
    return ra, decs, np.stack([sigma[0] ** 2, sigma[1] ** 2, rho * sigma[0] * sigma[1]], axis=1)


def measure(left: Side, right: Side) -> tuple[Pairs, Array]:
    """Pairs of two sides within 4 arcsec, and their separations in units of the errors."""
    a, b = (to_unit_vectors(*side[:2]) for side in (left, right))
    pairs = find_pairs(a, b, radius_arcsec=4.0)
    there = compute_offsets(a, b, pairs.left, pairs.right, pairs.dist_arcsec, ra_a=left[0])
    back = compute_offsets(b, a, pairs.right, pairs.left, pairs.dist_arcsec, ra_a=right[0])
    total = sum_covariances(pairs, left[2], right[2], there, back)
    return pairs, compute_normalised_separation(there.east_arcsec, there.north_arcsec, total)


def to_space(ra: float, dec: float, covariance: Array) -> Array:
    """The covariance of a position as a matrix of its place in space."""
    ra, dec = np.radians([ra, dec])
    axes = np.array(
        [
            [-np.sin(ra), np.cos(ra), 0.0],
            [-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)],
        ]
    )
    xx, yy, xy = covariance
    return axes.T @ np.array([[xx, xy], [xy, yy]]) @ axes


@pytest.mark.parametrize("dec", DECS)
def test_normalised_separation_is_that_of_matrices_in_space(dec: float) -> None:
    rng = np.random.default_rng(4)
    left, right = make_side(rng, dec), make_side(rng, dec)
    pairs, found = measure(left, right)
    steps = to_unit_vectors(*right[:2])[pairs.right] - to_unit_vectors(*left[:2])[pairs.left]
    assert len(found) > 500
    for k in range(0, len(found), 7):
        i, j = pairs.left[k], pairs.right[k]
        matrix = to_space(left[0][i], left[1][i], left[2][i])
        matrix += to_space(right[0][j], right[1][j], right[2][j])
        step = ARCSEC_PER_RADIAN * steps[k]
        # The tangent planes of places some arcsec apart are one to 1e-5.
        expected = np.sqrt(step @ np.linalg.pinv(matrix, rcond=1e-6) @ step)
        assert found[k] == pytest.approx(expected, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("dec", DECS)
def test_both_sides_see_one_separation(dec: float) -> None:
    rng = np.random.default_rng(5)
    left, right = make_side(rng, dec), make_side(rng, dec)
    pairs, found = measure(left, right)
    swapped, seen = measure(right, left)
    order = np.lexsort((swapped.left, swapped.right))
    assert (
        swapped.right[order].tolist() == pairs.left[np.lexsort((pairs.right, pairs.left))].tolist()
    )
    ours = found[np.lexsort((pairs.right, pairs.left))]
    np.testing.assert_allclose(seen[order], ours, rtol=1e-7, atol=1e-9)


@given(st.floats(0, 6.3), st.floats(0.1, 5.0))
def test_errors_along_one_line_hold_along_it_alone(turn: float, n_sigma: float) -> None:
    sigma = np.array([[2 * np.cos(turn), 2 * np.sin(turn)]])
    covariance = np.array([[sigma[0, 0] ** 2, sigma[0, 1] ** 2, sigma[0, 0] * sigma[0, 1]]])
    along, across = n_sigma * sigma[0], 1e-3 * sigma[0, ::-1] * [-1, 1]
    on = compute_normalised_separation(along[:1], along[1:], covariance)
    off = compute_normalised_separation(*(along + across).reshape(2, 1), covariance)
    assert on[0] == pytest.approx(n_sigma, rel=1e-6)
    assert off[0] > 500


@pytest.mark.parametrize("sigma", [(0.5, 0.0), (0.0, 0.5)])
def test_an_error_of_one_axis_alone(sigma: tuple[float, float]) -> None:
    covariance = np.array([[sigma[0] ** 2, sigma[1] ** 2, 0.0]] * 2)
    east, north = np.array([1.5, 0.0]), np.array([0.0, 1.5])
    found = compute_normalised_separation(east, north, covariance)
    near, far = (0, 1) if sigma[0] else (1, 0)
    assert found[near] == pytest.approx(3.0, rel=1e-9)
    assert found[far] > 1e6


def test_without_errors_only_equal_positions_agree() -> None:
    nothing = np.zeros((2, 3))
    found = compute_normalised_separation(np.zeros(2), np.array([0.0, 1e-9]), nothing)
    assert found.tolist() == [0.0, np.inf]


def test_places_that_are_one_have_the_plain_sum() -> None:
    pairs = Pairs(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1), np.zeros(1))
    nowhere = Offsets(np.full(1, np.nan), np.zeros(1), np.zeros(1))
    one, other = np.array([[1.0, 2.0, 0.5]]), np.array([[3.0, 1.0, -0.2]])
    total = sum_covariances(pairs, one, other, nowhere, nowhere)
    np.testing.assert_array_equal(total, one + other)
