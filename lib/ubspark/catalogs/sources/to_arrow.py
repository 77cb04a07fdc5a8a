"""Columns of astropy tables to Arrow arrays: masked values and NaN become null."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ubspark.errors import SchemaError

__all__ = ["to_arrow"]


def to_arrow(values: Any, *, column: str, path: str) -> pa.Array:
    """Return a column, whole or masked, as an Arrow array.

    Parameters
    ----------
    values
        Column, masked column or array of shape (n, ...). Arrays of more dimensions, and
        arrays as elements, become lists.
    column, path
        For messages.

    Raises
    ------
    SchemaError
        If a table cannot hold the values: complex numbers, numbers of more than 64 bits.
    """
    data = np.asarray(getattr(values, "data", values))
    mask = np.ma.getmaskarray(values) if hasattr(values, "mask") else np.zeros(data.shape, bool)
    if data.dtype.kind == "O":
        return _from_objects(data, mask, column=column, path=path)
    if data.dtype.kind not in "biufSU" or data.dtype == np.longdouble:
        msg = f"Column `{column}` of `{path}` holds {data.dtype}, which a table cannot hold."
        raise SchemaError(msg)
    flat = _from_flat(data.reshape(-1), mask.reshape(-1))
    for depth in reversed(range(1, data.ndim)):
        n_lists = int(np.prod(data.shape[:depth]))
        offsets = np.arange(n_lists + 1, dtype=np.int32) * np.int32(data.shape[depth])
        flat = pa.ListArray.from_arrays(pa.array(offsets), flat)
    return flat


def _from_flat(data: NDArray[Any], mask: NDArray[np.bool_]) -> pa.Array:
    """Return values of one dimension; NaN is null as well."""
    if data.dtype.kind in "SU":
        texts = np.char.decode(data, "utf-8", "replace") if data.dtype.kind == "S" else data
        return pa.array(texts.astype(object), pa.string(), mask=mask)
    if data.dtype.kind == "f":
        mask = mask | np.isnan(data)
    return pa.array(data.astype(data.dtype.newbyteorder("=")), mask=mask)


def _from_objects(
    data: NDArray[Any], mask: NDArray[np.bool_], *, column: str, path: str
) -> pa.Array:
    """Return text, or arrays of differing lengths."""
    # One flag per row, also where a cell has a mask for each of its elements.
    hidden = [bool(np.all(flag)) for flag in mask]
    cells = [None if gone else cell for gone, cell in zip(hidden, data, strict=True)]
    arrays = [cell for cell in cells if isinstance(cell, np.ndarray)]
    others = [cell for cell in cells if cell is not None and not isinstance(cell, np.ndarray)]
    is_flat = all(array.ndim == 1 and array.dtype.kind in "biuf" for array in arrays)
    if arrays and is_flat and not others:
        return _from_arrays(cells, column=column, path=path)
    try:
        result = pa.array([_to_python(cell) for cell in cells])
    except pa.ArrowException as error:
        msg = f"Column `{column}` of `{path}` holds objects of several types."
        raise SchemaError(msg) from error
    return result.cast(pa.string()) if pa.types.is_null(result.type) else result


def _from_arrays(cells: list[Any], *, column: str, path: str) -> pa.Array:
    """Return numeric arrays of one dimension as lists; None as null."""
    arrays = [cell for cell in cells if cell is not None]
    lengths = [0 if cell is None else len(cell) for cell in cells]
    # An empty array often has another type than the full ones.
    full = [array for array in arrays if len(array)] or arrays[:1]
    joined = np.ma.concatenate(full)  # type: ignore[no-untyped-call]  # NumPy has no types for it
    flat = to_arrow(joined, column=column, path=path)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    nulls = pa.array([cell is None for cell in cells])
    return pa.ListArray.from_arrays(pa.array(offsets), flat, mask=nulls)


def _to_python(cell: Any) -> Any:
    """Return a cell as Python values; masked and NaN as None."""
    if cell is None or cell is np.ma.masked:
        return None
    if isinstance(cell, np.ndarray | list | tuple):
        return [_to_python(item) for item in cell]
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    return None if isinstance(cell, float) and cell != cell else cell
