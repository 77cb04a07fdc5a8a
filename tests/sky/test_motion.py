"""Space motion, against 50 digits, ERFA and astropy."""

import warnings

import astropy.units as u
import erfa
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp  # type: ignore[import-untyped]  # it has no stubs
from numpy.typing import ArrayLike

from ubspark.errors import ParameterError
from ubspark.sky import (
    MISSING_EPOCH,
    MISSING_PARALLAX,
    MISSING_PROPER_MOTION,
    MISSING_RADIAL_VELOCITY,
    Motion,
    compute_motion_bound_arcsec,
    compute_separation_arcsec,
    propagate,
    to_ra_dec,
    to_unit_vectors,
)
from ubspark.sky.motion import KM_S_PER_AU_YR
from ubspark.sky.vectors import FloatArray

# Gaia DR3 4472832130942575872: ra, dec, pmra, pmdec, parallax, rv.
BARNARD = (269.44850252543836, 4.739420051112412, -801.551, 10362.394, 546.976, -110.47)


def make_stars(n: int, seed: int) -> FloatArray:
    """Return ra, dec, pmra, pmdec, parallax and rv, shape (6, n): some near poles and ra 0."""
    rng = np.random.default_rng(seed)
    stars = np.stack(
        [
            rng.uniform(0.0, 360.0, n),
            np.rad2deg(np.arcsin(rng.uniform(-1.0, 1.0, n))),
            rng.normal(0.0, 500.0, n),
            rng.normal(0.0, 500.0, n),
            rng.uniform(0.1, 100.0, n),
            rng.normal(0.0, 100.0, n),
        ]
    )
    stars[:, 0] = BARNARD
    stars[1, 1:5] = [89.9999, -89.9999, 89.99999999, 90.0]
    stars[0, 5:8] = [0.0, 359.99999999, 1e-9]
    return stars


def move(stars: ArrayLike, dt_years: ArrayLike) -> Motion:
    ra, dec, pmra, pmdec, parallax, rv = np.asarray(stars, dtype=np.float64)
    return propagate(ra, dec, pmra, pmdec, parallax, rv, dt_years)


def move_exactly(star: FloatArray, dt: float) -> list[mp.mpf]:
    """Return the direction in which light arrives after some years, from first principles.

    Lengths are in units of the distance. The light that arrives at time t left at tau with
    t = tau + |x(tau)| / c; the proper motion is the change of its direction with t, the radial
    velocity c times 1 - (wavelength at rest / wavelength).
    """
    ra, dec, pmra, pmdec, parallax, rv = (mp.mpf(float(value)) for value in star)
    a, d = mp.radians(ra), mp.radians(dec)
    mas = mp.pi / 180 / 3600 / 1000
    c_au_yr = mp.mpf("299792.458") / mp.mpf("4.740470446")
    light = parallax * mas * c_au_yr
    r = mp.matrix([mp.cos(d) * mp.cos(a), mp.cos(d) * mp.sin(a), mp.sin(d)])
    p = mp.matrix([-mp.sin(a), mp.cos(a), 0])
    q = mp.matrix([-mp.sin(d) * mp.cos(a), -mp.sin(d) * mp.sin(a), mp.cos(d)])
    across = (p * pmra + q * pmdec) * mas
    if not light > 0:
        u_ = r + across * mp.mpf(dt)
        return list(u_ / mp.norm(u_))
    away = mp.mpf(0)
    for _ in range(40):
        beta2 = away**2 + ((1 + away) * mp.norm(across) / light) ** 2
        away = mp.sqrt(1 - beta2) / (1 - rv / mp.mpf("299792.458")) - 1
    velocity = across * (1 + away) + r * (light * away)
    # Emission times counted from that of the first light, which arrived at time 0.
    tau = mp.findroot(lambda x: x + (mp.norm(r + velocity * x) - 1) / light - dt, dt)
    u_ = r + velocity * tau
    return list(u_ / mp.norm(u_))


@pytest.mark.parametrize("dt", [-24.75, 0.5, 15.5, 100.0])
def test_vectors_agree_with_50_digits(dt: float) -> None:
    stars = make_stars(60, seed=1)
    moved = move(stars, dt).vectors
    with mp.workdps(50):
        for star, vector in zip(stars.T, moved, strict=True):
            exact = move_exactly(star, dt)
            parts = zip(vector, exact, strict=True)
            error = max(abs(mp.mpf(float(part)) - good) for part, good in parts)
            assert error < 1e-15


@pytest.mark.parametrize("dt", [-15.5, 1.0, 24.75])
def test_motion_agrees_with_erfa(dt: float) -> None:
    stars = make_stars(500, seed=2)
    ra, dec, pmra, pmdec, parallax, rv = stars[:, (np.abs(stars[1]) < 89.9) & (stars[4] > 2.0)]
    for velocity in (np.zeros_like(rv), rv):
        arcsec = np.pi / 180 / 3600
        pm_rad = pmra / 1e3 * arcsec / np.cos(np.deg2rad(dec)), pmdec / 1e3 * arcsec
        peer = erfa.pmsafe(
            *(np.deg2rad(ra), np.deg2rad(dec), *pm_rad, parallax / 1e3, velocity),
            *(2451545.0, 0.0, 2451545.0, dt * 365.25),
        )
        expected = to_unit_vectors(np.rad2deg(peer[0]), np.rad2deg(peer[1]))
        moved = propagate(ra, dec, pmra, pmdec, parallax, velocity, dt).vectors
        assert (compute_separation_arcsec(moved, expected) < 1e-7).all()


@pytest.mark.parametrize("rv", [0.0, -110.47])
def test_barnard_agrees_with_astropy(rv: float) -> None:
    ra, dec, pmra, pmdec, parallax, _ = BARNARD
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        star = SkyCoord(
            ra * u.deg,
            dec * u.deg,
            pm_ra_cosdec=pmra * u.mas / u.yr,
            pm_dec=pmdec * u.mas / u.yr,
            distance=(1000.0 / parallax) * u.pc,
            radial_velocity=rv * u.km / u.s,
            obstime=Time(2016.0, format="jyear", scale="tdb"),
        )
        peer = star.apply_space_motion(new_obstime=Time(2000.0, format="jyear", scale="tdb"))
    moved = propagate([ra], [dec], [pmra], [pmdec], [parallax], [rv], -16.0).vectors
    expected = to_unit_vectors([peer.ra.deg], [peer.dec.deg])
    assert compute_separation_arcsec(moved, expected)[0] < 1e-7


def test_barnard_is_166_arcsec_away_after_16_years() -> None:
    star = [[value] for value in BARNARD]
    moved = move(star, -16.0).vectors
    dist = compute_separation_arcsec(moved, to_unit_vectors(star[0], star[1]))[0]
    assert dist == pytest.approx(166.13, abs=0.05)


def test_stars_that_do_not_move_keep_their_bits() -> None:
    stars = make_stars(300, seed=3)
    home = to_unit_vectors(stars[0], stars[1])
    np.testing.assert_array_equal(move(stars, 0.0).vectors, home)
    nothing = np.zeros(300)
    still = propagate(stars[0], stars[1], nothing, nothing, stars[4], stars[5], 100.0)
    np.testing.assert_array_equal(still.vectors, home)
    assert not still.missing.any()
    np.testing.assert_array_equal(
        propagate(stars[0], stars[1], None, None, None, None, 9.0).vectors, home
    )


def test_missing_values_count_as_zero_and_leave_their_bit() -> None:
    nan = np.nan
    star = (10.0, 20.0)
    rows = np.array(
        [
            [*star, 100.0, 200.0, 50.0, 30.0],
            [*star, nan, 200.0, 50.0, 30.0],
            [*star, 100.0, nan, 50.0, 30.0],
            [*star, 100.0, 200.0, nan, 30.0],
            [*star, 100.0, 200.0, -1.0, 30.0],
            [*star, 100.0, 200.0, 0.0, 30.0],
            [*star, 100.0, 200.0, 50.0, nan],
            [*star, np.inf, 200.0, nan, nan],
        ]
    ).T
    moved = move(rows, 100.0)
    pm, plx, rv = MISSING_PROPER_MOTION, MISSING_PARALLAX, MISSING_RADIAL_VELOCITY
    assert moved.missing.dtype == np.int32
    assert moved.missing.tolist() == [0, pm, pm, plx, plx, plx, rv, pm | plx | rv]
    home = to_unit_vectors([10.0], [20.0])[0]
    np.testing.assert_array_equal(moved.vectors[[1, 2, 7]], [home] * 3)
    # Without parallax or radial velocity there is no perspective.
    np.testing.assert_array_equal(moved.vectors[3:7], [moved.vectors[3]] * 4)
    assert (moved.vectors[0] != moved.vectors[3]).any()
    none = propagate(rows[0], rows[1], None, None, None, None, 100.0)
    assert none.missing.tolist() == [pm | plx | rv] * 8


def test_epochs_may_differ_by_row() -> None:
    stars = make_stars(60, seed=4)[:, :4]
    dt = np.array([1.0, 0.0, np.nan, -3.0])
    moved = move(stars, dt)
    assert moved.missing.tolist() == [0, 0, MISSING_EPOCH, 0]
    for i, step in enumerate(np.nan_to_num(dt)):
        alone = move(stars[:, i : i + 1], float(step)).vectors[0]
        np.testing.assert_array_equal(moved.vectors[i], alone)


def test_unusable_positions_stay_in_their_rows() -> None:
    moved = propagate([np.nan, 1.0], [0.0, 91.0], [1.0, 1.0], [1.0, 1.0], None, None, 10.0)
    assert np.isnan(moved.vectors).all()
    assert propagate([], [], None, None, None, None, 1.0).vectors.shape == (0, 3)
    assert propagate([], [], [], [], [], [], []).missing.shape == (0,)


def test_star_at_a_pole_leaves_along_its_meridian() -> None:
    moved = propagate([30.0], [90.0], [0.0], [-3.6e6], None, None, 1.0).vectors
    ra, dec = to_ra_dec(moved)
    assert ra[0] == pytest.approx(30.0)
    assert dec[0] == pytest.approx(90.0 - np.rad2deg(np.arctan(np.deg2rad(1.0))))


def test_there_and_back_again() -> None:
    """With the proper motion of the new place, here on the equator: a straight line."""
    there = propagate([10.0], [0.0], [5000.0], [0.0], None, None, 10.0).vectors
    ra, dec = to_ra_dec(there)
    angle = np.deg2rad(50.0 / 3600)
    # The same velocity is seen at cos of the angle and from 1/cos of the distance.
    pmra = 5000.0 * np.cos(np.arctan(angle)) ** 2
    radial = np.sin(np.arctan(angle)) * np.cos(np.arctan(angle)) * np.deg2rad(5.0 / 3600)
    mas_yr = np.rad2deg(radial) * 3600e3
    back = propagate(ra, dec, [pmra], [0.0], [1.0], [mas_yr * KM_S_PER_AU_YR], -10.0).vectors
    assert compute_separation_arcsec(back, to_unit_vectors([10.0], [0.0]))[0] < 1e-9


@given(
    st.floats(-20000, 20000), st.floats(-20000, 20000), st.floats(-100, 100), st.floats(-8e5, 8e5)
)
def test_no_star_moves_further_than_the_bound(
    pmra: float, pmdec: float, dt: float, rv_parallax: float
) -> None:
    moved = propagate([10.0], [60.0], [pmra], [pmdec], [800.0], [rv_parallax / 800.0], dt).vectors
    dist = compute_separation_arcsec(moved, to_unit_vectors([10.0], [60.0]))[0]
    bound = compute_motion_bound_arcsec(abs(pmra), abs(pmdec), dt)
    assert dist <= bound + 1e-9


def test_bound_takes_the_longest_time() -> None:
    assert compute_motion_bound_arcsec(3000.0, 4000.0, [1.0, -10.0, np.nan]) == pytest.approx(55.0)
    assert compute_motion_bound_arcsec(0.0, 0.0, 100.0) == 0.0
    assert compute_motion_bound_arcsec(1.0, 1.0, []) == 0.0
    with pytest.raises(ParameterError, match="`max_abs_pmdec` must be finite and not negative"):
        compute_motion_bound_arcsec(1.0, float("nan"), 1.0)


def test_shapes_are_checked() -> None:
    with pytest.raises(ParameterError, match=r"`pmra` must have the shape \(2,\) of `ra`"):
        propagate([1.0, 2.0], [1.0, 2.0], [1.0], [1.0, 2.0], None, None, 1.0)
    with pytest.raises(ParameterError, match="`dt_years`"):
        propagate([1.0, 2.0], [1.0, 2.0], None, None, None, None, [1.0, 2.0, 3.0])
