"""Index catalogs: which partition holds the rows with a value, sorted by that value."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from ubspark.catalogs.export.manifest import ExportFile
from ubspark.catalogs.export.parquet_file import ParquetForm
from ubspark.catalogs.export.staging import StagingFolder
from ubspark.catalogs.kept_types import restore_rows
from ubspark.columns import HEALPIX_29

__all__ = ["IndexJob", "to_index_schema"]

MapBatches = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
_ROWS_PER_FILE = 5_000_000
_ORDER, _PIXEL = "Norder", "Npix"


@dataclass(frozen=True, eq=False)
class IndexJob:
    """Makes the index of one column from the partitions that are written.

    Attributes
    ----------
    catalog
        Folder of the index below that of the export.
    stored
        The column, as the partitions hold it.
    table_type
        Its type in a table, which Spark can sort.
    partitions
        The data files with ``order`` and ``pixel`` among their facts.
    """

    catalog: str
    stored: pa.Field
    table_type: pa.DataType
    partitions: tuple[ExportFile, ...]
    form: ParquetForm

    def run(self, spark: SparkSession, staging: StagingFolder) -> list[ExportFile]:
        """Write the index, unless an earlier attempt did."""
        item = f"index-{self.catalog}"
        done = staging.find_done()
        if item not in done:
            staging.note(item, tuple(self._write(spark, staging)))
            done = staging.find_done()
        return list(done[item])

    def _write(self, spark: SparkSession, staging: StagingFolder) -> Iterator[ExportFile]:
        n_rows = sum(file.n_rows for file in self.partitions)
        n_files = max(1, -(-n_rows // _ROWS_PER_FILE))
        numbers = spark.range(0, len(self.partitions), 1, max(1, len(self.partitions)))
        column = F.col(f"`{self.stored.name}`")
        places = (_ORDER, _PIXEL, HEALPIX_29.name)
        rows = (
            numbers.mapInArrow(self._reader(staging), from_arrow_schema(self._schema))
            .where(column.isNotNull())
            .repartitionByRange(n_files, column)
            .sortWithinPartitions(column, *places)
            .mapInArrow(self._writer(staging), "path string, n_rows long")
        )
        for row in sorted(rows.collect(), key=lambda row: row.path):
            yield ExportFile.describe(staging.files, row.path, n_rows=row.n_rows)

    @property
    def _schema(self) -> pa.Schema:
        """The columns as they pass through Spark."""
        own = pa.field(self.stored.name, self.table_type)
        places = [(_ORDER, pa.int16()), (_PIXEL, pa.int64()), (HEALPIX_29.name, pa.int64())]
        return pa.schema([own, *places])

    def _reader(self, staging: StagingFolder) -> MapBatches:
        names = [self.stored.name, HEALPIX_29.name]
        schema = self._schema

        def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for number in batch.column(0).to_pylist():
                    file = self.partitions[number]
                    with pq.ParquetFile(staging.files / file.path) as stored:
                        for part in stored.iter_batches(columns=names):
                            own = part.column(self.stored.name).cast(schema.field(0).type)
                            places = (file.facts["order"], file.facts["pixel"])
                            columns = [own, *(_fill(v, len(own)) for v in places)]
                            columns.append(part.column(HEALPIX_29.name))
                            arrays = [c.cast(f.type) for c, f in zip(columns, schema, strict=True)]
                            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

        return read

    def _writer(self, staging: StagingFolder) -> MapBatches:
        schema = to_index_schema(self.stored)

        def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            context = TaskContext.get()
            number = 0 if context is None else context.partitionId()
            path = f"{self.catalog}/dataset/index/part.{number}.parquet"
            pieces = (
                restore_rows(pa.Table.from_batches([b]).select(schema.names), schema)
                for b in batches
            )
            with staging.writing(path) as part:
                n_rows = self.form.write(part, pieces, schema)
            yield pa.RecordBatch.from_pydict({"path": [path], "n_rows": [n_rows]})

        return write


def to_index_schema(stored: pa.Field) -> pa.Schema:
    """Return the columns of the index of a column."""
    places = [(HEALPIX_29.name, pa.int64()), (_ORDER, pa.uint8()), (_PIXEL, pa.uint64())]
    return pa.schema([stored.with_nullable(True), *places])


def _fill(value: int, n_rows: int) -> pa.Array:
    return pa.array(np.full(n_rows, value, dtype=np.int64))
