"""The end of a block: solve, and sum again, directly, where rounding could be seen."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ubspark.timeseries.kernels.epochs import Epochs
from ubspark.timeseries.kernels.grids import FrequencyGrid
from ubspark.timeseries.kernels.models import (
    MAX_EXACT,
    SEPARATE,
    SHARED,
    PowerBlock,
    compute_power_at,
    solve_block,
)

__all__ = ["finish_block"]


def finish_block(
    epochs: Epochs,
    grid: FrequencyGrid,
    first: int,
    folded: NDArray[Any],
    order: NDArray[np.int64] | None,
    *,
    models: int,
    limit: float,
) -> PowerBlock:
    """Turn what the bands added up to into power at the frequencies that the grid has.

    Parameters
    ----------
    first
        Number of the first frequency of the block.
    folded
        What `models.add_band` gave, shape (7, n).
    order
        Column of ``folded`` of each frequency, shape (m,); None where they are in order.
    limit
        Sensitivity to rounding above which a frequency is summed directly.
    """
    low = max(grid.first, first)
    n = folded.shape[1]
    high = min(grid.first + grid.n_freq, first + n)
    wanted: slice | NDArray[np.int64] = slice(low - first, high - first)
    if order is not None:
        wanted = order[wanted]
    chi2 = np.add.reduceat(epochs.w * epochs.y**2, epochs.starts[:-1])
    separate = np.full(n, np.sum(chi2, where=epochs.counts <= MAX_EXACT))
    shared, is_unsure = np.empty(n), np.empty(n, dtype=bool)
    solve_block(folded, models, limit, separate, shared, is_unsure)
    separate, shared = separate[wanted], shared[wanted]
    again = np.flatnonzero(is_unsure[wanted])
    if len(again):
        separate[again], shared[again] = compute_power_at(
            epochs, np.asarray((low + again) * grid.df)
        )
    empty = np.empty(0)
    return PowerBlock(
        low, separate if models & SEPARATE else empty, shared if models & SHARED else empty
    )
