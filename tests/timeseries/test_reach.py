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
    here = to_unit_vectors((ra[number] + step[0]) % 360, seen_dec)
    there = to_unit_vectors(ra, dec)
    distance = compute_separation_arcsec(here, there[number])
    expected = (number < 0) | (distance > reach)
    is_clear = np.abs(distance - reach) > 1e-9
    found = find_far(here, there, number, reach_arcsec=reach)
    assert 100 < expected.sum() < 1950
    np.testing.assert_array_equal(found[is_clear], expected[is_clear])


def test_no_position_is_far() -> None:
    nowhere = np.full((1, 3), np.nan)
    pole = to_unit_vectors(np.zeros(1), np.full(1, 90.0))
    first = np.zeros(1, np.int64)
    assert find_far(nowhere, pole, first, reach_arcsec=3600.0).tolist() == [True]
    assert find_far(pole, nowhere, first, reach_arcsec=3600.0).tolist() == [True]
    assert find_far(pole, pole, first, reach_arcsec=0.0).tolist() == [False]
    assert find_far(pole, np.zeros((0, 3)), first - 1, reach_arcsec=1.0).tolist() == [True]
