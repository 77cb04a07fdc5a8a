"""Running the tasks that make and write the rows of a table; the commit comes after."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame

from ubspark.catalogs.digests import ContentDigest
from ubspark.catalogs.parquet_sink import ParquetSink, WrittenFile
from ubspark.workers import settle_worker

__all__ = ["RowTask", "WrittenRows", "write_rows"]

_RESULT = (
    "path string, n_bytes long, n_rows long, stats string, digest string, summary binary, "
    "attempt int"
)


class RowTask(Protocol):
    """Rows made in a task from the rows of a DataFrame partition.

    ``summary`` is what the task counted on its way; it is pickled and comes back to the driver.
    """

    summary: Any

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.Table | pa.RecordBatch]:
        """Yield the rows to write, in order."""


@dataclass(frozen=True)
class WrittenRows:
    """The files of one output, written and not yet committed."""

    files: tuple[WrittenFile, ...]
    digest: ContentDigest
    #: What each task counted.
    summaries: tuple[Any, ...]
    #: Attempts of tasks that were lost and made again.
    n_retries: int = 0

    @property
    def n_rows(self) -> int:
        """Rows in all files."""
        return sum(file.n_rows for file in self.files)

    @property
    def n_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.n_bytes for file in self.files)


def write_rows(frame: DataFrame, sink: ParquetSink, task: RowTask | None = None) -> WrittenRows:
    """Write what a task makes of each partition, or the partition's own rows.

    Parameters
    ----------
    frame
        Its partitions are the tasks.
    sink
        Where the files go. Only the files of attempts that succeeded are reported.
    task
        Makes the rows; None writes the rows of ``frame`` as they come.
    """
    written = frame.mapInArrow(_compose(sink, task), _RESULT).collect()
    digest = ContentDigest.empty(sink.schema)
    for row in written:
        digest = digest + ContentDigest.parse(row.digest)
    files = tuple(
        WrittenFile(row.path, row.n_bytes, row.n_rows, row.stats)
        for row in written
        if row.path is not None
    )
    # Pickles made a moment ago by our own tasks.
    summaries = tuple(pickle.loads(row.summary) for row in written if row.summary)  # noqa: S301
    return WrittenRows(files, digest, summaries, sum(row.attempt for row in written))


def _compose(
    sink: ParquetSink, task: RowTask | None
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        settle_worker()
        rows = batches if task is None else task(batches)
        for file, digest in sink.write(rows):
            yield _report(file, digest, None)
        summary = None if task is None else pickle.dumps(task.summary)
        context = TaskContext.get()
        attempt = context.attemptNumber() if context is not None else 0
        yield _report(None, ContentDigest.empty(sink.schema), summary, attempt)

    return run


def _report(
    file: WrittenFile | None, digest: ContentDigest, summary: bytes | None, attempt: int = 0
) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "path": pa.array([file.path if file else None], pa.string()),
            "n_bytes": pa.array([file.n_bytes if file else 0], pa.int64()),
            "n_rows": pa.array([file.n_rows if file else 0], pa.int64()),
            "stats": pa.array([file.stats if file else None], pa.string()),
            "digest": pa.array([str(digest)], pa.string()),
            "summary": pa.array([summary], pa.binary()),
            "attempt": pa.array([attempt], pa.int32()),
        }
    )
