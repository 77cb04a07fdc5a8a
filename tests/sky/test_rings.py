"""Rings are complete: that is law; tight: that is welcome."""

import healpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from ubspark.errors import ParameterError
from ubspark.sky import (
    compute_healpix_29,
    compute_healpix_29_from_vectors,
    compute_ring,
    compute_ring_of_positions,
    find_in_ranges,
    merge_ranges,
    pixel_to_range,
)
from ubspark.sky.healpix import N_PIXELS_29
from ubspark.sky.rings import (
    RING_WIDTH,
    compute_ring_width_arcsec,
    extend_ring,
    find_ring_order,
)
from ubspark.sky.vectors import ARCSEC_PER_RADIAN, FloatArray, IntArray

# Poles, corners of base pixels (three of them with seven neighbours), ra 0.
SPECIAL: list[tuple[float, float]] = [
    (0, 90),
    (77, -90),
    (0, 0),
    (45, 0),
    (0, 41.8103148958),
    (45, 41.8103148958),
]
SPECIAL += [(90, -41.8103148958), (135, 41.8103148958), (0, -0.0001), (359.99999, 3), (180, 89.99)]

n_points = 64
radii = st.one_of(st.just(0.0), st.floats(1e-3, 1.0), st.floats(1.0, 36000.0))


@st.composite
def cells(draw: st.DrawFn) -> tuple[int, int]:
    """Return a run of indices of any size, anywhere, often at a special place."""
    size = int(4.0 ** draw(st.floats(0.0, 30.79)))
    if draw(st.booleans()):
        ra, dec = draw(st.sampled_from(SPECIAL))
        centre = int(compute_healpix_29([ra], [dec])[0])
    else:
        centre = draw(st.integers(0, N_PIXELS_29 - 1))
    if draw(st.booleans()):
        order = draw(st.integers(0, 29))
        lo, hi = pixel_to_range(order, centre >> (2 * (29 - order)))
        return int(lo), int(hi)
    lo = max(0, centre - int(size * draw(st.floats(0.0, 1.0))))
    return lo, min(N_PIXELS_29, max(lo + size, centre + 1))


def to_vectors(healpix: IntArray) -> FloatArray:
    return np.stack(healpy.pix2vec(1 << 29, healpix, nest=True), axis=1)


def displace(vectors: FloatArray, angle_rad: FloatArray, rng: np.random.Generator) -> FloatArray:
    side = np.cross(vectors, rng.normal(size=vectors.shape))
    side /= np.linalg.norm(side, axis=1)[:, None]
    return vectors * np.cos(angle_rad)[:, None] + side * np.sin(angle_rad)[:, None]


def take_points(lo: int, hi: int, rng: np.random.Generator) -> FloatArray:
    """Return points of a cell: at random, and the corners of its end pixels at all orders."""
    points = rng.integers(lo, hi, n_points)
    steps = 4 ** np.arange(29, dtype=np.int64)
    points[: n_points // 4] = (lo + steps[rng.integers(0, 29, n_points // 4)] - 1) % (hi - lo) + lo
    return to_vectors(points)


@settings(max_examples=400, deadline=None)
@given(cells(), radii, st.integers(0, 2**32))
def test_ring_holds_every_point_within_the_radius(
    cell: tuple[int, int], radius_arcsec: float, seed: int
) -> None:
    lo, hi = cell
    rng = np.random.default_rng(seed)
    points = take_points(lo, hi, rng)
    # The indices that come back name the centres of pixels, 0.4 mas wide: hence 1e-3 less.
    reach = max(0.0, radius_arcsec - 1e-3) * rng.choice([1.0, 1.0, 0.5], n_points)
    moved = displace(points, reach / ARCSEC_PER_RADIAN, rng)
    ring = compute_ring(lo, hi, radius_arcsec)
    assert find_in_ranges(compute_healpix_29_from_vectors(moved), ring).all()
    assert find_in_ranges([lo, hi - 1], ring).all()
    assert (ring[:, 0] < ring[:, 1]).all()
    assert (ring[1:, 0] > ring[:-1, 1]).all()
    assert ring[0, 0] >= 0
    assert ring[-1, 1] <= N_PIXELS_29


@settings(max_examples=100, deadline=None)
@given(cells(), st.floats(0.0, 36000.0), st.integers(0, 2**32))
def test_ring_of_positions_holds_every_point_within_the_radius(
    cell: tuple[int, int], radius_arcsec: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    points = take_points(*cell, rng)
    moved = displace(points, np.full(n_points, radius_arcsec / ARCSEC_PER_RADIAN), rng)
    healpix = compute_healpix_29_from_vectors(points)
    ring = compute_ring_of_positions(healpix, radius_arcsec)
    assert find_in_ranges(compute_healpix_29_from_vectors(moved), ring).all()
    again = compute_ring_of_positions(np.append(np.sort(healpix), -1), radius_arcsec)
    np.testing.assert_array_equal(again, ring)


def measure_width(order: int, pixel: int) -> float:
    """Return how far the ring of a pixel reaches, over the square root of a pixel's area."""
    nside = 1 << order
    near = healpy.get_all_neighbours(nside, pixel, nest=True)
    near = np.append(near[near >= 0], pixel)
    beyond = np.setdiff1d(healpy.get_all_neighbours(nside, near, nest=True), np.append(near, -1))
    edge = healpy.boundaries(nside, pixel, step=32, nest=True).T
    outer = np.moveaxis(healpy.boundaries(nside, beyond, step=32, nest=True), 1, 2).reshape(-1, 3)
    chord = cKDTree(outer).query(edge)[0].min()
    return float(2 * np.arcsin(chord / 2) / np.sqrt(np.pi / 3) * nside)


@pytest.mark.parametrize("order", [0, 1, 2, 5, 10, 20])
def test_ring_width_is_below_the_measured_one(order: int) -> None:
    """Along the edges of the three kinds of base pixels, where pixels are narrowest."""
    n = 1 << order
    steps = np.unique(np.concatenate([np.linspace(0, n - 1, 12), n - n / 2.0 ** np.arange(1, 9)]))
    along = np.unique(np.clip(steps, 0, n - 1).astype(int))
    widths = [
        measure_width(order, int(healpy.xyf2pix(n, x, y, face, nest=True)))
        for face, edge in ((0, n - 1), (4, 0), (4, n - 1), (8, 0))
        for x, y in [(edge, int(step)) for step in along]
    ]
    assert min(widths) > RING_WIDTH * 1.03


def test_ring_order_is_the_finest_that_holds_the_radius() -> None:
    for radius_arcsec in (0.01, 1.0, 60.0, 3600.0, 36000.0):
        order = find_ring_order(radius_arcsec)
        assert compute_ring_width_arcsec(order) > radius_arcsec
        assert compute_ring_width_arcsec(order + 1) < radius_arcsec + 0.01
    assert find_ring_order(300_000.0) == -1


@pytest.mark.parametrize("order", [3, 5, 8, 10])
def test_ring_of_a_cell_is_tight_for_a_small_radius(order: int) -> None:
    lo, hi = pixel_to_range(order, 5 * 4**order // 7)
    ring = compute_ring(int(lo), int(hi), 1.0)
    assert (ring[:, 1] - ring[:, 0]).sum() < 1.1 * (hi - lo)


def test_edges_of_the_arguments() -> None:
    assert compute_ring(7, 7, 1.0).shape == (0, 2)
    assert compute_ring(0, N_PIXELS_29, 1.0).tolist() == [[0, N_PIXELS_29]]
    assert compute_ring_of_positions(np.array([-1, -1]), 1.0).shape == (0, 2)
    with pytest.raises(ParameterError, match=r"`radius_arcsec` must be in \[0, 36000\]"):
        compute_ring(0, 5, 36001.0)
    with pytest.raises(ParameterError, match=r"`radius_arcsec` must be in \[0, 36000\]"):
        compute_ring_of_positions(np.array([4]), float("nan"))
    with pytest.raises(ParameterError, match="0 <= lo <= hi"):
        compute_ring(5, 4, 1.0)


@pytest.mark.parametrize("radius", [0.5, 20.0, 900.0, 36000.0])
@pytest.mark.parametrize("dec", [0.0, 41.8, 89.99])
def test_extended_ring_holds_both(dec: float, radius: float) -> None:
    rng = np.random.default_rng(3)
    healpix = compute_healpix_29(rng.uniform(0, 3, 3000), dec + rng.uniform(-5e-3, 5e-3, 3000))
    own, further = healpix[:2500], healpix[2500:]
    ring = compute_ring_of_positions(own, 5.0)
    extended = extend_ring(ring, np.append(further, -1), radius)
    np.testing.assert_array_equal(merge_ranges(np.concatenate([ring, extended])), extended)
    moved = displace(to_vectors(further), np.full(500, (radius - 1e-3) / ARCSEC_PER_RADIAN), rng)
    assert find_in_ranges(compute_healpix_29_from_vectors(moved), extended).all()


def test_ring_that_holds_all_is_not_extended() -> None:
    own = compute_healpix_29(np.linspace(10, 10.01, 500), np.linspace(20, 20.01, 500))
    ring = compute_ring_of_positions(own, 30.0)
    assert extend_ring(ring, own, 1.0) is ring
    assert extend_ring(ring[:0], own[:0], 1.0).size == 0
    np.testing.assert_array_equal(extend_ring(ring[:0], own, 30.0), ring)


def test_one_position_has_the_ring_of_its_pixel() -> None:
    index = compute_healpix_29([10.0], [20.0])
    ring = compute_ring_of_positions(index, 5.0)
    np.testing.assert_array_equal(ring, compute_ring(int(index[0]), int(index[0]) + 1, 5.0))


def test_ring_of_many_positions_is_thin() -> None:
    """A pixel of 13.4 square degrees full of positions: little beside it, all that is near."""
    rng = np.random.default_rng(8)
    low, high = 17 << 50, 18 << 50
    healpix = np.sort(rng.integers(low, high, 300_000))
    ring = compute_ring_of_positions(healpix, 1.0)
    outside = np.diff(ring).sum() - (high - low)
    # Within 1 arcsec of its edge, 13 degrees long, lie 0.004 of 13.4 square degrees.
    assert 0 < outside < 0.01 * (high - low)
    assert len(ring) < 20_000


@pytest.mark.parametrize("n_rows", [20_000, 500_000])
def test_ring_of_a_thin_survey_is_thin_too(n_rows: int) -> None:
    # So few rows per square degree that pixels with a few rows each are 5 arcmin wide.
    lo, hi = (int(end) for end in pixel_to_range(2, 77))
    healpix = np.sort(np.random.default_rng(5).integers(lo, hi, n_rows))
    ring = compute_ring_of_positions(healpix, 1.0)
    outside = np.diff(ring).sum() - np.diff(np.clip(ring, lo, hi)).sum()
    assert outside < 1e-5 * (hi - lo)
