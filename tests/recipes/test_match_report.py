"""What the report of a match says of false pairs, against catalogs whose true pairs are known."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "crossmatch"))
from reference import MemorySource, make_source

from ubspark.columns import HEALPIX_29
from ubspark.crossmatch.match import Match, Side
from ubspark.crossmatch.options import ChanceSample, MatchOptions, PositionColumns, Select
from ubspark.crossmatch.summary import MatchSummary
from ubspark.figures import Curves, Histogram, Image, SkyMap
from ubspark.recipes.match_report import draw_match, find_recommended_radius
from ubspark.sky.vectors import FloatArray, IntArray

COLUMNS = PositionColumns("id", "ra", "dec")
RADIUS = 5.0
SIGMA = 0.4
#: Right rows per square arcsec that belong to no left row, and left rows with a counterpart.
DENSITY = 0.01
SHARE = 0.6
WIDTH = 3600.0
N_LEFT = 30_000


def place(offsets: FloatArray, ids: IntArray) -> MemorySource:
    """Offsets in arcsec east and north of ra 100, dec 60."""
    dec = 60 + offsets[:, 1] / 3600
    return make_source(100 + offsets[:, 0] / 3600 / np.cos(np.radians(dec)), dec, ids)


def make_match(seed: int, select: Select = "all", share: float = SHARE) -> Match:
    """A right row with the identifier of a left one is its counterpart."""
    rng = np.random.default_rng(seed)
    left = rng.uniform(-0.45 * WIDTH, 0.45 * WIDTH, (N_LEFT, 2))
    has_counterpart = rng.random(N_LEFT) < share
    counterparts = (left + rng.normal(0, SIGMA, left.shape))[has_counterpart]
    others = rng.uniform(-0.5 * WIDTH, 0.5 * WIDTH, (int(DENSITY * WIDTH**2), 2))
    ids = np.append(np.flatnonzero(has_counterpart), N_LEFT + np.arange(len(others)))
    sides = place(left, np.arange(N_LEFT)), place(np.concatenate([counterparts, others]), ids)
    # As a job chooses it: two radii, at least 20 arcsec.
    options = MatchOptions(RADIUS, select=select, chance=ChanceSample(20.0, 2))
    return Match(*(Side(rows, COLUMNS, []) for rows in sides), options)


def run(match: Match, cuts: tuple[int, ...] = ()) -> tuple[MatchSummary, pa.Table]:
    total = MatchSummary(RADIUS, map_order=11)
    edges = [0, *cuts, 12 * 4**29]
    cells = [cell for pair in itertools.pairwise(edges) for cell in match.match_cell(*pair)]
    for cell in cells:
        total.add_cell(cell)
    return total, pa.concat_tables([cell.rows for cell in cells])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_false_pairs_are_those_expected_at_every_radius(seed: int) -> None:
    total, rows = run(make_match(seed))
    is_false = rows["left_id"].to_numpy() != rows["right_id"].to_numpy()
    found = np.histogram(rows["dist_arcsec"].to_numpy()[is_false], total.edges_arcsec)[0]
    # The counterparts of other rows are around every row as well.
    density = DENSITY + SHARE * N_LEFT / (0.9 * WIDTH) ** 2
    for last in range(10, 101, 10):
        expected = total.chance[:last].sum() * total.chance_scale
        truth = found[:last].sum()
        # Of the truth, and of the half of the rows that measure it.
        assert abs(expected - truth) < 4 * np.sqrt(truth + 2 * expected)
        area = np.pi * total.edges_arcsec[last] ** 2
        assert expected == pytest.approx(N_LEFT * density * area, abs=4 * np.sqrt(3 * expected))
    assert found.sum() > 20_000


def test_share_of_false_pairs_is_drawn_as_it_is() -> None:
    total, rows = run(make_match(4))
    is_false = rows["left_id"].to_numpy() != rows["right_id"].to_numpy()
    curves = draw_match(total)["false_matches"]
    assert isinstance(curves, Curves)
    drawn, kept = curves.curves
    distance = rows["dist_arcsec"].to_numpy()
    for i in (19, 39, 59, 99):
        within = distance <= total.edges_arcsec[i + 1]
        assert drawn.x[i] == total.edges_arcsec[i + 1]
        n_false = is_false[within].sum()
        assert drawn.y[i] * within.sum() == pytest.approx(n_false, abs=4 * np.sqrt(3 * n_false))
        assert kept.y[i] == pytest.approx(within.mean(), rel=1e-3)


def test_cells_change_nothing() -> None:
    match = make_match(5)
    total, _ = run(match)
    index = np.sort(match.left.source.table[HEALPIX_29.name].to_numpy())
    cut, _ = run(match, tuple(index[[1000, 9000, 20_000]].tolist()))
    np.testing.assert_array_equal(cut.chance, total.chance)
    np.testing.assert_array_equal(cut.separations, total.separations)
    np.testing.assert_array_equal(cut.cloud, total.cloud)
    assert cut.n_shifted_matched == total.n_shifted_matched > 1000


@pytest.mark.parametrize("seed", [6, 7, 8])
def test_recommended_radius_is_where_real_pairs_and_chance_are_equal(seed: int) -> None:
    # N f r/s^2 exp(-r^2 / 2 s^2) real pairs and N 2 pi r rho others in a unit of radius.
    radius = find_recommended_radius(run(make_match(seed))[0])
    density = DENSITY + SHARE * N_LEFT / (0.9 * WIDTH) ** 2
    truth = SIGMA * np.sqrt(2 * np.log(SHARE / (2 * np.pi * SIGMA**2 * density)))
    assert 1.1 < truth < 1.15
    assert radius == pytest.approx(truth, abs=3 * RADIUS / 100)


def test_catalogs_without_common_objects_have_no_radius() -> None:
    total, _ = run(make_match(9, share=0.0))
    assert find_recommended_radius(total) == 0.0


def test_mean_offset_is_that_of_the_pairs() -> None:
    rng = np.random.default_rng(11)
    left = rng.uniform(-100, 100, (50, 2)) * 10
    # Well within one bin of the picture, which is 2 * 5 / 64 arcsec wide.
    right = left + np.array([0.0123, -0.0321])
    ids = np.arange(50)
    options = MatchOptions(RADIUS)
    sides = (Side(place(rows, ids), COLUMNS, []) for rows in (left, right))
    total, _ = run(Match(*sides, options))
    caption = draw_match(total)["offsets"].caption
    assert caption == "50 pairs; mean offset +0.0123 arcsec east, -0.0321 arcsec north."


def test_report_has_its_pictures() -> None:
    total, rows = run(make_match(10, select="nearest"))
    figures = draw_match(total)
    kinds = {
        "separations": Histogram,
        "offsets": Image,
        "match_fraction": SkyMap,
        "density": SkyMap,
        "candidates": Histogram,
        "false_matches": Curves,
    }
    assert {name: type(figure) for name, figure in figures.items()} == kinds
    shown = figures["match_fraction"]
    assert isinstance(shown, SkyMap)
    density = figures["density"]
    assert isinstance(density, SkyMap)
    area = 4 * np.pi * np.degrees(1) ** 2 / (12 * 4**density.order)
    n_left = np.asarray(density.values) * area
    assert n_left.sum() == pytest.approx(N_LEFT)
    assert (n_left * shown.values).sum() == pytest.approx(rows.num_rows)
    cloud = figures["offsets"]
    assert isinstance(cloud, Image)
    assert cloud.counts.sum() == rows.num_rows
