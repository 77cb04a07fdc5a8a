"""Which columns of a Parquet file are worth a dictionary."""

import pyarrow as pa

__all__ = ["has_repeats"]

#: Rows that tell whether the values of a column repeat, and how often each has to.
_SAMPLE_ROWS = 4096
_MIN_REPEATS = 4
#: So few rows, and so many different values among them, settle it: of a thousand values, as many
#: as a dictionary may have, these would have drawn some twice.
_FIRST_ROWS, _FIRST_VALUES = 256, 250


def has_repeats(column: pa.ChunkedArray) -> bool:
    """Whether the values of a flat column repeat enough for a dictionary.

    Judged by its first rows. A dictionary of values that hardly repeat costs three times the time
    of writing and a third more bytes.
    """
    sample = column.slice(0, _SAMPLE_ROWS)
    try:
        if len(column.slice(0, _FIRST_ROWS).unique()) > _FIRST_VALUES:
            return False
        return len(sample.unique()) * _MIN_REPEATS <= len(sample)
    except pa.ArrowNotImplementedError:
        # Arrow compares no half floats and no views; Parquet's own rule is left to decide.
        return True
