"""The train job: a feature table and labels become a classifier, with figures of how good it is."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import AfterValidator, Field

from ubspark.catalogs.catalog import Catalog
from ubspark.catalogs.delta import TableVersion
from ubspark.catalogs.export.manifest import ExportFile
from ubspark.catalogs.export.staging import StagingFolder
from ubspark.catalogs.export.written import WrittenFolder
from ubspark.catalogs.schema import TableColumn
from ubspark.errors import ParameterError, SchemaError
from ubspark.features.evaluation import Evaluation, compute_reliability
from ubspark.features.model import ClassifierModel, ModelCard, save_model
from ubspark.features.out_of_fold import write_out_of_fold
from ubspark.features.segments import IntArray
from ubspark.features.training import OTHER, Training, train
from ubspark.figures import Bars, Curve, Curves, Figure, Matrix
from ubspark.recipes.base import (
    Fact,
    JobInput,
    JobResult,
    OutputFolder,
    Params,
    Summary,
    Workspace,
)
from ubspark.recipes.feature_job import CARRIED_PROPERTY
from ubspark.recipes.feature_meaning import read_meaning
from ubspark.recipes.pair_table import get_table, validate_ids
from ubspark.recipes.training_rows import TrainingRows, find_id, read_training_rows

__all__ = ["REGISTRY_PROPERTY", "TRAIN", "Train", "TrainParams"]

#: Table property by which the features job says the version of its registry.
REGISTRY_PROPERTY = "ubspark.features.registry"
_IMPORTANT = 20


def _validate_alias(alias: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w-]*", alias) or re.fullmatch(r"(?i)latest|v\d+", alias):
        msg = "an alias is letters, digits, `_` and `-`, and neither `latest` nor `v` and a number"
        raise ValueError(msg)
    return alias


class TrainParams(Params):
    """Parameters of the train job."""

    #: Column of the labels.
    label: str = "class"
    #: Column of the features whose rows stay together in cross-validation; the id by default.
    group: str | None = None
    #: Feature columns; all that the features job computed by default.
    columns: tuple[str, ...] | None = None
    #: Feature columns left out.
    exclude: tuple[str, ...] = ()
    #: Classes with fewer objects are merged into ``other``, which is left out where it has fewer
    #: than there are folds.
    least: Annotated[int, Field(ge=2)] = 8
    folds: Annotated[int, Field(ge=2, le=50)] = 5
    #: How often each column is shuffled for its importance; 0 leaves it out.
    shuffles: Annotated[int, Field(ge=0)] = 2
    #: A function without arguments, ``module:name``, that returns a scikit-learn classifier;
    #: gradient boosting of trees by default.
    estimator: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    #: Name in the model registry; that of the folder by default.
    registered_name: Annotated[str, Field(pattern=r"^[\w-]+$")] | None = None
    #: Alias that the registry moves to the new version; None for none. MLflow has taken
    #: ``latest`` and ``v1`` for itself.
    alias: Annotated[str, AfterValidator(_validate_alias)] | None = "champion"


class Train:
    """Train a classifier on a feature table."""

    name = "train"
    version = "3"
    inputs: Mapping[str, str] = {"features": "table", "labels": "table"}
    outputs: Mapping[str, str] = {"model": "folder"}
    params = TrainParams

    def resolve(self, inputs: Mapping[str, JobInput], params: TrainParams) -> TrainParams:
        """Find the columns and check them."""
        features, labels = (get_table(inputs[name]) for name in ("features", "labels"))
        labels.schema.validate_columns([params.label], table=labels.uri)
        for name in ("features", "labels"):
            find_id(inputs[name])
            if inputs[name].region is not None:
                msg = f"`inputs.{name}.region` is not for this job; choose rows by `where`."
                raise ParameterError(msg)
        tables = {"features": features, "labels": labels}
        ids = [table.schema[find_id(inputs[name])] for name, table in tables.items()]
        validate_ids(*ids, tables=("inputs.features", "inputs.labels"))
        if not isinstance(features, TableVersion) or REGISTRY_PROPERTY not in features.properties:
            msg = f"Table `{features.uri}` was not made by the features job."
            raise SchemaError(msg)
        if params.estimator is not None:
            _load_estimator(params.estimator)
        _validate_label(labels.schema[params.label], labels.uri)
        group = params.group or find_id(inputs["features"])
        features.schema.validate_columns([group, *(params.columns or ())], table=features.uri)
        columns = _choose_columns(inputs["features"], params)
        unknown = [name for name in params.exclude if name not in features.schema]
        features.schema.validate_columns(unknown, table=features.uri)
        kept = tuple(name for name in columns if name not in params.exclude)
        if not kept:
            msg = "`params.columns` without `params.exclude` must leave at least one column."
            raise ParameterError(msg)
        return params.model_copy(update={"columns": kept, "group": group})

    def plan(
        self,
        inputs: Mapping[str, JobInput],
        params: TrainParams,
        *,
        n_cells: int | None,
        parallelism: int,
    ) -> list[Fact]:
        """Say what would be trained on."""
        _ = n_cells, parallelism
        return [
            Fact("features", str(get_table(inputs["features"]))),
            Fact("labels", str(get_table(inputs["labels"]))),
            Fact("labelled objects, at most", get_table(inputs["labels"]).n_rows),
            Fact("columns", len(params.columns or ())),
            Fact("folds", params.folds),
        ]

    def run(
        self, inputs: Mapping[str, JobInput], params: TrainParams, workspace: Workspace
    ) -> JobResult:
        """Return the folder of the model; it is trained on the driver when it is written."""
        _ = workspace
        found: list[tuple[TrainingRows, Training]] = []
        digests: list[str] = []

        def write(staging: StagingFolder) -> WrittenFolder:
            labelled = read_training_rows(
                inputs["features"],
                inputs["labels"],
                label=params.label,
                columns=params.columns or (),
                group=str(params.group),
                least=params.least,
                n_folds=params.folds,
            )
            training = _train(labelled, params)
            found.append((labelled, training))

            def seal(run_id: str) -> tuple[ExportFile, ...]:
                card = _make_card(inputs, params, training, run_id)
                files, digest = _save(inputs, params, labelled, training, card, staging.files)
                digests.append(digest)
                return files

            return WrittenFolder("model", (), len(labelled.labels), 0, seal)

        def summarise(written: Mapping[str, Any]) -> Summary:
            _ = written
            return _summarise(params, *found[0], digests)

        return JobResult({"model": OutputFolder("model", write)}, summarise)


TRAIN = Train()


def _validate_label(column: TableColumn, table: str) -> None:
    kind = column.type
    is_word = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (is_word or pa.types.is_boolean(kind) or _is_number(kind)):
        msg = f"Column `{column.name}` of `{table}` holds {kind}, and no labels."
        raise SchemaError(msg)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _choose_columns(given: JobInput, params: TrainParams) -> tuple[str, ...]:
    """Return the columns asked for; by default those that the features job computed."""
    numbers, table = _find_numbers(given), get_table(given)
    if params.columns is None:
        properties = table.properties if isinstance(table, TableVersion) else {}
        carried = properties.get(CARRIED_PROPERTY, "").split(",")
        return tuple(name for name in numbers if name not in (*carried, params.label))
    others = [name for name in params.columns if name not in numbers or name == params.label]
    if others or len(set(params.columns)) < len(params.columns) or not params.columns:
        msg = (
            f"`params.columns` must name numbers of `{table.uri}`, each once; ids, positions and "
            f"labels are not trained on. Got {', '.join(others or params.columns) or 'none'}."
        )
        raise ParameterError(msg)
    return params.columns


def _find_numbers(given: JobInput) -> tuple[str, ...]:
    """Return the columns of a feature table that are numbers and no role or status."""
    table = get_table(given)
    roles = set(table.roles.override(given.roles).columns.values())
    return tuple(
        column.name
        for column in table.schema.columns
        if column.name not in roles
        and not column.name.startswith("_")
        and column.name != "feature_status"
        and _is_number(column.type)
    )


def _load_estimator(name: str | None) -> Any:
    if name is None:
        return None
    module, _, attribute = name.partition(":")
    try:
        make = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        msg = f"`params.estimator` must be `module:function`, got `{name}`: {error}."
        raise ParameterError(msg) from error
    try:
        estimator = make()
    # It is the user's own code.
    except (Exception, SystemExit) as error:
        first = str(error).strip().partition("\n")[0].rstrip(".")
        msg = f"`params.estimator`: `{name}()` failed with {type(error).__name__}: {first}."
        raise ParameterError(msg) from error
    if not all(hasattr(estimator, part) for part in ("fit", "predict_proba", "get_params")):
        msg = f"`{name}` must return a classifier with `fit`, `predict_proba` and `get_params`."
        raise ParameterError(msg)
    return estimator


def _train(labelled: TrainingRows, params: TrainParams) -> Training:
    """Train, and say of an estimator that is not ours what it did not take."""
    own = _load_estimator(params.estimator)
    try:
        return train(
            labelled.features,
            labelled.labels,
            labelled.groups,
            estimator=own,
            n_folds=params.folds,
            n_shuffles=params.shuffles,
            seed=params.seed,
        )
    except ParameterError:
        raise
    # An estimator of the user's is code that nobody has seen: it may even leave Python.
    except (Exception, SystemExit) as error:
        if own is None and not isinstance(error, ValueError):
            raise
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        named = reason if isinstance(error, ValueError) else f"{type(error).__name__}: {reason}"
        cure = " Take one that knows what to do with undefined features." if "NaN" in reason else ""
        is_empty = np.isnan(labelled.features).all(axis=0)
        empty = [(params.columns or ())[i] for i in np.flatnonzero(is_empty)]
        if empty:
            shown = ", ".join(empty[:5]) + (", …" if len(empty) > 5 else "")
            cure += f" Columns without any value, which not all take: {shown}."
        msg = f"The estimator `{params.estimator or 'by default'}` was not trained: {named}.{cure}"
        raise ParameterError(msg) from error


def _make_card(
    inputs: Mapping[str, JobInput], params: TrainParams, training: Training, run_id: str
) -> ModelCard:
    features: Catalog = get_table(inputs["features"])
    columns = tuple(params.columns or ())
    properties = features.properties if isinstance(features, TableVersion) else {}
    return ModelCard(
        columns=columns,
        units=tuple(features.schema[name].unit for name in columns),
        registry=properties[REGISTRY_PROPERTY],
        classes=training.classes,
        training_table=str(features),
        run=run_id,
        meaning=read_meaning(features),
    )


def _save(
    inputs: Mapping[str, JobInput],
    params: TrainParams,
    labelled: TrainingRows,
    training: Training,
    card: ModelCard,
    folder: Path,
) -> tuple[tuple[ExportFile, ...], str]:
    """Write the model and the predictions of its cross-validation; return the model's digest."""
    facts = {
        "evaluation": _to_facts(training.evaluation),
        "importance": dict(zip(card.columns, training.importance.tolist(), strict=True)),
        "labels": str(get_table(inputs["labels"])),
        "params": params.model_dump(mode="json"),
    }
    digest = save_model(ClassifierModel.from_training(training, card), folder, facts=facts)
    write_out_of_fold(training, labelled.ids, folder)
    files = tuple(ExportFile.describe(folder, path.name) for path in sorted(folder.iterdir()))
    return files, digest


def _to_facts(evaluation: Evaluation) -> dict[str, Any]:
    facts = asdict(evaluation)
    return {**facts, "confusion": evaluation.confusion.tolist()}


def _summarise(
    params: TrainParams, labelled: TrainingRows, training: Training, digests: list[str]
) -> Summary:
    found = training.evaluation
    metrics = {
        "labelled_objects": labelled.n_objects,
        "dropped_objects": labelled.n_dropped,
        "rows_without_label": labelled.n_without_label,
        "classes": len(found.classes),
        "balanced_accuracy": found.balanced_accuracy.value,
        "balanced_accuracy_low": found.balanced_accuracy.low,
        "balanced_accuracy_high": found.balanced_accuracy.high,
        "accuracy": found.accuracy.value,
        "majority_accuracy": found.majority_accuracy,
        "log_loss": found.log_loss,
        "brier": found.brier,
        "calibration_error": found.calibration_error,
        **{f"recall_{n}": r.value for n, r in zip(found.classes, found.recall, strict=True)},
    }
    judged = (
        f"Balanced accuracy {found.balanced_accuracy} (95 %) in {params.folds}-fold "
        f"cross-validation of {labelled.n_objects:,} objects; always answering the largest of "
        f"{len(found.classes)} classes gives {1 / len(found.classes):.3f}."
    )
    notes = [judged, *(f"Model {digest[:12]}: its `model.json`, sha256." for digest in digests)]
    if labelled.merged:
        notes.append(
            f"Classes with fewer than {params.least} objects were merged into `{OTHER}`: "
            f"{', '.join(labelled.merged)}."
        )
    notes += _note_rows(params, labelled)
    if params.shuffles:
        names = [str((params.columns or ())[i]) for i in _rank(training)[:5]]
        notes.append(
            f"The columns that count most: {', '.join(names)}."
            if names
            else "No column counts alone: shuffling any one of them loses no balanced accuracy."
        )
    return Summary(metrics, _draw(params, training), notes)


def _note_rows(params: TrainParams, labelled: TrainingRows) -> Iterator[str]:
    """Say which rows were not trained on, or otherwise than they came."""
    if labelled.n_dropped:
        yield (
            f"{labelled.n_dropped:,} objects of `{OTHER}` were left out: fewer than the "
            f"{params.folds} folds, in groups by `{params.group}`."
        )
    if labelled.n_without_label:
        n = labelled.n_without_label
        yield f"{n:,} rows of the labels have none: `{params.label}` is null, blank or NaN."
    if labelled.n_without_features:
        n = labelled.n_without_features
        yield f"{n:,} labelled objects are not in the feature table."
    if labelled.n_without_group:
        n = labelled.n_without_group
        yield f"{n:,} objects without a `{params.group}` are each a group of their own."


def _rank(training: Training) -> IntArray:
    """Return the columns whose shuffling loses accuracy, the most important first."""
    order = np.argsort(-training.importance, kind="stable")
    return order[training.importance[order] > 0]


def _draw(params: TrainParams, training: Training) -> dict[str, Figure]:
    found = training.evaluation
    stated, share, _ = compute_reliability(training.labels, training.probabilities)
    figures: dict[str, Figure] = {
        "confusion": Matrix(
            "Confusion of held-out objects",
            "class given",
            "true class",
            found.classes,
            found.confusion,
        ),
        "reliability": Curves(
            "Reliability of the probabilities",
            "largest probability",
            "share of hits",
            (
                Curve("held-out objects", stated, share),
                Curve("perfect", np.array([0.0, 1.0]), np.array([0.0, 1.0])),
            ),
        ),
    }
    best = _rank(training)[:_IMPORTANT]
    if len(best):
        figures["importance"] = Bars(
            "The columns that count most",
            "loss of balanced accuracy when the column is shuffled",
            tuple((params.columns or ())[i] for i in best),
            training.importance[best],
        )
    return figures
