"""Where the match meets Spark: a task takes its cells, reads both sides and yields their rows.

No row passes through a shuffle or the JVM on its way in: a task opens the files itself.
"""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from ubspark.crossmatch.match import Match
from ubspark.crossmatch.plan import CellPlan
from ubspark.crossmatch.summary import MatchSummary, find_map_order

__all__ = ["MatchTask", "create_task_frame", "summarise_match"]


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
        for batch in batches:
            for task in batch.column(0).to_pylist():
                for low, high in self.plan.cells[self.plan.tasks[task] : self.plan.tasks[task + 1]]:
                    for cell in self.match.match_cell(int(low), int(high)):
                        self.summary.add_cell(cell)
                        yield cell.rows


def create_task_frame(spark: SparkSession, plan: CellPlan) -> DataFrame:
    """Return a DataFrame of task ids, one partition each, for ``mapInArrow``."""
    return spark.range(0, plan.n_tasks, 1, max(plan.n_tasks, 1))


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
