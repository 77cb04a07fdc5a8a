"""A fixed part of the sky that stands for a whole catalog, whatever its files and cells."""

from dataclasses import replace

import numpy as np

from ubspark.columns import HEALPIX_ORDER
from ubspark.crossmatch.chance import hash_index
from ubspark.crossmatch.match import Match
from ubspark.crossmatch.options import ChanceSample, MatchOptions
from ubspark.crossmatch.plan import CellPlan, plan_cells
from ubspark.crossmatch.summary import MatchSummary

__all__ = ["compute_prior", "plan_sample"]

#: Order of the pixels of the sample, 3.4 arcmin: also a field of a degree has hundreds.
_ORDER = 10
#: Pixels looked at together.
_CHUNK = 1 << 20


def plan_sample(match: Match, *, every: int, parallelism: int) -> tuple[Match, CellPlan]:
    """Return a match that counts real and chance pairs, and the cells of its sample.

    Parameters
    ----------
    match
        The match to measure.
    every
        One pixel in so many is taken, by a hash of its number; 1 takes all of the sky.
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
    cells = []
    shift = 2 * (HEALPIX_ORDER - _ORDER)
    for first in range(0, 12 * 4**_ORDER, _CHUNK):
        pixels = np.arange(first, first + _CHUNK)
        pixels = pixels[hash_index(pixels) % np.uint64(every) == 0]
        low = pixels << shift
        cell = np.searchsorted(plan.cells[:, 1], low, side="right")
        inside = cell < len(plan.cells)
        inside[inside] &= plan.cells[cell[inside], 0] < low[inside] + (1 << shift)
        cells.append(np.stack([low[inside], low[inside] + (1 << shift)], axis=1))
    chosen = np.concatenate(cells)
    n_tasks = max(1, min(len(chosen), 8 * parallelism))
    tasks = np.linspace(0, len(chosen), n_tasks + 1).astype(np.int64)
    nothing = np.zeros(len(chosen))
    return plain, CellPlan(chosen, nothing, nothing, tasks)


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
