"""Regions: that their ranges are complete is law; the exact test is judged by others."""

import pickle
import warnings
from itertools import pairwise

import healpy
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as PlanePath

from ubspark.errors import ParameterError
from ubspark.sky import compute_healpix_29, find_in_ranges
from ubspark.sky.cover import MAX_RANGES
from ubspark.sky.healpix import N_PIXELS_29
from ubspark.sky.regions import Region, parse_region
from ubspark.sky.vectors import BoolArray, FloatArray, to_ra_dec, to_unit_vectors

N_POINTS = 200
Points = tuple[FloatArray, FloatArray]

# Poles, RA 0, corners of base pixels.
SPECIAL = [(0.0, 90.0), (123.0, -90.0), (0.0, 0.0), (359.9999, 12.0), (45.0, 41.8103148958)]
SPECIAL += [(200.0, 89.9999), (0.0, -41.8103148958), (315.0, 0.0)]
places = st.one_of(
    st.sampled_from(SPECIAL), st.tuples(st.floats(0.0, 359.999), st.floats(-90.0, 90.0))
)
#: From 0.1 arcsec to the whole sky, in degrees.
sizes = st.one_of(st.floats(-4.55, 2.25).map(lambda x: 10.0**x), st.just(90.0), st.just(180.0))


def scatter(ra: float, dec: float, reach: FloatArray, rng: np.random.Generator) -> Points:
    """Return points at some distances, degrees, from a place, in any direction."""
    centre = to_unit_vectors([ra], [dec])
    side = np.cross(centre, rng.normal(size=(len(reach), 3)))
    side /= np.linalg.norm(side, axis=1)[:, None]
    angle = np.deg2rad(reach)[:, None]
    return to_ra_dec(centre * np.cos(angle) + side * np.sin(angle))


def validate_cover(region: Region, ra: FloatArray, dec: FloatArray) -> BoolArray:
    """Check ranges against the exact test at some points; return the test."""
    inside = region.contains(ra, dec)
    index = compute_healpix_29(ra, dec)
    assert find_in_ranges(index[inside], region.ranges).all(), str(region)
    ranges = region.ranges
    assert len(ranges) <= MAX_RANGES
    assert (ranges[:, 0] < ranges[:, 1]).all()
    assert (ranges[1:, 0] > ranges[:-1, 1]).all()
    return inside


@settings(max_examples=200, deadline=None)
@given(places, sizes, st.integers(0, 2**32))
def test_cone_is_what_astropy_says_and_lies_in_its_ranges(
    place: tuple[float, float], size: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    size = min(size, 180.0)
    region = parse_region(f"cone {place[0]!r} {place[1]!r} {size!r} deg")
    reach = size * np.append(rng.random(N_POINTS) * 1.2, [1.0, 1 - 1e-9, 1 + 1e-9, 0.0])
    ra, dec = scatter(*place, np.minimum(reach, 180.0), rng)
    inside = validate_cover(region, ra, dec)
    separation = SkyCoord(*place, unit="deg").separation(SkyCoord(ra, dec, unit="deg")).deg
    # astropy's own error is some 1e-13 degrees.
    clear = np.abs(separation - size) > 1e-11
    np.testing.assert_array_equal(inside[clear], (separation <= size)[clear])


@pytest.mark.parametrize("place", SPECIAL)
@pytest.mark.parametrize("size", [0.1 / 3600, 2.0, 100.0])
def test_cover_of_a_cone_is_tight(place: tuple[float, float], size: float) -> None:
    region = parse_region(f"cone {place[0]} {place[1]} {size!r} deg")
    area = (region.ranges[:, 1] - region.ranges[:, 0]).sum() / N_PIXELS_29
    exact = (1 - np.cos(np.deg2rad(size))) / 2
    # 0.01 arcsec are added to every radius.
    assert area < exact * (1.35 if size < 0.001 else 1.08)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    ra, dec = draw(places)
    width = min(draw(sizes) * 2, 359.9)
    low = max(-90.0, dec - draw(sizes))
    return ra, ra + width, low, min(90.0, max(low, dec))


@settings(max_examples=200, deadline=None)
@given(boxes(), st.integers(0, 2**32))
def test_box_is_its_inequalities_and_lies_in_its_ranges(
    box: tuple[float, float, float, float], seed: int
) -> None:
    ra_min, ra_max, dec_min, dec_max = box
    region = parse_region("box " + " ".join(map(repr, box)))
    rng = np.random.default_rng(seed)
    ra = ra_min + (ra_max - ra_min) * rng.uniform(-0.2, 1.2, N_POINTS)
    dec = np.clip(dec_min + (dec_max - dec_min) * rng.uniform(-0.2, 1.2, N_POINTS), -90, 90)
    dec[:4], ra[4:8], ra[8:12] = [dec_min, dec_max, 90.0, -90.0], ra_min, ra_max
    inside = validate_cover(region, ra, dec)
    turns = np.mod(ra - ra_min, 360.0)
    clear = (turns > 1e-9) & (np.abs(turns - (ra_max - ra_min)) > 1e-9) & (np.abs(dec) < 90)
    expected = (turns <= ra_max - ra_min) & (dec >= dec_min) & (dec <= dec_max)
    np.testing.assert_array_equal(
        inside[clear & (turns < 360 - 1e-9)], expected[clear & (turns < 360 - 1e-9)]
    )


def test_edges_and_poles_belong_to_a_box() -> None:
    region = parse_region("box 350 10 80 90")
    ra = np.array([350.0, 10.0, 0.0, 360.0, 370.0, -10.0, 10.0000001, 180.0, 180.0, 0.0])
    dec = np.array([80.0, 85.0, 80.0, 90.0, 85.0, 85.0, 85.0, 89.9, 90.0, 79.9999])
    inside = validate_cover(region, ra, dec)
    np.testing.assert_array_equal(inside, [1, 1, 1, 1, 1, 1, 0, 0, 1, 0])


def draw_polygon(
    place: tuple[float, float], size: float, radii: list[float], rng: np.random.Generator
) -> Points:
    """Return the corners of a star-shaped polygon around a place, either way round."""
    angle = np.sort(rng.random(len(radii))) * 2 * np.pi
    # So that the place is inside: no gap in angle of 180 degrees.
    angle = 2 * np.pi * (np.arange(len(radii)) + 0.8 * angle / (2 * np.pi)) / len(radii)
    east, north, up = tangent_frame(place)
    reach = np.tan(np.deg2rad(size)) * np.array(radii)
    plane = np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1)
    plane = plane[:: rng.choice([-1, 1])]
    return to_ra_dec(up + plane[:, :1] * east + plane[:, 1:] * north)


def tangent_frame(place: tuple[float, float]) -> tuple[FloatArray, FloatArray, FloatArray]:
    up = to_unit_vectors([place[0]], [place[1]])[0]
    east = np.cross([0.0, 0.0, 1.0] if abs(up[2]) < 0.9 else [1.0, 0.0, 0.0], up)
    east /= np.linalg.norm(east)
    return east, np.cross(up, east), up


@settings(max_examples=200, deadline=None)
@given(
    places,
    st.one_of(st.floats(-4.55, 1.9).map(lambda x: 10.0**x)),
    st.lists(st.floats(0.2, 1.0), min_size=4, max_size=24),
    st.integers(0, 2**32),
)
def test_polygon_is_the_plane_one_in_gnomonic_projection(
    place: tuple[float, float], size: float, radii: list[float], seed: int
) -> None:
    """Great circles are straight lines there, so that matplotlib can judge, concave ones too."""
    rng = np.random.default_rng(seed)
    corners = draw_polygon(place, size, radii, rng)
    text = " ".join(f"{float(ra)!r} {float(dec)!r}" for ra, dec in zip(*corners, strict=True))
    region = parse_region(f"polygon {text}")
    ra, dec = scatter(*place, np.minimum(size * 1.3 * np.sqrt(rng.random(N_POINTS)), 89.0), rng)
    inside = validate_cover(region, ra, dec)
    frame = np.stack(tangent_frame(place), axis=1)
    points, outline = (to_unit_vectors(*place) @ frame for place in ((ra, dec), corners))
    scale = np.tan(np.deg2rad(size))
    plane, line = (v[:, :2] / v[:, 2:] / scale for v in (points, outline))
    closed = np.append(line, line[:1], axis=0)
    # Beside an edge the rounding of the projection, relative to the size, decides.
    rounding = 1e-12 + 1e-14 / np.deg2rad(size)
    expected = PlanePath(closed).contains_points(plane)
    clear = compute_plane_distance(plane, closed) > rounding * (1 + scale)
    np.testing.assert_array_equal(inside[clear], expected[clear])
    # Corners, and the middles of the sides, are edges: inclusive.
    assert validate_cover(region, *corners).all()
    start = to_unit_vectors(*corners)
    middle = start + np.roll(start, -1, axis=0)
    assert validate_cover(region, *to_ra_dec(middle)).all()


def compute_plane_distance(points: FloatArray, closed: FloatArray) -> FloatArray:
    distances = []
    for a, b in pairwise(closed):
        along = np.clip(((points - a) @ (b - a)) / ((b - a) @ (b - a)), 0, 1)
        distances.append(np.linalg.norm(points - a - along[:, None] * (b - a), axis=1))
    return np.min(distances, axis=0)


def test_polygon_may_reach_further_than_a_hemisphere() -> None:
    """A belt of 300 degrees along the equator holds points opposite to each other."""
    lon = np.arange(20.0, 321.0, 5.0)
    belt = [(ra, -5.0) for ra in lon] + [(ra, 5.0) for ra in lon[::-1]]
    region = parse_region("polygon " + " ".join(f"{ra} {dec}" for ra, dec in belt))
    rng = np.random.default_rng(7)
    ra, dec = rng.uniform(0, 360, 4000), np.rad2deg(np.arcsin(rng.uniform(-1, 1, 4000)))
    inside = validate_cover(region, ra, dec)
    clear = np.abs(np.abs(dec) - 5) > 0.01
    expected = (np.abs(dec) < 5) & (ra > 20) & (ra < 320)
    np.testing.assert_array_equal(inside[clear], expected[clear])
    assert 40 < np.count_nonzero(inside) < 400


@pytest.mark.parametrize("order", [1, -1])
def test_polygon_around_a_pole_is_the_cap_whatever_its_direction(order: int) -> None:
    corners = [(ra, -70.0) for ra in range(0, 360, 30)][::order]
    region = parse_region("polygon " + " ".join(f"{ra} {dec}" for ra, dec in corners))
    inside = validate_cover(region, np.array([0.0, 77.0, 15.0, 0.0]), np.array([-90, -75, 90, 0.0]))
    np.testing.assert_array_equal(inside, [True, True, False, False])


def test_cells_hold_the_positions_of_their_pixels() -> None:
    region = parse_region("healpix 3 0-5 100 101 700")
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 3000), np.rad2deg(np.arcsin(rng.uniform(-1, 1, 3000)))
    inside = validate_cover(region, ra, dec)
    pixels = healpy.ang2pix(8, ra, dec, nest=True, lonlat=True)
    np.testing.assert_array_equal(inside, np.isin(pixels, [0, 1, 2, 3, 4, 5, 100, 101, 700]))
    assert region.is_exact
    assert str(region) == "moc 2/0 3/4-5 100-101 700"


def test_long_lists_of_cells_are_named_by_their_digest_and_stay_complete() -> None:
    rng = np.random.default_rng(2)
    pixels = np.unique(rng.integers(0, 12 * 4**9, 20_000))
    region = parse_region("healpix 9 " + " ".join(map(str, pixels)))
    assert str(region).startswith("moc sha256:")
    assert not region.is_exact
    ra, dec = healpy.pix2ang(512, pixels, nest=True, lonlat=True)
    assert validate_cover(region, ra, dec).all()
    near = np.setdiff1d(pixels + 1, pixels)[:-1]
    ra, dec = healpy.pix2ang(512, near, nest=True, lonlat=True)
    assert not region.contains(ra, dec).any()
    with pytest.raises(ParameterError, match="digest of a MOC; give its file"):
        parse_region(str(region))


@settings(max_examples=60, deadline=None)
@given(boxes(), places, sizes, st.integers(0, 2**32))
def test_common_part_of_two_regions(
    box: tuple[float, float, float, float], place: tuple[float, float], size: float, seed: int
) -> None:
    a = parse_region("box " + " ".join(map(repr, box)))
    b = parse_region(f"cone {place[0]!r} {place[1]!r} {min(size, 180.0)!r} deg")
    both = a & b
    rng = np.random.default_rng(seed)
    ra, dec = scatter(*place, rng.random(N_POINTS) * min(size, 180.0), rng)
    inside = both.contains(ra, dec)
    np.testing.assert_array_equal(inside, a.contains(ra, dec) & b.contains(ra, dec))
    assert find_in_ranges(compute_healpix_29(ra, dec)[inside], both.ranges).all()
    assert str(both) == str(b & a) == str(parse_region(f"{a} & {b}")) == str(both & a)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("cone 56.75 24.1 2 deg", "cone 56.75 24.1 7200 arcsec"),
        ("CONE 416.75, 24.1, 120arcmin", "cone 56.75 24.1 7200 arcsec"),
        ("box -10 10 -5 5", "box 350 10 -5 5"),
        ("box 90 450 -5 5", "box 0 360 -5 5"),
        ("polygon 0 0 10 0 10 10 0 0", "polygon 0 0 10 0 10 10"),
        ("moc 3/4-7 4/0", "moc 2/1 4/0"),
        ("healpix 1 0 1 2 3", "moc 0/0"),
        ("moc 0/0-11", "sky"),
        ("sky & cone 1 2 3 mas", "cone 1 2 0.003 arcsec"),
    ],
)
def test_text_is_canonical_and_reads_back(text: str, canonical: str) -> None:
    region = parse_region(text)
    assert str(region) == canonical
    again = pickle.loads(pickle.dumps(parse_region(canonical)))
    assert str(again) == canonical
    np.testing.assert_array_equal(again.ranges, region.ranges)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"must be one of `cone RA DEC RADIUS UNIT`, `box .*, `sky`, got ''"),
        ("disk 1 2 3", "'disk' is none of these"),
        ("cone 1 2 3", "`cone RA DEC RADIUS UNIT`, got 'cone 1 2 3': the radius needs a unit"),
        ("cone 1 2 3 pc", "one of deg, arcmin, arcsec, mas and rad, not 'pc'"),
        ("cone 1 91 3 deg", r"must be in \[-90, 90\], not 91"),
        ("cone 1 2 0 deg", "above 0 and at most 180 deg"),
        ("cone 1 2 181 deg", "above 0 and at most 180 deg"),
        ("cone nan 2 1 deg", "must be finite"),
        ("cone 1h 2 1 deg", "numbers in degrees"),
        ("box 1 2 3", "it needs 4 numbers, not 3"),
        ("box 10 10 0 1", "RA1 and RA2 must differ"),
        ("box 0 400 0 1", "by at most 360"),
        ("box 0 10 5 1", "DEC1 must not be above DEC2"),
        ("polygon 0 0 10 0", "3 to 2000 vertices, got 2"),
        ("polygon 0 0 10 0 5", "pairs of RA and DEC"),
        ("polygon 0 0 10 0 0 10 10 10", "Sides 2 and 4 of a polygon cross"),
        ("polygon 0 0 180 0 90 40", "Vertices 1 and 2 of a polygon are opposite"),
        ("polygon 0 0 90 0 180 0 270 0", "got exactly half"),
        ("healpix 3", "it needs an order and pixels"),
        ("healpix 3 768", r"in \[0, 768\)"),
        ("moc", "needs a file or its cells"),
        ("sky 1", "nothing follows `sky`"),
    ],
)
def test_what_is_no_region_is_refused_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        parse_region(text)
    assert str(caught.value).startswith("`region` must be ")
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    "text", ["cone 0 90 3 deg", "box 0 360 -90 90", "polygon 0 80 120 80 240 80", "sky"]
)
def test_what_is_no_position_lies_nowhere(text: str) -> None:
    region = parse_region(text)
    bad = np.array([np.nan, 1.0, np.inf, 1.0, 1.0])
    dec = np.array([85.0, np.nan, 85.0, 90.1, np.inf])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not region.contains(bad, dec).any()
        assert region.contains(np.array([]), np.array([])).shape == (0,)


def test_cone_includes_its_edge() -> None:
    ra = np.array([10.0, 10.0, 0.0, 20.0])
    assert parse_region("cone 10 0 10 deg").contains(ra, np.array([10.0, -10.0, 0.0, 0.0])).all()
