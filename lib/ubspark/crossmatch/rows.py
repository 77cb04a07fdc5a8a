"""The output rows of a cell."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ubspark.columns import (
    DIST_ARCSEC,
    FLAGS,
    HEALPIX_29,
    LEFT_ID,
    N_CANDIDATES,
    PA_DEG,
    RANK,
    RIGHT_ID,
)
from ubspark.crossmatch.choose import Chosen
from ubspark.crossmatch.field import Field, Rows, Side
from ubspark.crossmatch.options import (
    FLAG_LEFT_UNUSABLE,
    FLAG_RIGHT_UNUSABLE,
    LEFT_MISSING_SHIFT,
    RIGHT_MISSING_SHIFT,
)

__all__ = ["join_rows", "list_left_rows"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
_LEFT_ORDER = [(HEALPIX_29.name, "ascending"), (LEFT_ID.name, "ascending")]
_ROW = "row"
#: Rows of one identifier and place stand as they do in the catalog, whatever they are matched with.
_ORDER = [
    *_LEFT_ORDER,
    (_ROW, "ascending"),
    (RANK.name, "ascending"),
    (RIGHT_ID.name, "ascending"),
]


def join_rows(
    field: Field,
    left: Side,
    right: Side,
    pairs: Chosen,
    angle_deg: FloatArray,
    alone_left: IntArray,
    alone_right: IntArray,
) -> pa.Table:
    """Return pairs and rows without one, sorted by ``_healpix_29``, left id, rank, right id.

    Parameters
    ----------
    pairs
        The pairs of own left rows.
    angle_deg
        Their position angles, shape (k,).
    alone_left, alone_right
        Rows of the field that come without a partner.
    """
    nobody = [np.full(len(rows), -1) for rows in (alone_left, alone_right)]
    left_rows = np.concatenate([pairs.left, alone_left, nobody[1]]).astype(np.int64)
    right_rows = np.concatenate([pairs.right, nobody[0], alone_right]).astype(np.int64)
    n_alone = len(alone_left) + len(alone_right)
    rank = _extend(pairs.rank, n_alone, 0).astype(np.int32)
    ids = field.left.table[left.columns.id], field.right.table[right.columns.id]
    # The order first, from the keys alone, so that the payload is gathered once.
    keys = _gather_keys(field, *ids, left_rows, right_rows, rank)
    order: IntArray | slice = slice(None)
    if not _is_rising(keys[HEALPIX_29.name]):
        order = pc.sort_indices(keys, sort_keys=_ORDER).to_numpy()
        keys = keys.take(pa.array(order))
    left_rows, right_rows = left_rows[order], right_rows[order]
    here, there = _to_indices(left_rows), _to_indices(right_rows)
    counts = np.where(left_rows >= 0, _take(pairs.n_candidates, left_rows), 0)
    flags = _flag_left(field.left, left_rows) | _flag_right(field.right, right_rows)
    columns = {
        HEALPIX_29.name: keys[HEALPIX_29.name],
        LEFT_ID.name: keys[LEFT_ID.name],
        RIGHT_ID.name: keys[RIGHT_ID.name],
        DIST_ARCSEC.name: _to_nullable(pairs.dist_arcsec, n_alone, order),
        PA_DEG.name: _to_nullable(angle_deg, n_alone, order),
        RANK.name: keys[RANK.name],
        N_CANDIDATES.name: pa.array(counts.astype(np.int32)),
        FLAGS.name: pa.array(flags),
    }
    columns |= {name: _to_nullable(values, n_alone, order) for name, values in pairs.extra.items()}
    columns |= {name: field.left.table[own].take(here) for own, name in left.payload}
    columns |= {name: field.right.table[own].take(there) for own, name in right.payload}
    return pa.table(columns)


def _gather_keys(
    field: Field,
    left_ids: pa.ChunkedArray,
    right_ids: pa.ChunkedArray,
    left_rows: IntArray,
    right_rows: IntArray,
    rank: NDArray[np.int32],
) -> pa.Table:
    """Return what rows are sorted by."""
    here, there = _to_indices(left_rows), _to_indices(right_rows)
    index = field.left.table[HEALPIX_29.name].take(here)
    if index.null_count:
        index = pc.coalesce(index, field.right.table[HEALPIX_29.name].take(there))
    return pa.table(
        {
            HEALPIX_29.name: index,
            LEFT_ID.name: left_ids.take(here),
            _ROW: pa.array(left_rows),
            RANK.name: pa.array(rank, mask=rank == 0),
            RIGHT_ID.name: right_ids.take(there),
        }
    )


def list_left_rows(field: Field, left: Side, pairs: Chosen, kept: IntArray) -> pa.Table:
    """Return left rows once each, with nothing of the right side, sorted as `join_rows` does."""
    keys = field.left.table.select([HEALPIX_29.name, left.columns.id]).take(pa.array(kept))
    keys = keys.rename_columns([HEALPIX_29.name, LEFT_ID.name])
    kept = kept[pc.sort_indices(keys, sort_keys=_LEFT_ORDER).to_numpy()]
    table = field.left.table.take(pa.array(kept))
    columns = {
        HEALPIX_29.name: table[HEALPIX_29.name],
        LEFT_ID.name: table[left.columns.id],
        N_CANDIDATES.name: pa.array(pairs.n_candidates[kept]),
        FLAGS.name: pa.array(_flag_left(field.left, kept)),
    }
    return pa.table(columns | {name: table[own] for own, name in left.payload})


def _is_rising(index: pa.ChunkedArray) -> bool:
    """Whether each row has a higher index than the one before: then they are sorted."""
    values = index.to_numpy()
    return bool(np.all(values[1:] > values[:-1]))


def _to_indices(rows: IntArray) -> pa.Array:
    """Return row numbers, null for a negative one."""
    return pa.array(rows, mask=rows < 0) if np.any(rows < 0) else pa.array(rows)


def _to_nullable(values: FloatArray, n_alone: int, order: IntArray | slice) -> pa.Array:
    return pa.array(_extend(values, n_alone, np.nan)[order], from_pandas=True)


def _extend(values: NDArray[np.generic], n: int, value: float) -> NDArray[np.generic]:
    return np.concatenate([values, np.full(n, value)]) if n else values


def _take(values: NDArray[np.int32], rows: IntArray) -> NDArray[np.int32]:
    """Return values of rows; of a negative row, any value."""
    return values[np.maximum(rows, 0)] if len(values) else np.zeros(len(rows), dtype=np.int32)


def _flag(side: Rows, rows: IntArray, *, shift: int, unusable: int) -> NDArray[np.int32]:
    """Return the bits of rows of one side, 0 for a negative row."""
    flags = np.left_shift(side.positions.missing, shift)
    flags = flags | np.where(side.healpix < 0, unusable, 0)
    if not flags.any():
        return np.zeros(len(rows), dtype=np.int32)
    return np.where(rows >= 0, _take(flags.astype(np.int32), rows), 0).astype(np.int32)


def _flag_left(side: Rows, rows: IntArray) -> NDArray[np.int32]:
    return _flag(side, rows, shift=LEFT_MISSING_SHIFT, unusable=FLAG_LEFT_UNUSABLE)


def _flag_right(side: Rows, rows: IntArray) -> NDArray[np.int32]:
    return _flag(side, rows, shift=RIGHT_MISSING_SHIFT, unusable=FLAG_RIGHT_UNUSABLE)
