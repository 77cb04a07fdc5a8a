"""Cutting the sky into cells of equal estimated work."""

import itertools
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ubspark.crossmatch.plan import CellPlan, estimate_reads, plan_cells
from ubspark.sky.healpix import N_PIXELS_29
from ubspark.sky.vectors import IntArray

INT64 = np.iinfo(np.int64)


@dataclass(frozen=True)
class Entries:
    """A catalog that has entries and no rows."""

    low: IntArray
    high: IntArray
    n_rows: IntArray
    n_bytes: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def read(self, ranges: IntArray, columns: Sequence[str]) -> pa.Table:
        raise NotImplementedError


Entry = tuple[int, int, int]


def make(entries: Sequence[Entry] | IntArray) -> Entries:
    low, high, n_rows = np.array(entries, dtype=np.int64).reshape(-1, 3).T
    return Entries(low, high, n_rows, n_rows * 100)


def make_even(n: int, rows: int = 50_000) -> Entries:
    """Return entries that tile the sky."""
    edges = np.linspace(0, N_PIXELS_29, n + 1).astype(np.int64)
    return Entries(edges[:-1], edges[1:] - 1, np.full(n, rows), np.full(n, rows * 100))


def plan(left: Entries, right: Entries, **options: int | bool | None) -> CellPlan:
    return plan_cells(left, right, **{"keep_unplaced": True, **options})  # type: ignore[arg-type]


def count_cells_of(values: IntArray, cells: IntArray) -> IntArray:
    """Return in how many cells each index lies."""
    inside = (values[:, None] >= cells[:, 0]) & (values[:, None] < cells[:, 1])
    return np.asarray(np.count_nonzero(inside, axis=1))


def sample(entries: Entries) -> IntArray:
    """Return places where rows may be: the ends of the entries, what lies between, the cuts."""
    rng = np.random.default_rng(0)
    low, high = np.maximum(entries.low, -1), np.minimum(entries.high, N_PIXELS_29 - 1)
    between = [rng.integers(low, high, endpoint=True) for _ in range(20)] if len(low) else []
    return np.concatenate([low, high, *between]).astype(np.int64)


places = st.one_of(
    st.integers(0, N_PIXELS_29 - 1),
    st.integers(0, 50),
    st.integers(N_PIXELS_29 - 50, N_PIXELS_29 - 1),
    st.just(-1),
)
entry = st.tuples(places, places, st.integers(1, 2_000_000)).map(
    lambda e: (min(e[:2]), max(e[:2]), e[2])
)
whole = st.tuples(st.just(INT64.min), st.just(INT64.max), st.integers(1, 10**6))
entries = st.lists(entry | whole, max_size=30).map(make)


@given(entries, entries, st.none() | st.integers(1, 60), st.integers(1, 8), st.booleans())
@settings(max_examples=300, deadline=None)
@example(make([(-1, -1, 5)]), make([]), None, 1, False)
@example(make([(INT64.min, INT64.max, 10**7)]), make([]), 10, 2, True)
@example(make([(7, 7, 10**7)]), make([(7, 7, 10**7)]), 10, 2, True)
def test_every_left_row_is_in_one_cell_and_one_task(
    left: Entries, right: Entries, n_cells: int | None, parallelism: int, keep: bool
) -> None:
    found = plan(left, right, keep_unplaced=keep, n_cells=n_cells, parallelism=parallelism)
    cells, tasks = found.cells, found.tasks
    assert cells.dtype == np.int64
    assert np.all(cells[:, 0] < cells[:, 1])
    assert np.all(cells[1:, 0] >= cells[:-1, 1]), "cells are sorted and disjoint"
    assert np.all((cells >= 0) & (cells <= N_PIXELS_29)) or cells[0].tolist() == [-1, 0]

    on_sky = cells[cells[:, 0] >= 0]
    meets = (left.low < on_sky[:, 1:]) & (left.high >= on_sky[:, :1])
    assert np.all(meets.any(axis=1)), "no cell is empty for sure"

    values = sample(left)
    placed = values >= 0
    assert np.all(count_cells_of(values[placed], cells) == 1)
    assert np.all(count_cells_of(values[~placed], cells) == keep)

    assert np.all(np.diff(tasks) > 0), "no task is empty"
    assert (tasks[0], tasks[-1]) == (0, len(cells))
    assert found.n_tasks == len(tasks) - 1 <= len(cells)
    for rows in (found.n_left, found.n_right):
        assert rows.shape == (len(cells),)
        assert np.all(np.isfinite(rows) & (rows >= 0))


@given(entries, entries, st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_no_more_cells_come_than_were_asked_for(left: Entries, right: Entries, n: int) -> None:
    found = plan(left, right, keep_unplaced=False, n_cells=n)
    assert len(found.cells) <= n


def test_entry_without_statistics_may_be_anywhere_and_counts() -> None:
    """Its bounds are those of int64, which no sum may overflow."""
    found = plan(make([(INT64.min, INT64.max, 10**7)]), make([]), n_cells=10)
    assert found.cells[0].tolist() == [-1, 0]
    assert len(found.cells) == 11
    assert found.n_left[1:] == pytest.approx(10**6)


@pytest.mark.parametrize("seed", range(5))
def test_sky_between_the_entries_has_no_work(seed: int) -> None:
    """Densities of very unlike entries are summed; what is left over is not a row."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 10**6, 500)
    heavy = make(np.stack([low, low + rng.integers(0, 10**5, 500), rng.integers(1, 10**5, 500)], 1))
    found = plan(heavy, heavy, n_cells=36)
    assert found.n_left.sum() == pytest.approx(heavy.n_rows.sum(), rel=1e-9)


def test_unplaced_rows_have_a_cell_only_where_they_are_kept() -> None:
    left = make([(-1, -1, 10), (0, 100, 10)])
    assert plan(left, left, keep_unplaced=True).cells[0].tolist() == [-1, 0]
    assert plan(left, left, keep_unplaced=False).cells[0, 0] == 0
    assert plan(make([(0, 100, 10)]), left, keep_unplaced=True).cells[0, 0] == 0


@pytest.mark.parametrize("keep", [True, False])
def test_empty_catalog_has_no_cells(keep: bool) -> None:
    found = plan(make([]), make_even(10), keep_unplaced=keep)
    assert found.cells.shape == (0, 2)
    assert found.n_tasks == 0


def test_cells_have_equal_work_on_even_data() -> None:
    found = plan(make_even(1000), make_even(700), n_cells=37)
    work = found.n_left + found.n_right
    assert len(work) == 37
    # A cut may move by a quarter of a cell to where a file begins, and each cell has two.
    assert work.max() < 1.5 * work.mean()
    assert work.min() > 0.5 * work.mean()
    assert work.sum() == pytest.approx(1700 * 50_000, rel=1e-9)


def test_cells_are_small_where_the_sky_is_full() -> None:
    """Half of the rows stand in a thousandth of the sky."""
    dense = [(i * 10**12, (i + 1) * 10**12 - 1, 50_000) for i in range(1000)]
    sparse = np.linspace(10**15, N_PIXELS_29, 1001).astype(np.int64)
    left = make([*dense, *((a, b - 1, 50_000) for a, b in itertools.pairwise(sparse))])
    found = plan(left, make([]), n_cells=50)
    assert found.n_left.max() < 1.6 * found.n_left.mean()
    assert 20 <= np.count_nonzero(found.cells[:, 1] <= 10**15) <= 30


def test_work_counts_both_sides() -> None:
    """The right rows are in one octant; so are most cells."""
    right = make([(0, N_PIXELS_29 // 8, 10**7)])
    found = plan(make_even(800, rows=12_500), right, n_cells=20)
    assert np.count_nonzero(found.cells[:, 1] <= N_PIXELS_29 // 8) >= 9


def test_cuts_fall_where_files_begin() -> None:
    """A file that lies in two cells is read twice."""
    left = make_even(40)
    found = plan(left, make([]), n_cells=20)
    assert set(found.cells[:, 0].tolist()) <= set(left.low.tolist())


def test_files_of_one_pixel_are_cut_at_neither() -> None:
    """Their first rows lie somewhat apart, whichever comes first."""
    rng = np.random.default_rng(2)
    width = 4**29 // 8
    sides = []
    for _ in range(2):
        first = np.arange(96) * width + rng.integers(0, width // 1000, 96)
        last = np.arange(1, 97) * width - rng.integers(1, width // 1000, 96)
        sides.append(make(list(zip(first, last, np.full(96, 500_000), strict=True))))
    found = plan(*sides)
    assert 40 < len(found.cells) <= 96
    for side in sides:
        lows, highs = (np.asarray(ends)[:, None] for ends in (side.low, side.high))
        meets = (lows < found.cells[:, 1]) & (highs >= found.cells[:, 0])
        assert meets.sum(axis=1).tolist() == [1] * 96


def test_cells_bound_rows_and_tasks_hold_several_without_being_asked() -> None:
    """A hundred million rows."""
    found = plan(make_even(1000), make_even(1000), parallelism=4)
    work = found.n_left + found.n_right
    assert len(work) >= 100
    assert work.max() < 1.6e6
    # Rounded up to what runs at once.
    assert found.n_tasks == 28
    assert np.add.reduceat(work, found.tasks[:-1]).max() < 5e6


def test_little_work_is_not_cut() -> None:
    found = plan(make_even(4, rows=10), make_even(4, rows=10), parallelism=64)
    assert len(found.cells) == 1
    assert found.n_tasks == 1


def test_tasks_share_the_work_evenly() -> None:
    found = plan(make_even(100, rows=1000), make([]), n_cells=100, parallelism=10)
    work = np.add.reduceat(found.n_left, found.tasks[:-1])
    assert found.n_tasks == 10
    assert work.max() < 1.3 * work.mean()


def test_hundred_thousand_entries_are_planned_in_seconds() -> None:
    left, right = make_even(100_000), make_even(130_000)
    start = time.perf_counter()
    found = plan(left, right, parallelism=1000)
    assert time.perf_counter() - start < 10.0
    assert len(found.cells) > 10_000


def test_million_cells_are_planned_in_seconds_and_little_memory() -> None:
    rng = np.random.default_rng(1)
    sides = []
    for _ in range(2):
        edges = np.sort(rng.integers(0, N_PIXELS_29, 100_001))
        rows = rng.lognormal(11, 1, 100_000).astype(np.int64)
        sides.append(Entries(edges[:-1], edges[1:] - 1, rows, 100 * rows))
    start = time.perf_counter()
    tracemalloc.start()
    plan = plan_cells(*sides, keep_unplaced=True, n_cells=1_000_000, parallelism=400)
    reads = estimate_reads(plan, *sides, ring_arcsec=1.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(plan.cells) > 900_000
    assert reads.left_bytes > 0
    assert peak < 2e9
    assert time.perf_counter() - start < 60.0


def test_estimated_reads_count_an_entry_in_each_cell_that_opens_it() -> None:
    left, right = make_even(48), make_even(192)
    whole = estimate_reads(plan(left, right, n_cells=1), left, right, ring_arcsec=1.0)
    assert tuple(whole) == (left.n_bytes.sum(), right.n_bytes.sum(), right.n_rows.sum())
    parts = estimate_reads(plan(left, right, n_cells=48), left, right, ring_arcsec=1.0)
    assert parts.left_bytes == whole.left_bytes
    assert parts.right_bytes > whole.right_bytes
    assert parts.right_rows < whole.right_rows / 4


def test_unplaced_cell_reads_nothing_of_the_right() -> None:
    left, right = make([(-1, -1, 10)]), make_even(4)
    reads = estimate_reads(plan(left, right), left, right, ring_arcsec=1.0)
    assert reads == (1000.0, 0.0, 0.0)


def test_tasks_of_a_crowded_sky_share_the_work() -> None:
    """A bulge a thousand times as crowded as the rest: no task has twice the usual work."""
    edges = np.linspace(0, N_PIXELS_29, 4097).astype(np.int64)
    crowded = np.random.default_rng(3).random(4096) < 0.02
    rows = np.where(crowded, 2_000_000, 2_000)
    sky = Entries(edges[:-1], edges[1:] - 1, rows)
    plan = plan_cells(sky, sky, keep_unplaced=False, parallelism=64)
    work = np.add.reduceat(plan.n_left + plan.n_right, plan.tasks[:-1])
    assert work.max() <= 2 * np.median(work)
    assert (plan.n_left + plan.n_right).max() < 1_500_000
