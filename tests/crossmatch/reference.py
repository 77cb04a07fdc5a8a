"""A slow plain match, and a catalog in memory, for the tests of the engine."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ubspark.columns import HEALPIX_29
from ubspark.crossmatch.match import Match, Side
from ubspark.crossmatch.options import MatchOptions, PositionColumns
from ubspark.sky.healpix import compute_healpix_29, find_in_ranges
from ubspark.sky.vectors import compute_separation_arcsec, to_unit_vectors

COLUMNS = PositionColumns("id", "ra", "dec")
Row = tuple[Any, ...]


@dataclass
class MemorySource:
    """A catalog in memory; implements the source protocol."""

    table: pa.Table

    def __post_init__(self) -> None:
        index = self.table[HEALPIX_29.name].to_numpy()
        self.low = np.array([index.min()] if len(index) else [], dtype=np.int64)
        self.high = np.array([index.max()] if len(index) else [], dtype=np.int64)
        self.n_rows = np.array([len(index)] if len(index) else [], dtype=np.int64)
        self.n_bytes = 100 * self.n_rows

    def read(self, ranges: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        index = self.table[HEALPIX_29.name].to_numpy()
        inside = find_in_ranges(index, np.asarray(ranges, dtype=np.int64).reshape(-1, 2))
        names = list(dict.fromkeys([HEALPIX_29.name, *columns]))
        return self.table.filter(pa.array(inside)).select(names)


def make_source(ra: Any, dec: Any, ids: Any = None, **columns: Any) -> MemorySource:
    ra, dec = np.asarray(ra, dtype=float), np.asarray(dec, dtype=float)
    ids = np.arange(len(ra)) if ids is None else ids
    index = compute_healpix_29(ra, dec)
    order = np.lexsort((np.arange(len(ra)), index))
    table = pa.table({HEALPIX_29.name: index, "id": ids, "ra": ra, "dec": dec, **columns})
    return MemorySource(table.take(pa.array(order)))


def run_engine(
    left: MemorySource,
    right: MemorySource,
    options: MatchOptions,
    cuts: Sequence[int] = (),
    columns: PositionColumns = COLUMNS,
) -> set[Row]:
    """Match over cells cut at order-29 indices; rows as (left, right, dist, rank, n)."""
    match = Match(Side(left, columns, []), Side(right, columns, []), options)
    edges = [-1, 0, *sorted({int(cut) for cut in cuts}), 12 * 4**29]
    found: list[Row] = []
    for low, high in itertools.pairwise(edges):
        if low == high:
            continue
        for cell in match.match_cell(low, high):
            found += to_rows(cell.rows)
    assert len(set(found)) == len(found), "a row came twice"
    return set(found)


def to_rows(table: pa.Table) -> list[Row]:
    if "right_id" not in table.column_names:
        return [(row["left_id"], row["n_candidates"]) for row in table.to_pylist()]
    return [
        (row["left_id"], row["right_id"], row["dist_arcsec"], row["rank"], row["n_candidates"])
        for row in table.to_pylist()
    ]


def run_reference(
    left: MemorySource,
    right: MemorySource,
    options: MatchOptions,
    limit: Any = None,
) -> set[Row]:
    """The same by loops over all pairs; ``limit`` is a matrix of radii, or None."""
    lefts, rights = left.table.to_pylist(), right.table.to_pylist()
    here = to_unit_vectors(left.table["ra"].to_numpy(), left.table["dec"].to_numpy())
    there = to_unit_vectors(right.table["ra"].to_numpy(), right.table["dec"].to_numpy())
    candidates: dict[int, list[tuple[Any, ...]]] = {}
    for i, row in enumerate(lefts):
        if not len(rights):
            candidates[i] = []
            continue
        dist = compute_separation_arcsec(np.broadcast_to(here[i], there.shape).copy(), there)
        chord = ((here[i] - there) ** 2).sum(axis=1)
        chord = (here[i, 0] - there[:, 0]) ** 2 + (here[i, 1] - there[:, 1]) ** 2
        chord = chord + (here[i, 2] - there[:, 2]) ** 2
        inside = (dist <= options.radius_arcsec) & (dist >= options.min_radius_arcsec)
        if limit is not None:
            inside &= dist <= limit[i]
        if options.excludes_same_id:
            inside &= np.array([other["id"] != row["id"] for other in rights])
        candidates[i] = sorted(
            (chord[j], rights[j]["id"], rights[j]["ra"], rights[j]["dec"], j, dist[j])
            for j in np.flatnonzero(inside)
        )
    pairs = _select(candidates, lefts, rights, options)
    rows: set[Row] = set()
    matched = {i for i, _, _, _ in pairs}
    if options.how in ("semi", "anti"):
        wanted = [i for i in candidates if (i in matched) == (options.how == "semi")]
        return {(lefts[i]["id"], len(candidates[i])) for i in wanted}
    for i, j, dist, rank in pairs:
        rows.add((lefts[i]["id"], rights[j]["id"], dist, rank, len(candidates[i])))
    if options.how in ("left", "outer"):
        for i in set(candidates) - matched:
            rows.add((lefts[i]["id"], None, None, None, len(candidates[i])))
    if options.how in ("right", "outer"):
        taken = {j for _, j, _, _ in pairs}
        for j in set(range(len(rights))) - taken:
            rows.add((None, rights[j]["id"], None, None, 0))
    return rows


def _select(
    candidates: dict[int, list[tuple[Any, ...]]],
    lefts: list[dict[str, Any]],
    rights: list[dict[str, Any]],
    options: MatchOptions,
) -> list[tuple[int, int, float, int]]:
    ranked = [
        (i, c[4], float(c[5]), rank, c[0])
        for i, found in candidates.items()
        for rank, c in enumerate(found, 1)
    ]
    if options.select in ("nearest", "k", "all"):
        largest = {"nearest": 1, "k": options.k, "all": 10**9}[options.select]
        return [pair[:4] for pair in ranked if pair[3] <= largest]
    if options.select == "mutual":
        nearest_left: dict[int, tuple[Any, ...]] = {}
        for i, j, _, _, chord in ranked:
            key = (chord, lefts[i]["id"], lefts[i]["ra"], lefts[i]["dec"], i)
            nearest_left[j] = min(nearest_left.get(j, key), key)
        return [p[:4] for p in ranked if p[3] == 1 and nearest_left[p[1]][4] == p[0]]
    taken_left, taken_right, chosen = set(), set(), []
    for pair in sorted(ranked, key=lambda p: (p[4], lefts[p[0]]["id"], rights[p[1]]["id"])):
        if pair[0] not in taken_left and pair[1] not in taken_right:
            taken_left.add(pair[0])
            taken_right.add(pair[1])
            chosen.append(pair[:4])
    return chosen
