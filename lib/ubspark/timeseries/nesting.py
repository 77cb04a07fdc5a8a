"""Epochs to light curves and back: rows in any order become parallel lists, one row per object.

The order of the epochs of an object is total: by time, then by every other column in turn, so
that neither the order of the rows nor how they were cut decides what comes out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ubspark.timeseries.kernels.sequence import find_ties, order_by_time

__all__ = [
    "BAD_EPOCHS",
    "COUNTS",
    "EpochRules",
    "NestCounts",
    "NestedEpochs",
    "count_column",
    "nest_epochs",
    "select_epochs",
    "unnest_rows",
]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

N_EPOCHS = "n_epochs"
N_BAD_EPOCHS = "n_bad_epochs"
#: Columns of counts, before those of the bands, and what they say.
COUNTS = {
    N_EPOCHS: "Epochs in the lists",
    N_BAD_EPOCHS: "Epochs that the rules of the run found bad",
}
#: Why an epoch is bad, in the order in which the rules are applied.
BAD_EPOCHS = {
    "time": "the time is null, NaN or infinite",
    "flux": "the flux or magnitude is null, NaN or infinite",
    "error": "the error is null, NaN, infinite, zero or negative",
    "flags": "a flag is set that the job names",
    "band": "the band is null or none of those that the job names",
}
#: What comes first in the total order of epochs: the object, the time, whether it is bad.
_KEYS = ["number", "time", "is_bad"]


def count_column(band: str) -> str:
    """Return the name of the column that counts the epochs of a band."""
    return f"{N_EPOCHS}_{band}"


@dataclass(frozen=True)
class EpochRules:
    """Which columns make an epoch, and when it is bad.

    Attributes
    ----------
    time, flux, flux_error, band
        Columns; None where there is none.
    further
        Other columns that become lists.
    bands
        Names of the bands; the code of a band is its place.
    flags
        Columns of flags: bits that make an epoch bad, or -1 where any value but 0 does.
    keep_bad
        Whether bad epochs stay in the lists; they are counted all the same.
    """

    time: str
    flux: str
    flux_error: str | None
    band: str | None
    further: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    flags: Mapping[str, int] = field(default_factory=dict)
    keep_bad: bool = False

    @property
    def listed(self) -> tuple[str, ...]:
        """The columns that become lists, each once."""
        named = (self.time, self.flux, self.flux_error, self.band, *self.further)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read."""
        return tuple(dict.fromkeys([*self.listed, *self.flags]))

    @property
    def counts(self) -> tuple[str, ...]:
        """The columns that count epochs."""
        bands = () if self.band is None else self.bands
        return (*COUNTS, *(count_column(band) for band in bands))


@dataclass
class NestCounts:
    """What became of objects and epochs; parts are added up."""

    #: Epochs by what became of them: ``good``, ``repeated``, ``without_object``, ``bad_<rule>``.
    epochs: Counter[str] = field(default_factory=Counter)
    #: Objects by what became of them.
    objects: Counter[str] = field(default_factory=Counter)

    def add(self, other: "NestCounts") -> None:
        """Add the counts of another part."""
        self.epochs += other.epochs
        self.objects += other.objects


@dataclass(frozen=True, eq=False)
class NestedEpochs:
    """The epochs of n objects as lists.

    Attributes
    ----------
    columns
        The counts, then the lists, each of length n.
    order
        Rows of the epochs, bad and repeated ones too, by object and time, shape (m,).
    counts
        What became of the epochs.
    """

    columns: Mapping[str, pa.Array]
    order: IntArray
    counts: Counter[str]


def nest_epochs(
    epochs: pa.Table,
    number: IntArray,
    n_objects: int,
    rules: EpochRules,
    *,
    beside: Sequence[str] = (),
) -> NestedEpochs:
    """Gather the epochs of each object into lists.

    Parameters
    ----------
    epochs
        A row per epoch, in any order.
    number
        Number of the object of each epoch, shape (m,), from 0 below ``n_objects``.
    beside
        Columns that become no lists, by which epochs are ordered that are equal otherwise.

    Notes
    -----
    An epoch that equals another one of its object in every list is kept once.
    """
    epochs = epochs.combine_chunks()
    t = _to_floats(epochs[rules.time])
    code = _to_codes(epochs, rules)
    reason = _find_bad(epochs, t, code, rules)
    keyed = pa.table([pa.array(number), pa.array(t), pa.array(reason >= 0)], names=_KEYS)
    for name in (*rules.listed, *beside):
        keyed = keyed.append_column(f"{keyed.num_columns}", epochs[name])
    # NaN stands with infinity, behind all times; their order is settled as that of ties.
    finite = np.where(np.isnan(t), np.inf, t)
    order = order_by_time(number, finite, n_objects)
    is_tied = find_ties(number[order], finite[order])
    order, is_repeated = _settle_ties(
        keyed, order, is_tied, n_compared=len(_KEYS) + len(rules.listed)
    )
    is_bad = reason[order] >= 0
    counts = np.bincount(reason[reason >= 0], minlength=len(BAD_EPOCHS))
    counted = Counter({f"bad_{rule}": int(n) for rule, n in zip(BAD_EPOCHS, counts, strict=True)})
    counted["repeated"] = int(np.count_nonzero(is_repeated & ~is_bad))
    kept = order[~is_repeated if rules.keep_bad else ~(is_repeated | is_bad)]
    # One that is kept is kept, and counted, once.
    is_counted = is_bad & ~is_repeated if rules.keep_bad else is_bad
    n_bad = np.bincount(number[order[is_counted]], minlength=n_objects)
    lengths = np.bincount(number[kept], minlength=n_objects)
    counted["good"] = int(np.count_nonzero(~(is_repeated | is_bad)))
    columns: dict[str, pa.Array] = {
        N_EPOCHS: pa.array(lengths, pa.int32()),
        N_BAD_EPOCHS: pa.array(n_bad, pa.int32()),
    }
    if rules.band is not None:
        columns |= _count_bands(number[kept], code[kept], n_objects, rules.bands)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    for name in rules.listed:
        columns[name] = pa.ListArray.from_arrays(offsets, _take(epochs[name], kept))
    return NestedEpochs(columns, order, +counted)


def unnest_rows(
    rows: pa.Table, listed: Sequence[str], carried: Sequence[str]
) -> tuple[pa.Table, IntArray]:
    """Return a row per entry of parallel lists, and the number of the row it stood in.

    Parameters
    ----------
    listed
        Columns of lists of equal lengths.
    carried
        Flat columns that are repeated for every entry.
    """
    rows = rows.combine_chunks()
    lists = {name: _to_array(rows[name]) for name in listed}
    lengths = pc.fill_null(pc.list_value_length(lists[listed[0]]), 0).to_numpy()
    number = np.repeat(np.arange(rows.num_rows), lengths)
    flat = {name: _take(rows[name], number) for name in carried}
    flat |= {name: values.flatten() for name, values in lists.items()}
    return pa.table(flat), number


def select_epochs(rows: pa.Table, listed: Sequence[str]) -> tuple[pa.Table, BoolArray]:
    """Return the rows whose lists have one length, a null list being empty, and which they are."""
    lengths = [pc.fill_null(pc.list_value_length(_to_array(rows[name])), 0) for name in listed]
    is_even = np.ones(rows.num_rows, dtype=bool)
    for other in lengths[1:]:
        is_even &= pc.equal(lengths[0], other).to_numpy(zero_copy_only=False)
    return (rows if is_even.all() else rows.filter(pa.array(is_even))), is_even


def _settle_ties(
    keyed: pa.Table, order: IntArray, is_tied: BoolArray, *, n_compared: int
) -> tuple[IntArray, BoolArray]:
    """Return the order made total, and which epochs equal the one before in the first columns."""
    is_repeated = np.zeros(len(order), dtype=bool)
    places = np.flatnonzero(is_tied)
    if len(places) == 0:
        return order, is_repeated
    rows = order[places]
    tied = pa.table(
        [_to_plain(_take(column, rows)) for column in keyed.columns], keyed.column_names
    )
    keys = [(name, "ascending") for name in keyed.column_names]
    settled = pc.sort_indices(tied, sort_keys=keys).to_numpy()
    order = order.copy()
    order[places] = rows[settled]
    tied = tied.take(pa.array(settled)).combine_chunks()
    same = np.ones(len(places) - 1, dtype=bool)
    for column in tied.columns[:n_compared]:
        same &= _equals_next(_to_array(column))
    is_repeated[places[1:]] = same
    return order, is_repeated


def _equals_next(values: pa.Array) -> BoolArray:
    """Return whether each value but the first equals the one before; null and NaN do."""
    before, after = values[:-1], values[1:]
    same = pc.fill_null(pc.equal(before, after), False)
    same = pc.or_(same, pc.and_(before.is_null(), after.is_null()))
    if pa.types.is_floating(values.type):
        both = pc.and_(pc.is_nan(before), pc.is_nan(after))
        same = pc.or_(same, pc.fill_null(both, False))
    found: BoolArray = same.to_numpy(zero_copy_only=False)
    return found


def _to_plain(values: pa.Array) -> pa.Array:
    is_coded = pa.types.is_dictionary(values.type)
    return values.cast(values.type.value_type) if is_coded else values


def _find_bad(
    epochs: pa.Table, t: FloatArray, code: NDArray[np.int8], rules: EpochRules
) -> NDArray[np.int8]:
    """Return for each epoch the first rule that finds it bad, -1 for none."""
    y = _to_floats(epochs[rules.flux])
    broken = [~np.isfinite(t), ~np.isfinite(y)]
    if rules.flux_error is None:
        broken.append(np.zeros(len(t), dtype=bool))
    else:
        dy = _to_floats(epochs[rules.flux_error])
        # False for NaN too.
        broken.append(~((dy > 0) & (dy < np.inf)))
    broken += [_is_flagged(epochs, rules.flags), code < 0]
    reason = np.full(len(t), -1, dtype=np.int8)
    for number in reversed(range(len(broken))):
        reason[broken[number]] = number
    return reason


def _is_flagged(epochs: pa.Table, flags: Mapping[str, int]) -> BoolArray:
    """Return where a flag is set; a null flag is not."""
    found = np.zeros(epochs.num_rows, dtype=bool)
    for name, bits in flags.items():
        values = epochs[name]
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        number = pc.fill_null(values.cast(pa.int64()), 0).to_numpy()
        found |= (number & bits) != 0
    return found


def _to_codes(epochs: pa.Table, rules: EpochRules) -> NDArray[np.int8]:
    """Return the place of each epoch's band among the bands, -1 for others."""
    if rules.band is None:
        return np.zeros(epochs.num_rows, dtype=np.int8)
    names = _to_array(epochs[rules.band])
    wanted = pa.array(rules.bands, pa.string())
    if pa.types.is_dictionary(names.type):
        codes = pc.index_in(names.dictionary.cast(pa.string()), value_set=wanted)
        places = pc.fill_null(codes, -1).to_numpy().astype(np.int8)
        found = pc.fill_null(names.indices, len(places)).to_numpy()
        codes_by_row: NDArray[np.int8] = np.append(places, np.int8(-1))[found]
        return codes_by_row
    codes = pc.index_in(names.cast(pa.string()), value_set=wanted)
    return np.asarray(pc.fill_null(codes, -1).to_numpy(), dtype=np.int8)


def _count_bands(
    number: IntArray, code: NDArray[np.int8], n_objects: int, bands: tuple[str, ...]
) -> dict[str, pa.Array]:
    # Epochs of no band, where bad ones are kept, count in a column that is left out.
    cell = number * (len(bands) + 1) + np.where(code < 0, len(bands), code)
    counts = np.bincount(cell, minlength=n_objects * (len(bands) + 1))
    by_band = counts.reshape(n_objects, len(bands) + 1).astype(np.int32)
    columns = enumerate(bands)
    return {count_column(n): pa.array(np.ascontiguousarray(by_band[:, i])) for i, n in columns}


def _take(column: pa.ChunkedArray, rows: IntArray) -> pa.Array:
    """Return some values of a column; numbers without nulls by NumPy, which is faster."""
    values = _to_array(column)
    kind = values.type
    if values.null_count == 0 and (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        return pa.array(values.to_numpy()[rows], kind)
    return values.take(pa.array(rows))


def _to_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    combined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def _to_floats(column: pa.ChunkedArray) -> FloatArray:
    """Return a column as float64, null as NaN; of long integers the last digits are lost."""
    values: FloatArray = pc.cast(column, pa.float64(), safe=False).to_numpy()
    return values
