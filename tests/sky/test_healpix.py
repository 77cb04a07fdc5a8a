"""HEALPix indices and ranges."""

import random

import healpy
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Latitude, Longitude
from cdshealpix.nested import lonlat_to_healpix
from hypothesis import given
from hypothesis import strategies as st

from ubspark.columns import NO_POSITION
from ubspark.errors import ParameterError
from ubspark.sky import (
    compute_healpix_29,
    compute_healpix_29_from_vectors,
    compute_separation_arcsec,
    find_in_ranges,
    merge_ranges,
    pixel_to_range,
    range_to_pixels,
    to_unit_vectors,
)
from ubspark.sky.healpix import N_PIXELS_29
from ubspark.sky.vectors import FloatArray, IntArray

ranges_strategy = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12)


def make_positions(n: int, seed: int) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    ra = rng.uniform(0.0, 360.0, n)
    dec = np.rad2deg(np.arcsin(rng.uniform(-1.0, 1.0, n)))
    ra[:6], dec[:6] = [0, 45, 90, 359.9999999, 10, 200], [0, 41.8103149, 0, -41.81, 90, -90]
    return ra, dec


def test_values_are_those_of_cdshealpix() -> None:
    ra, dec = make_positions(20_000, seed=1)
    peer = lonlat_to_healpix(Longitude(ra, u.deg), Latitude(dec, u.deg), 29, num_threads=1)
    ours = compute_healpix_29(ra, dec)
    assert ours.dtype == np.int64
    np.testing.assert_array_equal(ours, peer.astype(np.int64))


def test_values_agree_with_healpy_at_order_20() -> None:
    ra, dec = make_positions(20_000, seed=2)
    peer = healpy.ang2pix(1 << 20, ra, dec, nest=True, lonlat=True)
    away_from_edges = slice(6, None)
    ours = compute_healpix_29(ra, dec) >> 18
    np.testing.assert_array_equal(ours[away_from_edges], peer[away_from_edges])


def test_ra_is_wrapped() -> None:
    ra, dec = make_positions(1000, seed=3)
    # Dyadic degrees, so that adding turns does not round.
    ra = np.round(ra * 1024) / 1024
    home = compute_healpix_29(ra, dec)
    for turns in (-720.0, -360.0, 360.0):
        np.testing.assert_array_equal(compute_healpix_29(ra + turns, dec), home)
    np.testing.assert_array_equal(
        compute_healpix_29([0.0, -0.0, 360.0], [1.0] * 3)[1:], home_of_0()
    )


def home_of_0() -> list[int]:
    return [int(compute_healpix_29([0.0], [1.0])[0])] * 2


def test_unusable_positions_get_minus_one() -> None:
    index = compute_healpix_29([np.nan, 1.0, np.inf, 1.0, 5.0], [0.0, np.nan, 0.0, 90.1, 5.0])
    assert index[:4].tolist() == [NO_POSITION] * 4
    assert index[4] == compute_healpix_29([5.0], [5.0])[0]
    assert compute_healpix_29([np.nan], [1.0]).tolist() == [NO_POSITION]
    assert compute_healpix_29([], []).shape == (0,)


def test_float32_is_cast_first() -> None:
    ra, dec = (column.astype(np.float32) for column in make_positions(500, seed=4))
    wide = compute_healpix_29(ra.astype(np.float64), dec.astype(np.float64))
    np.testing.assert_array_equal(compute_healpix_29(ra, dec), wide)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 20.0])
def test_vectors_beside_poles_and_corners_give_the_same_pixels(scale: float) -> None:
    rng = np.random.default_rng(6)
    for ra0, dec0 in [(0, 90), (0, -90), (0, 0), (0, 41.8103148958), (45, -41.8103148958)]:
        dec = dec0 + scale * rng.normal(size=2000)
        ra, dec = (ra0 + scale * rng.normal(size=2000)) % 360.0, np.where(dec > 90, 180 - dec, dec)
        dec = np.where(dec < -90, -180 - dec, dec)
        by_degrees = compute_healpix_29(ra, dec)
        by_vectors = compute_healpix_29_from_vectors(to_unit_vectors(ra, dec))
        # Both round near 1e-7 of a pixel, so that edges are seen differently only rarely.
        assert np.mean(by_degrees != by_vectors) < (0.01 if scale > 1e-8 else 0.2)
        apart = compute_separation_arcsec(to_centres(by_degrees), to_centres(by_vectors))
        assert apart.max() < 1e-3


def to_centres(healpix: IntArray) -> FloatArray:
    return np.stack(healpy.pix2vec(1 << 29, healpix, nest=True), axis=1)


def test_vectors_give_the_same_pixels_up_to_rounding() -> None:
    ra, dec = make_positions(5000, seed=5)
    from_vectors = compute_healpix_29_from_vectors(to_unit_vectors(ra, dec))
    # Pixels of order 24 are 12 mas wide: rounding puts none of these rows over an edge.
    np.testing.assert_array_equal(from_vectors[6:] >> 10, compute_healpix_29(ra, dec)[6:] >> 10)
    assert compute_healpix_29_from_vectors(np.full((1, 3), np.nan)).tolist() == [NO_POSITION]


@given(st.integers(0, 29), st.data())
def test_pixel_and_range_are_inverse(order: int, data: st.DataObject) -> None:
    pixel = data.draw(st.integers(0, 12 * 4**order - 1))
    lo, hi = pixel_to_range(order, pixel)
    assert range_to_pixels(lo, hi, order).tolist() == [pixel]
    assert hi - lo == 4 ** (29 - order)


def test_pixels_cover_a_range_that_is_no_pixel() -> None:
    assert range_to_pixels(1, 2, 29).tolist() == [1]
    assert range_to_pixels(15, 17, 28).tolist() == [3, 4]
    assert range_to_pixels(5, 5, 3).size == 0
    assert range_to_pixels(0, N_PIXELS_29, 0).tolist() == list(range(12))
    np.testing.assert_array_equal(pixel_to_range(29, [3, 7]), [[3, 4], [7, 8]])


@pytest.mark.parametrize(("order", "pixel"), [(0, 12), (0, -1), (30, 0), (-1, 0), (2, 192)])
def test_pixels_that_do_not_exist_are_refused(order: int, pixel: int) -> None:
    with pytest.raises(ParameterError, match=r"`(pixel|order)` must be in"):
        pixel_to_range(order, pixel)


@pytest.mark.parametrize(("lo", "hi"), [(-1, 4), (4, 3), (0, N_PIXELS_29 + 1)])
def test_ranges_that_do_not_exist_are_refused(lo: int, hi: int) -> None:
    with pytest.raises(ParameterError, match="0 <= lo <= hi"):
        range_to_pixels(lo, hi, 5)


@given(ranges_strategy)
def test_merged_ranges_hold_the_same_values(ranges: list[tuple[int, int]]) -> None:
    merged = merge_ranges(np.array(ranges, dtype=np.int64).reshape(-1, 2))
    expected = sorted({value for lo, hi in ranges for value in range(lo, hi)})
    assert [value for lo, hi in merged for value in range(lo, hi)] == expected
    assert (merged[1:, 0] > merged[:-1, 1]).all()
    inside = find_in_ranges(np.arange(-1, 45), merged)
    assert np.flatnonzero(inside).tolist() == [value + 1 for value in expected]


def test_touching_ranges_are_searched_too() -> None:
    ranges = np.array([[0, 5], [5, 9]])
    assert find_in_ranges([-1, 0, 4, 5, 8, 9], ranges).tolist() == [False] + [True] * 4 + [False]
    assert find_in_ranges([1, 2], np.empty((0, 2), dtype=np.int64)).tolist() == [False, False]


@given(
    st.lists(st.integers(-1, 60), max_size=40),
    st.lists(st.integers(0, 60), max_size=12, unique=True),
    st.randoms(use_true_random=False),
)
def test_values_are_found_in_ranges_in_any_order(
    values: list[int], edges: list[int], dice: random.Random
) -> None:
    ranges = np.array(sorted(edges)[: len(edges) // 2 * 2], dtype=np.int64).reshape(-1, 2)
    for given_order in (sorted(values), dice.sample(values, len(values))):
        wanted = [any(low <= value < high for low, high in ranges) for value in given_order]
        assert find_in_ranges(given_order, ranges).tolist() == wanted
