"""Where the rows of a FITS table lie in its file."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from astropy.io.fits import Header
from numpy.typing import NDArray

from ubspark.errors import SchemaError, SourceError

__all__ = ["ColumnLayout", "TableLayout", "read_scaling", "validate_size"]


@dataclass(frozen=True)
class ColumnLayout:
    """Place and form of one column in each row."""

    name: str
    #: Number of the column in the header, from 1.
    position: int
    #: First byte in the row, and number of bytes.
    offset: int
    n_bytes: int
    #: Letter of TFORM.
    code: str
    #: Type in the table.
    arrow_type: pa.DataType
    scale: float = 1
    zero: float = 0

    def slice(self, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the bytes of this column, shape (n, n_bytes), contiguous."""
        return np.ascontiguousarray(rows[:, self.offset : self.offset + self.n_bytes])


@dataclass(frozen=True)
class TableLayout(ABC):
    """A table whose rows can be read in any range, without the rest of the file."""

    data: str
    #: First byte of the first row.
    start: int
    n_rows: int
    row_bytes: int
    #: Bytes of variable-length arrays after the rows.
    heap_bytes: int
    columns: tuple[ColumnLayout, ...]

    def rows_within(self, n_bytes: int, n_rows: int) -> int:
        """Return how many rows hold about ``n_bytes``, at least 1 and at most ``n_rows``."""
        per_row = self.row_bytes + self.heap_bytes / max(self.n_rows, 1)
        return max(1, min(n_rows, int(n_bytes / max(per_row, 1))))

    def read(self, start: int, stop: int) -> list[pa.Array]:
        """Return rows ``start`` to ``stop``, one array per column.

        Raises
        ------
        SourceError
            If the file became shorter, or holds what its header does not allow.
        """
        count = (stop - start) * self.row_bytes
        with Path(self.data).open("rb") as stream:
            stream.seek(self.start + start * self.row_bytes)
            content = np.fromfile(stream, np.uint8, count)
        if len(content) < count:
            msg = f"`{self.data}` became shorter while it was read."
            raise SourceError(msg)
        rows = content.reshape(stop - start, self.row_bytes)
        return [self._read_column(column, rows) for column in self.columns]

    @abstractmethod
    def _read_column(self, column: Any, rows: NDArray[np.uint8]) -> pa.Array:
        """Return one column of the rows, whose bytes have shape (n, row_bytes)."""


def validate_size(header: Header, *, data: Path, start: int, name: str) -> None:
    """Raise a `SourceError` if the file ends before the table does."""
    rows, width = header["NAXIS2"], header["NAXIS1"]
    missing = start + rows * width + header.get("PCOUNT", 0) - data.stat().st_size
    if missing > 0:
        msg = (
            f"`{name}` is cut short: {missing} bytes of its table of {rows} rows are missing. "
            "Fetch it again."
        )
        raise SourceError(msg)


def read_scaling(header: Header, position: int, *, column: str, name: str) -> tuple[float, float]:
    """Return TSCAL and TZERO of a column, as integers where they are whole numbers."""
    result = []
    for keyword, default in (("TSCAL", 1), ("TZERO", 0)):
        value = header.get(f"{keyword}{position}", default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            msg = f"Column `{column}` of `{name}` has a {keyword} that is not a number: {value!r}."
            raise SchemaError(msg)
        result.append(int(value) if float(value).is_integer() else value)
    return result[0], result[1]
