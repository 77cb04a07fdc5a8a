"""Matches by chance, measured: left rows are matched once more from places beside their own."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ubspark.crossmatch.options import ChanceSample
from ubspark.sky.vectors import ARCSEC_PER_RADIAN, FloatArray, IntArray

__all__ = ["hash_index", "shift_sample"]


def shift_sample(index: IntArray, vectors: FloatArray, chance: ChanceSample | None) -> FloatArray:
    """Return the places beside some of the rows where a match is one by chance.

    Which rows take part, and which of the four directions they take, follows from their index
    alone, so that it depends on no cells and no order.

    Parameters
    ----------
    index
        Order-29 indices in the catalog, shape (n,).
    vectors
        Unit vectors, shape (n, 3); rows holding NaN take no part.
    chance
        The sample; None for none.

    Returns
    -------
    FloatArray
        Unit vectors, shape (m, 3).
    """
    if chance is None or len(index) == 0:
        return np.zeros((0, 3))
    hashed = hash_index(index)
    chosen = (hashed % np.uint64(chance.every) == 0) & np.isfinite(vectors[:, 0])
    here = vectors[chosen]
    quarter = ((hashed[chosen] >> np.uint64(40)) & np.uint64(3)).astype(np.int64)
    x, y, z = here.T
    across = np.hypot(x, y)
    safe = np.where(across > 0, across, 1.0)
    # At a pole any direction is as good as another.
    east = np.stack([-y / safe, np.where(across > 0, x / safe, 1.0), np.zeros_like(z)], axis=1)
    north = np.cross(here, east)
    angle = 0.5 * np.pi * quarter
    direction = east * np.sin(angle)[:, None] + north * np.cos(angle)[:, None]
    arc = chance.shift_arcsec / ARCSEC_PER_RADIAN
    shifted: FloatArray = np.ascontiguousarray(here * np.cos(arc) + direction * np.sin(arc))
    return shifted


def hash_index(index: IntArray) -> NDArray[np.uint64]:
    """Return well mixed bits of indices (splitmix64), shape (n,)."""
    mixed: NDArray[np.uint64] = _mix(np.require(index, np.int64, ["C", "W"]))
    return mixed


@njit("uint64[::1](int64[::1])", cache=True, nogil=True)  # type: ignore[untyped-decorator]  # numba has no stubs
def _mix(index: IntArray) -> NDArray[np.uint64]:
    mixed = np.empty(index.size, dtype=np.uint64)
    for i in range(index.size):
        bits = np.uint64(index[i]) + np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed[i] = bits ^ (bits >> np.uint64(31))
    return mixed
