"""Writing the data file of a partition, of a catalog or of its margin, in a Spark task."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ubspark.catalogs.export.manifest import ExportFile
from ubspark.catalogs.export.parquet_file import ParquetForm
from ubspark.catalogs.export.rows import RowReader
from ubspark.catalogs.export.staging import StagingFolder
from ubspark.catalogs.hats.planning import PixelItem, compute_margin_ranges
from ubspark.errors import TransientError
from ubspark.sky.cover import intersect_ranges

__all__ = ["MarginWriter", "PartitionWriter"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PartitionWriter:
    """Writes the rows of a pixel."""

    reader: RowReader
    form: ParquetForm

    def __call__(self, item: PixelItem, staging: StagingFolder) -> tuple[ExportFile, ...]:
        """Write one file.

        Raises
        ------
        TransientError
            If the catalog changed since its rows were counted.
        """
        ranges = np.array([item.range], dtype=np.int64)
        with staging.writing(item.path) as part:
            pieces = self.reader.read(ranges, item.n_rows)
            n_rows = self.form.write(part, pieces, self.reader.schema)
        if n_rows != item.n_rows:
            msg = (
                f"Pixel {item.pixel} of order {item.order} held {item.n_rows} rows when they were "
                f"counted and {n_rows} when they were written: the catalog changed. Run again."
            )
            raise TransientError(msg)
        return (_describe(item, staging, n_rows),)


@dataclass(frozen=True, eq=False)
class MarginWriter:
    """Writes the rows around a pixel, if there are any.

    Attributes
    ----------
    occupied
        Ranges of order-29 indices outside of which the catalog has no rows.
    """

    reader: RowReader
    form: ParquetForm
    threshold_arcsec: float
    occupied: IntArray

    def __call__(self, item: PixelItem, staging: StagingFolder) -> tuple[ExportFile, ...]:
        """Write one file, or none."""
        ring = compute_margin_ranges(item, self.threshold_arcsec)
        ranges = intersect_ranges(ring, self.occupied)
        if len(ranges) == 0:
            return ()
        pieces = self.reader.read(ranges, -1)
        first = next(pieces, None)
        if first is None:
            return ()
        with staging.writing(item.path) as part:
            n_rows = self.form.write(part, _chain(first, pieces), self.reader.schema)
        return (_describe(item, staging, n_rows),)


def _chain(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from rest


def _describe(item: PixelItem, staging: StagingFolder, n_rows: int) -> ExportFile:
    return ExportFile.describe(
        staging.files, item.path, n_rows=n_rows, order=item.order, pixel=item.pixel
    )
