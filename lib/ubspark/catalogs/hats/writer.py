"""Writing a catalog, or a collection of it with margins and indexes, in the HATS format."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from ubspark.catalogs.hats.index_files import IndexJob, to_index_schema
from ubspark.catalogs.hats.partition_files import MarginWriter, PartitionWriter
from ubspark.catalogs.hats.partitions import Partitions
from ubspark.catalogs.hats.planning import PixelItem, find_empty_pixels, plan_partitions
from ubspark.catalogs.hats.sealing import CatalogFacts, seal_catalog, seal_collection
from ubspark.catalogs.schema import TableSchema
from ubspark.errors import SchemaError

__all__ = ["HatsForm", "HatsWriter"]

#: The map of a catalog is of this order at least, so that small catalogs have one too.
_MAP_ORDER = 8
#: LSDB holds the whole map in memory: 96 MiB at this order.
_MAX_MAP_ORDER = 10


@dataclass(frozen=True)
class HatsForm:
    """How a catalog is cut and what goes with it.

    Attributes
    ----------
    name
        ``obs_collection``; also the name of the catalog's folder in a collection.
    kind
        ``object`` or ``source``.
    ra, dec
        Columns of the position.
    max_rows, max_bytes
        Largest partition; bytes are estimated, and not looked at if None.
    margins_arcsec, indexes
        Thresholds of margin caches, columns of index catalogs; with any, a collection is made.
    properties
        Further properties of the catalog; they win over those that are computed.
    """

    name: str
    kind: str
    ra: str
    dec: str
    max_rows: int = 1_000_000
    max_bytes: int | None = None
    lowest_order: int = 0
    highest_order: int = 10
    margins_arcsec: tuple[float, ...] = ()
    indexes: tuple[str, ...] = ()
    has_statistics: bool = False
    refuse_unplaced: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_collection(self) -> bool:
        """Whether the catalog is one of several."""
        return bool(self.margins_arcsec or self.indexes)

    @property
    def folder(self) -> str:
        """Folder of the catalog below that of the export."""
        return self.name if self.is_collection else ""


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
        depth = max(form.highest_order, _MAP_ORDER)
        counts, n_unplaced = count_rows(spark, self.reader.source, depth)
        self._validate(counts, n_unplaced)
        items = plan_partitions(
            counts,
            max_rows=form.max_rows,
            max_bytes=form.max_bytes,
            lowest_order=form.lowest_order,
            highest_order=form.highest_order,
            catalog=form.folder,
        )
        files = run_items(spark, items, PartitionWriter(self.reader, self.parquet), staging)
        deepest = max(item.order for item in items)
        map_order = min(max(deepest, _MAP_ORDER), _MAX_MAP_ORDER, depth)
        main = self._describe(form.folder, form.kind, files)
        main = replace(main, skymap=counts.degrade(map_order))
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
