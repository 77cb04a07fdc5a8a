"""Fast stars apart: the answer is that of rings wide enough for them."""

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from reference import MemorySource, make_source

from ubspark.columns import HEALPIX_29
from ubspark.crossmatch import fast as module
from ubspark.crossmatch.epoch import compute_motion_arcsec, compute_positions
from ubspark.crossmatch.fast import FastRows, find_footprint, find_slow_limit
from ubspark.crossmatch.match import Match, Side
from ubspark.crossmatch.options import How, MatchOptions, PositionColumns, Select
from ubspark.crossmatch.plan import plan_cells
from ubspark.sky.healpix import N_PIXELS_29
from ubspark.sky.vectors import to_ra_dec

EPOCH = 2016.0
COLUMNS = PositionColumns("id", "ra", "dec", pmra="pmra", pmdec="pmdec", epoch=2000.0)
STILL = PositionColumns("id", "ra", "dec", epoch=EPOCH)


def make_moving(seed: int) -> MemorySource:
    """200 slow stars near the pole and 12 fast ones, some of which cross it, one by 20 degrees."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, 212), rng.uniform(88, 90, 212)
    pm = rng.normal(0, 30, (2, 212))
    pm[:, 200:] = rng.normal(0, 2e5, (2, 12))
    pm[:, 211] = 3e6, 3e6
    pm[0, 5] = np.nan
    return make_source(ra, dec, pmra=pm[0], pmdec=pm[1])


def make_partners(moving: MemorySource) -> MemorySource:
    there = compute_positions(moving.table, COLUMNS, epoch=EPOCH)
    ra, dec = to_ra_dec(there.vectors)
    return make_source(ra, np.clip(dec + 0.3 / 3600, -90, 90), moving.table["id"].to_numpy())


def find_pairs(match: Match, edges: list[int]) -> set[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for low, high in itertools.pairwise(edges):
        for cell in match.match_cell(low, high):
            columns = [
                c for c in ("left_id", "right_id", "dist_arcsec") if c in cell.rows.column_names
            ]
            found += zip(*(cell.rows[c].to_pylist() for c in columns), strict=True)
    assert len(found) == len(set(found))
    return set(found)


def separate(side: Side, cells: np.ndarray, reach: float) -> Side:
    finder = FastRows(side, EPOCH, find_footprint(cells, reach))
    plan = finder.plan(parallelism=3)
    limit = find_slow_limit(finder.count(plan.cells), finder.edges)
    return finder.separate(pa.concat_tables(list(finder.read(plan.cells, limit))), limit)


@pytest.mark.parametrize("how", ["inner", "outer"])
@pytest.mark.parametrize("select", ["nearest", "mutual", "one_to_one"])
@pytest.mark.parametrize("moves", ["left", "right"])
def test_fast_rows_apart_change_nothing(
    monkeypatch: pytest.MonkeyPatch, moves: str, select: Select, how: How
) -> None:
    moving = make_moving(1)
    partners = make_partners(moving)
    sides = [Side(moving, COLUMNS, [], 9000.0), Side(partners, STILL, [])]
    if moves == "right":
        sides.reverse()
    # Within reach of plain rings, for the truth: the star of 20 degrees is not.
    slow = moving.table.filter(pa.array(~(moving.table["pmra"].to_numpy() > 1e6)))
    options = MatchOptions(1.0, how, EPOCH, select=select)
    plan = plan_cells(*(s.source for s in sides), keep_unplaced=True, covers_right=True, n_cells=7)
    edges = [-1, *plan.cells[:, 0].tolist(), N_PIXELS_29]
    whole = [-1, 0, N_PIXELS_29]
    truth = Match(
        *(replace(s, source=MemorySource(slow)) if s.columns is COLUMNS else s for s in sides),
        options,
    )
    monkeypatch.setattr(module, "_MAX_FAST_ROWS", 12)
    apart = Match(
        *(separate(s, plan.cells, 2e6) if s.columns is COLUMNS else s for s in sides), options
    )
    fast = next(s for s in (apart.left, apart.right) if s.fast is not None)
    assert fast.fast is not None
    assert 5 < fast.fast.num_rows <= 12
    assert fast.motion_arcsec < 600
    found = find_pairs(apart, edges)
    assert found == find_pairs(apart, whole)
    star = moving.table["id"].to_pylist()[int(np.nanargmax(moving.table["pmra"].to_numpy()))]
    pairs = {pair for pair in found if None not in pair}
    assert {pair for pair in pairs if star not in pair} == {
        pair for pair in find_pairs(truth, edges) if None not in pair and star not in pair
    }
    # Every star meets its partner, also the one that no ring could reach.
    assert {pair[:2] for pair in pairs} >= {(star, star), (0, 0)}
    assert len(pairs) >= 205


def test_motion_bounds_the_arc_of_every_row() -> None:
    source = make_moving(2)
    slow = ~(source.table["pmra"].to_numpy() > 1e6)
    there = compute_positions(source.table, COLUMNS, epoch=EPOCH)
    here = compute_positions(source.table, COLUMNS, epoch=2000.0)
    chord = np.linalg.norm(there.vectors - here.vectors, axis=1)
    arc = np.degrees(2 * np.arcsin(chord / 2)) * 3600
    bound = compute_motion_arcsec(source.table, COLUMNS, epoch=EPOCH)
    assert (arc[slow] <= bound[slow] + 1e-9).all()
    assert bound[np.isnan(source.table["pmra"].to_numpy())].tolist() == [0.0]
    assert (bound[slow] <= 1.2 * arc[slow] + 0.1).sum() > 150


def test_no_more_rows_are_apart_than_tasks_can_hold() -> None:
    edges = FastRows.edges
    counts = np.zeros(len(edges), dtype=np.int64)
    counts[:6] = [10**9, 10**8, 10**6, 40_000, 5_000, 4_000]
    assert find_slow_limit(counts, edges) == edges[3]
    assert find_slow_limit(np.array([10**9, *[0] * (len(edges) - 1)]), edges) == edges[1]


def test_repeated_rows_are_counted() -> None:
    source = make_source([1.0, 1.0, 1.0, 5.0], [2.0, 2.0, 2.0, 5.0], [7, 7, 8, 9])
    side = Side(source, PositionColumns("id", "ra", "dec"), [])
    (cell,) = Match(side, side, MatchOptions(1.0)).match_cell(0, N_PIXELS_29)
    assert cell.n_repeated == (1, 1)
    assert HEALPIX_29.name in cell.rows.column_names
