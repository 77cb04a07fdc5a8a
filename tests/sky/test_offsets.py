"""Directions and offsets between positions."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import assume, given
from hypothesis import strategies as st

from ubspark.sky import compute_separation_arcsec, to_unit_vectors
from ubspark.sky.offsets import compute_offsets, compute_position_angle_deg

ras = st.floats(0.0, 360.0)
decs = st.floats(-90.0, 90.0)


@pytest.mark.parametrize("dec", [-89.9999, -60.0, 0.0, 60.0, 89.9999])
@pytest.mark.parametrize(("step", "angle"), [((0, 1), 0), ((1, 0), 90), ((0, -1), 180)])
def test_position_angle_is_east_of_north(
    dec: float, step: tuple[float, float], angle: float
) -> None:
    """Beside the poles the meridians of the two ends differ by up to 0.06 degrees."""
    ra = 359.99999999
    other = ra + 1e-7 * step[0] / np.cos(np.deg2rad(dec)), dec + 1e-7 * step[1]
    found = compute_position_angle_deg(
        to_unit_vectors([ra], [dec]), to_unit_vectors([other[0]], [other[1]])
    )[0]
    assert abs((found - angle + 180) % 360 - 180) < 0.05


def test_position_angle_at_the_poles_counts_from_ra_zero() -> None:
    ra = np.arange(0.0, 360.0, 30.0)
    near = to_unit_vectors(ra, np.full_like(ra, 89.0))
    found = compute_position_angle_deg(to_unit_vectors([123.0], [90.0]), near)
    np.testing.assert_allclose(found, (180.0 - ra) % 360.0, atol=1e-9)
    near = to_unit_vectors(ra, np.full_like(ra, -89.0))
    found = compute_position_angle_deg(to_unit_vectors([123.0], [-90.0]), near)
    np.testing.assert_allclose(found, ra, atol=1e-9)


def test_position_angle_of_a_pair_at_one_place_is_nan() -> None:
    a = to_unit_vectors([10.0, 0.0, 5.0, np.nan], [20.0, 90.0, -5.0, 0.0])
    b = to_unit_vectors([370.0, 180.0, 5.0, 1.0], [20.0, 90.0, -5.0, 0.0])
    assert np.isnan(compute_position_angle_deg(a, b)).all()


@pytest.mark.parametrize("dec", [90.0, -90.0])
@pytest.mark.parametrize("ra", [0.0, 123.0, -90.0, 483.0, 1e12])
def test_offsets_at_a_pole_are_those_of_the_meridian_of_the_row(ra: float, dec: float) -> None:
    other = np.arange(5.0, 360.0, 30.0), np.full(12, dec * (1 - 1e-5))
    here, there = to_unit_vectors([ra], [dec]), to_unit_vectors(*other)
    rows = np.arange(12)
    dist = compute_separation_arcsec(here, there)
    found = compute_offsets(here, there, 0 * rows, rows, dist, ra_a=np.array([ra]))
    expected = SkyCoord(ra % 360.0, dec, unit="deg").position_angle(SkyCoord(*other, unit="deg"))
    away = (found.position_angle_deg - expected.deg + 180.0) % 360.0 - 180.0
    np.testing.assert_allclose(away, 0.0, atol=1e-9)
    np.testing.assert_allclose(found.east_arcsec, dist * np.sin(expected.rad), atol=1e-9)


@given(ras, decs, ras, decs)
def test_position_angle_is_in_its_range(a: float, b: float, c: float, d: float) -> None:
    angle = compute_position_angle_deg(to_unit_vectors([a], [b]), to_unit_vectors([c], [d]))[0]
    assert np.isnan(angle) or 0.0 <= angle < 360.0


@given(ras, decs, ras, decs)
def test_offsets_are_as_long_as_the_separation(a: float, b: float, c: float, d: float) -> None:
    first, second = to_unit_vectors([a], [b]), to_unit_vectors([c], [d])
    dist = compute_separation_arcsec(first, second)
    # Squares of smaller numbers lose digits.
    assume(dist[0] == 0.0 or dist[0] > 1e-100)
    rows = np.zeros(1, dtype=np.int64)
    found = compute_offsets(first, second, rows, rows, dist, ra_a=np.array([a]))
    assert np.hypot(found.east_arcsec, found.north_arcsec) == pytest.approx(dist, rel=1e-12)


def test_positions_that_only_rounding_keeps_apart_differ_to_the_north() -> None:
    here = np.array([[1.0, 0.0, 0.0]])
    there = np.array([[np.nextafter(1.0, 2.0), 0.0, 0.0]])
    rows, dist = np.zeros(1, dtype=np.int64), np.array([1e-10])
    found = compute_offsets(here, there, rows, rows, dist, ra_a=np.zeros(1))
    assert [column[0] for column in found] == [0.0, 0.0, 1e-10]
