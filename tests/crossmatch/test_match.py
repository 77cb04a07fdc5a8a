"""Matching cell by cell: whatever the cells, the answer is that of all pairs."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from astropy.coordinates import SkyCoord
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from ubspark.columns import HEALPIX_29
from ubspark.crossmatch.choose import compute_id_keys
from ubspark.crossmatch.epoch import compute_positions
from ubspark.crossmatch.match import Match, MatchedCell, Side
from ubspark.crossmatch.options import (
    FLAG_LEFT_UNUSABLE,
    LEFT_MISSING_SHIFT,
    RIGHT_MISSING_SHIFT,
    How,
    MatchOptions,
    PositionColumns,
)
from ubspark.sky import (
    MISSING_PROPER_MOTION,
    compute_healpix_29,
    compute_separation_arcsec,
    propagate,
    to_ra_dec,
)
from ubspark.sky.healpix import N_PIXELS_29, find_in_ranges
from ubspark.sky.vectors import FloatArray, IntArray

STILL = PositionColumns("id", "ra", "dec")
MOVING = PositionColumns("id", "ra", "dec", pmra="pmra", pmdec="pmdec", epoch="epoch")
# Where cells have odd borders: poles, ra 0, corners of base pixels, and a plain place.
FIELDS = [(0.0, 90.0), (10.0, -90.0), (0.0, 0.0), (45.0, 41.8103148958), (359.9999, 60.0)]
FIELDS += [(90.0, -41.8103148958), (56.75, 24.1)]
RADIUS = 5.0
EPOCH = 2000.0
# The stars of the tests move by less than this in the years that they have.
MOTION_ARCSEC = 400.0


@dataclass(frozen=True)
class MemorySource:
    """A catalog in memory, which gives no row and no column that was not asked for."""

    rows: pa.Table

    @property
    def low(self) -> IntArray:
        return np.array([self._index.min(initial=N_PIXELS_29)])

    @property
    def high(self) -> IntArray:
        return np.array([self._index.max(initial=-1)])

    @property
    def n_rows(self) -> IntArray:
        return np.array([self.rows.num_rows])

    @property
    def n_bytes(self) -> IntArray:
        return np.array([self.rows.nbytes])

    @property
    def _index(self) -> IntArray:
        index: IntArray = self.rows[HEALPIX_29.name].to_numpy()
        return index

    def read(self, ranges: IntArray, columns: Sequence[str]) -> pa.Table:
        assert np.all(ranges[:, 0] < ranges[:, 1])
        assert np.all(ranges[1:, 0] > ranges[:-1, 1])
        inside = pa.array(find_in_ranges(self._index + 1, ranges + 1))
        names = dict.fromkeys([HEALPIX_29.name, *columns])
        return self.rows.filter(inside).select(list(names))


def make_source(rows: pa.Table) -> MemorySource:
    """Sort rows by the index of their catalog positions."""
    position = [rows[name].cast(pa.float64()).to_numpy() for name in ("ra", "dec")]
    index = pa.array(compute_healpix_29(*position))
    return MemorySource(rows.add_column(0, HEALPIX_29.name, index).sort_by(HEALPIX_29.name))


def make_side(
    rows: pa.Table,
    columns: PositionColumns = STILL,
    payload: Iterable[tuple[str, str]] = (),
    *,
    motion_arcsec: float = 0.0,
) -> Side:
    return Side(make_source(rows), columns, tuple(payload), motion_arcsec)


def make_rows(ra: Any, dec: Any, ids: Any = None, **columns: Any) -> pa.Table:
    ids = np.arange(len(ra), dtype=np.int64) if ids is None else ids
    floats = {"ra": pa.array(ra, pa.float64()), "dec": pa.array(dec, pa.float64())}
    return pa.table({"id": ids, **floats, **columns})


def make_stars(
    n: int, centre: tuple[float, float], seed: int, *, catalog_epoch: float, moves: bool
) -> pa.Table:
    """Return stars that stand around a place in the year 2000, as a catalog of its epoch."""
    rng = np.random.default_rng(seed)
    there = SkyCoord(*centre, unit="deg").directional_offset_by(
        rng.uniform(0.0, 360.0, n) * u.deg, np.sqrt(rng.random(n)) * 12 * RADIUS * u.arcsec
    )
    epoch = catalog_epoch + rng.uniform(-0.5, 0.5, n)
    pmra, pmdec = rng.normal(0.0, 5000.0 * moves, (2, n)).clip(-10000.0, 10000.0)
    ra, dec, pmra, pmdec = move(there.ra.deg, there.dec.deg, pmra, pmdec, epoch - EPOCH)
    return make_rows(ra, dec, rng.permutation(n), pmra=pmra, pmdec=pmdec, epoch=epoch)


def move(
    ra: FloatArray, dec: FloatArray, pmra: FloatArray, pmdec: FloatArray, years: Any
) -> tuple[FloatArray, ...]:
    """Return the stars as a catalog of another epoch has them: at a pole, north changes too."""
    moved = propagate(ra, dec, pmra, pmdec, None, None, years).vectors
    new_ra, new_dec = to_ra_dec(moved)
    speed = sum(
        pm[:, None] * axis for pm, axis in zip((pmra, pmdec), get_axes(ra, dec), strict=True)
    )
    axes = get_axes(new_ra, new_dec)
    return new_ra, new_dec, *(np.sum(speed * axis, axis=1) for axis in axes)


def get_axes(ra: FloatArray, dec: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the unit vectors to the east and to the north, each shape (n, 3)."""
    lon, lat = np.radians(ra), np.radians(dec)
    east = np.stack([-np.sin(lon), np.cos(lon), np.zeros_like(lon)], axis=1)
    north = [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)]
    return east, np.stack(north, axis=1)


def match_cell(match: Match, low: int, high: int) -> MatchedCell:
    (cell,) = match.match_cell(low, high)
    return cell


def match_in(match: Match, cuts: Iterable[int]) -> pa.Table:
    """Match the cells between the cuts, and bring the rows into one order."""
    edges = sorted({-1, 0, N_PIXELS_29, *cuts})
    cells = [match_cell(match, low, high) for low, high in itertools.pairwise(edges)]
    for cell in cells:
        assert len(cell.is_matched) == len(cell.left_healpix)
        assert cell.is_matched.sum() == cell.rows.num_rows - cell.rows["right_id"].null_count
    return pa.concat_tables(cell.rows for cell in cells).sort_by("left_id")


def read_all(side: Side) -> pa.Table:
    return side.source.read(np.array([[-1, N_PIXELS_29]]), side.names)


def match_slowly(match: Match) -> dict[Any, tuple[Any, float, int]]:
    """Return by left id the right id, distance and number of candidates, from every pair."""
    sides = (match.left, match.right)
    tables = [read_all(side) for side in sides]
    here, there = (
        compute_positions(rows, side.columns, epoch=match.options.epoch).vectors
        for rows, side in zip(tables, sides, strict=True)
    )
    right_ids = tables[1]["id"].to_pylist()
    found = {}
    for left_id, vector in zip(tables[0]["id"].to_pylist(), here, strict=True):
        dist = compute_separation_arcsec(vector, there)
        near = np.flatnonzero(dist <= match.options.radius_arcsec)
        if near.size:
            best = min(near, key=lambda i: (dist[i], right_ids[i]))
            found[left_id] = (right_ids[best], float(dist[best]), int(near.size))
    return found


def to_pairs(rows: pa.Table) -> dict[Any, tuple[Any, float, int]]:
    names = ("left_id", "right_id", "dist_arcsec", "n_candidates")
    columns = (rows[name].to_pylist() for name in names)
    matched = (row for row in zip(*columns, strict=True) if row[1] is not None)
    return {left: (right, dist, n) for left, right, dist, n in matched}


cuts_of_field = st.lists(st.tuples(st.integers(0, 79), st.integers(-1, 1)), max_size=8)


@pytest.mark.parametrize("centre", FIELDS)
@pytest.mark.parametrize(
    ("left_moves", "right_moves"), [(False, False), (True, False), (False, True), (True, True)]
)
@given(cuts=cuts_of_field, how=st.sampled_from(["inner", "left"]))
@settings(max_examples=10, deadline=None)
def test_any_cells_give_the_answer_of_all_pairs(
    centre: tuple[float, float],
    left_moves: bool,
    right_moves: bool,
    cuts: list[tuple[int, int]],
    how: How,
) -> None:
    """The cuts fall at and beside the left rows, so that most pairs lie across a border."""
    left = make_stars(80, centre, 1, catalog_epoch=1991.25, moves=left_moves)
    right = make_stars(300, centre, 2, catalog_epoch=2016.0, moves=right_moves)
    match = Match(
        make_side(left, MOVING, motion_arcsec=MOTION_ARCSEC * left_moves),
        make_side(right, MOVING, motion_arcsec=MOTION_ARCSEC * right_moves),
        MatchOptions(RADIUS, how, EPOCH),
    )
    index = np.sort(compute_healpix_29(left["ra"].to_numpy(), left["dec"].to_numpy()))
    rows = match_in(match, (int(index[i]) + step for i, step in cuts))
    expected = match_slowly(match)
    assert to_pairs(rows) == expected
    assert 40 < len(expected) < 80
    assert rows.num_rows == (80 if how == "left" else len(expected))
    assert rows["left_id"].to_pylist() == sorted(set(rows["left_id"].to_pylist()))


@pytest.mark.parametrize("whose", ["left", "right", "both"])
@pytest.mark.parametrize(
    ("ra", "dec", "pmra", "pmdec"),
    [
        (0.0005, 20.0, -10000.0, 0.0),
        (359.9995, -20.0, 10000.0, 0.0),
        (120.0, 89.999, 0.0, 10000.0),
        (120.0, -89.999, 0.0, -10000.0),
        (45.0, 0.0001, 3000.0, -9000.0),
        (89.9999, 41.81, 10000.0, 100.0),
    ],
)
def test_fast_star_is_found_across_any_border(
    ra: float, dec: float, pmra: float, pmdec: float, whose: str
) -> None:
    """It crosses RA 0, a pole or a border of cells; its cell is as small as a cell can be.

    The other catalog holds it at the match epoch, or, where both move, at one before it.
    """
    epochs = {"left": (1980.0, 2000.0), "right": (2000.0, 1980.0), "both": (1980.0, 2020.0)}[whose]

    def make(epoch: float) -> Side:
        star = [np.array([value]) for value in (ra, dec, pmra, pmdec)]
        *place, east, north = move(star[0], star[1], star[2], star[3], epoch - 1980.0)
        rows = make_rows(*place, pmra=east, pmdec=north, epoch=[epoch])
        return make_side(rows, MOVING, motion_arcsec=1.1 * 14.2 * abs(EPOCH - epoch))

    match = Match(make(epochs[0]), make(epochs[1]), MatchOptions(0.5, epoch=EPOCH))
    home = int(match.left.source.low[0])
    assert home != int(match.right.source.low[0])
    assert match_cell(match, home, home + 1).rows["right_id"].to_pylist() == [0]
    assert match_cell(match, 0, home).rows.num_rows == 0
    assert match_cell(match, home + 1, N_PIXELS_29).rows.num_rows == 0


def test_only_the_ring_of_a_cell_is_read() -> None:
    rng = np.random.default_rng(5)
    right = make_rows(rng.uniform(50.0, 60.0, 10_000), rng.uniform(0.0, 10.0, 10_000))
    match = Match(make_side(make_rows([55.0], [5.0])), make_side(right), MatchOptions(3600.0))
    assert 300 < match_cell(match, 0, N_PIXELS_29).n_right < 3000
    near = Match(match.left, match.right, MatchOptions(1.0))
    assert match_cell(near, 0, N_PIXELS_29).n_right < 5


@pytest.mark.parametrize("epoch", [1991.25, 2000.0, 2016.0])
def test_pairs_and_separations_are_those_of_astropy(epoch: float) -> None:
    """Neither catalog has radial velocities, both have motions and epochs of their own."""
    left = make_stars(60, (56.75, 24.1), 3, catalog_epoch=1991.25, moves=True)
    right = make_stars(200, (56.75, 24.1), 4, catalog_epoch=2016.0, moves=True)
    match = Match(
        make_side(left, MOVING, motion_arcsec=MOTION_ARCSEC),
        make_side(right, MOVING, motion_arcsec=MOTION_ARCSEC),
        MatchOptions(300.0, "inner", epoch),
    )
    rows = match_in(match, [])
    here, there = move_with_astropy(left, epoch), move_with_astropy(right, epoch)
    nearest, separation, _ = here.match_to_catalog_sky(there)
    near = separation.arcsec <= 300.0
    ids = zip(left["id"].to_pylist(), right["id"].take(pa.array(nearest)).to_pylist(), strict=True)
    expected = sorted(pair for pair, is_near in zip(ids, near, strict=True) if is_near)
    assert list(zip(rows["left_id"].to_pylist(), rows["right_id"].to_pylist(), strict=True)) == (
        expected
    )
    assert len(expected) > 50
    order = np.argsort(left["id"].to_numpy()[near])
    dist = separation.arcsec[near][order]
    np.testing.assert_allclose(rows["dist_arcsec"].to_numpy(), dist, rtol=0, atol=1e-6)
    angle = here[near].position_angle(there[nearest[near]]).deg[order]
    turn = (rows["pa_deg"].to_numpy() - angle + 180.0) % 360.0 - 180.0
    np.testing.assert_allclose(turn * np.radians(1.0) * dist, 0.0, atol=1e-6)


def move_with_astropy(rows: pa.Table, epoch: float) -> SkyCoord:
    columns: Mapping[str, FloatArray] = {name: rows[name].to_numpy() for name in rows.column_names}
    stars = SkyCoord(
        columns["ra"] * u.deg,
        columns["dec"] * u.deg,
        pm_ra_cosdec=columns["pmra"] * u.mas / u.yr,
        pm_dec=columns["pmdec"] * u.mas / u.yr,
        # So near that no star is faster than light, of which astropy would make something else.
        distance=np.full(rows.num_rows, 10.0) * u.pc,
        obstime=Time(columns["epoch"], format="jyear", scale="tdb"),
    )
    moved = stars.apply_space_motion(Time(epoch, format="jyear", scale="tdb"))
    return SkyCoord(moved.ra, moved.dec)


@pytest.mark.parametrize("bad", [None, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", ["ra", "dec"])
def test_row_without_a_position_is_kept_by_left_and_never_matched(
    bad: float | None, column: str
) -> None:
    good: dict[str, list[float | None]] = {"ra": [10.0, 10.0], "dec": [5.0, 5.0]}
    rows = make_rows(**{**good, column: [10.0 if column == "ra" else 5.0, bad]})
    match = Match(make_side(rows), make_side(rows), MatchOptions(1.0, "left"))
    found = match_in(match, [])
    assert found["right_id"].to_pylist() == [0, None]
    assert found["n_candidates"].to_pylist() == [1, 0]
    assert found["flags"].to_pylist() == [0, FLAG_LEFT_UNUSABLE]
    assert found[HEALPIX_29.name].to_pylist()[1] == -1
    for name in ("dist_arcsec", "pa_deg", "rank"):
        assert found[name].to_pylist()[1] is None
    assert match_in(replace(match, options=MatchOptions(1.0)), [])["left_id"].to_pylist() == [0]


def test_declination_beyond_the_pole_is_no_position() -> None:
    rows = make_rows([10.0], [90.5])
    found = match_in(Match(make_side(rows), make_side(rows), MatchOptions(1.0, "left")), [])
    assert found["right_id"].to_pylist() == [None]


def test_right_ascension_outside_the_circle_is_wrapped() -> None:
    left, right = (
        make_rows([-0.0001, 360.0001], [5.0, 6.0]),
        make_rows([359.9999, 0.0001], [5.0, 6.0]),
    )
    match = Match(make_side(left), make_side(right), MatchOptions(0.001))
    assert to_pairs(match_in(match, [])).keys() == {0, 1}


@pytest.mark.parametrize(
    ("ids", "winner"),
    [
        (pa.array([9, 10, 2**62]), 9),
        (pa.array([5, -5, 0]), -5),
        (pa.array([5, -5, 0], pa.int32()), -5),
        (pa.array(["9", "10", "b"]), "10"),
        (pa.array(["z", "é", "B"]), "B"),
        (pa.array([Decimal(9), Decimal(10), Decimal(2**64 - 1)], pa.decimal128(20, 0)), Decimal(9)),
        (
            pa.array(
                [Decimal(2**64 - 1), Decimal(2**64 - 2), Decimal(2**63)], pa.decimal128(20, 0)
            ),
            Decimal(2**63),
        ),
    ],
)
def test_of_equal_distances_the_lower_id_wins(ids: pa.Array, winner: Any) -> None:
    right = make_rows([10.0] * 3, [5.0] * 3, ids)
    left = make_rows([10.0], [5.0], ids[:1])
    for order in itertools.permutations(range(3)):
        match = Match(make_side(left), make_side(right.take(list(order))), MatchOptions(1.0))
        found = match_in(match, [])
        assert found["right_id"].to_pylist() == [winner]
        assert found["n_candidates"].to_pylist() == [3]
        assert found.schema.field("left_id").type == ids.type
        assert found.schema.field("right_id").type == ids.type


def test_keys_of_ids_sort_as_the_ids_do() -> None:
    ids = pa.chunked_array([["b", "a"], ["é", "b", "B"]])
    keys = compute_id_keys(ids)
    by_bytes = sorted(range(5), key=lambda i: ids[i].as_py().encode())
    assert np.all(np.diff(keys[by_bytes]) >= 0)
    assert keys[0] == keys[3]
    assert len(compute_id_keys(pa.chunked_array([], pa.string()))) == 0


@pytest.mark.parametrize("how", ["inner", "left"])
@pytest.mark.parametrize("kind", [pa.int64(), pa.string(), pa.decimal128(20, 0)])
def test_empty_right_side(how: How, kind: pa.DataType) -> None:
    left = make_rows([10.0, 20.0], [5.0, 6.0], pa.array([1, 2]).cast(pa.string()).cast(kind))
    nothing = make_rows([], [], pa.array([], kind), mag=pa.array([], pa.float32()))
    match = Match(
        make_side(left), make_side(nothing, STILL, [("mag", "mag")]), MatchOptions(1.0, how)
    )
    found = match_in(match, [])
    assert found.num_rows == (2 if how == "left" else 0)
    assert found.schema.field("right_id").type == kind
    assert found.schema.field("mag").type == pa.float32()
    assert found["mag"].null_count == found.num_rows


def test_cell_without_left_rows_reads_nothing() -> None:
    rows = make_rows([10.0], [5.0])
    match = Match(make_side(rows), make_side(rows), MatchOptions(1.0, "left"))
    cell = match_cell(match, 0, 5)
    assert (cell.rows.num_rows, cell.n_right) == (0, 0)
    assert cell.rows.schema == match_cell(match, 0, N_PIXELS_29).rows.schema


def test_payload_gets_the_names_asked_for() -> None:
    left = make_rows([10.0, 20.0], [5.0, 6.0], mag=[1.0, 2.0], note=["a", None])
    right = make_rows([20.0, 10.0], [6.0, 5.0], mag=[7.0, 8.0], lists=[[1], None])
    match = Match(
        make_side(left, payload=[("mag", "mag_hip"), ("note", "note"), ("ra", "ra_hip")]),
        make_side(right, payload=[("mag", "mag_gaia"), ("lists", "lists"), ("id", "again")]),
        MatchOptions(1.0),
    )
    found = match_in(match, []).select(
        ["left_id", "right_id", "mag_hip", "note", "ra_hip", "mag_gaia", "lists", "again"]
    )
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        (0, 1, 1.0, "a", 10.0, 8.0, None, 1),
        (1, 0, 2.0, None, 20.0, 7.0, [1], 0),
    ]


def test_columns_of_the_association_come_first_and_rows_in_sky_order() -> None:
    rng = np.random.default_rng(6)
    rows = make_rows(rng.uniform(0.0, 360.0, 50), rng.uniform(-90.0, 90.0, 50), mag=np.ones(50))
    match = Match(make_side(rows, payload=[("mag", "mag")]), make_side(rows), MatchOptions(1.0))
    found = match_cell(match, 0, N_PIXELS_29).rows
    assert found.column_names == [
        *("_healpix_29", "left_id", "right_id", "dist_arcsec", "pa_deg", "rank", "n_candidates"),
        *("flags", "mag"),
    ]
    index = found[HEALPIX_29.name].to_numpy()
    assert np.all(np.diff(index) >= 0)
    assert found["rank"].to_pylist() == [1] * 50


def test_rows_of_one_place_are_ordered_by_id() -> None:
    rows = make_rows([10.0] * 5, [5.0] * 5, np.array([3, 1, 4, 0, 2]))
    match = Match(make_side(rows), make_side(rows), MatchOptions(1.0))
    assert match_cell(match, 0, N_PIXELS_29).rows["left_id"].to_pylist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("step_ra", "step_dec", "angle"),
    [(0.0, 0.0, None), (0.0, 1.0, 0.0), (1.0, 0.0, 90.0), (0.0, -1.0, 180.0), (-1.0, 0.0, 270.0)],
)
def test_angle_is_from_left_to_right_east_of_north(
    step_ra: float, step_dec: float, angle: float | None
) -> None:
    left = make_rows([10.0], [0.0])
    right = make_rows([10.0 + step_ra / 3600.0], [step_dec / 3600.0])
    found = match_in(Match(make_side(left), make_side(right), MatchOptions(2.0)), [])
    assert found["dist_arcsec"].to_pylist() == pytest.approx([float(np.hypot(step_ra, step_dec))])
    assert found["pa_deg"].to_pylist() == [
        angle if angle is None else pytest.approx(angle, abs=1e-9)
    ]


def test_radius_is_inclusive() -> None:
    left, right = make_rows([10.0], [0.0]), make_rows([10.0], [1.0 / 3600.0])
    dist = match_slowly(Match(make_side(left), make_side(right), MatchOptions(2.0)))[0][1]
    for radius, n in ((dist, 1), (np.nextafter(dist, 0.0), 0)):
        match = Match(make_side(left), make_side(right), MatchOptions(float(radius)))
        assert match_in(match, []).num_rows == n


def test_missing_motion_is_flagged_on_its_own_side() -> None:
    columns = PositionColumns("id", "ra", "dec", "pmra", "pmdec", epoch=1990.0)
    known = make_rows([10.0, 20.0], [5.0, 6.0], pmra=[0.0, 0.0], pmdec=[0.0, 0.0])
    unknown = make_rows([10.0, 20.0], [5.0, 6.0], pmra=[0.0, None], pmdec=[0.0, 1.0])
    bit = MISSING_PROPER_MOTION
    for left, right, flags in (
        (unknown, known, bit << LEFT_MISSING_SHIFT),
        (known, unknown, bit << RIGHT_MISSING_SHIFT),
    ):
        sides = [make_side(rows, columns) for rows in (left, right)]
        found = match_in(Match(sides[0], sides[1], MatchOptions(1.0, epoch=EPOCH)), [])
        assert found["flags"].to_pylist() == [0, flags]


def test_motion_factor_and_missing_cos_dec_are_honoured() -> None:
    """The same star, its motion once in degrees per year of right ascension."""
    rows = make_rows([10.0], [60.0], pmra=[4000.0], pmdec=[1000.0])
    other = make_rows([10.0], [60.0], pmra=[4.0 / 3600.0 / 0.5], pmdec=[1.0 / 3600.0])
    left = PositionColumns("id", "ra", "dec", "pmra", "pmdec", epoch=1990.0)
    right = replace(left, pm_factor=3.6e6, pm_includes_cos_dec=False)
    match = Match(
        make_side(rows, left, motion_arcsec=50.0),
        make_side(other, right, motion_arcsec=50.0),
        MatchOptions(1.0, epoch=EPOCH),
    )
    assert match_in(match, [])["dist_arcsec"].to_pylist() == pytest.approx([0.0], abs=1e-9)


def test_ring_holds_the_radius_and_the_motion_of_the_right_side() -> None:
    side = make_side(make_rows([], []))
    moving = replace(side, motion_arcsec=7.0)
    assert Match(moving, side, MatchOptions(2.0)).ring_arcsec == 2.0
    assert Match(side, moving, MatchOptions(2.0)).ring_arcsec == 9.0


def test_types_of_the_output_are_those_of_its_schema() -> None:
    rows = make_rows([10.0], [5.0])
    found = match_cell(Match(make_side(rows), make_side(rows), MatchOptions(1.0)), 0, N_PIXELS_29)
    types = {field.name: field.type for field in found.rows.schema}
    assert types == {
        **dict.fromkeys(("_healpix_29", "left_id", "right_id"), pa.int64()),
        **dict.fromkeys(("dist_arcsec", "pa_deg"), pa.float64()),
        **dict.fromkeys(("rank", "n_candidates", "flags"), pa.int32()),
    }
    assert pc.all(pc.equal(found.rows[HEALPIX_29.name], int(found.left_healpix[0]))).as_py()


@pytest.mark.parametrize("how", ["inner", "left"])
def test_pairs_are_the_same_at_any_epoch_where_both_sides_move(how: How) -> None:
    """Stars seen in 1991 and again in 2016, each catalog with the motions: one sky, three years."""
    rng = np.random.default_rng(17)
    n = 400
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    ra[:20], dec[:20] = rng.uniform(-0.01, 0.01, 20) % 360, rng.uniform(89.9, 90, 20)
    pm = rng.normal(0, 300, (2, n))
    there_ra, there_dec, *pm_later = move(ra, dec, *pm, 2016.0 - 1991.25)
    first = make_rows(ra, dec, pmra=pm[0], pmdec=pm[1], epoch=np.full(n, 1991.25))
    second = make_rows(
        there_ra, there_dec, pmra=pm_later[0], pmdec=pm_later[1], epoch=np.full(n, 2016.0)
    )
    found = {}
    for epoch in (1991.25, 2000.0, 2016.0):
        match = Match(
            make_side(first, MOVING, motion_arcsec=40.0),
            make_side(second, MOVING, motion_arcsec=40.0),
            MatchOptions(0.05, how, epoch),
        )
        found[epoch] = to_pairs(match_in(match, [N_PIXELS_29 // 3, N_PIXELS_29 // 2]))
    for pairs in found.values():
        assert {left: pair[0] for left, pair in pairs.items()} == {i: i for i in range(n)}
        assert max(pair[1] for pair in pairs.values()) < 0.001
    still = Match(make_side(first), make_side(second), MatchOptions(0.05, how, None))
    assert len(to_pairs(match_in(still, []))) < n / 10
