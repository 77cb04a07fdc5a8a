"""Which of the pairs within the radius are kept: nearest, k, mutual, one to one.

All take pairs as `sort_pairs` gives them and return a mask over these pairs. Ties are broken by
identifiers, so that the choice depends on no order of rows.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ubspark.crossmatch.kernels.pairs import Pairs
from ubspark.sky.vectors import IntArray

__all__ = ["ACCEPTED", "UNDECIDED", "compute_ranks", "decide_one_to_one", "is_mutual"]

#: What `decide_one_to_one` says of a pair.
REJECTED, ACCEPTED, UNDECIDED = 0, 1, 2

BoolArray = NDArray[np.bool_]


def compute_ranks(pairs: Pairs) -> NDArray[np.int32]:
    """Return the place of each pair among those of its left row, 1 for the best."""
    starts = np.flatnonzero(np.diff(pairs.left, prepend=-1))
    lengths = np.diff(starts, append=len(pairs.left))
    return (np.arange(len(pairs.left)) - np.repeat(starts, lengths) + 1).astype(np.int32)


def is_mutual(
    pairs: Pairs, left_id: ArrayLike, left_ra: ArrayLike, left_dec: ArrayLike
) -> BoolArray:
    """Tell which pairs are each other's best.

    Parameters
    ----------
    pairs
        Sorted pairs. For a right row to be judged, the pairs of all left rows within the radius
        of it must be there.
    left_id, left_ra, left_dec
        Keys that break ties between left rows, shape (n,).
    """
    first_of_left = compute_ranks(pairs) == 1
    keys = [np.asarray(column)[pairs.left] for column in (left_dec, left_ra, left_id)]
    order = np.lexsort((*keys, pairs.dist_arcsec, pairs.key, pairs.right))
    first_of_right = np.zeros(len(order), dtype=bool)
    first_of_right[order] = np.diff(pairs.right[order], prepend=-1) != 0
    mutual: BoolArray = first_of_left & first_of_right
    return mutual


def decide_one_to_one(
    pairs: Pairs,
    left_id: ArrayLike,
    right_id: ArrayLike,
    *,
    n_left: int,
    is_right_complete: BoolArray,
) -> NDArray[np.int8]:
    """Pair greedily: the best pair first, then the best of what is left, and so on.

    Parameters
    ----------
    pairs
        Pairs, in any order, with every right row within the radius of each left row.
    left_id, right_id
        Keys that break ties, left first, shape (n_left,) and (m,).
    is_right_complete
        Whether the pairs of a right row with every left row are there, shape (m,). What
        could depend on pairs that are not there stays undecided.

    Returns
    -------
    NDArray
        REJECTED, ACCEPTED or UNDECIDED for each pair. What is decided is what the greedy
        choice over all pairs of the sky decides.
    """
    keys = [np.asarray(right_id)[pairs.right], np.asarray(left_id)[pairs.left]]
    order = np.lexsort((*keys, pairs.dist_arcsec, pairs.key))
    decided = np.empty(len(order), dtype=np.int8)
    _decide(
        order,
        np.ascontiguousarray(pairs.left),
        np.ascontiguousarray(pairs.right),
        np.zeros(n_left, dtype=np.int8),
        np.where(is_right_complete, 0, UNDECIDED).astype(np.int8),
        decided,
    )
    return decided


@njit(  # type: ignore[untyped-decorator]  # numba has no stubs
    "void(int64[::1], int64[::1], int64[::1], int8[::1], int8[::1], int8[::1])",
    cache=True,
    nogil=True,
)
def _decide(
    order: IntArray,
    left: IntArray,
    right: IntArray,
    left_state: NDArray[np.int8],
    right_state: NDArray[np.int8],
    decided: NDArray[np.int8],
) -> None:
    for place in range(order.shape[0]):
        pair = order[place]
        here, there = left[pair], right[pair]
        if left_state[here] == 1 or right_state[there] == 1:
            decided[pair] = 0
        elif left_state[here] == 2 or right_state[there] == 2:
            # A closer pair that is not known, or not decided, may take either row.
            decided[pair] = 2
            left_state[here] = 2
            right_state[there] = 2
        else:
            decided[pair] = 1
            left_state[here] = 1
            right_state[there] = 1
