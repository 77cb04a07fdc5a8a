"""Epochs and the objects that they belong to: who owns which epoch, and where an object lies."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ubspark.columns import HEALPIX_29
from ubspark.errors import SchemaError
from ubspark.sky.healpix import compute_healpix_29
from ubspark.sky.vectors import (
    is_usable_position,
    to_ra_dec,
    to_unit_vectors,
)
from ubspark.timeseries.kernels.reach import find_far
from ubspark.timeseries.nesting import EpochRules, NestCounts, nest_epochs

__all__ = [
    "CurveLayout",
    "find_id_type",
    "nest_alone",
    "nest_with_objects",
    "refuse_repeated",
]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class CurveLayout:
    """How epochs and objects become rows of light curves.

    Attributes
    ----------
    id, ra, dec
        Columns of the object: those of the table of objects, else those of the epochs.
    epoch_id, epoch_ra, epoch_dec
        Columns of the epochs; no positions where None.
    carried
        Further columns of the objects.
    position
        Where the position of an object comes from: the table of objects, or its epochs.
    keeps_empty
        Whether objects without epochs are kept.
    reach_arcsec
        Epochs farther from their object belong to none; None for any distance.
    """

    id: str
    ra: str
    dec: str
    rules: EpochRules
    epoch_id: str
    epoch_ra: str | None = None
    epoch_dec: str | None = None
    carried: tuple[str, ...] = ()
    position: Literal["objects", "mean", "first"] = "objects"
    keeps_empty: bool = False
    reach_arcsec: float | None = None

    @property
    def epoch_names(self) -> tuple[str, ...]:
        """The columns of the epochs to read."""
        return tuple(dict.fromkeys([self.epoch_id, *self.rules.names, *self.epoch_position]))

    @property
    def epoch_position(self) -> tuple[str, ...]:
        """The columns of the position of an epoch, where it is needed."""
        is_needed = self.position != "objects" or self.reach_arcsec is not None
        names = (self.epoch_ra, self.epoch_dec) if is_needed else ()
        return tuple(name for name in names if name is not None)

    @property
    def object_names(self) -> tuple[str, ...]:
        """The columns of the objects to read, beside the index."""
        return tuple(dict.fromkeys([self.id, self.ra, self.dec, *self.carried]))


def find_id_type(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    """Return the type in which identifiers of two types are compared; it holds all of both."""
    if left == right:
        return left
    is_wide = pa.types.is_decimal(left) or pa.types.is_decimal(right)
    return pa.decimal128(38, 0) if is_wide else pa.int64()


def nest_with_objects(
    epochs: pa.Table,
    objects: pa.Table,
    layout: CurveLayout,
    *,
    is_home: BoolArray | None = None,
    is_own: BoolArray | None = None,
) -> tuple[pa.Table, NestCounts]:
    """Return light curves of the objects of a table.

    Parameters
    ----------
    is_home, is_own
        Which epochs and which objects this piece answers for, where it reads more to decide.

    Raises
    ------
    SchemaError
        If two objects have one id.
    """
    number = _find_objects(epochs[layout.epoch_id], objects[layout.id])
    if layout.reach_arcsec is not None:
        ra, dec = (_to_degrees(epochs, str(name)) for name in (layout.epoch_ra, layout.epoch_dec))
        own_ra, own_dec = (_to_degrees(objects, name) for name in (layout.ra, layout.dec))
        is_far = find_far(ra, dec, number, own_ra, own_dec, reach_arcsec=layout.reach_arcsec)
        number = np.where(is_far, -1, number)
    lost = number < 0 if is_home is None else (number < 0) & is_home
    counts = NestCounts(Counter(without_object=int(np.count_nonzero(lost))))
    if is_own is not None:
        # The last entry is that of no object.
        own = np.append(np.where(is_own, np.cumsum(is_own) - 1, -1), -1)
        number = own[number]
        objects = objects.filter(pa.array(is_own))
    _refuse_repeated(objects[layout.id], layout.id)
    is_kept = number >= 0
    if not is_kept.all():
        epochs, number = epochs.filter(pa.array(is_kept)), number[is_kept]
    nested = nest_epochs(
        epochs, number, objects.num_rows, layout.rules, beside=layout.epoch_position
    )
    counts.epochs += nested.counts
    names = dict.fromkeys([HEALPIX_29.name, *layout.object_names])
    rows = pa.table({name: objects[name] for name in names} | dict(nested.columns))
    return _finish(rows, number, counts, layout)


def nest_alone(epochs: pa.Table, layout: CurveLayout) -> tuple[pa.Table, NestCounts]:
    """Return light curves of epochs that name objects of which there is no table."""
    ids = epochs[layout.epoch_id]
    has_id = ids.is_valid()
    counts = NestCounts(Counter(without_object=ids.null_count))
    if ids.null_count:
        epochs = epochs.filter(has_id)
    coded = pc.dictionary_encode(epochs[layout.epoch_id].combine_chunks())
    coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
    number = coded.indices.to_numpy().astype(np.int64)
    n_objects = len(coded.dictionary)
    nested = nest_epochs(epochs, number, n_objects, layout.rules, beside=layout.epoch_position)
    counts.epochs += nested.counts
    ra, dec = _place(epochs, number, nested.order, n_objects, layout)
    flat = {
        HEALPIX_29.name: pa.array(compute_healpix_29(ra, dec)),
        layout.id: coded.dictionary,
        layout.ra: pa.array(ra, from_pandas=True),
        layout.dec: pa.array(dec, from_pandas=True),
    }
    return _finish(pa.table(flat | dict(nested.columns)), number, counts, layout)


def _finish(
    rows: pa.Table, number: IntArray, counts: NestCounts, layout: CurveLayout
) -> tuple[pa.Table, NestCounts]:
    """Return the rows that are kept, in the order of the sky, with the objects counted."""
    has_epochs = np.bincount(number, minlength=rows.num_rows) > 0
    n_empty = int(np.count_nonzero(~has_epochs))
    if n_empty and not layout.keeps_empty:
        rows = rows.filter(pa.array(has_epochs))
    counts.objects["without_epochs"] += n_empty
    counts.objects["written"] += rows.num_rows
    keys = [(HEALPIX_29.name, "ascending"), (layout.id, "ascending")]
    order = pc.sort_indices(rows.select([k for k, _ in keys]), sort_keys=keys)
    is_sorted = np.array_equal(order, np.arange(rows.num_rows))
    return (rows if is_sorted else rows.take(order)), counts


def _find_objects(ids: pa.ChunkedArray, objects: pa.ChunkedArray) -> IntArray:
    """Return the row of the object of each epoch, -1 for none."""
    kind = find_id_type(ids.type, objects.type)
    known = objects.cast(kind).combine_chunks()
    found = pc.index_in(ids.cast(kind), value_set=known, skip_nulls=True)
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)


def _refuse_repeated(ids: pa.ChunkedArray, name: str) -> None:
    n_ids = len(ids)
    if n_ids and pc.count_distinct(ids, mode="all").as_py() != n_ids:
        counts = ids.combine_chunks().value_counts()
        often = counts.filter(pc.greater(counts.field("counts"), 1))[0]["values"]
        refuse_repeated(name, often.as_py())


def refuse_repeated(name: str, value: object) -> NoReturn:
    """Refuse objects of which two have one identifier.

    Raises
    ------
    SchemaError
        Always.
    """
    msg = (
        f"Two objects have the `{name}` {value!r}; each object must have an identifier of its own."
    )
    raise SchemaError(msg)


def _place(
    epochs: pa.Table, number: IntArray, order: IntArray, n_objects: int, layout: CurveLayout
) -> tuple[FloatArray, FloatArray]:
    """Return the position of each object by its epochs, NaN where none has one."""
    ra, dec = (_to_degrees(epochs, str(name)) for name in (layout.epoch_ra, layout.epoch_dec))
    order = order[is_usable_position(ra, dec)[order]]
    owner = number[order]
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    found_ra, found_dec = np.full((2, n_objects), np.nan)
    if len(first) == 0:
        return found_ra, found_dec
    ra, dec = ra[order], dec[order]
    at = owner[first]
    found_ra[at], found_dec[at] = ra[first], dec[first]
    if layout.position == "mean":
        # A position that all epochs share stays as it is, to the last bit.
        differs = (ra != found_ra[owner]) | (dec != found_dec[owner])
        is_spread = np.add.reduceat(differs, first) > 0
        sums = np.add.reduceat(to_unit_vectors(ra, dec), first, axis=0)[is_spread]
        found_ra[at[is_spread]], found_dec[at[is_spread]] = to_ra_dec(sums)
    return found_ra, found_dec


def _to_degrees(rows: pa.Table, name: str) -> FloatArray:
    values: FloatArray = pc.cast(rows[name], pa.float64()).to_numpy()
    return values
