"""The classify job: a model gives each row of a feature table its class and probabilities."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ubspark.catalogs.catalog import CatalogLayout
from ubspark.catalogs.delta import TableVersion
from ubspark.catalogs.export.manifest import MANIFEST_FILE, is_export, read_manifest
from ubspark.catalogs.parquet_sink import Constraint
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.catalogs.selection import select_rows
from ubspark.catalogs.writers import WrittenRows
from ubspark.columns import HEALPIX_29, NO_POSITION
from ubspark.crossmatch.plan import CatalogSource
from ubspark.errors import SchemaError
from ubspark.features.model import LABEL, ClassifierModel, load_card, load_model
from ubspark.features.segments import NO_EPOCH, IntArray
from ubspark.features.spark import STATUS, create_task_frame, cut_cells
from ubspark.figures import Bars, Figure
from ubspark.recipes.base import (
    Fact,
    JobInput,
    JobResult,
    OutputTable,
    Params,
    Summary,
    Workspace,
)
from ubspark.recipes.feature_meaning import read_meaning
from ubspark.recipes.pair_table import get_table
from ubspark.recipes.train import REGISTRY_PROPERTY

__all__ = ["CLASSIFY", "Classify", "ClassifyParams"]

#: Compressed bytes of features that a task should read; decompressed, they are doubles.
_CELL_BYTES = 12 << 20
#: Rows that it should read: features that are mostly undefined compress to almost nothing.
_CELL_ROWS = 125_000


class ClassifyParams(Params):
    """Parameters of the classify job."""

    #: Folder of the model, as the train job made it; or ``models:/NAME@ALIAS`` or
    #: ``models:/NAME/VERSION`` of the model registry.
    model: str
    #: The version in the registry; set when the job is frozen.
    registered: str | None = None
    #: Its digest (sha256 of ``model.json``), the run and the table version that it comes from;
    #: set when the job is frozen.
    model_sha256: str | None = None
    model_run: str | None = None
    training_table: str | None = None


@dataclass
class ScoreTask:
    """What a Spark task runs: it opens the model once, and scores the rows of its cells."""

    source: CatalogSource
    cells: IntArray
    carried: tuple[str, ...]
    folder: str
    sha256: str
    #: Objects by the class they were given, None where they have none.
    summary: dict[str | None, int] = field(default_factory=dict)

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Yield the scores of each cell."""
        model = _open_once(self.folder, self.sha256)
        for batch in batches:
            for cell in batch.column(0).to_pylist():
                wanted = [*self.carried, *model.card.columns]
                rows = self.source.read(self.cells[cell : cell + 1], wanted)
                yield self._score(model, rows)

    def _score(self, model: ClassifierModel, rows: pa.Table) -> pa.Table:
        probabilities, given = model.classify(rows)
        is_unknown = _find_unknown(rows, model.card.columns)
        labels = pa.array(given, pa.string(), mask=is_unknown)
        for entry in labels.value_counts().to_pylist():
            name = entry["values"]
            self.summary[name] = self.summary.get(name, 0) + entry["counts"]
        kept = {name: rows[name] for name in dict.fromkeys([HEALPIX_29.name, *self.carried])}
        scores = [
            pa.array(column.astype(np.float32), mask=is_unknown) for column in probabilities.T
        ]
        names = [*kept, LABEL, *model.card.probability_columns]
        return pa.table([*kept.values(), labels, *scores], names=names)


class Classify:
    """Score a feature table with a model."""

    name = "classify"
    version = "3"
    inputs: Mapping[str, str] = {"features": "table"}
    outputs: Sequence[str] = ("scores",)
    params = ClassifyParams

    def resolve(self, inputs: Mapping[str, JobInput], params: ClassifyParams) -> ClassifyParams:
        """Open the model, and check that the table fits it."""
        _validate_sealed(Path(params.model).expanduser(), params.model_sha256)
        model = _open(params.model, params.model_sha256)
        _compare(inputs["features"], model)
        _find_carried(inputs["features"])
        _describe(inputs, model)
        return params.model_copy(
            update={
                "model": str(Path(params.model).expanduser().absolute()),
                "model_sha256": model.digest,
                "model_run": model.card.run,
                "training_table": model.card.training_table,
            }
        )

    def plan(
        self,
        inputs: Mapping[str, JobInput],
        params: ClassifyParams,
        *,
        n_cells: int | None,
        parallelism: int,
    ) -> list[Fact]:
        """Say what would be scored with what."""
        source = _open_source(inputs["features"])
        return [
            Fact("features", str(get_table(inputs["features"]))),
            Fact("rows", get_table(inputs["features"]).n_rows),
            Fact("model", params.model),
            *([Fact("registered as", params.registered)] if params.registered else []),
            Fact("model made by run", str(params.model_run)),
            Fact("trained on", str(params.training_table)),
            Fact("tasks", len(_cut(source, n_cells, parallelism))),
        ]

    def run(
        self, inputs: Mapping[str, JobInput], params: ClassifyParams, workspace: Workspace
    ) -> JobResult:
        """Return the scores, made cell by cell without a shuffle."""
        model = _open(params.model, params.model_sha256)
        source = _open_source(inputs["features"]).refine()
        parallelism = workspace.spark.sparkContext.defaultParallelism
        cells = _cut(source, workspace.n_cells, parallelism)
        carried = _find_carried(inputs["features"])
        scores = OutputTable(
            frame=create_task_frame(workspace.spark, len(cells)),
            task=ScoreTask(source, cells, carried, params.model, model.digest),
            schema=_describe(inputs, model),
            properties={
                **_find_roles(inputs["features"]).to_properties(),
                "ubspark.model.sha256": model.digest,
                "ubspark.model.run": model.card.run,
                "ubspark.model.training_table": model.card.training_table,
                **({"ubspark.model.version": params.registered} if params.registered else {}),
            },
            constraints=(Constraint(HEALPIX_29.name, NO_POSITION),),
        )

        def summarise(written: Mapping[str, Any]) -> Summary:
            return _summarise(model, written["scores"], _compare(inputs["features"], model))

        return JobResult({"scores": scores}, summarise)


CLASSIFY = Classify()


def _find_unknown(rows: pa.Table, columns: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each object has no usable epoch, or no value in any column of the model."""
    is_unknown = np.ones(rows.num_rows, dtype=np.bool_)
    for name in columns:
        if not is_unknown.any():
            break
        is_unknown &= rows[name].is_null().to_numpy()
    if STATUS in rows.column_names:
        status = rows[STATUS].fill_null(0).to_numpy()
        is_unknown |= (status & NO_EPOCH) != 0
    return is_unknown


def _compare(given: JobInput, model: ClassifierModel) -> list[str]:
    """Refuse a table that does not fit the model; return what is not the same and fits."""
    table = get_table(given)
    properties = table.properties if isinstance(table, TableVersion) else {}
    units = {column.name: column.unit for column in table.schema.columns}
    registry, meaning = properties.get(REGISTRY_PROPERTY), read_meaning(table)
    return model.validate_table(units, registry, meaning, table=given.short_name)


def _open(folder: str, sha256: str | None) -> ClassifierModel:
    return load_model(Path(folder).expanduser(), sha256=sha256)


def _validate_sealed(folder: Path, sha256: str | None) -> None:
    """Refuse a model that is not the one which its training sealed with a manifest.

    Nothing of it has been run by then: its pickle is opened afterwards.
    """
    _, digest = load_card(folder, sha256=sha256)
    if not is_export(folder):
        msg = (
            f"The model in `{folder}` has no `{MANIFEST_FILE}`, which its training wrote: nobody "
            f"can say whether it was altered. Bring the whole folder back, or train it again."
        )
        raise SchemaError(msg)
    if digest not in {file.sha256 for file in read_manifest(folder).files}:
        msg = (
            f"The model in `{folder}` was altered after its training: `model.json` is not the file "
            f"that `{MANIFEST_FILE}` lists. Train it again, or bring the folder back from a copy."
        )
        raise SchemaError(msg)


@lru_cache(maxsize=1)
def _open_once(folder: str, sha256: str) -> ClassifierModel:
    """Return the model; a worker opens it for its first task alone."""
    return _open(folder, sha256)


def _find_roles(given: JobInput) -> CatalogRoles:
    roles = get_table(given).roles.override(given.roles)
    kept = {role: roles[role] for role in ("id", "ra", "dec") if roles.get(role) is not None}
    return CatalogRoles(kept, roles.epoch, roles.pm_includes_cos_dec)


def _find_carried(given: JobInput) -> tuple[str, ...]:
    """Return the columns that the output keeps: id, position, what was asked, and the status."""
    roles, table = _find_roles(given), get_table(given)
    if roles.get("id") is None:
        msg = f"Table `{table.uri}` has no column of role `id`. Set `inputs.features.roles.id`."
        raise SchemaError(msg)
    status = [STATUS] if STATUS in table.schema else []
    names = tuple(dict.fromkeys([*roles.columns.values(), *(given.columns or ()), *status]))
    table.schema.validate_columns(names, table=table.uri)
    return names


def _describe(inputs: Mapping[str, JobInput], model: ClassifierModel) -> TableSchema:
    schema = get_table(inputs["features"]).schema
    columns = [TableColumn.from_vocabulary(HEALPIX_29)]
    columns += [schema[name] for name in _find_carried(inputs["features"])]
    text = "Class whose probability is raised most above its share in the training objects"
    columns.append(TableColumn(LABEL, pa.string(), True, None, "src.class", text))
    for name, label in zip(model.card.probability_columns, model.card.classes, strict=True):
        about = f"Calibrated probability of the class {label}"
        columns.append(TableColumn(name, pa.float32(), True, None, "stat.probability", about))
    lower = [column.name.lower() for column in columns]
    for name in lower:
        if lower.count(name) > 1:
            msg = f"Two columns of the scores would be named `{name}`; rename a class or a column."
            raise SchemaError(msg)
    return TableSchema(tuple(columns))


def _open_source(given: JobInput) -> CatalogLayout:
    roles = get_table(given).roles.override(given.roles)
    return select_rows(
        get_table(given).read_layout(),
        region=given.region,
        condition=given.where,
        ra=roles.get("ra"),
        dec=roles.get("dec"),
    )


def _cut(source: CatalogLayout, n_cells: int | None, parallelism: int) -> IntArray:
    return cut_cells(
        source,
        cell_bytes=_CELL_BYTES,
        n_cells=n_cells,
        parallelism=parallelism,
        cell_rows=_CELL_ROWS,
    )


def _summarise(model: ClassifierModel, written: WrittenRows, notes: Sequence[str]) -> Summary:
    counts = dict.fromkeys(model.card.classes, 0)
    n_unknown = 0
    for part in written.summaries:
        n_unknown += part.get(None, 0)
        for name in counts:
            counts[name] += part.get(name, 0)
    figures: dict[str, Figure] = {
        "classes": Bars(
            "Objects by the class they were given",
            "objects",
            tuple(counts),
            np.array(list(counts.values()), dtype=np.float64),
        )
    }
    origin = (
        f"Model {model.digest[:12]} of run {model.card.run}, trained on "
        f"{model.card.training_table} with the feature registry {model.card.registry}."
    )
    metrics = {"objects": written.n_rows, **{f"objects_{k}": n for k, n in counts.items()}}
    metrics["unclassified_objects"] = n_unknown
    if n_unknown:
        about = "no usable epoch, or no value in any column of the model"
        notes = [f"{n_unknown:,} objects were given no class: {about}.", *notes]
    return Summary(metrics, figures, [origin, *notes])
