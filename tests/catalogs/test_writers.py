"""Running the tasks that make and write rows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ubspark.catalogs.digests import compute_digest
from ubspark.catalogs.parquet_sink import ParquetSink
from ubspark.catalogs.writers import WrittenRows, write_rows
from ubspark.errors import ParameterError
from ubspark.runtime.failures import describe_failure

pytestmark = pytest.mark.spark

SCHEMA = pa.schema([("id", pa.int64()), ("x", pa.float64())])


@dataclass
class Square:
    """A task that makes other rows, in batches of its own, and counts them."""

    summary: dict[str, int] = field(default_factory=lambda: {"rows": 0, "batches": 0})

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.Table | pa.RecordBatch]:
        for batch in batches:
            ids = batch.column("id").to_numpy()
            self.summary["rows"] += len(ids)
            self.summary["batches"] += 1
            yield pa.table({"id": ids, "x": ids * 0.5})
            yield pa.RecordBatch.from_pydict({"x": ids * 1.0, "id": ids + 100})


@dataclass
class Fail:
    """A task that writes a file and then finds its input wrong."""

    summary: None = None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.Table]:
        yield pa.table({"id": [1], "x": [0.5]})
        msg = "Column `x` is not what it seems."
        raise ParameterError(msg)


def read(folder: Path, rows: WrittenRows) -> pa.Table:
    tables = [pq.read_table(folder / file.path) for file in rows.files]
    return pa.concat_tables(tables).sort_by("id")


@pytest.mark.parametrize("n_partitions", [1, 4])
def test_rows_digest_and_counts_do_not_depend_on_the_tasks(
    spark: SparkSession, tmp_path: Path, n_partitions: int
) -> None:
    task = Square()
    rows = write_rows(spark.range(0, 50, 1, n_partitions), ParquetSink(str(tmp_path), SCHEMA), task)
    found = read(tmp_path, rows)
    assert found["id"].to_pylist() == sorted([*range(50), *range(100, 150)])
    assert found["x"].to_pylist() == [i * 0.5 for i in range(50)] + [float(i) for i in range(50)]
    assert len(rows.files) == n_partitions
    assert rows.digest == compute_digest(found)
    assert (rows.n_rows, rows.n_bytes) == (100, sum(f.stat().st_size for f in tmp_path.iterdir()))
    assert len(rows.summaries) == n_partitions
    assert sum(summary["rows"] for summary in rows.summaries) == 50
    assert task.summary == {"rows": 0, "batches": 0}, (
        "the task of the driver is not that of a worker"
    )


def test_tasks_without_rows_write_no_file_and_still_count(
    spark: SparkSession, tmp_path: Path
) -> None:
    frame = spark.range(0, 2, 1, 2).where("id = 0")
    rows = write_rows(frame, ParquetSink(str(tmp_path), SCHEMA), Square())
    assert len(rows.files) == 1
    assert [summary["rows"] for summary in rows.summaries] == [1, 0]


def test_frame_without_a_task_is_written_as_it_comes(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.range(0, 10, 1, 2).selectExpr("double(id) x", "id", "'left out' other")
    rows = write_rows(frame, ParquetSink(str(tmp_path), SCHEMA))
    assert read(tmp_path, rows)["x"].to_pylist() == [float(i) for i in range(10)]
    assert rows.summaries == ()


def test_error_of_a_task_reaches_the_user_as_its_sentence(
    spark: SparkSession, tmp_path: Path
) -> None:
    sink = ParquetSink(str(tmp_path), SCHEMA, file_bytes=1)
    with pytest.raises(PySparkException, match=r"Column `x` is not what it seems\.") as found:
        write_rows(spark.range(0, 4, 1, 2), sink, Fail())
    failure = describe_failure(found.value)
    with pytest.raises(ParameterError, match=r"^Column `x` is not what it seems\.$"):
        raise failure
    assert list(tmp_path.iterdir()), "what an attempt wrote stays, and no log names it"
