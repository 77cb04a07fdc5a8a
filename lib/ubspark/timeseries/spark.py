"""Where light curves meet Spark: a task reads those of its cells and yields their periods.

No row passes through a shuffle or the JVM on its way in: a task opens the files itself. For
DataFrames in a notebook there are `compute_period_frame` and `make_period_udf`.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.functions import arrow_udf

from ubspark.columns import HEALPIX_29
from ubspark.errors import SchemaError
from ubspark.timeseries.arrow import (
    CurveColumns,
    nest_rows,
    split_rows,
    to_arrow_columns,
    to_light_curves,
)
from ubspark.timeseries.kernels.gpu import use_gpu, validate_gpu
from ubspark.timeseries.options import PeriodOptions
from ubspark.timeseries.periods import compute_periods
from ubspark.timeseries.results import BAND_COLUMNS, LIST_COLUMNS, PERIOD_COLUMNS, POWER_COLUMNS
from ubspark.timeseries.summary import PeriodSummary

__all__ = [
    "LightCurveSource",
    "PeriodTask",
    "compute_period_frame",
    "create_task_frame",
    "describe_columns",
    "make_period_udf",
]

#: Objects handled at a time: bounds the memory of a task, and how long it is silent.
_ROWS_PER_BATCH = 500
#: The same where each brings its periodogram.
_ROWS_PER_KEPT_BATCH = 8


class LightCurveSource(Protocol):
    """Where a task reads light curves from; it can be pickled."""

    def read(self, ranges: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """Return the rows inside half-open ranges of ``_healpix_29``, sorted by it."""


@dataclass
class PeriodTask:
    """What a Spark task runs: the cells of the task ids it is given, in sky order.

    Attributes
    ----------
    cells
        Half-open ranges of ``_healpix_29``, shape (k, 2); a task id is a row.
    carried
        Columns carried along; the first is the id.
    is_long
        Whether a row is an epoch instead of an object.
    """

    source: LightCurveSource
    cells: NDArray[np.int64]
    columns: CurveColumns
    carried: tuple[str, ...]
    bands: tuple[str, ...]
    options: PeriodOptions
    is_long: bool = False

    def __post_init__(self) -> None:
        """Start counting."""
        self.summary = PeriodSummary()

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Yield the rows of each cell."""
        _use_own_gpu(self.options)
        for batch in batches:
            for cell in batch.column(0).to_pylist():
                rows = self.source.read(
                    self.cells[cell : cell + 1], [*self.carried, *self.columns.names]
                )
                if self.is_long:
                    rows = nest_rows(rows, self.carried[0], self.columns)
                for part in split_rows(rows, _choose_batch(self.options)):
                    yield self._compute(part)

    def _compute(self, rows: pa.Table) -> pa.Table:
        start = time.perf_counter()
        curves = to_light_curves(rows, self.columns, self.bands)
        periods = compute_periods(curves, self.options)
        self.summary.seconds += time.perf_counter() - start
        names = [str(name) for name in rows[self.carried[0]].to_pylist()]
        self.summary.add(periods, curves, rows[HEALPIX_29.name].to_numpy(), names)
        kept = {name: rows[name] for name in (HEALPIX_29.name, *self.carried)}
        return pa.table(kept | to_arrow_columns(periods))


def _use_own_gpu(options: PeriodOptions) -> None:
    """Compute on the GPU that Spark gave this task, where it gives out any."""
    context = TaskContext.get()
    given = context.resources().get("gpu") if context is not None else None
    if options.device == "gpu" and given is not None:
        validate_gpu()
        use_gpu(int(given.addresses[0]))


def create_task_frame(spark: SparkSession, n_tasks: int) -> DataFrame:
    """Return a DataFrame of task ids, one partition each, for ``mapInArrow``."""
    return spark.range(0, n_tasks, 1, max(n_tasks, 1))


def _choose_batch(options: PeriodOptions) -> int:
    return _ROWS_PER_KEPT_BATCH if options.keep_periodogram else _ROWS_PER_BATCH


def describe_columns(bands: tuple[str, ...], options: PeriodOptions | None = None) -> pa.Schema:
    """Return names and types of what a period search adds to an object."""
    fields = [pa.field(c.name, pa.type_for_alias(str(c.type))) for c in PERIOD_COLUMNS]
    fields += [pa.field(c.name, pa.list_(pa.type_for_alias(str(c.type)))) for c in LIST_COLUMNS]
    fields += [
        pa.field(f"{column.name}_{band}", pa.type_for_alias(str(column.type)))
        for band in bands
        for column in BAND_COLUMNS
    ]
    if options is not None and options.keep_periodogram:
        fields += [pa.field(c.name, pa.list_(pa.float32())) for c in POWER_COLUMNS]
    return pa.schema(fields)


def compute_period_frame(
    curves: DataFrame,
    columns: CurveColumns,
    *,
    bands: tuple[str, ...],
    options: PeriodOptions | None = None,
    carried: Sequence[str] = (),
) -> DataFrame:
    """Return a row of results for each row of light curves; no shuffle.

    Parameters
    ----------
    curves
        One row per object with the columns of ``columns``, which hold lists.
    carried
        Columns kept, such as the id.

    Raises
    ------
    SchemaError
        If a column is not there.
    """
    wanted = [*carried, *columns.names]
    missing = [name for name in wanted if name not in curves.columns]
    if missing:
        msg = (
            f"Column `{missing[0]}` is not in the light curves. Available columns: "
            f"{', '.join(curves.columns)}."
        )
        raise SchemaError(msg)
    kept = curves.select(*carried).schema.fields
    chosen = options or PeriodOptions()
    fields = describe_columns(bands, chosen)
    added = ", ".join(f"`{field.name}` {_to_ddl(field.type)}" for field in fields)
    schema = ", ".join([*(f"`{f.name}` {f.dataType.simpleString()}" for f in kept), added])

    def search(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        _use_own_gpu(chosen)
        for batch in batches:
            for rows in split_rows(pa.Table.from_batches([batch]), _choose_batch(chosen)):
                found = to_arrow_columns(
                    compute_periods(to_light_curves(rows, columns, bands), chosen)
                )
                table = pa.table({name: rows[name] for name in carried} | found)
                yield from table.combine_chunks().to_batches()

    return curves.select(*wanted).mapInArrow(search, schema)


def make_period_udf(bands: tuple[str, ...], options: PeriodOptions | None = None) -> Any:
    """Return a function for ``df.select``: lists of time, value, error and band to a struct.

    The struct has the columns of `PERIOD_COLUMNS`, the lists and the columns by band.
    """
    chosen = options or PeriodOptions()
    schema = describe_columns(bands, chosen)
    columns = CurveColumns("time", "value", "error", "band")

    def search(time: pa.Array, value: pa.Array, error: pa.Array, band: pa.Array) -> pa.Array:
        rows = pa.table({"time": time, "value": value, "error": error, "band": band})
        parts = [
            pa.table(
                to_arrow_columns(compute_periods(to_light_curves(part, columns, bands), chosen))
            )
            for part in split_rows(rows, _choose_batch(chosen))
        ]
        found = pa.concat_tables([schema.empty_table(), *parts]).combine_chunks()
        return pa.StructArray.from_arrays(
            [found[name].combine_chunks() for name in schema.names], fields=list(schema)
        )

    ddl = ", ".join(f"`{field.name}`: {_to_ddl(field.type)}" for field in schema)
    # The annotations say which kind of function it is.
    return arrow_udf(search, f"struct<{ddl}>")  # type: ignore[call-overload]


_DDL = {
    "int16": "smallint",
    "int32": "int",
    "int64": "bigint",
    "float": "float",
    "double": "double",
}


def _to_ddl(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"array<{_to_ddl(kind.value_type)}>"
    return _DDL[str(kind)]
