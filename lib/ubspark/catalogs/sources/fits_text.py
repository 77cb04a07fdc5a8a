"""Text of FITS tables: bytes of fixed width to strings."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["decode_text"]


def decode_text(cells: NDArray[np.uint8] | Sequence[bytes]) -> pa.Array:
    """Return strings without their trailing blanks; text ends at the first NUL.

    FITS allows ASCII only. Bytes above are read as UTF-8, and as Latin-1 where they are not
    UTF-8, value by value, so that the answer does not depend on the neighbours.

    Parameters
    ----------
    cells
        Bytes of shape (n, width), or n byte strings.
    """
    if isinstance(cells, np.ndarray):
        width = cells.shape[1]
        cut = np.cumsum(cells == 0, axis=1, dtype=np.int32) > 0
        if cut.any():
            cells = np.where(cut, np.uint8(0), cells)
        texts = pa.array(cells.reshape(-1).view(f"S{width}"), pa.binary())
    else:
        texts = pa.array([cell.partition(b"\0")[0] for cell in cells], pa.binary())
    try:
        decoded = texts.cast(pa.string())
    except pa.ArrowInvalid:
        decoded = pa.array([_decode_one(text) for text in texts.to_pylist()], pa.string())
    return pc.utf8_rtrim(decoded, " ")


def _decode_one(text: bytes) -> str:
    """Return one value as UTF-8, else as Latin-1."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")
