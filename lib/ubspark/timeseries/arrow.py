"""Between Arrow and the arrays of the kernels: light curves in, one row per object out."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ubspark.columns import HEALPIX_29
from ubspark.errors import SchemaError
from ubspark.timeseries.lightcurves import LightCurves
from ubspark.timeseries.results import BAND_COLUMNS, LIST_COLUMNS, PERIOD_COLUMNS, Periods

__all__ = ["CurveColumns", "nest_rows", "split_rows", "to_arrow_columns", "to_light_curves"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class CurveColumns:
    """Where the epochs of a table stand.

    Attributes
    ----------
    time, flux, flux_error
        Columns of lists of numbers, one row per object. ``flux_error`` None: errors unknown.
    band
        Column of lists of band names, or of numbers; None where all epochs are of one band.
    nested
        The struct column whose fields they are, as in a HATS catalog; None where they are
        columns of the table.
    """

    time: str
    flux: str
    flux_error: str | None
    band: str | None
    nested: str | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """All of them that are there."""
        names = (self.time, self.flux, self.flux_error, self.band)
        return tuple(name for name in names if name is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the table to read."""
        return self.parts if self.nested is None else (self.nested,)


def to_light_curves(rows: pa.Table, columns: CurveColumns, bands: tuple[str, ...]) -> LightCurves:
    """Return the light curves of rows of parallel lists, without copying where types allow.

    Parameters
    ----------
    bands
        Names of the bands, in the order of their codes; epochs of other bands get the code -1.

    Notes
    -----
    A null list is an empty one. Lists of different lengths in one row make it an empty light
    curve: what belongs together is not known.
    """
    lists = {name: _get_list(rows, columns, name) for name in columns.parts}
    offsets = _to_offsets(lists[columns.time])
    is_even = np.ones(len(offsets) - 1, dtype=bool)
    for values in lists.values():
        is_even &= np.diff(_to_offsets(values)) == np.diff(offsets)
    if not np.all(is_even):
        mask = pa.array(is_even)
        lists = {name: _empty_where_not(values, mask) for name, values in lists.items()}
        offsets = _to_offsets(lists[columns.time])
    t, y = (_to_floats(lists[name].flatten()) for name in (columns.time, columns.flux))
    dy = np.full(t.size, np.nan)
    if columns.flux_error is not None:
        dy = _to_floats(lists[columns.flux_error].flatten())
    band = np.zeros(t.size, dtype=np.int8)
    if columns.band is not None:
        band = _to_codes(lists[columns.band].flatten(), bands)
    return LightCurves(offsets, t, y, dy, band, bands)


def nest_rows(rows: pa.Table, id_column: str, columns: CurveColumns) -> pa.Table:
    """Turn a row per epoch into a row per object, in order of index and id.

    All rows of an object must have its position: only then do they lie in one cell.

    Raises
    ------
    SchemaError
        If the rows of an object have different indices.
    """
    keys = [(HEALPIX_29.name, "ascending"), (id_column, "ascending")]
    rows = rows.take(pc.sort_indices(rows, sort_keys=keys))
    index = rows[HEALPIX_29.name].to_numpy()
    codes = pc.dictionary_encode(rows[id_column].combine_chunks()).indices.to_numpy()
    is_first = np.r_[True, (codes[1:] != codes[:-1]) | (index[1:] != index[:-1])][: len(rows)]
    first = np.flatnonzero(is_first)
    if len(np.unique(codes[first])) != len(first):
        _, counts = np.unique(codes[first], return_counts=True)
        name = rows[id_column][int(first[np.argmax(counts > 1)])].as_py()
        msg = (
            f"Rows of one `{id_column}` have different positions (one such: {name!r}, or near "
            f"it). Give each epoch the position of its object."
        )
        raise SchemaError(msg)
    offsets = pa.array(np.append(first, len(rows)).astype(np.int32))
    kept = {
        name: rows[name].take(pa.array(first))
        for name in rows.column_names
        if name not in columns.parts
    }
    lists = {
        name: pa.ListArray.from_arrays(offsets, rows[name].combine_chunks())
        for name in columns.parts
    }
    return pa.table({**kept, **lists})


def split_rows(rows: pa.Table, n_rows: int) -> Iterator[pa.Table]:
    """Yield parts of at most so many rows."""
    for start in range(0, len(rows), n_rows):
        yield rows.slice(start, n_rows)


def to_arrow_columns(periods: Periods) -> dict[str, pa.Array]:
    """Return the columns of the output; NaN becomes null, lists lose their filling."""
    searched = np.isfinite(periods["period"])
    found: dict[str, pa.Array] = {}
    for column in PERIOD_COLUMNS:
        values = periods.columns[column.name]
        is_null = np.isnan(values) if values.dtype.kind == "f" else ~searched
        found[column.name] = pa.array(values, mask=is_null if column.nullable else None)
    for column in LIST_COLUMNS:
        values = periods.lists[column.name]
        n = periods.n_listed if column.name.startswith("peak_") else periods["n_harmonics"]
        found[column.name] = _to_lists(values, np.asarray(n, dtype=np.int64))
    for number, name in enumerate(periods.bands):
        for column in BAND_COLUMNS:
            values = np.ascontiguousarray(periods.by_band[column.name][:, number])
            is_null = np.isnan(values) if values.dtype.kind == "f" else None
            found[f"{column.name}_{name}"] = pa.array(values, mask=is_null)
    return found | {name: _join_lists(values) for name, values in periods.powers.items()}


def _join_lists(values: list[NDArray[np.float32]]) -> pa.Array:
    offsets = np.cumsum([0, *(len(one) for one in values)]).astype(np.int32)
    joined = np.concatenate([np.zeros(0, dtype=np.float32), *values])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(joined))


def _to_lists(values: NDArray[np.generic], lengths: IntArray) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    is_kept = np.arange(values.shape[1]) < lengths[:, None]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values[is_kept], from_pandas=True))


def _get_list(rows: pa.Table, columns: CurveColumns, name: str) -> pa.Array:
    if columns.nested is None:
        values = _combine(rows[name])
    else:
        struct = _combine(rows[columns.nested])
        values = pc.struct_field(struct, name)
    if values.null_count:
        # The span of a null list may hold values.
        values = _empty_where_not(values, values.is_valid())
    return values


def _empty_where_not(values: pa.Array, mask: pa.Array) -> pa.Array:
    return pc.if_else(mask, values, pa.scalar([], values.type))


def _combine(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def _to_offsets(lists: pa.Array) -> IntArray:
    offsets = np.asarray(lists.offsets.to_numpy(), dtype=np.int64)
    return offsets - offsets[0] if len(offsets) else np.zeros(1, dtype=np.int64)


def _to_floats(values: pa.Array) -> FloatArray:
    found = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(found, dtype=np.float64)


def _to_codes(names: pa.Array, bands: tuple[str, ...]) -> NDArray[np.int8]:
    if pa.types.is_dictionary(names.type):
        names = names.cast(names.type.value_type)
    codes = pc.index_in(names.cast(pa.string()), value_set=pa.array(bands, pa.string()))
    return np.asarray(pc.fill_null(codes, -1).to_numpy(zero_copy_only=False), dtype=np.int8)
