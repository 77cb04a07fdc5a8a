"""The ingest job: rows of a file become a catalog table, sorted on the sky."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
from astropy import units as u
from pydantic import BeforeValidator, Field
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ubspark.catalogs.appends import RowFacts
from ubspark.catalogs.parquet_sink import Constraint
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.catalogs.sky_sort import PieceTask, SkyKey, count_parts, sort_on_sky
from ubspark.catalogs.sources import NullRules, Source
from ubspark.catalogs.sources.data_model import (
    ModelTable,
    compare_columns,
    describe_columns,
    read_model,
)
from ubspark.catalogs.sources.frames import read_epoch
from ubspark.catalogs.sources.pieces import PieceReader
from ubspark.catalogs.writers import WrittenRows
from ubspark.columns import HEALPIX_29, NO_POSITION
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
from ubspark.recipes.ingest_roles import (
    DOUBLE_ROLES,
    find_roles,
    find_units,
    is_exact,
    validate_convention,
    validate_frame_names,
    validate_motion,
    validate_type,
    validate_units,
)
from ubspark.recipes.quantities import JulianYear
from ubspark.sky.frames import is_equatorial, validate_frame
from ubspark.sky.spark import with_icrs

__all__ = ["INGEST", "Ingest", "IngestParams"]

#: Times that a compressed file holds.
_COMPRESSED = 4
_EPOCH_CURE = (
    "`--epoch` takes a Julian year such as 2016.0 or J2016, a Besselian one such as B1950, or a "
    "column."
)
_CONSTRAINTS = (Constraint(HEALPIX_29.name, NO_POSITION),)


def _read_epoch_words(value: Any) -> Any:
    """Return the Julian year of ``J2000`` or ``B1950``; anything else as it is."""
    year = read_epoch(value) if isinstance(value, str) else None
    return value if year is None else year


class IngestParams(Params):
    """Parameters of the ingest job."""

    #: Role to column: ``id``, ``ra``, ``dec`` and what else the catalog has.
    roles: dict[str, str] = Field(default_factory=dict)
    #: Epoch of all positions: a Julian year, or ``J2000`` or ``B1950``; a column of epochs is the
    #: role ``epoch``.
    epoch: Annotated[JulianYear | None, BeforeValidator(_read_epoch_words)] = None
    #: Frame of the positions; by default what the file declares, else ICRS.
    frame: str | None = None
    #: Whether the column of role ``pmra`` includes cos(dec).
    pm_includes_cos_dec: bool | None = None
    #: Units of columns, where the file does not declare them or is wrong.
    units: dict[str, str] = Field(default_factory=dict)
    #: Table that the file should be, as the survey describes it in Felis: ``FILE#TABLE``.
    data_model: str | None = None
    #: Refuse a file that contradicts it, instead of reporting.
    strict: bool = False
    #: SHA-256 of the data model; set when the job is frozen.
    data_model_sha256: str | None = None
    #: Sentinels: ``-999`` in every number column, ``psfMag=99.99`` in one.
    nulls: tuple[str, ...] = ()


@dataclass
class _CountRows:
    """Counts the sorted rows on their way to the file, and nulls where none should be."""

    sort: PieceTask
    required: tuple[str, ...] = ()
    summary: dict[str, int] = field(default_factory=lambda: {"rows": 0, "unplaced": 0})

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterable[pa.Table]:
        for rows in self.sort(batches):
            index = rows[HEALPIX_29.name].to_numpy()
            self.summary["rows"] += len(index)
            self.summary["unplaced"] += int((index == NO_POSITION).sum())
            for name in self.required:
                key = f"null {name}"
                self.summary[key] = self.summary.get(key, 0) + rows[name].null_count
            yield rows


class Ingest:
    """Turn a file into a catalog table."""

    name = "ingest"
    version = "2"
    inputs: Mapping[str, str] = {"source": "file"}
    outputs: Sequence[str] = ("table",)
    params = IngestParams

    def resolve(self, inputs: Mapping[str, JobInput], params: IngestParams) -> IngestParams:
        """Find the roles, the frame and the epoch, and check them against the columns."""
        source, model = _source(inputs, params), _read_model(params)
        if model is not None:
            _validate_model(_source(inputs), model, params)
        roles = find_roles(source, params.roles)
        schema = _read_schema(source)
        if "epoch" in roles:
            schema.validate_columns([roles["epoch"]], table=source.path, cure=_EPOCH_CURE)
        schema.validate_columns([*roles.values(), *params.units], table=source.path)
        for role, column in roles.items():
            validate_type(schema[column], role, source)
        if roles["ra"] == roles["dec"]:
            msg = f"The roles `ra` and `dec` name one column, `{roles['ra']}`."
            raise ParameterError(msg)
        frame = validate_frame(params.frame or source.frame or "ICRS")
        validate_frame_names(frame, schema)
        rules = NullRules.parse(params.nulls).renamed(source.renamed)
        rules.validate({column.name: column.type for column in source.columns})
        units = find_units(schema, roles, params.units)
        validate_motion(roles)
        validate_units(roles, units)
        if "pmra" in roles:
            validate_convention(roles["pmra"], params.pm_includes_cos_dec, frame)
        epoch = params.epoch if params.epoch is not None or "epoch" in roles else source.epoch
        return params.model_copy(
            update={
                "roles": roles,
                "frame": frame,
                "epoch": epoch,
                "units": units,
                "data_model_sha256": model and model.sha256,
            }
        )

    def plan(
        self,
        inputs: Mapping[str, JobInput],
        params: IngestParams,
        *,
        n_cells: int | None,
        parallelism: int,  # noqa: ARG002 - the files decide
    ) -> list[Fact]:
        """Say what would be read and in how many partitions sorted."""
        source = _source(inputs)
        n_bytes = sum(Path(name).stat().st_size for name in source.files)
        return [
            Fact("source", source.path),
            Fact("format", source.format),
            Fact("files", len(source.files)),
            Fact("bytes to read", n_bytes, "B"),
            Fact("rows", source.n_rows if source.n_rows is not None else "not known"),
            Fact("frame", str(params.frame)),
            Fact("partitions", n_cells or _count_partitions(source)),
        ]

    def foresee(
        self, inputs: Mapping[str, JobInput], params: IngestParams
    ) -> Mapping[str, RowFacts]:
        """Return what is known of the table's rows before any is read."""
        source, roles = _source(inputs, params), _find_table_roles(params)
        known = CatalogRoles(roles, params.epoch, params.pm_includes_cos_dec).to_properties()
        properties = {**source.properties, **known}
        return {"table": RowFacts(_describe(source, params, roles), _CONSTRAINTS, properties)}

    def run(
        self, inputs: Mapping[str, JobInput], params: IngestParams, workspace: Workspace
    ) -> JobResult:
        """Return the catalog table, range-partitioned and sorted by ``_healpix_29``."""
        source, model = _source(inputs, params), _read_model(params)
        roles, facts = _find_table_roles(params), self.foresee(inputs, params)["table"]
        n_partitions = workspace.n_cells or _count_partitions(source)
        names = [name for name in facts.schema.names if name != HEALPIX_29.name]
        rows = _open_rows(source, params, names, workspace.spark)
        key = SkyKey(roles["id"], (roles["ra"], roles["dec"]))
        table = OutputTable(
            frame=sort_on_sky(rows, key, n_partitions, workspace.spark),
            task=_CountRows(PieceTask(key), _find_required(facts.schema, model)),
            schema=facts.schema,
            properties=facts.properties,
            constraints=facts.constraints,
        )

        def summarise(written: Mapping[str, WrittenRows]) -> Summary:
            summary = _summarise(source, params, roles, written["table"])
            if model is None:
                return summary
            return _report(summary, _source(inputs), model, written["table"])

        return JobResult({"table": table}, summarise)


INGEST = Ingest()


def _source(inputs: Mapping[str, JobInput], params: IngestParams | None = None) -> Source:
    """Return the file, its columns described by the data model where they do not say."""
    source = inputs["source"].source
    if source is None:
        msg = "`inputs.source` must give a file: `source: {path: FILE}`."
        raise ParameterError(msg)
    model = None if params is None else _read_model(params)
    if model is None:
        return source
    return replace(source, columns=describe_columns(source.columns, model))


def _read_model(params: IngestParams) -> ModelTable | None:
    return None if params.data_model is None else read_model(params.data_model)


def _validate_model(source: Source, model: ModelTable, params: IngestParams) -> None:
    """Refuse a data model that has changed, and where asked a file that contradicts it."""
    if params.data_model_sha256 not in (None, model.sha256):
        msg = (
            f"The data model `{params.data_model}` has changed: its SHA-256 is "
            f"{model.sha256[:12]}…, and was {str(params.data_model_sha256)[:12]}…."
        )
        raise ParameterError(msg)
    faults = compare_columns(source.columns, model).find_faults()
    if faults and params.strict:
        msg = f"`{source.path}` is no {model.title}. {' '.join(faults)}"
        raise SchemaError(msg)


def _find_required(schema: TableSchema, model: ModelTable | None) -> tuple[str, ...]:
    return () if model is None else tuple(name for name in model.required if name in schema)


def _report(summary: Summary, source: Source, model: ModelTable, written: WrittenRows) -> Summary:
    """Return the summary with how the file compares with its data model."""
    found = compare_columns(source.columns, model)
    metrics = {
        "model_columns_known": len(found.known),
        "model_columns_absent": len(found.absent),
        "model_columns_foreign": len(found.foreign),
        "model_types_other": len(found.types),
        "model_units_other": len(found.units),
    }
    notes = [*summary.notes, *found.tell()]
    nulls: Counter[str] = Counter()
    for part in written.summaries:
        nulls += Counter({k[5:]: n for k, n in part.items() if k.startswith("null ")})
    metrics["model_nulls"] = nulls.total()
    for name, n in nulls.items():
        notes.append(f"Column `{name}` is null in {n:,} rows, which {model.title} does not allow.")
    return Summary({**summary.metrics, **metrics}, summary.figures, notes, summary.tables)


def _read_schema(source: Source) -> TableSchema:
    # An index that came along is computed anew.
    columns = (
        TableColumn(c.name, c.type, True, c.unit, c.ucd, c.description, c.extra)
        for c in source.columns
        if c.name != HEALPIX_29.name
    )
    return TableSchema(tuple(columns)).widen()


def _open_rows(
    source: Source, params: IngestParams, names: Sequence[str], spark: SparkSession
) -> DataFrame | PieceReader:
    """Return the rows of the table without the index.

    Where nothing is to be changed in them the tasks read them without a way through Java.
    """
    pieces = source.open_pieces()
    is_plain = (
        not params.nulls
        and not _find_exact(source, params.roles)
        and is_equatorial(str(params.frame))
        and all(_get_factor(params, role) == 1.0 for role in ("ra", "dec"))
    )
    if is_plain and pieces is not None and pieces.n_pieces:
        return pieces.select(names)
    rows = source.to_dataframe(spark, nulls=NullRules.parse(params.nulls))
    rows = _place(_widen_roles(rows, source, params.roles), params)
    return rows.select(*(f"`{name}`" for name in names))


def _find_exact(source: Source, roles: Mapping[str, str]) -> list[str]:
    """Return the columns of astrometric roles that hold whole numbers."""
    exact = {column.name for column in _read_schema(source).columns if is_exact(column.type)}
    return [roles[role] for role in DOUBLE_ROLES if roles.get(role) in exact]


def _get_factor(params: IngestParams, role: str) -> float:
    """Return what turns a coordinate into degrees."""
    unit = params.units.get(params.roles[role], "deg")
    return float(u.Unit(unit).to(u.deg))


def _widen_roles(rows: DataFrame, source: Source, roles: Mapping[str, str]) -> DataFrame:
    """Return the rows with whole numbers in the astrometric roles as doubles.

    Whether a file writes 10 or 10.0 must not decide whether its rows can be added to a table.
    """
    for column in _find_exact(source, roles):
        rows = rows.withColumn(column, F.col(f"`{column}`").cast("double"))
    return rows


def _find_table_roles(params: IngestParams) -> dict[str, str]:
    """Return the roles of the table, whose positions are ICRS."""
    converted = {} if is_equatorial(str(params.frame)) else {"ra": "ra", "dec": "dec"}
    return {**params.roles, **converted}


def _place(rows: DataFrame, params: IngestParams) -> DataFrame:
    """Return the rows with ICRS positions in degrees."""
    roles = params.roles
    for role in ("ra", "dec"):
        factor = _get_factor(params, role)
        if factor != 1.0:
            value = F.col(f"`{roles[role]}`").cast("double") * F.lit(factor)
            rows = rows.withColumn(roles[role], value)
    frame = str(params.frame)
    if not is_equatorial(frame):
        rows = with_icrs(rows, roles["ra"], roles["dec"], frame)
    return rows


def _describe(source: Source, params: IngestParams, roles: Mapping[str, str]) -> TableSchema:
    """Return the schema of the catalog table: the index first, then the source's columns."""
    columns = [TableColumn.from_vocabulary(HEALPIX_29)]
    model = _read_model(params) if params.strict else None
    required = set() if model is None else set(model.required)
    doubles = {params.roles[role] for role in DOUBLE_ROLES if role in params.roles}
    for column in _read_schema(source).columns:
        unit = params.units.get(column.name) or column.unit
        kind = pa.float64() if column.name in doubles and is_exact(column.type) else column.type
        if column.name in (params.roles["ra"], params.roles["dec"]) and unit not in (None, "deg"):
            kind = pa.float64()
        if column.name in (roles["ra"], roles["dec"]):
            unit = "deg"
        columns.append(
            TableColumn(
                column.name,
                kind,
                column.name != roles["id"] and column.name not in required,
                unit,
                column.ucd,
                column.description,
                column.extra,
            )
        )
    if not is_equatorial(str(params.frame)):
        for name, ucd in (("ra", "pos.eq.ra"), ("dec", "pos.eq.dec")):
            text = f"ICRS, converted from {params.frame}"
            columns.append(TableColumn(name, pa.float64(), True, "deg", ucd, text))
    return TableSchema(tuple(columns))


def _count_partitions(source: Source) -> int:
    stored = sum(
        Path(name).stat().st_size * (_COMPRESSED if name.endswith((".gz", ".parquet")) else 1)
        for name in source.files
    )
    return count_parts(stored, source.n_rows or 0, source.arrow_schema)


def _summarise(
    source: Source, params: IngestParams, roles: Mapping[str, str], written: WrittenRows
) -> Summary:
    n_unplaced = sum(part["unplaced"] for part in written.summaries)
    notes = list(source.remarks)
    if written.n_rows == 0:
        notes.append(f"`{source.path}` has no rows; the table is empty.")
    if n_unplaced:
        notes.append(
            f"{n_unplaced} rows have no usable position; they are kept with `_healpix_29` = -1."
        )
    for old, new in source.renamed.items():
        notes.append(f"Column `{old}` is called `{new}` in the table.")
    for role in ("ra", "dec"):
        unit = params.units.get(params.roles[role], "deg")
        if u.Unit(unit) != u.deg:
            notes.append(f"Column `{params.roles[role]}` was converted from {unit} to degrees.")
    if not is_equatorial(str(params.frame)):
        notes.append(f"Positions were converted from {params.frame} to ICRS.")
    if params.roles["ra"] not in params.units:
        notes.extend(_suspect_unit(written, roles))
    return Summary(
        {"rows": written.n_rows, "rows_without_position": n_unplaced}, notes=tuple(notes)
    )


def _suspect_unit(written: WrittenRows, roles: Mapping[str, str]) -> list[str]:
    """Return a warning where undeclared positions would all fit radians or hours."""
    ra, dec = (_read_range(written, roles[role]) for role in ("ra", "dec"))
    if ra is None or dec is None or ra[0] < 0 or written.n_rows < _MIN_SUSPECT_ROWS:
        return []
    if ra[1] <= _TWO_PI and max(-dec[0], dec[1]) <= _TWO_PI / 4:
        unit = "rad"
    elif ra[1] <= _HOURS:
        unit = "hourangle"
    else:
        return []
    msg = (
        f"All positions would fit the unit {unit}; they were taken as degrees, since the file "
        f"does not say. If that is wrong, ingest again with `--unit {roles['ra']}={unit}`."
    )
    return [msg]


_TWO_PI = 6.2832
_HOURS = 24.0
#: A handful of stars may lie anywhere.
_MIN_SUSPECT_ROWS = 100


def _read_range(written: WrittenRows, column: str) -> tuple[float, float] | None:
    stats: list[dict[str, Any]] = [json.loads(file.stats) for file in written.files]
    if any(column not in part["minValues"] for part in stats) or not stats:
        return None
    low = min(part["minValues"][column] for part in stats)
    return low, max(part["maxValues"][column] for part in stats)
