"""Unit vectors and angles."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp  # type: ignore[import-untyped]  # it has no stubs

from ubspark.errors import ParameterError
from ubspark.sky import (
    compute_separation_arcsec,
    is_usable_position,
    to_ra_dec,
    to_unit_vectors,
)
from ubspark.sky.offsets import compute_position_angle_deg
from ubspark.sky.vectors import FloatArray

SPECIAL = [
    (0.0, 0.0),
    (360.0, 0.0),
    (-0.0, -0.0),
    (45.0, 45.0),
    (359.9999999999, -89.9999999999),
    (10.0, 90.0),
    (200.0, -90.0),
    (135.0, 35.264389682754654),
    (-719.5, 12.0),
    (1e6 + 0.1, -3.0),
]

ras = st.floats(0.0, 360.0, allow_subnormal=False)
decs = st.floats(-90.0, 90.0, allow_subnormal=False)


def make_positions(n: int, seed: int) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    ra = np.concatenate([rng.uniform(0.0, 360.0, n), [p[0] for p in SPECIAL]])
    dec = np.concatenate([np.rad2deg(np.arcsin(rng.uniform(-1, 1, n))), [p[1] for p in SPECIAL]])
    return ra, dec


def to_exact_vector(ra: float, dec: float) -> tuple[mp.mpf, mp.mpf, mp.mpf]:
    a, d = mp.radians(mp.mpf(float(ra))), mp.radians(mp.mpf(float(dec)))
    return mp.cos(d) * mp.cos(a), mp.cos(d) * mp.sin(a), mp.sin(d)


def compute_exact_separation(a: tuple[float, float], b: tuple[float, float]) -> mp.mpf:
    p, q = to_exact_vector(*a), to_exact_vector(*b)
    plus = mp.sqrt(sum((s + t) ** 2 for s, t in zip(p, q, strict=True)))
    minus = mp.sqrt(sum((s - t) ** 2 for s, t in zip(p, q, strict=True)))
    return mp.degrees(2 * mp.atan2(minus, plus)) * 3600


def test_vectors_agree_with_50_digits() -> None:
    ra, dec = make_positions(500, seed=1)
    with mp.workdps(50):
        exact = [to_exact_vector(*p) for p in zip(ra, dec, strict=True)]
        errors = [
            abs(mp.mpf(float(part)) - good)
            for row, goods in zip(to_unit_vectors(ra, dec), exact, strict=True)
            for part, good in zip(row, goods, strict=True)
        ]
        assert max(errors) < 3e-16


@pytest.mark.parametrize("scale_deg", [1e-9, 1e-6, 1e-3, 1.0, 60.0, 119.0, 121.0, 179.9, 180.0])
def test_separation_error_is_below_a_billionth_of_an_arcsec(scale_deg: float) -> None:
    ra, dec = make_positions(60, seed=2)
    turned = SkyCoord(ra, np.clip(dec, -90, 90), unit="deg").directional_offset_by(
        np.linspace(0, 6, ra.size) * u.rad, scale_deg * u.deg
    )
    other = turned.ra.deg, turned.dec.deg
    found = compute_separation_arcsec(to_unit_vectors(ra, dec), to_unit_vectors(*other))
    with mp.workdps(50):
        for i, dist in enumerate(found):
            exact = compute_exact_separation((ra[i], dec[i]), (other[0][i], other[1][i]))
            assert abs(mp.mpf(float(dist)) - exact) < 1e-9


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 255, 256, 257, 1000])
def test_row_has_same_bits_in_any_array(n: int) -> None:
    ra, dec = make_positions(1000, seed=3)
    whole = to_unit_vectors(ra, dec)
    for start in (0, 1, 5):
        rows = slice(start, start + n)
        np.testing.assert_array_equal(to_unit_vectors(ra[rows], dec[rows]), whole[rows])
    strided = to_unit_vectors(ra[::3], np.stack([dec, dec], axis=1)[::3, 0])
    np.testing.assert_array_equal(strided, whole[::3])
    huge = to_unit_vectors(np.append(ra, 1e300), np.append(dec, 0.0))
    np.testing.assert_array_equal(huge[:-1], whole)


def test_separation_has_same_bits_in_any_array() -> None:
    a, b = (to_unit_vectors(*make_positions(500, seed=s)) for s in (4, 5))
    whole = compute_separation_arcsec(a, b)
    np.testing.assert_array_equal(compute_separation_arcsec(a[7:20], b[7:20]), whole[7:20])
    np.testing.assert_array_equal(compute_separation_arcsec(b, a), whole)
    for i in range(0, len(a), 50):
        assert compute_separation_arcsec(a[i], b[i : i + 1])[0] == whole[i]


def test_float32_is_cast_before_arithmetic() -> None:
    ra, dec = (column.astype(np.float32) for column in make_positions(50, seed=6))
    wide = to_unit_vectors(ra.astype(np.float64), dec.astype(np.float64))
    np.testing.assert_array_equal(to_unit_vectors(ra, dec), wide)


def test_wraps_and_poles_are_exact() -> None:
    vectors = to_unit_vectors([0, -0.0, 360, 720, -360], [0, -0.0, 0, 0, 0])
    assert vectors.tobytes() == np.tile([1.0, 0.0, 0.0], (5, 1)).tobytes()
    np.testing.assert_array_equal(to_unit_vectors([0, 77, 359], [90.0] * 3), [[0, 0, 1]] * 3)
    np.testing.assert_array_equal(to_unit_vectors([-1, 33], [-90.0] * 2), [[0, 0, -1]] * 2)


def test_unusable_positions_become_nan() -> None:
    ra = np.array([np.nan, 1.0, np.inf, 1.0, 1.0, 1.0, -np.inf])
    dec = np.array([0.0, np.nan, 0.0, np.inf, 90.0001, -91.0, 0.0])
    assert not is_usable_position(ra, dec).any()
    assert np.isnan(to_unit_vectors(ra, dec)).all()
    assert is_usable_position([0.0, 1e9, -5.0], [90.0, -90.0, 0.0]).all()


def test_shapes_are_checked() -> None:
    with pytest.raises(ParameterError, match="`ra`, `dec` must have one and the same shape"):
        to_unit_vectors([1.0, 2.0], [1.0])
    with pytest.raises(ParameterError, match=r"got \(1, 1\), \(1, 1\)"):
        to_unit_vectors([[1.0]], [[1.0]])


def test_empty_arrays_stay_empty() -> None:
    empty = to_unit_vectors([], [])
    assert empty.shape == (0, 3)
    assert compute_separation_arcsec(empty, empty).shape == (0,)
    assert compute_position_angle_deg(empty, empty).shape == (0,)
    assert to_ra_dec(empty)[0].shape == (0,)


@given(ras, decs)
def test_degrees_come_back(ra: float, dec: float) -> None:
    back = to_ra_dec(to_unit_vectors([ra], [dec]))
    assert 0.0 <= back[0][0] < 360.0
    again = to_unit_vectors(*back)
    # Degrees near 360 hold 2e-10 arcsec.
    assert compute_separation_arcsec(again, to_unit_vectors([ra], [dec]))[0] < 1e-9


def test_ra_just_below_zero_comes_back_as_zero() -> None:
    ra, _ = to_ra_dec(np.array([[1.0, -1e-30, 0.0]]))
    assert ra[0] == 0.0


def test_angles_agree_with_astropy() -> None:
    a = make_positions(300, seed=7)
    b = make_positions(300, seed=8)
    first, second = SkyCoord(*a, unit="deg"), SkyCoord(*b, unit="deg")
    va, vb = to_unit_vectors(*a), to_unit_vectors(*b)
    dist = compute_separation_arcsec(va, vb)
    np.testing.assert_allclose(dist, first.separation(second).arcsec, rtol=0, atol=1e-9)
    # The special rows hold the poles, where astropy takes the meridian of ra.
    ours = compute_position_angle_deg(va, vb)[:300]
    peer = first.position_angle(second).deg[:300]
    turn = np.abs((ours - peer + 180) % 360 - 180)
    assert (turn * np.sin(np.deg2rad(dist[:300] / 3600))).max() < 1e-12
