"""Match two Parquet catalogs as one Spark task would; print peak memory in bytes and the pairs.

``python match_in_task.py LEFT RIGHT RADIUS_ARCSEC SELECT``
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ubspark.catalogs.layout import FileLayout
from ubspark.catalogs.parquet_sink import ParquetSink
from ubspark.crossmatch.match import Match, Side
from ubspark.crossmatch.options import MatchOptions, PositionColumns
from ubspark.crossmatch.plan import plan_cells
from ubspark.crossmatch.spark import MatchTask

COLUMNS = PositionColumns("id", "ra", "dec")


def open_layout(path: str) -> FileLayout:
    metadata = pq.read_metadata(path)
    index = [metadata.row_group(i).column(0).statistics for i in range(metadata.num_row_groups)]
    return (
        FileLayout(
            (path,),
            np.array([index[0].min]),
            np.array([index[-1].max]),
            np.array([metadata.num_rows]),
            np.array([1]),
            pq.read_schema(path),
        )
        .refine()
        .remember()
    )


def main() -> None:
    left, right, radius, select = sys.argv[1:5]
    pa.set_cpu_count(1)
    sides = [Side(open_layout(path), COLUMNS, []) for path in (left, right)]
    match = Match(*sides, MatchOptions(float(radius), select=select))  # type: ignore[arg-type]
    plan = plan_cells(*(side.source for side in sides), keep_unplaced=True)
    task = MatchTask(match, plan)
    ids = iter([pa.RecordBatch.from_pydict({"id": pa.array(range(plan.n_tasks))})])
    n_rows = 0
    with tempfile.TemporaryDirectory() as folder:
        sink = None
        for rows in task(ids):
            sink = sink or ParquetSink(folder, rows.schema)
            for file, _ in sink.write([rows]):
                n_rows += file.n_rows if file else 0
    print(read_peak(), n_rows)


def read_peak() -> int:
    """Return the largest memory of this program; ``getrusage`` counts who started it, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    main()
