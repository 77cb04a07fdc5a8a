"""Adding the epochs of a new night to light curves that are there."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ubspark.columns import HEALPIX_29
from ubspark.timeseries.nesting import (
    N_BAD_EPOCHS,
    N_EPOCHS,
    EpochRules,
    nest_epochs,
    unnest_rows,
)

__all__ = ["MergedCurves", "merge_curves"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MergedCurves:
    """What became of some light curves.

    Attributes
    ----------
    rows
        All of them, in the order of the sky.
    n_touched, n_new
        Objects that got epochs, and objects that were not there.
    n_added, n_repeated
        Epochs that were added, and those that were there already.
    """

    rows: pa.Table
    n_touched: int
    n_new: int
    n_added: int
    n_repeated: int

    @property
    def has_changed(self) -> bool:
        """Whether the rows are others than before."""
        return self.n_touched + self.n_new > 0


def merge_curves(
    there: pa.Table, night: pa.Table, rules: EpochRules, *, id_column: str
) -> MergedCurves:
    """Add light curves of a night to those that are there.

    An object keeps its position and its other columns. An object to which only epochs come that
    it has already stays as it is, counts too.

    Parameters
    ----------
    there, night
        Light curves with the same columns, an object once in each.
    """
    night = night.select(there.column_names).cast(there.schema)
    place = _find_rows(night[id_column], there[id_column])
    known, new = night.filter(pa.array(place >= 0)), night.filter(pa.array(place < 0))
    place = place[place >= 0]
    merged = _merge(there.take(pa.array(place)), known, rules)
    before = there[N_EPOCHS].to_numpy()[place].astype(np.int64)
    came = known[N_EPOCHS].to_numpy().astype(np.int64)
    n_added = merged[N_EPOCHS].to_numpy() - before
    is_touched = (n_added > 0) | ((came == 0) & (known[N_BAD_EPOCHS].to_numpy() > 0))
    is_kept = np.ones(there.num_rows, dtype=bool)
    is_kept[place[is_touched]] = False
    touched = merged.filter(pa.array(is_touched))
    rows = pa.concat_tables([there.filter(pa.array(is_kept)), touched, new])
    keys = [(HEALPIX_29.name, "ascending"), (id_column, "ascending")]
    order = pc.sort_indices(rows.select([HEALPIX_29.name, id_column]), sort_keys=keys)
    return MergedCurves(
        rows.combine_chunks().take(order),
        int(np.count_nonzero(is_touched)),
        new.num_rows,
        int(n_added.sum()) + int(new[N_EPOCHS].to_numpy().sum()),
        int((came - n_added).sum()),
    )


def _merge(there: pa.Table, night: pa.Table, rules: EpochRules) -> pa.Table:
    """Return the objects with the epochs of both, row by row."""
    # Whatever is in the lists has been judged; where bad ones are among them, they tell again.
    is_told = rules.keep_bad and set(rules.flags) <= set(rules.listed)
    judged = rules if is_told else replace(rules, flags={}, keep_bad=True)
    parts = [unnest_rows(rows, rules.listed, ()) for rows in (there, night)]
    epochs = pa.concat_tables([flat for flat, _ in parts])
    number = np.concatenate([owner for _, owner in parts])
    nested = nest_epochs(epochs, number, there.num_rows, judged).columns
    made = dict(nested)
    if not is_told:
        made[N_BAD_EPOCHS] = pc.add(there[N_BAD_EPOCHS], night[N_BAD_EPOCHS])
    columns = [made.get(name, there[name]) for name in there.column_names]
    return pa.table(columns, names=there.column_names).cast(there.schema)


def _find_rows(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> IntArray:
    found = pc.index_in(ids, value_set=known.combine_chunks())
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)
