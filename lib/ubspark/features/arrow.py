"""Between Arrow and the arrays of the kernels: nested light curves in, feature columns out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ubspark.errors import SchemaError
from ubspark.features.compute import FeatureTable
from ubspark.features.segments import FloatArray
from ubspark.timeseries import LightCurves

__all__ = [
    "CurveColumns",
    "CurveScale",
    "find_uneven",
    "look_up",
    "split_by_epochs",
    "to_arrays",
    "to_floats",
    "to_light_curves",
    "to_matrix",
]


@dataclass(frozen=True)
class CurveColumns:
    """Columns of a table of light curves: parallel lists, one row per object.

    Attributes
    ----------
    time, flux, flux_error
        Lists of numbers.
    band
        Lists of band names, or of numbers that are taken as text; None where all epochs are of
        one band.
    """

    time: str
    flux: str
    flux_error: str
    band: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """All columns."""
        names = (self.time, self.flux, self.flux_error, self.band)
        return tuple(name for name in names if name is not None)


@dataclass(frozen=True)
class CurveScale:
    """What the numbers of the lists are multiplied by.

    Attributes
    ----------
    time
        Makes times days.
    flux, flux_error
        Make values and errors of one unit.
    """

    time: float = 1.0
    flux: float = 1.0
    flux_error: float = 1.0


def to_light_curves(
    rows: pa.Table,
    columns: CurveColumns,
    bands: tuple[str, ...],
    scale: CurveScale | None = None,
) -> LightCurves:
    """Return the light curves of rows of parallel lists.

    Parameters
    ----------
    bands
        Bands that count, in order; epochs of other bands get the code -1. Without a column of
        bands, the one band of all epochs.

    scale
        None to take numbers as they are.

    Returns
    -------
    LightCurves
        A null list is an empty one, and a row that `find_uneven` finds has no epochs.
    """
    is_even = pa.array(~find_uneven(rows, columns))
    lists = {name: _to_list(rows[name], is_even) for name in columns.names}
    offsets = _to_offsets(lists[columns.time])
    t, y, dy = (
        to_floats(lists[name].flatten())
        for name in (columns.time, columns.flux, columns.flux_error)
    )
    if scale is not None:
        t, y, dy = t * scale.time, y * scale.flux, dy * scale.flux_error
    band = np.zeros(t.size, dtype=np.int8)
    if columns.band is not None:
        band = _to_codes(lists[columns.band].flatten(), bands)
    return LightCurves(offsets, t, y, dy, band, bands)


def find_uneven(rows: pa.Table, columns: CurveColumns) -> NDArray[np.bool_]:
    """Whether the lists of each row differ in length: nobody knows which entries are one epoch."""
    lengths = [
        pc.fill_null(pc.list_value_length(rows[name]), 0).to_numpy() for name in columns.names
    ]
    return np.asarray(np.any([other != lengths[0] for other in lengths], axis=0))


def split_by_epochs(rows: pa.Table, time: str, n_epochs: int) -> Iterator[pa.Table]:
    """Yield runs of rows of about so many epochs, at least one row each."""
    if rows.num_rows == 0:
        return
    lengths = pc.fill_null(pc.list_value_length(rows[time]), 0).to_numpy()
    before = np.cumsum(lengths) - lengths
    run = before // n_epochs
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    for first, last in zip(starts, [*starts[1:], len(lengths)], strict=True):
        yield rows.slice(first, last - first)


def look_up(ids: pa.ChunkedArray, keys: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return for each id the first row that has it as its key, -1 where none has; null has none."""
    if ids.type != keys.type and pa.types.is_integer(ids.type) and pa.types.is_integer(keys.type):
        # The wider one may hold what the other cannot.
        ids, keys = ids.cast(pa.int64()), keys.cast(pa.int64())
    found = pc.index_in(ids, value_set=_combine(keys).cast(ids.type), skip_nulls=True)
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)


def to_arrays(found: FeatureTable, types: Sequence[str]) -> list[pa.Array]:
    """Return the feature columns by their Arrow types; NaN becomes null.

    What is too large for single precision is infinite there; whole numbers are rounded, and null
    where they do not fit.
    """
    columns = zip(found.values.values(), types, strict=True)
    with np.errstate(over="ignore"):
        return [
            _to_integers(v, kind)
            if kind.startswith("int")
            else pa.array(v.astype(kind, copy=False), from_pandas=True)
            for v, kind in columns
        ]


def to_floats(values: pa.Array) -> FloatArray:
    """Return numbers as float64 that may be written to, null as NaN."""
    found = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.require(found, np.float64, ["C", "W"])


def to_matrix(rows: pa.Table, columns: Sequence[str]) -> FloatArray:
    """Return columns as float64, shape (n, columns); null and infinite values are NaN.

    Raises
    ------
    SchemaError
        If a column holds whole numbers that are none in double precision.
    """
    matrix = np.empty((rows.num_rows, len(columns)))
    for k, name in enumerate(columns):
        try:
            values = rows[name].cast(pa.float64()).to_numpy()
        except pa.ArrowInvalid as error:
            msg = (
                f"Column `{name}` holds whole numbers beyond 2^53, which identifiers are and "
                f"features are not. Train without it."
            )
            raise SchemaError(msg) from error
        matrix[:, k] = np.where(np.isfinite(values), values, np.nan)
    return matrix


def _to_integers(values: FloatArray, kind: str) -> pa.Array:
    limits = np.iinfo(kind)
    rounded = np.rint(values)
    fits = (rounded >= limits.min) & (rounded <= limits.max)
    return pa.array(np.where(fits, rounded, 0).astype(kind), mask=~fits)


def _combine(values: pa.ChunkedArray) -> pa.Array:
    if values.num_chunks == 1:
        # Combining copies, one chunk too.
        return values.chunk(0)
    combined = values.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def _to_list(column: pa.ChunkedArray, is_kept: pa.Array) -> pa.Array:
    """Return lists, empty where they are null or not kept."""
    values = _combine(column)
    if values.null_count == 0 and is_kept.false_count == 0:
        return values
    # The span of a null list may hold values.
    return pc.if_else(pc.and_(values.is_valid(), is_kept), values, pa.scalar([], values.type))


def _to_offsets(lists: pa.Array) -> NDArray[np.int64]:
    offsets = np.asarray(lists.offsets.to_numpy(), dtype=np.int64)
    return offsets - offsets[0] if len(offsets) else np.zeros(1, dtype=np.int64)


def _to_codes(names: pa.Array, bands: tuple[str, ...]) -> NDArray[np.int8]:
    if pa.types.is_dictionary(names.type):
        known = np.append(_to_codes(names.dictionary, bands), np.int8(-1))
        places = pc.fill_null(names.indices, len(known) - 1)
        return np.asarray(known[places.to_numpy(zero_copy_only=False)], dtype=np.int8)
    if pa.types.is_integer(names.type):
        names = names.cast(pa.string())
    codes = pc.index_in(names, value_set=pa.array(bands, names.type))
    return np.asarray(pc.fill_null(codes, -1).to_numpy(zero_copy_only=False), dtype=np.int8)
