"""The rows of a lightcurves job on their way through Spark: read, brought together, sorted."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, from_arrow_type

from ubspark.catalogs.catalog import CatalogLayout
from ubspark.catalogs.filters import columns_of
from ubspark.catalogs.layout import conform
from ubspark.catalogs.selection import select_rows
from ubspark.catalogs.writers import RowTask
from ubspark.columns import HEALPIX_29
from ubspark.crossmatch.plan import CellPlan, plan_cells
from ubspark.crossmatch.spark import create_task_frame
from ubspark.errors import SchemaError
from ubspark.recipes.base import JobInput, Workspace
from ubspark.recipes.lightcurve_job import LightCurveJob, get_catalog
from ubspark.recipes.pair_table import get_table
from ubspark.timeseries.nest_tasks import (
    COUNTED,
    IS_OBJECT,
    NestCells,
    NestPartition,
    RegroupCells,
    SplitCounts,
)
from ubspark.timeseries.objects import find_id_type, refuse_repeated

__all__ = ["nest_rows", "open_layout", "plan_nesting", "regroup_rows"]

#: Epochs that a partition of the shuffle should hold.
_EPOCHS_PER_PARTITION = 2_000_000
#: Rows of a file without a known number, by its bytes.
_BYTES_PER_ROW = 30


def nest_rows(job: LightCurveJob, workspace: Workspace) -> tuple[DataFrame, RowTask]:
    """Return the light curves of the epochs, sorted on the sky, not yet computed.

    Two catalogs within reach of each other are read cell by cell; anything else passes through
    two shuffles of Spark: by object, then on the sky.
    """
    plan = plan_nesting(job, n_cells=workspace.n_cells, parallelism=workspace.parallelism)
    if plan is not None and workspace.plan != "shuffle":
        _validate_objects(job, workspace)
        epochs, objects = (open_layout(job.inputs[n], job) for n in ("sources", "objects"))
        task = NestCells(epochs.refine(), objects.refine(), plan.cells, plan.tasks, job.curve)
        return create_task_frame(workspace.spark, plan), task
    return _shuffle(job, workspace), SplitCounts()


def _validate_objects(job: LightCurveJob, workspace: Workspace) -> None:
    """Refuse two objects of one identifier: no cell sees both where they lie far apart.

    Raises
    ------
    SchemaError
        If there are any.
    """
    name = job.curve.id
    ids = _read_catalog(job, job.inputs["objects"], [name], workspace)
    often = ids.groupBy(F.col(f"`{name}`").alias("id")).count().where("count > 1")
    found = often.orderBy("id").take(1)
    if found:
        refuse_repeated(name, found[0].id)


def plan_nesting(job: LightCurveJob, *, n_cells: int | None, parallelism: int) -> CellPlan | None:
    """Return the cells of two sorted catalogs, None where a shuffle is needed."""
    given = [job.inputs.get(name) for name in ("sources", "objects")]
    if job.curve.reach_arcsec is None or any(g is None or get_catalog(g) is None for g in given):
        return None
    epochs, objects = (open_layout(job.inputs[n], job) for n in ("sources", "objects"))
    return plan_cells(
        objects,
        epochs,
        keep_unplaced=True,
        covers_right=True,
        n_cells=n_cells,
        parallelism=parallelism,
    )


def regroup_rows(job: LightCurveJob, workspace: Workspace) -> tuple[DataFrame, RowTask]:
    """Return light curves written anew, or a row per epoch, cell by cell."""
    source = open_layout(job.main, job).refine()
    plan = _cut(source, workspace)
    task = RegroupCells(
        source,
        plan.cells,
        job.rules,
        job.params.nested,
        job.carried,
        is_long=job.params.layout == "long",
    )
    n_cells = len(plan.cells)
    return workspace.spark.range(0, n_cells, 1, max(n_cells, 1)), task


def open_layout(given: JobInput, job: LightCurveJob) -> CatalogLayout:
    """Return the selected rows of a catalog."""
    table = get_table(given)
    roles = job.find_roles(given)
    return select_rows(
        table.read_layout(),
        region=given.region,
        condition=given.where,
        ra=roles.get("ra"),
        dec=roles.get("dec"),
    )


def _cut(source: CatalogLayout, workspace: Workspace) -> CellPlan:
    n_bytes = int(np.sum(source.n_bytes))
    wanted = workspace.n_cells or max(1, n_bytes // _CELL_BYTES)
    return plan_cells(source, source, keep_unplaced=True, n_cells=wanted)


#: Compressed bytes of light curves that one cell should hold.
_CELL_BYTES = 32 << 20


def _shuffle(job: LightCurveJob, workspace: Workspace) -> DataFrame:
    """Return the light curves with rows of counts among them."""
    curve = job.curve
    epoch_columns = {f"e{i}": name for i, name in enumerate(curve.epoch_names)}
    rows = _select(job, job.main, epoch_columns, workspace)
    id_name = f"e{curve.epoch_names.index(curve.epoch_id)}"
    object_columns: dict[str, str] = {}
    if "objects" in job.inputs:
        given = job.inputs["objects"]
        has_index = get_catalog(given) is not None
        names = [*([HEALPIX_29.name] if has_index else []), *curve.object_names]
        object_columns = {f"o{i}": name for i, name in enumerate(names)}
        objects = _select(job, given, object_columns, workspace)
        own_name = f"o{names.index(curve.id)}"
        own = job.describe_input(given)[curve.id].type
        common = from_arrow_type(
            find_id_type(own, job.describe_input(job.main)[curve.epoch_id].type)
        )
        objects = objects.withColumn(id_name, F.col(own_name).cast(common))
        rows = rows.withColumn(id_name, F.col(id_name).cast(common))
        rows = rows.withColumn(IS_OBJECT, F.lit(False)).unionByName(
            objects.withColumn(IS_OBJECT, F.lit(True)), allowMissingColumns=True
        )
    schema = job.describe_new().to_arrow()
    plain = pa.schema([(field.name, field.type) for field in schema] + [(COUNTED, pa.binary())])
    n_partitions = workspace.n_cells or _count_partitions(job.main, workspace)
    key = F.col(HEALPIX_29.name)
    task = NestPartition(curve, epoch_columns, object_columns, plain)
    return (
        rows.repartition(n_partitions, F.col(id_name))
        .mapInArrow(task, from_arrow_schema(plain))
        .repartitionByRange(n_partitions, key, F.col(f"`{curve.id}`"))
        .sortWithinPartitions(key, f"`{curve.id}`")
    )


def _count_partitions(given: JobInput, workspace: Workspace) -> int:
    if given.source is None:
        n_rows = get_table(given).n_rows
    else:
        n_rows = given.source.n_rows or _guess_rows(given)
    return max(1, -(-n_rows // _EPOCHS_PER_PARTITION), min(workspace.parallelism, n_rows // 50_000))


def _select(
    job: LightCurveJob, given: JobInput, names: dict[str, str], workspace: Workspace
) -> DataFrame:
    """Return columns of an input under other names."""
    if given.source is not None:
        rows = given.source.to_dataframe(workspace.spark)
    elif get_catalog(given) is not None:
        rows = _read_catalog(job, given, list(names.values()), workspace)
    else:
        rows = _read_table(given, list(names.values()), workspace)
    columns: list[Column] = [F.col(f"`{name}`").alias(short) for short, name in names.items()]
    return rows.select(*columns)


def _read_catalog(
    job: LightCurveJob, given: JobInput, names: list[str], workspace: Workspace
) -> DataFrame:
    layout = open_layout(given, job).refine()
    n_cells = workspace.n_cells
    plan = plan_cells(
        layout, layout, keep_unplaced=True, n_cells=n_cells, parallelism=workspace.parallelism
    )

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for cell in plan.iterate_cells(batches):
            yield from layout.read(np.array([cell]), names).select(names).to_batches()

    schema = _to_plain(get_table(given).schema.select(names).to_arrow())
    return create_task_frame(workspace.spark, plan).mapInArrow(read, from_arrow_schema(schema))


def _read_table(given: JobInput, names: list[str], workspace: Workspace) -> DataFrame:
    """Return rows of a table without a spatial index, a task per file."""
    table = get_table(given)
    if given.region is not None:
        msg = f"Table `{table.uri}` does not know positions, which `region` needs."
        raise SchemaError(msg)
    rows, condition = table.to_dataset(), given.where
    fragments = list(rows.get_fragments()) if isinstance(rows, ds.FileSystemDataset) else []
    schema = _to_plain(table.schema.select(names).to_arrow())
    wanted = [*names, *(() if condition is None else columns_of(condition))]
    full = table.schema.select(dict.fromkeys(wanted)).to_arrow()

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        keep = None if condition is None else condition.to_arrow()
        for batch in batches:
            for number in batch.column(0).to_pylist():
                for found in fragments[number].to_batches(schema=full, columns=names, filter=keep):
                    yield from conform(pa.table(found), schema).to_batches()

    n = len(fragments)
    frame = workspace.spark.range(0, n, 1, max(n, 1))
    return frame.mapInArrow(read, from_arrow_schema(schema))


def _to_plain(schema: pa.Schema) -> pa.Schema:
    return pa.schema([(field.name, field.type) for field in schema])


def _guess_rows(given: JobInput) -> int:
    from pathlib import Path

    files = given.source.files if given.source is not None else ()
    return sum(Path(name).stat().st_size for name in files) // _BYTES_PER_ROW
