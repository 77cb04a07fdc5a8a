"""The rows of a piece of the sky, read so that memory holds them, in the types of the export."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ubspark.catalogs.catalog import CatalogLayout
from ubspark.catalogs.kept_types import restore_rows
from ubspark.columns import HEALPIX_29
from ubspark.sky.cover import intersect_ranges

__all__ = ["RowReader"]

IntArray = NDArray[np.int64]
#: Rows are read in pieces of about this many bytes of Arrow memory.
_PIECE_BYTES = 192 << 20


@dataclass(frozen=True, eq=False)
class RowReader:
    """Reads rows in the order of the sky.

    Attributes
    ----------
    source
        The catalog, or a part of it.
    schema
        Columns and types of the export; `ubspark.catalogs.kept_types` makes it.
    row_bytes
        Arrow memory of a row, about.
    sort
        Columns that order rows of one index.
    """

    source: CatalogLayout
    schema: pa.Schema
    row_bytes: float
    sort: tuple[str, ...] = ()

    def read(self, ranges: IntArray, n_rows: int) -> Iterator[pa.Table]:
        """Yield the rows in half-open ranges of ``_healpix_29``.

        Parameters
        ----------
        n_rows
            How many there are, about; -1 if that is not known.
        """
        for piece in self._cut(ranges, n_rows):
            rows = self.source.read(piece, self.schema.names)
            if rows.num_rows:
                yield restore_rows(self._sort(rows).select(self.schema.names), self.schema)

    def _cut(self, ranges: IntArray, n_rows: int) -> Iterator[IntArray]:
        """Yield the ranges in pieces; where there are many rows, cut at quantiles of the index."""
        per_piece = max(1, int(_PIECE_BYTES / self.row_bytes))
        if n_rows <= per_piece and n_rows >= 0:
            yield ranges
            return
        index = self.source.read(ranges, [])[HEALPIX_29.name].to_numpy()
        bounds = np.unique(index[::per_piece])
        if len(bounds) <= 1:
            yield ranges
            return
        ends = np.append(bounds[1:], ranges[-1, 1])
        bounds[0] = ranges[0, 0]
        for low, high in zip(bounds, ends, strict=True):
            yield intersect_ranges(ranges, np.array([[low, high]], dtype=np.int64))

    def _sort(self, rows: pa.Table) -> pa.Table:
        index = rows[HEALPIX_29.name].to_numpy()
        if not self.sort or not np.any(index[1:] == index[:-1]):
            return rows
        keys = [(name, "ascending") for name in (HEALPIX_29.name, *self.sort)]
        return rows.sort_by(keys)
