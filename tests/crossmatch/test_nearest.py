"""The nearest right row of each left row."""

from typing import NamedTuple

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord, match_coordinates_sky, search_around_sky
from hypothesis import given, settings
from hypothesis import strategies as st

from ubspark.crossmatch.kernels import Nearest, find_nearest
from ubspark.crossmatch.kernels.candidates import compute_chord_limit, plan_right_index
from ubspark.errors import ParameterError
from ubspark.sky import compute_healpix_29, compute_separation_arcsec, to_arcsec, to_unit_vectors
from ubspark.sky.vectors import FloatArray, IntArray

# Centres of fields: poles, corners of base pixels, ra 0, and a plain place.
FIELDS = [(0, 90), (10, -90), (0, 0), (45, 41.8103148958), (90, -41.8103148958), (359.9, 60)]
FIELDS += [(45, 0), (56.75, 24.1)]


class Rows(NamedTuple):
    ra: FloatArray
    dec: FloatArray
    id: IntArray

    def take(self, rows: IntArray | slice) -> "Rows":
        return Rows(self.ra[rows], self.dec[rows], self.id[rows])

    def to_vectors(self) -> FloatArray:
        return to_unit_vectors(self.ra, self.dec)


def make_field(
    n: int, centre: tuple[float, float], radius_arcsec: float, seed: int, *, step: float = 0.0
) -> Rows:
    """Return rows around a place; with a step, on a grid, so that ties and duplicates abound."""
    rng = np.random.default_rng(seed)
    here = SkyCoord(*centre, unit="deg")
    rho = np.sqrt(rng.random(n)) * radius_arcsec
    phi = rng.uniform(0.0, 360.0, n)
    rows = here.directional_offset_by(phi * u.deg, rho * u.arcsec)
    ra, dec = rows.ra.deg, rows.dec.deg
    if step:
        ra, dec = np.round(ra / step) * step, np.round(dec / step) * step
    return Rows(ra, np.clip(dec, -90.0, 90.0), rng.permutation(n).astype(np.int64))


def make_sky(n: int, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    dec = np.rad2deg(np.arcsin(rng.uniform(-1.0, 1.0, n)))
    return Rows(rng.uniform(0.0, 360.0, n), dec, rng.permutation(n).astype(np.int64))


def match(left: Rows, right: Rows, radius_arcsec: float, *, indexed: bool = False) -> Nearest:
    return find_nearest(
        left.to_vectors(),
        right.to_vectors(),
        right.id,
        right.ra,
        right.dec,
        radius_arcsec=radius_arcsec,
        left_healpix=compute_healpix_29(left.ra, left.dec) if indexed else None,
        right_healpix=compute_healpix_29(right.ra, right.dec) if indexed else None,
    )


def match_slowly(left: Rows, right: Rows, radius_arcsec: float) -> Nearest:
    """Compare every pair."""
    n = left.ra.size
    chosen, dist = np.full(n, -1), np.full(n, np.nan)
    count = np.zeros(n, dtype=np.int32)
    right_vectors = right.to_vectors()
    for i, vector in enumerate(left.to_vectors()):
        dists = compute_separation_arcsec(vector, right_vectors)
        squares = (vector - right_vectors) ** 2
        square = (squares[:, 0] + squares[:, 1]) + squares[:, 2]
        near = np.flatnonzero(dists <= radius_arcsec)
        count[i] = near.size
        if near.size:
            keys = (near, right.dec[near], right.ra[near], right.id[near], square[near])
            chosen[i] = near[np.lexsort(keys)[0]]
            dist[i] = dists[chosen[i]]
    return Nearest(chosen, dist, count)


def assert_same(a: Nearest, b: Nearest) -> None:
    np.testing.assert_array_equal(a.right, b.right)
    np.testing.assert_array_equal(a.dist_arcsec, b.dist_arcsec)
    np.testing.assert_array_equal(a.n_candidates, b.n_candidates)


@pytest.mark.parametrize("centre", FIELDS)
@pytest.mark.parametrize("radius_arcsec", [0.3, 5.0, 80.0, 4000.0])
@pytest.mark.parametrize("indexed", [False, True])
def test_result_is_that_of_every_pair(
    centre: tuple[float, float], radius_arcsec: float, indexed: bool
) -> None:
    left = make_field(150, centre, 20 * radius_arcsec, seed=1)
    right = make_field(600, centre, 20 * radius_arcsec, seed=2)
    found = match(left, right, radius_arcsec, indexed=indexed)
    assert_same(found, match_slowly(left, right, radius_arcsec))
    assert np.sum(found.right >= 0) > 10


@pytest.mark.parametrize("centre", FIELDS)
def test_dense_and_sparse_fields_mix(centre: tuple[float, float]) -> None:
    """Pixels follow the density of the rows, whatever the radius."""
    wide, dense = make_field(300, centre, 3e4, seed=3), make_field(300, centre, 3.0, seed=4)
    right = Rows(*(np.concatenate(pair) for pair in zip(wide, dense, strict=True)))
    left = make_field(100, centre, 5.0, seed=5)
    for radius_arcsec in (0.1, 1.0, 600.0):
        assert_same(match(left, right, radius_arcsec), match_slowly(left, right, radius_arcsec))


@pytest.mark.parametrize("degrees", [0.001, 1.0, 9.0, 25.0, 50.0, 70.0, 90.0])
def test_any_radius_works_on_the_whole_sky(degrees: float) -> None:
    left, right = make_sky(100, seed=6), make_sky(500, seed=7)
    left = Rows(*(np.concatenate([a, b[:30]]) for a, b in zip(left, right, strict=True)))
    radius_arcsec = degrees * 3600
    assert_same(match(left, right, radius_arcsec), match_slowly(left, right, radius_arcsec))


@pytest.mark.parametrize("centre", FIELDS)
def test_pairs_agree_with_astropy(centre: tuple[float, float]) -> None:
    left = make_field(2000, centre, 300.0, seed=8)
    right = make_field(3000, centre, 300.0, seed=9)
    found = match(left, right, 5.0)
    here, there = (SkyCoord(rows.ra, rows.dec, unit="deg") for rows in (left, right))
    row, dist, _ = match_coordinates_sky(here, there)
    near = dist.arcsec <= 5.0
    np.testing.assert_array_equal(found.right, np.where(near, row, -1))
    # Degrees near 360 hold 2e-10 arcsec and both take their sines to an ulp.
    np.testing.assert_allclose(found.dist_arcsec[near], dist.arcsec[near], rtol=0, atol=1e-9)
    pairs = search_around_sky(here, there, 5.0 * u.arcsec)[0]
    counts = np.bincount(pairs, minlength=2000)
    np.testing.assert_array_equal(found.n_candidates, counts)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(FIELDS),
    st.floats(0.1, 2000.0),
    st.integers(0, 2**32),
    st.integers(0, 60),
    st.integers(0, 60),
    st.sampled_from([0.0, 0.0, 1.0]),
)
def test_result_does_not_depend_on_order_or_division(
    centre: tuple[float, float], radius_arcsec: float, seed: int, n: int, m: int, on_grid: float
) -> None:
    step = on_grid * radius_arcsec / 3600.0 / 2.0
    left = make_field(n, centre, 5 * radius_arcsec, seed, step=step)
    right = make_field(m, centre, 5 * radius_arcsec, seed + 1, step=step)
    whole = match(left, right, radius_arcsec)
    assert_same(whole, match_slowly(left, right, radius_arcsec))

    rng = np.random.default_rng(seed)
    mixed, turned = rng.permutation(n), rng.permutation(m)
    again = match(left.take(mixed), right.take(turned), radius_arcsec, indexed=True)
    assert_same(
        Nearest(np.append(turned, -1)[again.right], again.dist_arcsec, again.n_candidates),
        Nearest(whole.right[mixed], whole.dist_arcsec[mixed], whole.n_candidates[mixed]),
    )
    cut = n // 3
    parts = [match(left.take(part), right, radius_arcsec) for part in (slice(cut), slice(cut, n))]
    assert_same(
        Nearest(
            np.concatenate([part.right for part in parts]),
            np.concatenate([part.dist_arcsec for part in parts]),
            np.concatenate([part.n_candidates for part in parts]),
        ),
        whole,
    )

    # Rows further away than the radius change nothing, though they change the pixels.
    nearby = rng.random(m) < 0.5
    nearby[whole.right[whole.right >= 0]] = True
    kept = np.flatnonzero(nearby)
    fewer = match(left, right.take(kept), radius_arcsec)
    np.testing.assert_array_equal(np.append(kept, -1)[fewer.right], whole.right)
    np.testing.assert_array_equal(fewer.dist_arcsec, whole.dist_arcsec)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.floats(1.0, 30000.0))
def test_pairs_survive_a_rotation(seed: int, radius_arcsec: float) -> None:
    rng = np.random.default_rng(seed)
    left, right = make_sky(200, seed), make_sky(200, seed + 1)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    home = match(left, right, radius_arcsec)
    turned = find_nearest(
        left.to_vectors() @ turn,
        right.to_vectors() @ turn,
        right.id,
        right.ra,
        right.dec,
        radius_arcsec=radius_arcsec,
    )
    np.testing.assert_array_equal(turned.right, home.right)
    np.testing.assert_allclose(turned.dist_arcsec, home.dist_arcsec, rtol=0, atol=1e-9)


def test_ties_go_to_the_lower_id_then_ra_then_dec() -> None:
    left = Rows(np.array([10.0]), np.array([0.0]), np.array([0]))
    step = 1.0 / 3600 / 4
    # The same chord to the north and to the south, east and west.
    ra, dec = np.array([10.0, 10.0]), np.array([step, -step])
    assert match(left, Rows(ra, dec, np.array([7, 3])), 1.0).right.tolist() == [1]
    assert match(left, Rows(ra, dec, np.array([3, 7])), 1.0).right.tolist() == [0]
    assert match(left, Rows(ra, dec, np.array([5, 5])), 1.0).right.tolist() == [1]
    # 370 is the same place as 10, and is told apart by the number.
    place = np.array([370.0, 10.0]), np.array([step, step])
    assert match(left, Rows(*place, np.array([5, 5])), 1.0).right.tolist() == [1]
    same = Rows(np.array([10.0] * 3), np.array([step] * 3), np.array([4, 2, 2]))
    found = match(left, same, 1.0)
    assert found.right.tolist() == [1]
    assert found.n_candidates.tolist() == [3]


def test_ids_of_64_bits_are_told_apart() -> None:
    left = Rows(np.array([10.0]), np.array([0.0]), np.array([0]))
    ids = np.array([2**62 + 1, 2**62], dtype=np.int64)
    right = Rows(np.array([10.0, 10.0]), np.array([0.0, 0.0]), ids)
    assert match(left, right, 1.0).right.tolist() == [1]


def test_pairs_survive_ra_wrap_and_poles() -> None:
    left = Rows(
        np.array([0.0, 360.0, -0.0, 359.99999999, 10.0, 0.0]),
        np.array([5.0, 5.0, 5.0, 5.0, 90.0, -90.0]),
        np.arange(6),
    )
    right = Rows(
        np.array([359.9999999, 190.0, 77.0]), np.array([5.0, 89.99999, -89.99999]), np.arange(3)
    )
    assert match(left, right, 0.1).right.tolist() == [0, 0, 0, 0, 1, 2]


def test_radius_is_inclusive_on_the_number_reported() -> None:
    left, right = make_field(200, (0, 0), 9.0, seed=10), make_field(1, (0, 0), 9.0, seed=11)
    full = match(left, right, 30.0)
    for i, dist in enumerate(full.dist_arcsec):
        row = left.take(slice(i, i + 1))
        at = match(row, right, float(dist))
        assert at.right[0] == 0
        assert at.dist_arcsec[0] == dist
        assert match(row, right, float(np.nextafter(dist, 0.0))).right[0] == -1


@pytest.mark.parametrize("radius_arcsec", [1e-200, 1e-9, 0.1, 1.0, 3600.0, 324000.0])
def test_chord_limit_is_the_last_that_fits(radius_arcsec: float) -> None:
    limit = compute_chord_limit(radius_arcsec)
    assert to_arcsec(limit) <= radius_arcsec
    beyond = np.array(limit) + np.spacing(limit) * np.arange(1, 50)
    assert (to_arcsec(beyond) > radius_arcsec).all()


def test_distance_has_the_bits_of_compute_separation() -> None:
    left, right = make_field(500, (200, 70), 60.0, seed=12), make_field(500, (200, 70), 60.0, 13)
    found = match(left, right, 60.0)
    expected = compute_separation_arcsec(left.to_vectors(), right.to_vectors()[found.right])
    np.testing.assert_array_equal(found.dist_arcsec, expected)


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 5), (5, 0), (1, 1)])
def test_either_side_may_be_empty(n: int, m: int) -> None:
    found = match(make_sky(n, seed=14), make_sky(m, seed=15), 1.0)
    assert found.right.tolist() == [-1] * n
    assert found.right.dtype == np.int64
    assert found.n_candidates.dtype == np.int32
    assert np.isnan(found.dist_arcsec).all()


@pytest.mark.parametrize("radius_arcsec", [1.0, 90.0 * 3600])
def test_rows_without_a_position_never_match(radius_arcsec: float) -> None:
    ra = np.array([10.0, np.nan, np.inf, 10.0, 10.0])
    dec = np.array([20.0, 20.0, 20.0, np.nan, 99.0])
    rows = Rows(ra, dec, np.arange(5))
    for indexed in (False, True):
        found = match(rows, rows, radius_arcsec, indexed=indexed)
        assert found.right.tolist() == [0, -1, -1, -1, -1]
        assert found.n_candidates.tolist() == [1, 0, 0, 0, 0]
        nothing = match(rows, rows.take(slice(1, 5)), radius_arcsec, indexed=indexed)
        assert (nothing.right == -1).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bad_vectors_never_match_whatever_their_index(value: float) -> None:
    rows = make_field(20, (30, 30), 1.0, seed=16)
    vectors, index = rows.to_vectors(), compute_healpix_29(rows.ra, rows.dec)
    vectors[::2, 1] = value
    for left_index, right_index in ((index, index), (None, None)):
        found = find_nearest(
            *(vectors, vectors, rows.id, rows.ra, rows.dec),
            radius_arcsec=2.0,
            left_healpix=left_index,
            right_healpix=right_index,
        )
        np.testing.assert_array_equal(found.right, np.where(np.arange(20) % 2, np.arange(20), -1))
        np.testing.assert_array_equal(found.n_candidates[::2], 0)


def test_all_equal_rows_are_all_candidates() -> None:
    rows = Rows(np.full(500, 77.0), np.full(500, -12.0), np.arange(500)[::-1].astype(np.int64))
    found = match(rows, rows, 1.0)
    assert (found.right == 499).all()
    assert (found.n_candidates == 500).all()
    assert (found.dist_arcsec == 0.0).all()


def test_antipodes_are_far_apart() -> None:
    rows = Rows(np.array([10.0]), np.array([20.0]), np.array([1]))
    other = Rows(np.array([190.0]), np.array([-20.0]), np.array([1]))
    assert match(rows, other, 324000.0).right.tolist() == [-1]


def test_float32_degrees_match_as_their_float64_values() -> None:
    left, right = make_field(200, (50, 50), 60.0, seed=17), make_field(200, (50, 50), 60.0, seed=18)
    narrow = [Rows(r.ra.astype("f4"), r.dec.astype("f4"), r.id) for r in (left, right)]
    wide = [Rows(r.ra.astype("f8"), r.dec.astype("f8"), r.id) for r in narrow]
    assert_same(match(narrow[0], narrow[1], 10.0), match(wide[0], wide[1], 10.0))


def test_directory_never_outgrows_the_rows() -> None:
    """Few rows over the whole sky and a small radius: no dense histogram."""
    rows = make_sky(1000, seed=19)
    index = plan_right_index(rows.to_vectors(), compute_healpix_29(rows.ra, rows.dec), 0.01)
    assert index.starts.size <= 2 * 1000 + 2


@pytest.mark.parametrize("radius_arcsec", [0.0, -1.0, float("nan"), 324001.0])
def test_radius_is_checked(radius_arcsec: float) -> None:
    rows = make_sky(2, seed=20)
    with pytest.raises(ParameterError, match=r"`radius_arcsec` must be in \(0, 324000\], got"):
        match(rows, rows, radius_arcsec)


def test_shapes_are_checked() -> None:
    rows = make_sky(3, seed=21)
    v = rows.to_vectors()
    with pytest.raises(ParameterError, match=r"`left_vectors` must have the shape \(n, 3\)"):
        find_nearest(v[:, :2], v, rows.id, rows.ra, rows.dec, radius_arcsec=1.0)
    with pytest.raises(ParameterError, match=r"`right_id`, `right_ra` and `right_dec`"):
        find_nearest(v, v, rows.id[:2], rows.ra, rows.dec, radius_arcsec=1.0)
    with pytest.raises(ParameterError, match=r"`left_healpix` must have the shape \(3,\)"):
        find_nearest(
            *(v, v, rows.id, rows.ra, rows.dec), radius_arcsec=1.0, left_healpix=rows.id[:1]
        )
