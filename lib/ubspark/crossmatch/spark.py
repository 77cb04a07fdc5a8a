"""Where the match meets Spark: a task takes its cells, reads both sides and yields their rows.

No row passes through a shuffle or the JVM on its way in: a task opens the files itself.
"""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from ubspark.columns import HEALPIX_29
from ubspark.crossmatch.fast import FastRows, find_footprint, find_slow_limit, is_worth_it
from ubspark.crossmatch.match import Match
from ubspark.crossmatch.plan import CellPlan
from ubspark.crossmatch.summary import MatchSummary, find_map_order

__all__ = ["MatchTask", "create_task_frame", "separate_fast_rows", "summarise_match"]


@dataclass
class MatchTask:
    """What a Spark task runs: the cells of the task ids it is given, in sky order."""

    match: Match
    plan: CellPlan

    def __post_init__(self) -> None:
        """Start counting."""
        order = find_map_order(self.plan.cells)
        self.summary = MatchSummary(self.match.options.radius_arcsec, order)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Yield the output rows of each cell."""
        for low, high in self.plan.iterate_cells(batches):
            for cell in self.match.match_cell(low, high):
                self.summary.add_cell(cell)
                yield cell.rows


def create_task_frame(spark: SparkSession, plan: CellPlan) -> DataFrame:
    """Return a DataFrame of task ids, one partition each, for ``mapInArrow``."""
    return spark.range(0, plan.n_tasks, 1, max(plan.n_tasks, 1))


def separate_fast_rows(spark: SparkSession, match: Match, plan: CellPlan) -> Match:
    """Return the match with the fast rows of either side apart, where that spares wide rings.

    Rows are counted by their motion first; only the few fastest are collected.
    """
    halo = match.first_halo_arcsec
    reach = match.options.radius_arcsec + halo
    sides = []
    for side, is_ringed in ((match.left, halo > 0), (match.right, True)):
        if not (is_ringed and is_worth_it(side)):
            sides.append(side)
            continue
        footprint = find_footprint(plan.cells, reach + side.motion_arcsec)
        finder = FastRows(side, match.options.epoch, footprint)
        cells = finder.plan(parallelism=spark.sparkContext.defaultParallelism)
        limit = _find_limit(spark, finder, cells)
        sides.append(finder.separate(_collect_fast(spark, finder, cells, limit), limit))
    return replace(match, left=sides[0], right=sides[1])


def _find_limit(spark: SparkSession, finder: FastRows, plan: CellPlan) -> float:
    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for cell in plan.iterate_cells(batches):
            counted = finder.count(np.array([cell]))
            yield pa.RecordBatch.from_pydict({"counts": pa.array([counted.tolist()])})

    counts = np.zeros(len(finder.edges), dtype=np.int64)
    for row in create_task_frame(spark, plan).mapInArrow(run, "counts array<long>").collect():
        counts += row.counts
    return find_slow_limit(counts, finder.edges)


def _collect_fast(
    spark: SparkSession, finder: FastRows, plan: CellPlan, limit_arcsec: float
) -> pa.Table:
    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        cells = np.array(list(plan.iterate_cells(batches)), dtype=np.int64).reshape(-1, 2)
        for rows in finder.read(cells, limit_arcsec):
            yield from _to_stream(rows)

    nothing = finder.side.source.read(np.zeros((0, 2), dtype=np.int64), finder.column_names)
    parts = [nothing.select(finder.column_names)]
    for row in create_task_frame(spark, plan).mapInArrow(run, "rows binary").collect():
        parts.append(pa.ipc.open_stream(row.rows).read_all())
    joined = pa.concat_tables(parts)
    return joined.sort_by(
        [(name, "ascending") for name in (HEALPIX_29.name, finder.side.columns.id)]
    )


def _to_stream(rows: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield the rows as one value, whatever their types."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    yield pa.RecordBatch.from_pydict({"rows": pa.array([sink.getvalue().to_pybytes()])})


def summarise_match(spark: SparkSession, match: Match, plan: CellPlan) -> MatchSummary:
    """Match for the counts alone; no row is kept."""
    task = MatchTask(match, plan)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in task(batches):
            pass
        yield pa.RecordBatch.from_pydict({"summary": pa.array([pickle.dumps(task.summary)])})

    total = MatchTask(match, plan).summary
    for row in create_task_frame(spark, plan).mapInArrow(run, "summary binary").collect():
        # A pickle made a moment ago by our own task.
        total += pickle.loads(row.summary)  # noqa: S301
    return total
