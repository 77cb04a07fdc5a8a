"""Every selection with every join, against loops over all pairs, on fields that bite."""

import itertools
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from reference import MemorySource, make_source, run_engine, run_reference

from ubspark.crossmatch.options import How, MatchOptions, PositionColumns, Select

ARCSEC = 1 / 3600


def _scatter(rng: np.random.Generator, ra: Any, dec: Any, sigma_arcsec: float) -> tuple[Any, Any]:
    """Move positions by a few arcsec in any direction, also at the poles."""
    ra, dec = np.radians(np.broadcast_arrays(ra, dec))
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    vector = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)
    shift = rng.normal(0, np.radians(sigma_arcsec * ARCSEC), (2, *ra.shape))
    moved = vector + shift[0][..., None] * east + shift[1][..., None] * north
    moved /= np.linalg.norm(moved, axis=-1, keepdims=True)
    return (
        np.degrees(np.arctan2(moved[..., 1], moved[..., 0])) % 360,
        np.degrees(np.arcsin(np.clip(moved[..., 2], -1, 1))),
    )


def _clump(ra: float, dec: float, n: int = 40, sigma: float = 3.0, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return _scatter(rng, np.full(n, ra), np.full(n, dec), sigma)


def _join(*parts: Any) -> tuple[Any, Any]:
    ra, dec = zip(*parts, strict=True)
    return np.concatenate(ra), np.concatenate(dec)


#: Name to left and right positions: 20 fields that have bitten matching codes.
FIELDS: dict[str, tuple[Any, Any]] = {
    "north pole": (_clump(0, 90), _clump(0, 90, seed=1)),
    "south pole": (_clump(0, -90), _clump(0, -90, seed=1)),
    "exactly the pole": (([0.0, 123.0], [90.0, 90.0]), ([45.0, 300.0], [90.0, 89.9999])),
    "ra 0": (_clump(0, 10), _clump(0, 10, seed=1)),
    "ra 360": (_clump(360, -30), _clump(0, -30, seed=1)),
    "minus zero": (([-0.0, 0.0, 360.0], [1.0] * 3), ([0.0, 359.9999, -0.0001], [1.0] * 3)),
    "base pixel corner": (_clump(45, 0), _clump(45, 0, seed=1)),
    "polar base corner": (_clump(90, 41.8103148957786), _clump(90, 41.8103148957786, seed=1)),
    "base edge": (_clump(180, 41.81), _clump(180, 41.81, seed=1)),
    "dense clump": (_clump(200, -60, 80, 1.0), _clump(200, -60, 80, 1.0, seed=1)),
    "chain": (
        (np.full(30, 10.0), 20 + np.arange(30) * 3.9 * ARCSEC),
        (np.full(30, 10.0), 20 + (np.arange(30) + 0.45) * 3.9 * ARCSEC),
    ),
    "equal positions": ((np.full(6, 77.0), np.full(6, 7.0)), (np.full(5, 77.0), np.full(5, 7.0))),
    "equidistant": (
        ([10.0], [0.0]),
        ([10 + ARCSEC, 10 - ARCSEC, 10.0, 10.0], [0.0, 0.0, ARCSEC, -ARCSEC]),
    ),
    "float32": (
        tuple(np.float32(c) for c in _clump(123.4, 5, 40, 3.0)),
        tuple(np.float32(c) for c in _clump(123.4, 5, 40, 3.0, seed=1)),
    ),
    "empty left": (([], []), _clump(1, 1)),
    "empty right": (_clump(1, 1), ([], [])),
    "one row": (([5.0], [5.0]), ([5.0], [5.0 + ARCSEC])),
    "antipodes": (([0.0, 180.0], [0.0, 0.0]), ([180.0, 0.0], [0.0, 0.0])),
    "two faces apart": (
        _join(_clump(44.9999, 0.0001, 20), _clump(315, 0, 20)),
        _join(_clump(45.0001, -0.0001, 20, seed=1), _clump(315, 0, 20, seed=1)),
    ),
    "no positions": (
        ([np.nan, 10.0, np.inf, 20.0, 30.0], [0.0, np.nan, 0.0, 91.0, 30.0]),
        ([np.nan, 30.0, 10.0, 0.0], [np.nan, 30.0, 0.0, -90.5]),
    ),
    "other order": (_clump(300, 60, 40)[::1], tuple(c[::-1] for c in _clump(300, 60, 40, seed=1))),
    "wide and tight": (_clump(150, 2, 60, 30.0), _clump(150, 2, 60, 30.0, seed=1)),
}
RADIUS = 4.0
JOINS = list(itertools.product(get_args(Select), get_args(How)))


def _sources(field: str) -> tuple[MemorySource, MemorySource]:
    (ra, dec), (ra_ref, dec_ref) = FIELDS[field]
    ids = np.random.default_rng(5).permutation(len(ra)) + 100
    return make_source(ra, dec, ids), make_source(ra_ref, dec_ref)


def _cuts(*sources: MemorySource) -> list[int]:
    """Cuts between the rows, so that most pairs lie across them."""
    index = np.concatenate([source.table["_healpix_29"].to_numpy() for source in sources])
    return sorted({int(value) for value in index[index > 0]})[::3]


@pytest.mark.parametrize("field", FIELDS)
def test_fields_equal_brute_force_for_all_selections_and_joins(field: str) -> None:
    left, right = _sources(field)
    for select, how in JOINS:
        options = MatchOptions(RADIUS, how=how, select=select, k=3)
        expected = run_reference(left, right, options)
        assert run_engine(left, right, options) == expected, (select, how)
        assert run_engine(left, right, options, _cuts(left, right)) == expected, (select, how)


@pytest.mark.parametrize("how", ["inner", "outer"])
@pytest.mark.parametrize("select", get_args(Select))
def test_min_radius_and_own_identifier_are_left_out(select: Select, how: How) -> None:
    rng = np.random.default_rng(3)
    ra, dec = _scatter(rng, np.full(60, 0.0), np.full(60, 89.999), 5.0)
    source = make_source(np.append(ra, ra[:5]), np.append(dec, dec[:5]))
    for options in (
        MatchOptions(RADIUS, how=how, select=select, k=2, excludes_same_id=True),
        MatchOptions(RADIUS, how=how, select=select, k=2, min_radius_arcsec=1.0),
    ):
        expected = run_reference(source, source, options)
        assert run_engine(source, source, options, _cuts(source)) == expected


@pytest.mark.parametrize("combine", ["sum", "quadrature"])
@pytest.mark.parametrize("select", get_args(Select))
def test_rows_bring_their_own_radius(select: Select, combine: Any) -> None:
    rng = np.random.default_rng(8)
    sides = []
    for seed in (0, 1):
        ra, dec = _clump(0, 45, 60, 4.0, seed)
        radius = rng.uniform(0.1, 2.0, 60)
        radius[::10] = np.nan
        radius[5::20] *= -1
        sides.append(make_source(ra, dec, r=radius))
    left, right = sides
    columns = PositionColumns("id", "ra", "dec", radius="r")
    options = MatchOptions(6.0, how="outer", select=select, k=2, combine=combine, n_sigma=1.5)
    a, b = (np.fmax(side.table["r"].to_numpy(), 0.0) for side in sides)
    limit = a[:, None] + b if combine == "sum" else np.sqrt(a[:, None] ** 2 + b**2)
    expected = run_reference(left, right, options, 1.5 * limit)
    assert run_engine(left, right, options, _cuts(left, right), columns) == expected


@pytest.mark.parametrize("select", ["nearest", "all"])
def test_limits_are_inclusive(select: Select) -> None:
    left, right = make_source([10.0], [45.0]), make_source([10.0003], [45.0002], r=[0.0])
    ((_, _, dist, _, _),) = run_engine(left, right, MatchOptions(5.0, select=select))
    above, below = np.nextafter(dist, 9.0), np.nextafter(dist, 0.0)
    columns = PositionColumns("id", "ra", "dec", radius="r")
    for limits, is_found in (
        ({"min_radius_arcsec": dist}, True),
        ({"min_radius_arcsec": above}, False),
        ({"combine": "sum", "n_sigma": dist}, True),
        ({"combine": "sum", "n_sigma": below}, False),
    ):
        right = make_source([10.0003], [45.0002], r=[1.0])
        left = make_source([10.0], [45.0], r=[0.0])
        found = run_engine(left, right, MatchOptions(5.0, select=select, **limits), (), columns)
        assert bool(found) == is_found, limits
    radius = MatchOptions(dist, select=select)
    assert run_engine(left, right, radius)


@pytest.mark.parametrize("combine", ["sum", "quadrature"])
@pytest.mark.parametrize("bad", [-2.0, np.nan, np.inf])
def test_radii_that_are_none_count_as_nothing(bad: float, combine: Any) -> None:
    left, right = make_source([10.0], [45.0], r=[bad]), make_source([10.0], [45.0002], r=[1.0])
    columns = PositionColumns("id", "ra", "dec", radius="r")
    for n_sigma, is_found in ((0.7, False), (0.73, True)):
        options = MatchOptions(5.0, combine=combine, n_sigma=n_sigma)
        assert bool(run_engine(left, right, options, (), columns)) == is_found


@pytest.mark.parametrize(
    "bad", [{"e_ra": -1.0}, {"e_dec": np.nan}, {"rho": 1.5}, {"rho": np.nan}, {"e_ra": np.inf}]
)
def test_errors_that_are_none_count_as_nothing(bad: dict[str, float]) -> None:
    columns = PositionColumns(
        "id", "ra", "dec", ra_error="e_ra", dec_error="e_dec", ra_dec_corr="rho"
    )
    given = {"e_ra": 0.5, "e_dec": 0.5, "rho": 0.0}
    ((wrong, _),) = bad.items()
    sides = [
        (
            make_source([10.0], [45.0], **{name: [value] for name, value in errors.items()}),
            make_source([10.0], [45.0003], **{name: [value] for name, value in given.items()}),
        )
        for errors in (given | bad, given | {wrong: 0.0})
    ]
    for n_sigma in (1.5, 1.6, 2.1, 2.2):
        options = MatchOptions(5.0, is_elliptic=True, n_sigma=n_sigma)
        found, expected = (run_engine(*side, options, (), columns) for side in sides)
        assert found == expected, n_sigma


def test_a_crowded_cell_is_cut_and_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from ubspark.crossmatch import match

    left, right = _sources("dense clump")
    options = MatchOptions(RADIUS, how="outer", select="all")
    whole = run_engine(left, right, options)
    monkeypatch.setattr(match, "_MAX_PAIRS", 50)
    assert run_engine(left, right, options) == whole


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32),
    ra=st.sampled_from([0.0, 45.0, 90.0, 123.4, 359.9999]),
    dec=st.sampled_from([-90.0, -41.8103, 0.0, 12.3, 89.9995, 90.0]),
    sigma=st.sampled_from([1.0, 10.0, 600.0]),
    options=st.builds(
        MatchOptions,
        radius_arcsec=st.sampled_from([0.5, 5.0, 900.0]),
        how=st.sampled_from(get_args(How)),
        select=st.sampled_from(get_args(Select)),
        k=st.integers(1, 4),
    ),
    n_cuts=st.integers(0, 12),
)
def test_any_field_in_any_cells_equals_brute_force(
    seed: int, ra: float, dec: float, sigma: float, options: MatchOptions, n_cuts: int
) -> None:
    rng = np.random.default_rng(seed)
    left, right = (
        make_source(*_scatter(rng, np.full(n, ra), np.full(n, dec), sigma), rng.permutation(n))
        for n in rng.integers(0, 40, 2)
    )
    cuts = _cuts(left, right)
    cuts = sorted(rng.choice(cuts, min(n_cuts, len(cuts)), replace=False)) if cuts else []
    assert run_engine(left, right, options, cuts) == run_reference(left, right, options)


TOY: dict[Select, set[tuple[str | None, int | None]]] = {
    "nearest": {("A", 1), ("B", 1), ("C", 3), (None, 2)},
    "all": {("A", 1), ("A", 2), ("B", 1), ("B", 2), ("C", 3)},
    "mutual": {("A", 1), ("C", 3), ("B", None), (None, 2)},
    "one_to_one": {("A", 1), ("B", 2), ("C", 3)},
}


@pytest.mark.parametrize("select", TOY)
def test_toy_of_the_documentation(select: Select) -> None:
    left = make_source(np.full(3, 10.0), np.array([0.0, 2.0, 9.0]) * ARCSEC, ["A", "B", "C"])
    right = make_source(np.full(3, 10.0), np.array([0.9, 3.3, 6.5]) * ARCSEC, [1, 2, 3])
    found = run_engine(left, right, MatchOptions(3.5, how="outer", select=select))
    assert {row[:2] for row in found} == TOY[select]
