"""A fixed part of the sky that stands for a whole catalog, however it is cut into cells."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ubspark.columns import HEALPIX_ORDER
from ubspark.crossmatch.chance import hash_index
from ubspark.crossmatch.match import Match
from ubspark.crossmatch.options import ChanceSample, MatchOptions
from ubspark.crossmatch.plan import CatalogSource, CellPlan, plan_cells
from ubspark.crossmatch.summary import MatchSummary
from ubspark.sky.healpix import N_PIXELS_29, merge_ranges

__all__ = ["compute_prior", "plan_sample"]

IntArray = NDArray[np.int64]

#: Pixels of the sample, about, and their orders.
_PIXELS = 2000
_ORDERS = 0, 13


def plan_sample(match: Match, *, every: int, parallelism: int) -> tuple[Match, CellPlan]:
    """Return a match that counts real and chance pairs, and the cells of its sample.

    Parameters
    ----------
    match
        The match to measure.
    every
        One pixel in so many is taken, by a hash of its number; 1 takes all of the sky. How
        large the pixels are follows from the part of the sky that the left catalog covers.
    parallelism
        Tasks that can run at once.
    """
    options = MatchOptions(
        match.options.radius_arcsec,
        epoch=match.options.epoch,
        chance=replace(match.options.chance or ChanceSample(20.0, 1), every=1),
    )
    plain = replace(match, options=options)
    sources = match.left.source, match.right.source
    plan = plan_cells(*sources, keep_unplaced=False, parallelism=parallelism)
    if every == 1:
        return plain, plan
    chosen = _choose_pixels(match.left.source, every)
    n_tasks = max(1, min(len(chosen), 8 * parallelism))
    tasks = np.linspace(0, len(chosen), n_tasks + 1).astype(np.int64)
    nothing = np.zeros(len(chosen))
    return plain, CellPlan(chosen, nothing, nothing, tasks)


def _choose_pixels(source: CatalogSource, every: int) -> IntArray:
    """Return the ranges of one in so many pixels where a catalog may have rows, shape (k, 2)."""
    placed = source.high >= 0
    low, high = np.maximum(source.low[placed], 0), source.high[placed]
    if len(low) == 0:
        return np.zeros((0, 2), dtype=np.int64)
    covered = merge_ranges(np.stack([low, high + 1], axis=1))
    share = float(np.diff(covered, axis=1).astype(np.float64).sum()) / N_PIXELS_29
    order = int(np.clip(np.log2(_PIXELS * every / (12 * share)) / 2, *_ORDERS))
    shift = 2 * (HEALPIX_ORDER - order)
    parts = []
    for first, last in zip(covered[:, 0] >> shift, (covered[:, 1] - 1) >> shift, strict=True):
        pixels = np.arange(first, last + 1)
        parts.append(pixels[hash_index(pixels) % np.uint64(every) == 0])
    pixels = np.unique(np.concatenate(parts))
    return np.stack([pixels << shift, (pixels + 1) << shift], axis=1)


def compute_prior(total: MatchSummary) -> float:
    """Return the share of left rows with a counterpart within the radius.

    A row finds something where it has a counterpart or something else by chance, as its places
    aside do: 1 - found = (1 - prior) (1 - chance).
    """
    n_left = sum(total.n_left.values())
    found = sum(total.n_matched.values()) / n_left if n_left else 0.0
    chance = total.n_shifted_matched / total.n_shifted if total.n_shifted else 0.0
    prior = 1.0 - (1.0 - found) / (1.0 - chance) if chance < 1.0 else 0.0
    return float(np.clip(prior, _LEAST, 1.0 - _LEAST))


#: No share is certain.
_LEAST = 1e-4
