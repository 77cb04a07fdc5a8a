"""A million rows on a million: the pairs of LSDB, ACID and STILTS, each in its own process."""

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from ubspark.catalogs.opening import open_catalog
from ubspark.crossmatch.match import Match, Side
from ubspark.crossmatch.options import MatchOptions, PositionColumns, Select
from ubspark.crossmatch.plan import plan_cells

pytestmark = [pytest.mark.peer, pytest.mark.timeout(3000)]

_ROOT = Path(__file__).parent.parent.parent
_N = 1_000_000
RADIUS = 4.0
COLUMNS = PositionColumns("id", "ra", "dec")
Pairs = dict[tuple[int, int], float]


def call_peer(peer: str, script: str, *arguments: Any) -> None:
    python = _ROOT / ".peers" / peer / "bin" / "python"
    if not python.exists():
        pytest.skip(f"There is no `.peers/{peer}`; `make peer-{peer}` makes it.")
    command = [python, _ROOT / "benchmarks" / "peers" / script, *arguments]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("peers")
    call_peer("lsdb", "make_catalogs.py", made, _N, "patch")
    return made


def match(folder: Path, select: Select) -> Pairs:
    sides = [
        Side(open_catalog(str(folder / name)).read_layout().refine(), COLUMNS, [])
        for name in ("left", "right")
    ]
    engine = Match(*sides, MatchOptions(RADIUS, select=select))
    plan = plan_cells(*(side.source for side in sides), keep_unplaced=False, n_cells=16)
    return dict(itertools.chain.from_iterable(_list(engine, cell) for cell in plan.cells))


def _list(engine: Match, cell: Any) -> Iterator[tuple[tuple[int, int], float]]:
    for part in engine.match_cell(int(cell[0]), int(cell[1])):
        columns = (part.rows[c].to_pylist() for c in ("left_id", "right_id", "dist_arcsec"))
        for left, right, dist in zip(*columns, strict=True):
            yield (left, right), dist


def read_pairs(path: Path) -> Pairs:
    left, right, dist = (column.to_pylist() for column in pq.read_table(path).itercolumns())
    return dict(zip(zip(left, right, strict=True), dist, strict=True))


def compare(ours: Pairs, theirs: Pairs, tolerance_arcsec: float) -> None:
    """Demand the same pairs, but for those within 1e-9 arcsec of the radius."""
    different = ours.keys() ^ theirs.keys()
    assert not [pair for pair in different if abs({**theirs, **ours}[pair] - RADIUS) > 1e-9]
    assert len(ours) > 100_000
    largest = max(abs(ours[pair] - theirs[pair]) for pair in ours.keys() & theirs.keys())
    assert largest < tolerance_arcsec


@pytest.mark.parametrize(("select", "n"), [("nearest", 1), ("all", 50)])
def test_pairs_are_those_of_lsdb(folder: Path, tmp_path: Path, select: Select, n: int) -> None:
    call_peer("lsdb", "pairs_lsdb.py", folder, RADIUS, n, tmp_path / "pairs.parquet")
    compare(match(folder, select), read_pairs(tmp_path / "pairs.parquet"), 1e-6)


@pytest.mark.parametrize(("select", "n"), [("nearest", 1), ("all", -1)])
def test_pairs_are_those_of_acid(folder: Path, tmp_path: Path, select: Select, n: int) -> None:
    call_peer("acid", "pairs_acid.py", folder, RADIUS, n, tmp_path / "pairs.parquet")
    compare(match(folder, select), read_pairs(tmp_path / "pairs.parquet"), 1e-6)


@pytest.mark.parametrize(("select", "find"), [("nearest", "best1"), ("all", "all")])
def test_pairs_are_those_of_stilts(folder: Path, tmp_path: Path, select: Select, find: str) -> None:
    compare(match(folder, select), call_stilts(folder, tmp_path, find), 1e-6)


def test_best_of_stilts_is_the_nearest_claimed_once(folder: Path, tmp_path: Path) -> None:
    """Its ``best`` takes each left row's nearest, and of those each right row's nearest.

    So its answer depends on which table is left, and rows whose first choice is taken get none;
    *one_to_one* goes by distance over all pairs and gives them what is left.
    """
    theirs = call_stilts(folder, tmp_path, "best")
    claimed: dict[int, tuple[int, int]] = {}
    nearest = match(folder, "nearest")
    for pair in sorted(nearest, key=lambda pair: nearest[pair]):
        claimed.setdefault(pair[1], pair)
    compare({pair: nearest[pair] for pair in claimed.values()}, theirs, 1e-6)
    ours = match(folder, "one_to_one")
    assert len(theirs) < len(ours)
    assert len(ours.keys() ^ theirs.keys()) < 1e-4 * len(ours)


def call_stilts(folder: Path, tmp_path: Path, find: str) -> Pairs:
    if shutil.which("stilts") is None:
        pytest.skip("There is no `stilts`; Debian and Ubuntu have it as a package.")
    for name in ("left", "right"):
        layout = open_catalog(str(folder / name)).read_layout()
        rows = layout.read(np.array([[0, 12 * 4**29]]), ["id", "ra", "dec"])
        columns = {c: rows[c].to_numpy() for c in ("id", "ra", "dec")}
        Table(columns).write(tmp_path / f"{name}.fits")
    options = [f"in1={tmp_path}/left.fits", f"in2={tmp_path}/right.fits"]
    options += ["matcher=sky", f"params={RADIUS}", "values1=ra dec", "values2=ra dec"]
    options += ["join=1and2", f"find={find}", f"out={tmp_path}/out.fits"]
    subprocess.run(["stilts", "-Xmx3g", "tmatch2", *options], check=True, capture_output=True)
    found = Table.read(tmp_path / "out.fits")
    pairs = zip(found["id_1"].tolist(), found["id_2"].tolist(), strict=True)
    return dict(zip(pairs, found["Separation"].tolist(), strict=True))


def test_pairs_at_the_radius_are_told_by_50_digits(folder: Path) -> None:
    """Of all pairs within 1e-7 arcsec of the radius ours are those that exact arithmetic keeps."""
    near = {pair for pair, dist in match(folder, "all").items() if abs(dist - RADIUS) < 1e-5}
    tables = {
        name: open_catalog(str(folder / name))
        .read_layout()
        .read(np.array([[0, 12 * 4**29]]), ["id", "ra", "dec"])
        for name in ("left", "right")
    }
    with mp.workdps(50):
        for pair in near:
            exact = _compute_exactly(
                *(find_place(tables[n], i) for n, i in zip(tables, pair, strict=True))
            )
            assert exact <= RADIUS + 1e-9


def find_place(table: pa.Table, identifier: int) -> tuple[float, float]:
    row = int(np.flatnonzero(table["id"].to_numpy() == identifier)[0])
    return table["ra"][row].as_py(), table["dec"][row].as_py()


def _compute_exactly(here: tuple[float, float], there: tuple[float, float]) -> mp.mpf:
    (a, d), (b, e) = ([mp.radians(mp.mpf(x)) for x in place] for place in (here, there))
    half = mp.sin((d - e) / 2) ** 2 + mp.cos(d) * mp.cos(e) * mp.sin((a - b) / 2) ** 2
    return mp.degrees(2 * mp.asin(mp.sqrt(half))) * 3600
