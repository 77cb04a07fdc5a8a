"""Writing a catalog, or a collection of it with margins and indexes, in the HATS format."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pyspark.sql import SparkSession

from ubspark.catalogs.export.manifest import ExportFile
from ubspark.catalogs.export.origin import Origin
from ubspark.catalogs.export.parquet_file import ParquetForm
from ubspark.catalogs.export.rows import RowReader
from ubspark.catalogs.export.staging import StagingFolder
from ubspark.catalogs.export.tasks import run_items
from ubspark.catalogs.export.written import WrittenFolder
from ubspark.catalogs.hats.counts import SparseCounts, count_rows
from ubspark.catalogs.hats.form import HatsForm
from ubspark.catalogs.hats.index_files import IndexJob, to_index_schema
from ubspark.catalogs.hats.partition_files import MarginWriter, PartitionWriter
from ubspark.catalogs.hats.partitions import Partitions
from ubspark.catalogs.hats.planning import PixelItem, find_empty_pixels, plan_partitions
from ubspark.catalogs.hats.sealing import CatalogFacts, seal_catalog, seal_collection
from ubspark.catalogs.schema import TableSchema
from ubspark.errors import SchemaError

__all__ = ["HatsWriter"]

#: Rows are counted in pixels of this order, 0.23 degrees, and in finer ones where it is crowded;
#: the map of a catalog has them. LSDB holds the whole map in memory, 6 MiB.
_COUNT_ORDER = 8


@dataclass(frozen=True, eq=False)
class HatsWriter:
    """Writes one export.

    Attributes
    ----------
    reader
        The rows; ``_healpix_29`` is the first column.
    table
        The same columns as a table holds them.
    """

    reader: RowReader
    table: TableSchema
    form: HatsForm
    parquet: ParquetForm
    origin: Origin

    def write(self, spark: SparkSession, staging: StagingFolder) -> WrittenFolder:
        """Write the data files of all catalogs of the export.

        Raises
        ------
        SchemaError
            If no row can be written, or rows without a position are to be refused and there are.
        TransientError
            If the table changes under the export.
        """
        form = self.form
        counts, n_unplaced = count_rows(spark, self.reader.source, _COUNT_ORDER)
        self._validate(counts, n_unplaced)
        items = plan_partitions(
            self._count_crowds(spark, counts),
            max_rows=form.max_rows,
            max_bytes=form.max_bytes,
            lowest_order=form.lowest_order,
            highest_order=form.highest_order,
            catalog=form.folder,
        )
        files = run_items(spark, items, PartitionWriter(self.reader, self.parquet), staging)
        main = replace(self._describe(form.folder, form.kind, files), skymap=counts)
        margins = [
            self._write_margin(spark, staging, items, counts, threshold)
            for threshold in form.margins_arcsec
        ]
        indexes = [self._write_index(spark, staging, files, column) for column in form.indexes]
        catalogs = [main, *margins, *indexes]
        return WrittenFolder(
            "hats",
            tuple(file for facts in catalogs for file in facts.files),
            sum(file.n_rows for file in files),
            n_unplaced,
            lambda run_id: tuple(self._seal(staging, catalogs, self.origin.of_run(run_id))),
        )

    def _validate(self, counts: SparseCounts, n_unplaced: int) -> None:
        table = self.origin.table
        if n_unplaced and self.form.refuse_unplaced:
            msg = (
                f"{n_unplaced} rows of `{table}` have no usable position and cannot be part of a "
                f"HATS catalog. Set `bad_rows` to leave_out to go on without them."
            )
            raise SchemaError(msg)
        if len(counts.pixel) == 0:
            msg = f"No row of `{table}` was chosen that has a position; there is nothing to write."
            raise SchemaError(msg)

    def _count_crowds(self, spark: SparkSession, counts: SparseCounts) -> SparseCounts:
        """Return counts of the highest order, where pixels hold too much to be a partition."""
        form = self.form
        if form.highest_order <= counts.order:
            return counts
        is_crowded = counts.n_rows > form.max_rows
        if form.max_bytes is not None:
            is_crowded |= counts.n_bytes > form.max_bytes
        is_crowded |= form.lowest_order > counts.order
        # The others are no partition finer than they are: any of their parts may stand for all.
        parts = [counts.select(~is_crowded).refine(form.highest_order)]
        if is_crowded.any():
            within = counts.select(is_crowded).ranges
            source = self.reader.source
            parts.append(count_rows(spark, source, form.highest_order, within=within)[0])
        return SparseCounts.sum(form.highest_order, parts)

    def _describe(self, folder: str, kind: str, files: Sequence[ExportFile]) -> CatalogFacts:
        return CatalogFacts(folder, kind, self.reader.schema, tuple(files))

    def _write_margin(
        self,
        spark: SparkSession,
        staging: StagingFolder,
        items: Sequence[PixelItem],
        counts: SparseCounts,
        threshold: float,
    ) -> CatalogFacts:
        """Write the rows near every partition, and near the empty parts of the sky."""
        folder = f"{self.form.name}_{threshold:g}arcs".replace(".", "_")
        own = [(item.order, item.pixel) for item in items]
        pixels = [*own, *find_empty_pixels(Partitions.from_pairs(own))]
        around = sorted((PixelItem(folder, *pair) for pair in pixels), key=lambda item: item.range)
        write = MarginWriter(self.reader, self.parquet, threshold, counts.ranges)
        files = run_items(spark, around, write, staging)
        return replace(self._describe(folder, "margin", files), threshold_arcsec=threshold)

    def _write_index(
        self,
        spark: SparkSession,
        staging: StagingFolder,
        files: Sequence[ExportFile],
        column: str,
    ) -> CatalogFacts:
        folder = f"{self.form.name}_{column}_index"
        stored = self.reader.schema.field(column)
        job = IndexJob(folder, stored, self.table[column].type, tuple(files), self.parquet)
        made = job.run(spark, staging)
        facts = CatalogFacts(folder, "index", to_index_schema(stored), tuple(made))
        return replace(facts, index_column=column)

    def _seal(
        self, staging: StagingFolder, catalogs: Sequence[CatalogFacts], origin: Origin
    ) -> Iterator[ExportFile]:
        """Write what describes the data files; the properties of each catalog come last."""
        names = []
        for facts in catalogs:
            names += seal_catalog(staging.files, facts, self.form, origin)
        if self.form.is_collection:
            names += seal_collection(staging.files, catalogs, self.form)
        for name in names:
            yield ExportFile.describe(Path(staging.files), name)
