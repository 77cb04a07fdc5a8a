"""Epochs within reach of their object, against the separations of `sky`."""

import numpy as np
import pytest

from ubspark.sky.vectors import compute_separation_arcsec, to_unit_vectors
from ubspark.timeseries.kernels.reach import find_far


@pytest.mark.parametrize("reach", [0.05, 2.0, 3600.0])
def test_far_is_what_the_separation_says(reach: float) -> None:
    rng = np.random.default_rng(4)
    ra, dec = rng.uniform(0, 360, 50), np.degrees(np.arcsin(rng.uniform(-1, 1, 50)))
    ra[0], dec[1] = 360 - 1e-9, 90.0
    number = rng.integers(-1, 50, 2000)
    step = rng.normal(0, reach / 3600, (2, 2000))
    seen_dec = np.clip(dec[number] + step[1], -90, 90)
    seen_ra = (ra[number] + step[0]) % 360
    here, there = to_unit_vectors(seen_ra, seen_dec), to_unit_vectors(ra, dec)
    distance = compute_separation_arcsec(here, there[number])
    expected = (number < 0) | (distance > reach)
    is_clear = np.abs(distance - reach) > 1e-9
    found = find_far(seen_ra, seen_dec, number, ra, dec, reach_arcsec=reach)
    assert 100 < expected.sum() < 1950
    np.testing.assert_array_equal(found[is_clear], expected[is_clear])


def test_no_position_is_far() -> None:
    zero, pole, first = np.zeros(1), np.full(1, 90.0), np.zeros(1, np.int64)
    for ra, dec in [(np.nan, 90.0), (0.0, np.nan), (np.inf, 90.0), (0.0, 90.0001)]:
        nowhere = np.array([ra]), np.array([dec])
        assert find_far(*nowhere, first, zero, pole, reach_arcsec=3600.0).tolist() == [True]
        assert find_far(zero, pole, first, *nowhere, reach_arcsec=3600.0).tolist() == [True]
    assert find_far(zero, pole, first, zero, pole, reach_arcsec=0.0).tolist() == [False]
    nothing = np.zeros(0)
    found = find_far(zero, pole, first - 1, nothing, nothing, reach_arcsec=1.0)
    assert found.tolist() == [True]


@pytest.mark.parametrize("dec", [0.0, 60.0, -85.0])
def test_reach_is_exact_where_the_way_around_the_corner_is_too_long(dec: float) -> None:
    # Half a reach to the east, and so far north that the sum is longer, the separation is not.
    reach = 10.0
    east = 0.5 * reach / 3600 / np.cos(np.radians(dec))
    north = np.array([0.86, 0.87]) * reach / 3600
    ra = np.array([359.9999]).repeat(2)
    number = np.zeros(2, np.int64)
    found = find_far(
        (ra + east) % 360, dec + north, number, ra[:1], np.array([dec]), reach_arcsec=reach
    )
    assert found.tolist() == [False, True]
