"""Adding a night to a table of light curves: only files that hold a touched object change."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from ubspark.catalogs.commit import prepare_folder
from ubspark.catalogs.delta import TableVersion
from ubspark.catalogs.digests import ContentDigest, compute_digest
from ubspark.catalogs.layout import FileLayout
from ubspark.catalogs.parquet_sink import ParquetSink
from ubspark.catalogs.schema import TableSchema
from ubspark.catalogs.staging import StagedTable
from ubspark.catalogs.writers import WrittenRows, write_rows
from ubspark.columns import HEALPIX_29, NO_POSITION
from ubspark.errors import SchemaError
from ubspark.recipes.base import OutputTable, TableUpdate, Workspace
from ubspark.recipes.lightcurve_job import CONSTRAINTS, LightCurveJob
from ubspark.recipes.lightcurve_rows import nest_rows
from ubspark.timeseries.merging import merge_curves
from ubspark.timeseries.nesting import EpochRules, NestCounts

__all__ = ["MergeCounts", "merge_night"]

IntArray = NDArray[np.int64]
_EVERYTHING = np.array([[np.iinfo(np.int64).min, np.iinfo(np.int64).max]])


@dataclass
class MergeCounts:
    """What a task did to the files of a table."""

    objects: Counter[str] = field(default_factory=Counter)
    epochs: Counter[str] = field(default_factory=Counter)
    #: Files whose rows were written anew.
    rewritten: list[str] = field(default_factory=list)
    #: Digests of the rows of those files.
    digests: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Piece:
    """What one task writes: the rows of a file, those of the night, or both.

    Attributes
    ----------
    file
        Row of the layout; -1 for new objects alone.
    ranges
        Where the rows of the night lie, half-open ranges.
    ids
        Objects of the night that belong here.
    """

    file: int
    ranges: IntArray
    ids: pa.Array


@dataclass
class _MergeTask:
    """Writes pieces; a piece that the night does not change is left out."""

    layout: FileLayout
    night: FileLayout
    pieces: Sequence[_Piece]
    schema: TableSchema
    rules: EpochRules
    id_column: str
    is_update: bool
    summary: MergeCounts = field(default_factory=MergeCounts)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Yield the rows of each piece."""
        for batch in batches:
            for number in batch.column(0).to_pylist():
                yield from self._merge(self.pieces[number])

    def _merge(self, piece: _Piece) -> Iterator[pa.Table]:
        names = self.schema.names
        schema = self.schema.to_arrow()
        there = schema.empty_table()
        if piece.file >= 0:
            own = self.layout.select(np.array([piece.file]))
            there = own.read(_EVERYTHING, names).select(names).cast(schema)
        night = self.night.read(piece.ranges, names)
        night = night.filter(pc.is_in(night[self.id_column], value_set=piece.ids))
        made = merge_curves(there, night, self.rules, id_column=self.id_column)
        counts = self.summary
        counts.objects += Counter(touched=made.n_touched, new=made.n_new)
        counts.epochs += Counter(added=made.n_added, already_there=made.n_repeated)
        if self.is_update and not made.has_changed:
            return
        if self.is_update and piece.file >= 0:
            counts.rewritten.append(self.layout.paths[piece.file])
            counts.digests.append(str(compute_digest(there)))
        yield made.rows


def merge_night(
    job: LightCurveJob, base: TableVersion, workspace: Workspace, *, is_update: bool
) -> tuple[OutputTable, NestCounts]:
    """Return light curves with the epochs of a night, and what became of the epochs.

    Parameters
    ----------
    is_update
        Whether the files of the table are replaced that hold a touched object; else all rows go
        to another table.
    """
    schema = job.describe()
    night, counts = _stage(job, workspace)
    layout, id_column = base.read_layout(), job.curve.id
    pieces = _cut(workspace.spark, layout, night.read_layout(), id_column, all_files=not is_update)
    task = _MergeTask(
        layout, night.read_layout(), pieces, schema, job.rules, id_column, is_update=is_update
    )
    n = len(pieces)
    table = OutputTable(
        frame=workspace.spark.range(0, n, 1, max(n, 1)),
        task=task,
        schema=schema,
        properties=job.properties,
        constraints=CONSTRAINTS,
        update=_Replaced(base) if is_update else None,
    )
    return table, counts


@dataclass(frozen=True)
class _Replaced(TableUpdate):
    """The files that a merge replaced."""

    base: TableVersion

    def find_removed(self, written: WrittenRows) -> tuple[str, ...]:
        """Return the files that were written anew."""
        return tuple(path for part in written.summaries for path in part.rewritten)

    def find_digest(self, written: WrittenRows) -> ContentDigest:
        """Return the digest of the whole table."""
        digest = self.base.read_digest() + written.digest
        for part in written.summaries:
            for text in part.digests:
                digest = digest - ContentDigest.parse(text)
        return digest


def _stage(job: LightCurveJob, workspace: Workspace) -> tuple[StagedTable, NestCounts]:
    """Nest the night where only this run looks for it."""
    folder = f"{workspace.scratch}/night"
    prepare_folder(folder)
    frame, task = nest_rows(job, workspace)
    schema = job.describe_new()
    written = write_rows(frame, ParquetSink(folder, schema.to_arrow()), task)
    counts = NestCounts()
    for part in written.summaries:
        counts.add(part)
    uri = str(job.main.short_name or job.main.name)
    return StagedTable(uri, folder, schema, job.roles, written.files), counts


def _cut(
    spark: SparkSession,
    layout: FileLayout,
    night: FileLayout,
    id_column: str,
    *,
    all_files: bool,
) -> list[_Piece]:
    """Return the pieces: a file for each object that is there, the sky for those that are not."""
    found = night.read(_EVERYTHING, [id_column]).combine_chunks()
    ids, index = found[id_column].combine_chunks(), found[HEALPIX_29.name].to_numpy()
    ids = ids.chunk(0) if isinstance(ids, pa.ChunkedArray) else ids
    file = _find_files(spark, layout, ids, id_column)
    n_files = len(layout.paths)
    # A new object goes to the touched file that begins before it, else to a file of its own.
    slot = np.searchsorted(layout.low, index, side="right") - 1
    is_new = file < 0
    has_room = np.zeros(n_files + 1, dtype=bool)
    has_room[file[~is_new]] = True
    has_room[:n_files] |= all_files
    # Numbered behind the files; the last entry stands for the sky before the first of them.
    slot = np.where(slot < 0, n_files, slot)
    file = np.where(is_new, np.where(has_room[slot], slot, n_files + slot), file)
    order = np.argsort(file, kind="stable")
    owners, starts = np.unique(file[order], return_index=True)
    ends = [*starts[1:], len(order)]
    pieces = []
    for owner, start, end in zip(owners.tolist(), starts, ends, strict=False):
        rows = order[start:end]
        number = owner if owner < n_files else -1
        pieces.append(_Piece(number, _bound(index[rows]), ids.take(pa.array(rows))))
    if all_files:
        nothing = (np.zeros((0, 2), dtype=np.int64), ids[:0])
        rest = set(range(n_files)) - set(owners.tolist())
        pieces += [_Piece(number, *nothing) for number in sorted(rest)]
    return pieces if len(ids) or all_files else []


def _bound(index: IntArray) -> IntArray:
    """Return ranges that hold some indices, those of no position apart."""
    placed = index[index > NO_POSITION]
    ranges = [[NO_POSITION, 0]] if len(placed) < len(index) else []
    if len(placed):
        ranges.append([int(placed.min()), int(placed.max()) + 1])
    return np.array(ranges, dtype=np.int64).reshape(-1, 2)


def _find_files(spark: SparkSession, layout: FileLayout, ids: pa.Array, id_column: str) -> IntArray:
    """Return the file that holds each object, -1 for none; only ids are read."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                own = layout.select(np.array([number]))
                there = own.read(_EVERYTHING, [id_column])[id_column]
                places = pc.index_in(there, value_set=ids).drop_null().to_numpy().tolist()
                columns = {"file": [number], "places": pa.array([places], pa.list_(pa.int64()))}
                yield pa.RecordBatch.from_pydict(columns)

    file = np.full(len(ids), -1, dtype=np.int64)
    n = len(layout.paths)
    for row in (
        spark.range(0, n, 1, max(n, 1)).mapInArrow(run, "file long, places array<long>").collect()
    ):
        places = np.array(row.places, dtype=np.int64)
        again = places[file[places] >= 0]
        if len(again) or len(np.unique(places)) < len(places):
            name = ids[int((again if len(again) else places)[0])].as_py()
            msg = (
                f"The object {name!r}, or one near it, has two rows in the light curves; nothing "
                f"can be added to them."
            )
            raise SchemaError(msg)
        file[places] = row.file
    return file
