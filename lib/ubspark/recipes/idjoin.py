"""The idjoin job: the rows of a big table for a list of identifiers, in the order of the list."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from ubspark.catalogs.catalog import CatalogLayout
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.catalogs.selection import read_rows, select_rows
from ubspark.catalogs.writers import WrittenRows
from ubspark.columns import HEALPIX_29, IS_FOUND, LIST_ROW
from ubspark.crossmatch.plan import CellPlan, plan_cells
from ubspark.crossmatch.spark import create_task_frame
from ubspark.errors import ParameterError, SchemaError
from ubspark.recipes.base import (
    Fact,
    JobInput,
    JobResult,
    OutputTable,
    Params,
    Summary,
    Workspace,
)
from ubspark.recipes.identifiers import validate_ids
from ubspark.recipes.pair_table import get_table, validate_names

__all__ = ["IDJOIN", "IdJoin", "IdJoinParams"]

#: A longer list is a table of its own: join it in Spark.
_MAX_IDS = 5_000_000
_ROWS_PER_FILE = 1_000_000
#: Identifiers that a note shows.
_SHOWN = 5


class IdJoinParams(Params):
    """Parameters of the idjoin job."""

    #: Column of the list that holds the identifiers; by default its role ``id``, its only column,
    #: or the one named as that of the table.
    id_column: str | None = None
    #: Column of the table to look them up in; its role ``id`` by default.
    key: str | None = None
    #: Suffix of columns of the table whose name the list has too.
    suffix: str = "_table"


@dataclass
class _FindRows:
    """A Spark task: the rows of some cells whose key is in the list, once per place in it."""

    source: CatalogLayout
    plan: CellPlan
    key: str
    #: Columns to return, and their names there.
    payload: Mapping[str, str]
    #: Identifiers of the list, of the type of the key, and their places in it.
    wanted: pa.Table

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for cell in self.plan.iterate_cells(batches):
            yield from self._find(np.array([cell])).to_batches()

    def _find(self, ranges: NDArray[np.int64]) -> pa.Table:
        rows = self.source.read(ranges, list(dict.fromkeys([self.key, *self.payload])))
        rows = rows.filter(pc.is_in(rows[self.key], value_set=self.wanted["id"]))
        number = pa.array(np.arange(rows.num_rows))
        keyed = pa.table({"id": rows[self.key], "row": number})
        pairs = keyed.join(self.wanted, "id", join_type="inner")
        found = rows.select(list(self.payload)).rename_columns(list(self.payload.values()))
        return found.take(pairs["row"]).append_column(LIST_ROW.name, pairs[LIST_ROW.name])


@dataclass
class _CountFound:
    """Counts identifiers on their way to the file, and remembers some that were not found."""

    id_column: str
    summary: dict[str, Any] = field(default_factory=lambda: {"found": 0, "missing": []})

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            is_found = batch.column(IS_FOUND.name)
            self.summary["found"] += is_found.true_count
            self.summary["missing"] += (
                batch.column(self.id_column).filter(pc.invert(is_found)).to_pylist()
            )
            yield batch


class IdJoin:
    """Look identifiers up in a table."""

    name = "idjoin"
    version = "1"
    inputs: Mapping[str, str] = {"ids": "rows", "table": "table"}
    outputs: Sequence[str] = ("rows",)
    params = IdJoinParams

    def resolve(self, inputs: Mapping[str, JobInput], params: IdJoinParams) -> IdJoinParams:
        """Find the two columns and check that they can be compared."""
        table = get_table(inputs["table"])
        if not table.is_catalog:
            msg = (
                f"Table `{table.uri}` is not a catalog table: it has no `_healpix_29`. "
                f"Make one of it with `ubspark ingest`."
            )
            raise SchemaError(msg)
        key = params.key or table.roles.override(inputs["table"].roles).get("id")
        if key is None:
            msg = (
                f"Table `{table.uri}` does not say which column is its `id`. Name the column to "
                f"look in as `params.key`."
            )
            raise ParameterError(msg)
        table.schema.validate_columns([key], table=table.uri)
        listed = _describe_list(inputs["ids"])
        column = params.id_column or _guess_column(inputs["ids"], listed, key)
        listed.validate_columns([column], table=inputs["ids"].short_name)
        validate_ids(list=listed[column], table=table.schema[key])
        resolved = params.model_copy(update={"id_column": column, "key": key})
        _describe(inputs, resolved)
        return resolved

    def plan(
        self,
        inputs: Mapping[str, JobInput],
        params: IdJoinParams,
        *,
        n_cells: int | None,
        parallelism: int,
    ) -> list[Fact]:
        """Estimate what the job reads."""
        table = get_table(inputs["table"])
        layout = table.read_layout()
        columns = [str(params.key), *_find_payload(inputs, params)]
        n_bytes = layout.estimate_share(columns) * table.n_bytes
        return [
            Fact("table", str(table)),
            Fact("rows", table.n_rows),
            Fact(f"bytes to read, of {table.n_bytes:,}, at most", round(n_bytes), "B"),
            Fact("tasks", _cut(layout, n_cells, parallelism=parallelism).n_tasks),
        ]

    def run(
        self, inputs: Mapping[str, JobInput], params: IdJoinParams, workspace: Workspace
    ) -> JobResult:
        """Return a row for each identifier and each row of the table that has it."""
        spark = workspace.spark
        listed = _read_list(inputs["ids"], params, workspace)
        task = _build_task(inputs, params, listed, workspace)
        schema = _describe(inputs, params)
        found_schema = pa.schema(
            [*schema.select(task.payload.values()).to_arrow(), pa.field(LIST_ROW.name, pa.int64())]
        )
        found = (
            create_task_frame(spark, task.plan)
            .mapInArrow(task, from_arrow_schema(found_schema))
            .withColumn(IS_FOUND.name, F.lit(True))
        )
        rows = (
            spark.createDataFrame(listed)
            .join(found, LIST_ROW.name, how="left")
            .fillna(False, [IS_FOUND.name])
            .select(*(f"`{name}`" for name in schema.names))
            .repartitionByRange(max(1, listed.num_rows // _ROWS_PER_FILE), LIST_ROW.name)
            .sortWithinPartitions(*(f"`{name}`" for name in _find_order(schema)))
        )
        table = OutputTable(rows, schema, {}, task=_CountFound(str(params.id_column)))

        def report(written: Mapping[str, WrittenRows]) -> Summary:
            return _summarise(listed.num_rows, written["rows"])

        return JobResult({"rows": table}, report)


IDJOIN = IdJoin()


def _cut(layout: CatalogLayout, n_cells: int | None, *, parallelism: int) -> CellPlan:
    return plan_cells(layout, layout, keep_unplaced=True, n_cells=n_cells, parallelism=parallelism)


def _build_task(
    inputs: Mapping[str, JobInput],
    params: IdJoinParams,
    listed: pa.Table,
    workspace: Workspace,
) -> _FindRows:
    given = inputs["table"]
    table, key = get_table(given), str(params.key)
    roles = table.roles.override(given.roles)
    ids = _conform_ids(listed[str(params.id_column)], table.schema[key].type)
    layout = select_rows(
        table.read_layout(),
        region=given.region,
        condition=given.where,
        ra=roles.get("ra"),
        dec=roles.get("dec"),
    )
    wanted = pa.table({"id": ids, LIST_ROW.name: listed[LIST_ROW.name]}).drop_null()
    plan = _cut(layout, workspace.n_cells, parallelism=workspace.parallelism)
    return _FindRows(layout, plan, key, _find_payload(inputs, params), wanted)


def _conform_ids(ids: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return identifiers in the type of the key; what that cannot hold is null, and not found."""
    if not pa.types.is_integer(kind):
        return ids.cast(kind)
    wide = ids.cast(pa.decimal128(38, 0))
    bounds = np.iinfo(kind.to_pandas_dtype())
    low, high = (pa.scalar(Decimal(int(end)), wide.type) for end in (bounds.min, bounds.max))
    fits = pc.and_(pc.greater_equal(wide, low), pc.less_equal(wide, high))
    return pc.if_else(fits, wide, pa.scalar(None, wide.type)).cast(kind)


def _read_list(given: JobInput, params: IdJoinParams, workspace: Workspace) -> pa.Table:
    """Return the list with the place of each row, in the order of the file or the table."""
    names = list(_find_listed(given, params))
    if given.source is not None:
        frame = given.source.to_dataframe(workspace.spark)
        rows = frame.select(*(f"`{name}`" for name in names)).limit(_MAX_IDS + 1).toArrow()
    else:
        table = get_table(given)
        rows = read_rows(
            table, names, region=given.region, condition=given.where, limit=_MAX_IDS + 1
        )
    if rows.num_rows > _MAX_IDS:
        msg = (
            f"`inputs.ids` has more than {_MAX_IDS:,} rows. Ingest it and join the two tables "
            f"in Spark."
        )
        raise ParameterError(msg)
    return rows.append_column(LIST_ROW.name, pa.array(np.arange(rows.num_rows)))


def _describe_list(given: JobInput) -> TableSchema:
    if given.source is None:
        return get_table(given).schema
    columns = (
        TableColumn(c.name, c.type, True, c.unit, c.ucd, c.description)
        for c in given.source.columns
    )
    return TableSchema(tuple(columns)).widen()


def _find_listed(given: JobInput, params: IdJoinParams) -> tuple[str, ...]:
    """Return the columns of the list that the output keeps."""
    names = _describe_list(given).names if given.columns is None else given.columns
    kept = [name for name in names if name != HEALPIX_29.name]
    return tuple(dict.fromkeys([str(params.id_column), *kept]))


def _find_payload(inputs: Mapping[str, JobInput], params: IdJoinParams) -> dict[str, str]:
    """Return the columns that the output keeps of the table, and their names there."""
    given = inputs["table"]
    table = get_table(given)
    names = table.schema.names if given.columns is None else given.columns
    table.schema.validate_columns(names, table=given.short_name)
    taken = {name.lower() for name in _find_listed(inputs["ids"], params)}
    return {
        name: name + params.suffix if name.lower() in taken else name
        for name in names
        if name not in (HEALPIX_29.name, params.key)
    }


def _describe(inputs: Mapping[str, JobInput], params: IdJoinParams) -> TableSchema:
    listed, table = _describe_list(inputs["ids"]), get_table(inputs["table"]).schema
    listed.validate_columns(_find_listed(inputs["ids"], params), table=inputs["ids"].short_name)
    columns = [TableColumn.from_vocabulary(column) for column in (LIST_ROW, IS_FOUND)]
    columns += [listed[n].rename(n) for n in _find_listed(inputs["ids"], params)]
    columns += [table[own].rename(name) for own, name in _find_payload(inputs, params).items()]
    validate_names(columns)
    return TableSchema(tuple(columns))


def _find_order(schema: TableSchema) -> list[str]:
    """Return what rows are sorted by: the place in the list, then all that Spark can sort."""
    flat = (c.name for c in schema.columns if not pa.types.is_nested(c.type))
    return [LIST_ROW.name, *(name for name in flat if name != LIST_ROW.name)]


def _guess_column(given: JobInput, listed: TableSchema, key: str) -> str:
    """Return the column of identifiers of a list that does not say.

    Raises
    ------
    ParameterError
        If more than one could be meant.
    """
    known = {} if given.table is None else given.table.roles.columns
    roles = {**known, **given.roles}
    if "id" in roles:
        return str(roles["id"])
    if len(listed.names) == 1:
        return listed.names[0]
    same = [name for name in listed.names if name.lower() == key.lower()]
    if same:
        return same[0]
    shown = ", ".join(listed.names[:30])
    msg = f"Say which column of the list has the identifiers, `params.id_column`: {shown}."
    raise ParameterError(msg)


def _summarise(n_listed: int, written: WrittenRows) -> Summary:
    missing = [value for part in written.summaries for value in part["missing"]]
    metrics = {
        "listed": n_listed,
        "rows_found": sum(part["found"] for part in written.summaries),
        "not_found": len(missing),
    }
    notes = []
    if missing:
        shown = ", ".join(str(value) for value in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
        notes.append(
            f"{len(missing):,} of {n_listed:,} identifiers are not in the table: {shown}{more}. "
            f"Their rows have `{IS_FOUND.name}` false."
        )
    return Summary(metrics, notes=notes)
