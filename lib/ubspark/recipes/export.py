"""The export job: a table, or files, become a folder of files for other tools and other places."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from ubspark.catalogs.catalog import Catalog, CatalogLayout
from ubspark.catalogs.delta import TableVersion
from ubspark.catalogs.export.origin import Origin
from ubspark.catalogs.export.parquet_file import ParquetForm
from ubspark.catalogs.export.rows import RowReader
from ubspark.catalogs.export.shards import SHARD_FORMATS, ParquetShards, ShardWriter
from ubspark.catalogs.export.staging import StagingFolder
from ubspark.catalogs.export.written import WrittenFolder
from ubspark.catalogs.hats import HatsCatalog
from ubspark.catalogs.hats.form import HatsForm
from ubspark.catalogs.hats.java_properties import split_list
from ubspark.catalogs.hats.stated import is_computed, select_inherited
from ubspark.catalogs.hats.writer import HatsWriter
from ubspark.catalogs.kept_types import to_kept_schema, to_plain_schema
from ubspark.catalogs.schema import TableSchema
from ubspark.catalogs.selection import select_rows
from ubspark.catalogs.sources.hats import HATS_PROPERTY
from ubspark.columns import HEALPIX_29
from ubspark.errors import ParameterError, SchemaError
from ubspark.recipes.base import (
    Fact,
    JobInput,
    JobResult,
    OutputFolder,
    Params,
    Summary,
    Workspace,
)
from ubspark.recipes.quantities import AngleArcsec
from ubspark.recipes.unsorted import stage_inputs
from ubspark.sky.rings import MAX_RING_RADIUS_ARCSEC

__all__ = ["EXPORT", "Export", "ExportParams"]

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
#: Smaller than at level 1 by a tenth, and as fast; above, time grows faster than space falls.
_ZSTD_LEVEL = 3
_HATS_ONLY = (
    "bad_rows",
    "max_bytes",
    "lowest_order",
    "highest_order",
    "margins",
    "indexes",
    "statistics",
    "properties",
)
#: Properties that name columns.
_COLUMN_LISTS = ("hats_cols_default", "hats_cols_survey_id")
#: Columns of files that tell their partition; those of other files tell another one.
_PARTITION_COLUMNS = ("Norder", "Dir", "Npix")
#: Where a value is, beside the value itself; case does not tell columns apart.
_INDEX_COLUMNS = (HEALPIX_29.name, *(name.lower() for name in _PARTITION_COLUMNS))
_PARQUET_ONLY = ("row_group_rows", "compression")
Order = Annotated[int, Field(ge=0, le=29)]
Rows = Annotated[int, Field(ge=1)]


class ExportParams(Params):
    """Parameters of the export job."""

    format: Literal["hats", "parquet", "fits", "votable"]
    #: Name of the catalog, and beginning of the names of files; by default that of the table.
    name: Annotated[str, Field(pattern=_NAME)] | None = None
    #: HATS refuses or leaves out rows without a usable position; other formats hold them.
    bad_rows: Literal["leave_out", "error"] = "leave_out"
    #: Largest number of rows of a partition or of a file.
    max_rows: Rows = 1_000_000
    #: Largest number of bytes of a partition, compressed; estimated beforehand.
    max_bytes: Rows | None = None
    row_group_rows: Rows = 65_536
    compression: Literal["zstd", "snappy", "gzip", "lz4", "none"] = "zstd"
    #: By default 3 for zstd, and what the codec itself takes for the others.
    compression_level: int | None = None
    #: HATS: ``object``, or ``source`` for detections; by default what the catalog was.
    kind: Literal["object", "source"] | None = None
    lowest_order: Order = 0
    highest_order: Order = 10
    #: HATS: how far margin caches reach, one for each; and columns that get an index.
    margins: tuple[AngleArcsec, ...] = ()
    indexes: tuple[str, ...] = ()
    #: HATS: write ``per_partition_statistics.parquet``.
    statistics: bool = False
    #: HATS: further properties, such as ``obs_title``.
    properties: dict[str, str] = Field(default_factory=dict)
    #: Whether columns get back the Arrow types that they had at ``source``, where a table lacks
    #: those, or leave in those of the ``table``.
    types: Literal["source", "table"] = "source"


class Export:
    """Write a table as a HATS catalog, or as Parquet, FITS or VOTable files."""

    name = "export"
    version = "2"
    inputs: Mapping[str, str] = {"table": "catalog"}
    outputs: Mapping[str, str] = {"folder": "folder"}
    params = ExportParams

    def resolve(self, inputs: Mapping[str, JobInput], params: ExportParams) -> ExportParams:
        """Name the export, and check columns and orders."""
        given = inputs["table"]
        table = _table(given)
        schema = _choose(given, params)
        level = params.compression_level
        if level is None and params.compression == "zstd":
            level = _ZSTD_LEVEL
        ParquetForm(params.compression, level).validate()
        _validate_options(params)
        if params.format == "hats":
            _validate_hats(params, schema, table)
        else:
            stored = _find_types(schema, params)
            SHARD_FORMATS[params.format].validate(stored, table=given.short_name)
        kind = params.kind or _find_kind(table)
        name = params.name or given.short_name
        return params.model_copy(update={"name": name, "kind": kind, "compression_level": level})

    def plan(
        self,
        inputs: Mapping[str, JobInput],
        params: ExportParams,
        *,
        n_cells: int | None,
        parallelism: int,  # noqa: ARG002 - the files decide
    ) -> list[Fact]:
        """Say what would be read; the partitions are known when rows were counted."""
        _ = n_cells
        given = inputs["table"]
        table = _table(given)
        schema = _choose(given, params)
        share = table.read_layout().refine().estimate_share(schema.names)
        chosen = {"region": given.region, "where": given.where}
        return [
            Fact("table", str(table)),
            *(Fact(key, str(value)) for key, value in chosen.items() if value),
            Fact("format", params.format),
            Fact("columns", len(schema.names)),
            Fact("rows of the table", table.n_rows),
            Fact("bytes to read, at most", round(share * table.n_bytes), "B"),
            Fact("files, at least", -(-table.n_rows // params.max_rows)),
        ]

    def run(
        self, inputs: Mapping[str, JobInput], params: ExportParams, workspace: Workspace
    ) -> JobResult:
        """Return the folder, written by tasks that read the table themselves.

        Files, whose rows come in any order, are sorted on the sky before.
        """
        given = stage_inputs(inputs, workspace)["table"]

        def write(staging: StagingFolder) -> WrittenFolder:
            return _build_writer(given, params, staging.key).write(workspace.spark, staging)

        def summarise(written: Mapping[str, Any]) -> Summary:
            return _summarise(written["folder"], params, _find_stale(given, params))

        return JobResult({"folder": OutputFolder(params.format, write)}, summarise)


EXPORT = Export()


def _table(given: JobInput) -> Catalog:
    if given.table is None:
        msg = f"`inputs.{given.name}` must name a table."
        raise ParameterError(msg)
    if not given.table.is_catalog:
        msg = (
            f"Table `{given.table.uri}` is not a catalog table: it has no `_healpix_29`. "
            f"Make one of it with `ubspark ingest`."
        )
        raise SchemaError(msg)
    return given.table


def _choose(given: JobInput, params: ExportParams) -> TableSchema:
    """Return the columns of the export: the index, the positions, and what is asked for."""
    schema = _list_columns(given)
    stale = _find_stale(given, params)
    return schema.select([name for name in schema.names if name not in stale])


def _find_stale(given: JobInput, params: ExportParams) -> list[str]:
    """Return the columns that tell in which partition of another catalog a row was."""
    names = _list_columns(given).names
    return [n for n in _PARTITION_COLUMNS if n in names] if params.format == "hats" else []


def _list_columns(given: JobInput) -> TableSchema:
    schema = _table(given).schema
    if given.columns is None:
        names = schema.names
    else:
        schema.validate_columns(given.columns, table=given.short_name)
        ra, dec = _find_position(given)
        names = (
            *(name for name in (ra, dec) if name and name not in given.columns),
            *given.columns,
        )
    return schema.select(dict.fromkeys([HEALPIX_29.name, *names]))


def _find_position(given: JobInput) -> tuple[str | None, str | None]:
    roles = _table(given).roles.override(given.roles)
    return roles.get("ra"), roles.get("dec")


def _validate_options(params: ExportParams) -> None:
    """Refuse what the format does not know: a promise that nothing would keep."""
    ours = params.format
    foreign = [] if ours == "hats" else list(_HATS_ONLY)
    foreign += [] if ours in ("hats", "parquet") else _PARQUET_ONLY
    fields = ExportParams.model_fields
    for name in foreign:
        given = getattr(params, name)
        if given != fields[name].get_default(call_default_factory=True):
            place = "HATS catalogs" if name in _HATS_ONLY else "HATS and Parquet"
            msg = f"`params.{name}` is for {place}, and the format is `{ours}`. Leave it out."
            raise ParameterError(msg)


def _find_types(schema: TableSchema, params: ExportParams) -> pa.Schema:
    """Return the columns in the types that are written."""
    return to_kept_schema(schema) if params.types == "source" else to_plain_schema(schema)


def _validate_hats(params: ExportParams, schema: TableSchema, table: Catalog) -> None:
    if params.lowest_order > params.highest_order:
        msg = (
            f"`params.lowest_order` must be at most `params.highest_order`, "
            f"got {params.lowest_order} and {params.highest_order}."
        )
        raise ParameterError(msg)
    schema.validate_columns(params.indexes, table=table.uri)
    for key, given in (("indexes", params.indexes), ("margins", params.margins)):
        # By the names that their catalogs get.
        names = [value if isinstance(value, str) else f"{value:g}" for value in given]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            msg = f"`params.{key}` must differ, got {twice} twice."
            raise ParameterError(msg)
    for column in params.indexes:
        if column.lower() in _INDEX_COLUMNS:
            msg = f"`params.indexes` cannot hold `{column}`, which an index catalog has of its own."
            raise ParameterError(msg)
        if re.search(r"[\s/\\]", column):
            msg = (
                f"`params.indexes` cannot hold `{column}`: the name is part of that of a folder, "
                f"and may have no blank and no slash. Rename it at ingest."
            )
            raise ParameterError(msg)
        if pa.types.is_nested(schema[column].type):
            msg = f"`params.indexes` cannot hold `{column}`, whose values are lists or structs."
            raise ParameterError(msg)
    told = sorted(key for key in params.properties if is_computed(key))
    if told:
        msg = (
            f"`params.properties` cannot hold `{told[0]}`, which the writer states itself. Give "
            f"what describes the data, such as `obs_title`."
        )
        raise ParameterError(msg)
    for key in _COLUMN_LISTS:
        schema.validate_columns(split_list(params.properties.get(key)), table=table.uri)
    wrong = [margin for margin in params.margins if not 0 < margin <= MAX_RING_RADIUS_ARCSEC]
    if wrong:
        msg = (
            f"`params.margins` must be larger than 0 and at most {MAX_RING_RADIUS_ARCSEC:g} "
            f"arcsec, got {wrong[0]:g} arcsec."
        )
        raise ParameterError(msg)


def _build_writer(given: JobInput, params: ExportParams, key: str) -> HatsWriter | ShardWriter:
    table = _table(given)
    schema = _choose(given, params)
    ra, dec = _find_position(given)
    source = select_rows(
        table.read_layout(), region=given.region, condition=given.where, ra=ra, dec=dec
    )
    reader = _build_reader(source, schema, _find_types(schema, params), table)
    origin = _describe_origin(given, key)
    parquet = ParquetForm(params.compression, params.compression_level, params.row_group_rows)
    if params.format != "hats":
        shards = SHARD_FORMATS[params.format]
        if isinstance(shards, ParquetShards):
            shards = ParquetShards(parquet)
        return ShardWriter(reader, params.format, shards, origin, str(params.name), params.max_rows)
    if ra is None or dec is None:
        msg = f"Table `{table.uri}` does not say which columns are its positions."
        raise SchemaError(msg)
    form = _build_form(params, table, schema, ra, dec)
    return HatsWriter(reader, schema, form, parquet, origin)


def _build_reader(
    source: CatalogLayout, schema: TableSchema, types: pa.Schema, table: Catalog
) -> RowReader:
    id_column = table.roles.get("id")
    sort = (id_column,) if id_column in schema.names else ()
    # Nested values have no width of their own: the files tell what a row may take.
    flat = sum(_width(column.type) for column in schema.columns)
    stored = 4 * table.n_bytes / max(1, table.n_rows)
    return RowReader(source, types, max(flat, stored), tuple(filter(None, sort)))


def _width(kind: pa.DataType) -> float:
    try:
        return float(kind.bit_width / 8 + 1)
    except ValueError:
        return 40.0


def _build_form(
    params: ExportParams, table: Catalog, schema: TableSchema, ra: str, dec: str
) -> HatsForm:
    inherited = _find_inherited(table)
    inherited.pop("obs_collection", None)
    for key in _COLUMN_LISTS:
        kept = [name for name in split_list(inherited.pop(key, None)) if name in schema]
        inherited |= {key: " ".join(kept)} if kept else {}
    stated = {}
    if table.roles.epoch is not None:
        stated["hats_coordinate_epoch"] = f"J{table.roles.epoch!r}"
    identifier = table.roles.get("id")
    if identifier in schema and "hats_cols_survey_id" not in inherited:
        stated["hats_cols_survey_id"] = str(identifier)
    return HatsForm(
        name=str(params.name),
        kind=str(params.kind),
        ra=ra,
        dec=dec,
        max_rows=params.max_rows,
        max_bytes=params.max_bytes,
        lowest_order=params.lowest_order,
        highest_order=params.highest_order,
        margins_arcsec=params.margins,
        indexes=params.indexes,
        has_statistics=params.statistics,
        refuse_unplaced=params.bad_rows == "error",
        properties={**inherited, **stated, **params.properties},
    )


def _find_kind(table: Catalog) -> str:
    """Return ``object``, or ``source`` where the rows come from such a catalog."""
    if isinstance(table, HatsCatalog):
        return "source" if table.properties.kind == "source" else "object"
    properties = table.properties if isinstance(table, TableVersion) else {}
    return properties.get(HATS_PROPERTY + "dataproduct_type", "object")


def _find_inherited(table: Catalog) -> dict[str, str]:
    """Return what the catalog behind a table said of itself, or the catalog that is copied."""
    if isinstance(table, HatsCatalog):
        return select_inherited(table.properties.entries)
    if not isinstance(table, TableVersion):
        return {}
    return {
        key.removeprefix(HATS_PROPERTY): value
        for key, value in table.properties.items()
        if key.startswith(HATS_PROPERTY) and not key.endswith(".dataproduct_type")
    }


def _describe_origin(given: JobInput, key: str) -> Origin:
    table = _table(given)
    chosen = {"region": given.region, "where": given.where}
    selection = {name: str(value) for name, value in chosen.items() if value is not None}
    identity = table.table_id if isinstance(table, TableVersion) else None
    return Origin(str(table), identity, selection, key)


def _summarise(written: WrittenFolder, params: ExportParams, stale: Sequence[str]) -> Summary:
    metrics = {
        "rows": written.n_rows,
        "rows_without_position": written.n_unplaced,
        "files": len(written.files),
    }
    notes = []
    if written.n_unplaced and params.format == "hats":
        notes.append(
            f"{written.n_unplaced} rows have no usable position; they are left out of the catalog."
        )
    if stale:
        notes.append(
            f"{', '.join(f'`{name}`' for name in stale)} told the partition of a row in another "
            f"catalog and would be wrong in this one; they are left out."
        )
    return Summary(metrics, notes=notes)
