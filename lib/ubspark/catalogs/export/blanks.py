"""An integer that stands for none, in formats that have no other word for it."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ubspark.errors import SchemaError

__all__ = ["fill_elements", "find_blank"]


def find_blank(name: str, values: pa.Array | pa.ChunkedArray, *, format: str) -> int | None:  # noqa: A002
    """Return an integer that is not among some; None where none of them is null.

    Parameters
    ----------
    name, format
        The column and the format, for the message.
    values
        Integers.

    Raises
    ------
    SchemaError
        If every integer of the type occurs.
    """
    if values.null_count == 0:
        return None
    known = values.drop_null().unique()
    bounds = np.iinfo(known.type.to_pandas_dtype())
    ends = pc.min_max(known).as_py().values()
    # The smallest or largest if it is free: finding another takes all of them as Python objects.
    for end in (bounds.min, bounds.max):
        if end not in ends:
            return int(end)
    taken = set(known.to_pylist())
    blank = next((v for v in range(bounds.min + 1, bounds.max) if v not in taken), None)
    if blank is None:
        msg = f"Column `{name}` holds every {known.type} and null, for which {format} has no value."
        raise SchemaError(msg)
    return blank


def fill_elements(values: pa.Array, blank: int | None) -> pa.Array:
    """Return elements of lists with the blank, or NaN among floats, in place of null."""
    if pa.types.is_floating(values.type):
        return pc.fill_null(values, pa.scalar(np.nan, values.type))
    return values if blank is None else pc.fill_null(values, pa.scalar(blank, values.type))
