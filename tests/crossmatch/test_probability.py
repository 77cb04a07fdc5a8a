"""Probabilities of pairs: what is said with p comes true in p of the cases."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

sys.path.insert(0, str(Path(__file__).parent))
from reference import MemorySource, make_source

from ubspark.crossmatch.chance import shift_sample
from ubspark.crossmatch.kernels.probability import compute_match_probability, compute_share_within
from ubspark.crossmatch.match import Match, Side
from ubspark.crossmatch.options import ChanceSample, MatchOptions, PositionColumns, Probability
from ubspark.crossmatch.plan import plan_cells
from ubspark.crossmatch.sample import compute_prior, plan_sample
from ubspark.crossmatch.spark import MatchTask
from ubspark.crossmatch.summary import MatchSummary
from ubspark.sky.healpix import N_PIXELS_29
from ubspark.sky.vectors import compute_separation_arcsec, to_unit_vectors

COLUMNS = PositionColumns("id", "ra", "dec", ra_error="e_ra", dec_error="e_dec", ra_dec_corr="rho")
RADIUS = 4.0
SHARE = 0.7
#: Right rows per square arcsec: several within the radius of each left row.
DENSITY = 0.15
WIDTH = 900.0


def simulate(seed: int, *, stated: float = 1.0) -> tuple[MemorySource, MemorySource]:
    """A field of left rows, 70 % of which have a counterpart among many other right rows.

    The counterpart of a row has the same identifier. ``stated`` is the factor on the errors that
    the catalogs state.
    """
    rng = np.random.default_rng(seed)
    n_left, n_right = 8000, int(DENSITY * WIDTH**2)
    place = rng.uniform(-0.45 * WIDTH, 0.45 * WIDTH, (n_left, 2))
    has_counterpart = rng.random(n_left) < SHARE
    errors = rng.uniform(0.1, 0.7, (2, n_left, 2))
    rho = rng.uniform(-0.8, 0.8, (2, n_left))
    offsets = []
    for sigma, correlation in zip(errors, rho, strict=True):
        draw = rng.normal(0, 1, (n_left, 2))
        draw[:, 1] = correlation * draw[:, 0] + np.sqrt(1 - correlation**2) * draw[:, 1]
        offsets.append(sigma * draw)
    seen = place + offsets[0]
    counterparts = (place + offsets[1])[has_counterpart]
    others = rng.uniform(-0.5 * WIDTH, 0.5 * WIDTH, (n_right, 2))
    other_errors = rng.uniform(0.1, 0.7, (n_right, 2))
    other_rho = rng.uniform(-0.8, 0.8, n_right)
    return (
        place_on_sky(seen, stated * errors[0], rho[0], np.arange(n_left)),
        place_on_sky(
            np.concatenate([counterparts, others]),
            stated * np.concatenate([errors[1][has_counterpart], other_errors]),
            np.concatenate([rho[1][has_counterpart], other_rho]),
            np.concatenate([np.flatnonzero(has_counterpart), n_left + np.arange(n_right)]),
        ),
    )


def place_on_sky(
    offsets: NDArray[np.float64],
    errors: NDArray[np.float64],
    rho: NDArray[np.float64],
    ids: NDArray[np.int64],
) -> MemorySource:
    """Offsets in arcsec east and north of ra 100, dec 60."""
    dec = 60 + offsets[:, 1] / 3600
    ra = 100 + offsets[:, 0] / 3600 / np.cos(np.radians(dec))
    return make_source(ra, dec, ids, e_ra=errors[:, 0], e_dec=errors[:, 1], rho=rho)


def judge(
    left: MemorySource, right: MemorySource, prior: float, n_cells: int = 1
) -> dict[str, Any]:
    options = MatchOptions(RADIUS, "left", None, select="all", probability=Probability(prior, 40.0))
    match = Match(Side(left, COLUMNS, []), Side(right, COLUMNS, []), options)
    plan = plan_cells(left, right, keep_unplaced=True, n_cells=n_cells)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("left_id", "right_id", "p_match", "p_any")
    }
    for low, high in plan.cells:
        for cell in match.match_cell(int(low), int(high)):
            for name, values in columns.items():
                values += cell.rows[name].to_pylist()
    return columns


def count_bins(found: dict[str, Any]) -> list[tuple[int, float, float]]:
    """Return pairs, mean probability and share of true pairs in ten bins of probability."""
    p = np.array([value for value in found["p_match"] if value is not None])
    pairs = zip(found["left_id"], found["right_id"], found["p_match"], strict=True)
    is_true = np.array([left == right for left, right, value in pairs if value is not None])
    which = np.minimum((10 * p).astype(int), 9)
    return [
        (int((which == i).sum()), float(p[which == i].mean()), float(is_true[which == i].mean()))
        for i in range(10)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_probabilities_come_true(seed: int) -> None:
    left, right = simulate(seed)
    for n, stated, true in count_bins(judge(left, right, SHARE)):
        assert n >= 200
        assert abs(true - stated) <= 3 * np.sqrt(stated * (1 - stated) / n)


@pytest.mark.parametrize("stated", [1.5, 1 / 1.5])
def test_misstated_errors_show(stated: float) -> None:
    """Errors wrong by 1.5 make the probabilities wrong by far more than their noise."""
    left, right = simulate(7, stated=stated)
    pulls = [
        (true - p) / np.sqrt(p * (1 - p) / n)
        for n, p, true in count_bins(judge(left, right, SHARE))
        if n >= 200
    ]
    assert max(np.abs(pulls)) > 6


def test_cells_change_no_probability() -> None:
    left, right = simulate(3)
    whole, cut = judge(left, right, SHARE), judge(left, right, SHARE, n_cells=37)
    for name in ("p_match", "p_any"):
        one, other = (
            dict(zip(zip(f["left_id"], f["right_id"], strict=True), f[name], strict=True))
            for f in (whole, cut)
        )
        assert one == other


def test_probabilities_of_a_row_sum_to_that_of_any() -> None:
    left, right = simulate(4)
    found = judge(left, right, SHARE)
    sums: dict[int, float] = {}
    for row, p in zip(found["left_id"], found["p_match"], strict=True):
        sums[row] = sums.get(row, 0.0) + (p or 0.0)
    for row, p_any in zip(found["left_id"], found["p_any"], strict=True):
        assert p_any is None or abs(sums[row] - p_any) < 1e-12
        assert p_any is None or 0 <= p_any <= 1


@pytest.mark.parametrize("every", [1, 3])
def test_prior_is_measured(every: int) -> None:
    left, right = simulate(5)
    sides = Side(left, COLUMNS, []), Side(right, COLUMNS, [])
    match = Match(*sides, MatchOptions(1.5, chance=ChanceSample(30.0, 1)))
    sample, plan = plan_sample(match, every=every, parallelism=4)
    task = MatchTask(sample, plan)
    for low, high in plan.cells:
        for cell in sample.match_cell(int(low), int(high)):
            task.summary.add_cell(cell)
    n_left = sum(task.summary.n_left.values())
    assert (n_left == 8000) if every == 1 else (500 < n_left < 5000)
    assert abs(compute_prior(task.summary) - count_near(left, right, 1.5)) < 0.06


def count_near(left: MemorySource, right: MemorySource, radius: float) -> float:
    """Return the share of left rows whose counterpart lies within a radius."""
    places = []
    for table in (left.table, right.table):
        rows = table.filter(pc.less(table["id"], 8000)).sort_by("id")
        vectors = np.full((8000, 3), np.nan)
        vectors[rows["id"].to_numpy()] = to_unit_vectors(
            rows["ra"].to_numpy(), rows["dec"].to_numpy()
        )
        places.append(vectors)
    return float(np.mean(compute_separation_arcsec(*places) <= radius))


def test_prior_of_nothing_is_small() -> None:
    assert compute_prior(MatchSummary(1.0)) == pytest.approx(1e-4)


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_share_within_a_radius_is_that_of_draws(rho: float) -> None:
    covariance = np.array([[1.0, 0.25, rho * 0.5]])
    draws = multivariate_normal([0, 0], [[1.0, rho * 0.5], [rho * 0.5, 0.25]], seed=1).rvs(400_000)
    for radius in (0.3, 1.0, 2.5):
        share = compute_share_within(covariance, radius)[0]
        assert share == pytest.approx(np.mean(np.hypot(*draws.T) <= radius), abs=0.003)
    circle = np.array([[0.09, 0.09, 0.0]])
    assert compute_share_within(circle, 0.6)[0] == pytest.approx(1 - np.exp(-2.0), rel=1e-12)


def test_one_candidate_has_the_bayes_factor_of_the_paper() -> None:
    """Budavari & Szalay 2008, equation 16: B = 2 / s^2 exp(-psi^2 / 2 s^2), s^2 in radians."""
    sigma, psi, density, prior = 0.3, 0.4, 1e-3, 0.6
    found = compute_match_probability(
        np.zeros(1, dtype=np.int64),
        np.array([psi]),
        np.zeros(1),
        np.array([[sigma**2, sigma**2, 0.0]]),
        np.array([density]),
        prior=prior,
        radius_arcsec=10.0,
    )
    arcsec = np.pi / 180 / 3600
    bayes = 2 / (sigma * arcsec) ** 2 * np.exp(-(psi**2) / (2 * sigma**2))
    n_sky = density * 4 * np.pi / arcsec**2
    odds = bayes * (prior / n_sky) / (1 - prior)
    assert found.p_match[0] == pytest.approx(odds / (1 + odds), rel=1e-9)


def test_pairs_without_errors_have_no_probability() -> None:
    found = compute_match_probability(
        np.array([0, 0, 1]),
        np.zeros(3),
        np.zeros(3),
        np.array([[0.0, 0.0, 0.0], [0.01, 0.01, 0.0], [0.0, 0.0, 0.0]]),
        np.full(3, 1e-3),
        prior=0.5,
        radius_arcsec=1.0,
    )
    assert np.isnan(found.p_match).tolist() == [True, False, True]


def test_shifted_places_lie_at_the_shift_and_follow_the_index_alone() -> None:
    rng = np.random.default_rng(2)
    ra, dec = rng.uniform(0, 360, 4000), rng.uniform(-90, 90, 4000)
    ra[0], dec[0], dec[1] = 12.0, 90.0, np.nan
    vectors, index = to_unit_vectors(ra, dec), rng.integers(0, N_PIXELS_29, 4000)
    every = shift_sample(index, vectors, ChanceSample(25.0, 1))
    usable = np.isfinite(vectors[:, 0])
    assert np.allclose(compute_separation_arcsec(vectors[usable], every), 25.0, atol=1e-6)
    some = shift_sample(index, vectors, ChanceSample(25.0, 7))
    assert 450 < len(some) < 700
    order = rng.permutation(4000)
    again = shift_sample(index[order], vectors[order], ChanceSample(25.0, 7))
    assert {tuple(row) for row in again} == {tuple(row) for row in some}
    assert {tuple(row) for row in some} <= {tuple(row) for row in every}


@pytest.mark.parametrize("minor", [0.02, 0.005, 1e-4])
@pytest.mark.parametrize("turn_deg", [0.0, 30.0])
def test_share_within_a_radius_of_long_thin_ellipses(minor: float, turn_deg: float) -> None:
    """Along-scan errors: the share tends to that of a line, whatever its direction."""
    a = np.radians(turn_deg)
    xx = (np.cos(a)) ** 2 + (minor * np.sin(a)) ** 2
    yy = (np.sin(a)) ** 2 + (minor * np.cos(a)) ** 2
    xy = (1 - minor**2) * np.sin(a) * np.cos(a)
    share = compute_share_within(np.array([[xx, yy, xy]]), 1.0)[0]
    assert share == pytest.approx(0.6826895, abs=2e-4)
    found = compute_match_probability(
        np.zeros(1, dtype=np.int64),
        np.array([0.3 * np.cos(a)]),
        np.array([0.3 * np.sin(a)]),
        np.array([[xx, yy, xy]]),
        np.full(1, 1e-3),
        prior=0.5,
        radius_arcsec=1.0,
    )
    assert 0.9 < found.p_match[0] <= 1.0
    assert found.p_any[0] <= 1.0
