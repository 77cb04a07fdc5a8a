"""How the rows of a catalog's files get their ``_healpix_29``."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ubspark.columns import HEALPIX_29, HEALPIX_ORDER
from ubspark.sky.healpix import compute_healpix_29

__all__ = ["SpatialIndex", "find_places"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class SpatialIndex:
    """The spatial index of a catalog: a column of its files, or computed from the positions.

    Attributes
    ----------
    column, order
        Column of HEALPix indices and their order; None where the files have no such column.
    ra, dec
        Columns of positions, ICRS degrees.
    """

    column: str | None
    order: int
    ra: str | None
    dec: str | None

    @property
    def is_exact(self) -> bool:
        """Whether the column holds what ``_healpix_29`` is."""
        return self.column is not None and self.order == HEALPIX_ORDER

    @property
    def is_stored(self) -> bool:
        """Whether the column is ``_healpix_29`` itself."""
        return self.is_exact and self.column == HEALPIX_29.name

    @property
    def is_known(self) -> bool:
        """Whether rows can get an index at all."""
        return self.is_exact or None not in (self.ra, self.dec)

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns of the files from which the index is made."""
        if self.is_exact:
            return (str(self.column),)
        return (str(self.ra), str(self.dec))

    def compute(self, rows: pa.Table | pa.RecordBatch) -> IntArray:
        """Return the index of each row; a row without a usable position has -1."""
        columns = [rows[name] for name in self.sources]
        if self.is_exact:
            return _to_numpy(columns[0].cast(pa.int64()), np.int64)
        return compute_healpix_29(*(_to_numpy(c.cast(pa.float64()), np.float64) for c in columns))

    def read_bounds(self, group: Any, places: dict[str, int]) -> tuple[int, int] | None:
        """Return the smallest and largest order-29 index that a row group can hold.

        Parameters
        ----------
        group
            Metadata of a Parquet row group.
        places
            Column name to its place in the row group.

        Returns
        -------
        tuple
            Inclusive; None where the group does not say.
        """
        if self.column not in places:
            return None
        statistics = group.column(places[self.column]).statistics
        if statistics is None or not statistics.has_min_max:
            return None
        shift = 2 * (HEALPIX_ORDER - self.order)
        return int(statistics.min) << shift, ((int(statistics.max) + 1) << shift) - 1


def find_places(metadata: pq.FileMetaData) -> dict[str, int]:
    """Return the place of each flat column in the row groups of a file."""
    names = (metadata.schema.column(i).path for i in range(metadata.num_columns))
    return {name: i for i, name in enumerate(names)}


def _to_numpy(values: pa.Array | pa.ChunkedArray, kind: type[Any]) -> NDArray[Any]:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=kind)
