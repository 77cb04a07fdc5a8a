"""Frames of positions and the way to ICRS."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from ubspark.errors import ParameterError
from ubspark.sky.frames import is_equatorial, to_icrs, validate_frame


@pytest.mark.parametrize(
    ("given", "frame"),
    [
        ("ICRS", "ICRS"),
        ("icrs", "ICRS"),
        (" Galactic ", "GALACTIC"),
        ("FK5", "FK5 J2000"),
        ("fk5  j2000", "FK5 J2000"),
        ("FK5 J1991.25", "FK5 J1991.25"),
        ("FK4", "FK4 B1950"),
        ("fk4 b1875", "FK4 B1875"),
    ],
)
def test_frame_has_a_standard_form(given: str, frame: str) -> None:
    assert validate_frame(given) == frame
    assert validate_frame(frame) == frame


@pytest.mark.parametrize(
    "given", ["", "ecliptic", "FK6", "FK5 2000", "FK5 J20", "ICRS J2000", "FK4B1950"]
)
def test_other_frames_are_refused(given: str) -> None:
    with pytest.raises(ParameterError, match=r"^The frame .* cannot be converted to ICRS\. Known"):
        validate_frame(given)


@pytest.mark.parametrize(
    ("frame", "is_it"),
    [
        *(("ICRS", True), ("FK5 J2000", True), ("FK5 J2000.0", True), ("FK5 J1950", False)),
        *(("FK4 B1950", False), ("FK4 J2000", False), ("GALACTIC", False)),
    ],
)
def test_icrs_and_fk5_of_2000_are_taken_as_they_are(frame: str, is_it: bool) -> None:
    assert is_equatorial(validate_frame(frame)) == is_it


@pytest.mark.parametrize(
    ("frame", "lon", "lat", "ra", "dec", "arcsec"),
    [
        # Galactic centre and pole (Reid & Brunthaler 2004, appendix); the quasar 3C 273 (NED).
        ("GALACTIC", 0.0, 0.0, 266.404996, -28.936172, 0.1),
        ("GALACTIC", 0.0, 90.0, 192.859481, 27.128251, 0.1),
        ("FK4 B1950", 186.638542, 2.328692, 187.277915, 2.052389, 1.0),
    ],
)
def test_published_places(
    frame: str, lon: float, lat: float, ra: float, dec: float, arcsec: float
) -> None:
    found = SkyCoord(*to_icrs([lon], [lat], frame), unit="deg")
    assert found.separation(SkyCoord([ra], [dec], unit="deg")).arcsec[0] < arcsec


def test_fk5_of_2000_is_icrs_to_a_tenth_of_an_arcsecond() -> None:
    """So that taking it as it stands, which `is_equatorial` says, is no error that matters."""
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    there = SkyCoord(lon, lat, unit="deg")
    here = SkyCoord(*to_icrs(lon, lat, "FK5 J2000"), unit="deg")
    assert 0.001 < here.separation(there).arcsec.max() < 0.1


def test_galactic_positions_come_back() -> None:
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    back = SkyCoord(*to_icrs(lon, lat, "GALACTIC"), unit="deg").galactic
    there = SkyCoord(lon * u.deg, lat * u.deg, frame="galactic")
    assert back.separation(there).arcsec.max() < 1e-8


def test_rows_that_are_no_position_are_nan_and_the_others_stay() -> None:
    nan, inf = np.nan, np.inf
    lon = np.array([10.0, nan, 10.0, inf, 10.0, 10.0, -350.0, 10.0])
    lat = np.array([20.0, 20.0, nan, 20.0, -inf, 90.1, 20.0, -90.1])
    ra, dec = to_icrs(lon, lat, "GALACTIC")
    good = np.array([1, 0, 0, 0, 0, 0, 1, 0], dtype=bool)
    np.testing.assert_array_equal(np.isfinite(ra), good)
    np.testing.assert_array_equal(np.isfinite(dec), good)
    assert ra[6] == pytest.approx(ra[0], abs=1e-12)
    assert np.all((ra[good] >= 0) & (ra[good] < 360))
    assert lon[1] is not nan
    assert np.isnan(lon[1]), "the input is not written to"


def test_integers_and_no_rows_are_taken() -> None:
    ra, dec = to_icrs([0], [0], "GALACTIC")
    assert ra.dtype == dec.dtype == np.float64
    assert [part.shape for part in to_icrs([], [], "GALACTIC")] == [(0,), (0,)]
