"""Files of about equal numbers of rows, in the order of the sky, in any format."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from ubspark.catalogs.export.fits_file import FitsForm
from ubspark.catalogs.export.manifest import ExportFile
from ubspark.catalogs.export.origin import Origin
from ubspark.catalogs.export.parquet_file import ParquetForm
from ubspark.catalogs.export.rows import RowReader
from ubspark.catalogs.export.staging import StagingFolder
from ubspark.catalogs.export.tasks import run_items
from ubspark.catalogs.export.votable_file import VOTableForm
from ubspark.catalogs.export.written import WrittenFolder
from ubspark.catalogs.hats.counts import SparseCounts, count_rows
from ubspark.columns import HEALPIX_ORDER, NO_POSITION
from ubspark.errors import TransientError
from ubspark.sky.healpix import N_PIXELS_29

__all__ = ["SHARD_FORMATS", "Shard", "ShardFormat", "ShardWriter", "plan_shards"]

#: Order of the pixels that files are made of.
_ORDER = 10


class ShardFormat(Protocol):
    """How one file is written."""

    @property
    def suffix(self) -> str:
        """How the names of its files end."""

    def validate(self, schema: pa.Schema, *, table: str) -> None:
        """Refuse columns that the format cannot hold."""

    def write(
        self, path: Path, pieces: Iterable[pa.Table], schema: pa.Schema, origin: Origin
    ) -> int:
        """Write rows, and return how many there were."""


@dataclass(frozen=True)
class ParquetShards:
    """Parquet files, each with all that is known of the columns."""

    form: ParquetForm
    suffix: str = ".parquet"

    def validate(self, schema: pa.Schema, *, table: str) -> None:
        """Parquet holds every type."""

    def write(
        self, path: Path, pieces: Iterable[pa.Table], schema: pa.Schema, origin: Origin
    ) -> int:
        """Write rows as they come."""
        return self.form.write(path, pieces, schema.with_metadata(origin.to_file_entries()))


SHARD_FORMATS: Mapping[str, ShardFormat] = {
    "parquet": ParquetShards(ParquetForm()),
    "fits": FitsForm(),
    "votable": VOTableForm(),
}


@dataclass(frozen=True)
class Shard:
    """A file to write: the rows with an index in a half-open range."""

    number: int
    low: int
    high: int
    n_rows: int

    @property
    def name(self) -> str:
        """Name in the journal."""
        return f"shard-{self.number:05d}"


def plan_shards(counts: SparseCounts, n_unplaced: int, max_rows: int) -> list[Shard]:
    """Cut the sky into runs of pixels that hold at most so many rows, if a pixel does.

    Rows without a position come in a file of their own, the first.
    """
    cuts: list[tuple[int, int, int]] = []
    if n_unplaced:
        cuts.append((NO_POSITION, 0, n_unplaced))
    shift = 2 * (HEALPIX_ORDER - counts.order)
    low, total = 0, 0
    for pixel, n_rows in zip(counts.pixel.tolist(), counts.n_rows.tolist(), strict=True):
        if total and total + n_rows > max_rows:
            cuts.append((low, pixel << shift, total))
            low, total = pixel << shift, 0
        total += n_rows
    if total or not cuts:
        cuts.append((low, N_PIXELS_29, total))
    return [Shard(i, *cut) for i, cut in enumerate(cuts)]


@dataclass(frozen=True, eq=False)
class _WriteShard:
    """Writes one file, in a task."""

    reader: RowReader
    form: ShardFormat
    origin: Origin
    name: str

    def __call__(self, shard: Shard, staging: StagingFolder) -> tuple[ExportFile, ...]:
        path = f"{self.name}-{shard.number:05d}{self.form.suffix}"
        ranges = np.array([[shard.low, shard.high]], dtype=np.int64)
        with staging.writing(path) as part:
            pieces = self.reader.read(ranges, shard.n_rows)
            n_rows = self.form.write(part, pieces, self.reader.schema, self.origin)
        if n_rows != shard.n_rows:
            msg = (
                f"`{path}` should hold {shard.n_rows} rows and holds {n_rows}: the catalog "
                f"changed since they were counted. Run again."
            )
            raise TransientError(msg)
        return (ExportFile.describe(staging.files, path, n_rows=n_rows),)


@dataclass(frozen=True, eq=False)
class ShardWriter:
    """Writes one export of files.

    Attributes
    ----------
    name
        Begin of the names of the files.
    max_rows
        Of a file.
    """

    reader: RowReader
    kind: str
    form: ShardFormat
    origin: Origin
    name: str
    max_rows: int

    def write(self, spark: SparkSession, staging: StagingFolder) -> WrittenFolder:
        """Write all files.

        Raises
        ------
        TransientError
            If the table changes under the export.
        """
        counts, n_unplaced = count_rows(spark, self.reader.source, _ORDER)
        shards = plan_shards(counts, n_unplaced, self.max_rows)
        write = _WriteShard(self.reader, self.form, self.origin, self.name)
        files = run_items(spark, shards, write, staging)
        n_rows = sum(file.n_rows for file in files)
        return WrittenFolder(self.kind, tuple(files), n_rows, n_unplaced, lambda _: ())
