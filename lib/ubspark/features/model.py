"""A trained classifier as a folder: what it is, what it was made from, and how to score with it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ubspark.errors import InputMissingError, ParameterError, SchemaError
from ubspark.features.arrow import to_matrix
from ubspark.features.calibration import Calibration
from ubspark.features.meaning import find_differences
from ubspark.features.segments import FloatArray
from ubspark.features.training import Training, decide, score_classes

__all__ = [
    "LABEL",
    "ClassifierModel",
    "ModelCard",
    "load_card",
    "load_model",
    "name_probability",
    "save_model",
]

#: Name of the column of the class that an object is given.
LABEL = "label"
_PREFIX = "p_"
_CARD = "model.json"
_ESTIMATOR = "estimator.joblib"
#: Rows scored at a time: bounds the memory of trees, which copy them.
_ROWS_PER_BATCH = 65_536


@dataclass(frozen=True)
class ModelCard:
    """What a model says of itself; all of it is in ``model.json``.

    Attributes
    ----------
    columns
        Feature columns, in the order of the estimator.
    units
        Unit of each, None for a pure number.
    registry
        Version of the feature registry that declared them.
    classes
        Classes, in the order of the probabilities.
    training_table
        The feature table, with its version, such as ``uri@v3``.
    run
        Id of the run that trained it.
    meaning
        What the feature table says of its numbers, by the keys of `ubspark.features.meaning`;
        empty where it does not.
    """

    columns: tuple[str, ...]
    units: tuple[str | None, ...]
    registry: str
    classes: tuple[str, ...]
    training_table: str
    run: str
    meaning: Mapping[str, str] = field(default_factory=dict)

    @property
    def probability_columns(self) -> list[str]:
        """The column of each class: letters, digits and ``_`` of its name."""
        return [name_probability(name) for name in self.classes]


@dataclass(frozen=True, eq=False)
class ClassifierModel:
    """A classifier that knows which table fits it.

    Attributes
    ----------
    priors
        Share of each class in the training rows, shape (k,).
    digest
        sha256 of ``model.json``, which holds that of the estimator's file; empty before the model
        is saved.
    """

    card: ModelCard
    estimator: Any
    calibration: Calibration
    priors: FloatArray
    digest: str = ""

    @classmethod
    def from_training(cls, training: Training, card: ModelCard) -> "ClassifierModel":
        """Return the model of a training."""
        return cls(card, training.estimator, training.calibration, training.priors)

    def validate_table(
        self,
        units: Mapping[str, str | None],
        registry: str | None,
        meaning: Mapping[str, str] | None = None,
        *,
        table: str,
    ) -> list[str]:
        """Refuse a table that the model was not made for.

        Parameters
        ----------
        units
            Unit of each column of the table.
        registry
            Version of the registry that the table was made with.
        meaning
            What the table says of its numbers; None where it does not.

        Returns
        -------
        list of str
            Sentences on what is not the same, or not known to be, and fits all the same.

        Raises
        ------
        SchemaError
            Saying which columns are missing or have another unit, which version differs, or what
            the numbers are instead.
        """
        missing = [name for name in self.card.columns if name not in units]
        if missing:
            msg = (
                f"Table `{table}` does not fit the model: it lacks {len(missing)} of its "
                f"{len(self.card.columns)} feature columns: {_shorten(missing)}."
            )
            raise SchemaError(msg)
        columns = zip(self.card.columns, self.card.units, strict=True)
        other = [f"{n} in {units[n]} instead of {unit}" for n, unit in columns if units[n] != unit]
        if other:
            msg = f"Table `{table}` does not fit the model: it has {_shorten(other)}."
            raise SchemaError(msg)
        if registry != self.card.registry:
            msg = (
                f"Table `{table}` was made with the feature registry {registry or '(none)'}, the "
                f"model with {self.card.registry}: columns of one name may not mean the same. "
                f"Compute the table again, or train on it."
            )
            raise SchemaError(msg)
        differing = find_differences(meaning or {}, self.card.meaning, is_decisive=True)
        if differing:
            msg = (
                f"Table `{table}` does not fit the model: {', '.join(differing)}. Compute the "
                f"table again, or train on it."
            )
            raise SchemaError(msg)
        if not (meaning and self.card.meaning):
            which = f"Table `{table}`" if self.card.meaning else "The model"
            return [f"{which} does not say whether its values are magnitudes: it is too old."]
        others = find_differences(meaning, self.card.meaning, is_decisive=False)
        return [f"Unlike in the training table, {text}." for text in others]

    def score(self, rows: pa.Table) -> FloatArray:
        """Return the probabilities of the classes, shape (n, k).

        Features that are null or infinite are undefined.
        """
        parts = [
            self.calibration.apply(self._score(part)) for part in _split(rows, _ROWS_PER_BATCH)
        ]
        return np.concatenate([np.zeros((0, len(self.card.classes))), *parts])

    def _score(self, rows: pa.Table) -> FloatArray:
        matrix = to_matrix(rows, self.card.columns)
        return score_classes(self.estimator, matrix, len(self.card.classes))

    def classify(self, rows: pa.Table) -> tuple[FloatArray, list[str]]:
        """Return the probabilities, and the class that each row is given."""
        probabilities = self.score(rows)
        given = decide(probabilities, self.priors)
        return probabilities, [self.card.classes[code] for code in given]


def name_probability(label: str) -> str:
    """Return the column of the probability of a class: letters, digits and ``_`` of its name."""
    return _PREFIX + "".join(c if c.isalnum() else "_" for c in label)


def save_model(model: ClassifierModel, folder: Path, *, facts: Mapping[str, Any]) -> str:
    """Write a model as a folder of two files.

    Parameters
    ----------
    folder
        Made if it is not there.
    facts
        What else ``model.json`` tells: figures of the evaluation, parameters.

    Returns
    -------
    str
        sha256 of ``model.json``: with the digest of the estimator in it, that of the whole model.
    """
    joblib, sklearn = _import_sklearn()
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model.estimator, folder / _ESTIMATOR)
    content = {
        **asdict(model.card),
        "estimator": {
            "sha256": _compute_digest(folder / _ESTIMATOR),
            "type": _name_type(model.estimator),
        },
        "calibration": {
            "inverse_temperature": model.calibration.inverse_temperature,
            "offsets": model.calibration.offsets.tolist(),
        },
        "priors": model.priors.tolist(),
        "made_with": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
        "facts": dict(facts),
    }
    text = json.dumps(content, indent=1, sort_keys=True)
    (folder / _CARD).write_text(text + "\n", encoding="utf-8")
    return _compute_digest(folder / _CARD)


def load_model(folder: Path, *, sha256: str | None = None) -> ClassifierModel:
    """Read a model from its folder.

    The estimator is a pickle, which can run code: open models only from places you trust. It is
    opened last, when all else is known to be right.

    Parameters
    ----------
    sha256
        Digest that the model must have; None for any.

    Raises
    ------
    InputMissingError
        If there is none.
    ParameterError
        If it has another digest.
    SchemaError
        If it is damaged, its estimator is not the one that it was saved with, it was made with
        another scikit-learn, or the estimator's own code is not here.
    """
    content, digest = _read_card(folder)
    _validate_digest(folder, digest, sha256)
    _, sklearn = _import_sklearn()
    made_with = content["made_with"]["scikit-learn"]
    if made_with.split(".")[:2] != sklearn.__version__.split(".")[:2]:
        msg = (
            f"The model in `{folder}` was made with scikit-learn {made_with}, but this is "
            f"{sklearn.__version__}, which may read it wrongly. Train it again."
        )
        raise SchemaError(msg)
    stated = content["calibration"]
    return ClassifierModel(
        _to_card(content),
        _open_estimator(content, folder),
        Calibration(stated["inverse_temperature"], np.array(stated["offsets"])),
        np.array(content["priors"]),
        digest,
    )


def load_card(folder: Path, *, sha256: str | None = None) -> tuple[ModelCard, str]:
    """Read what a model says of itself, and its digest; no pickle is opened.

    Raises
    ------
    InputMissingError
        If there is no model.
    ParameterError
        If it does not have the digest ``sha256``, where one is given.
    SchemaError
        If it is damaged.
    """
    content, digest = _read_card(folder)
    _validate_digest(folder, digest, sha256)
    path = folder / _ESTIMATOR
    _validate_estimator(content, folder, _compute_digest(path) if path.is_file() else None)
    return _to_card(content), digest


def _read_card(folder: Path) -> tuple[dict[str, Any], str]:
    if not (folder / _CARD).is_file():
        msg = f"There is no model in `{folder}`."
        raise InputMissingError(msg)
    text = (folder / _CARD).read_bytes()
    try:
        content: dict[str, Any] = json.loads(text)
        _to_card(content)
        known = [content["estimator"]["sha256"], content["made_with"]["scikit-learn"]]
        known += [content["calibration"]["inverse_temperature"], content["calibration"]["offsets"]]
        known.append(content["priors"])
    except (ValueError, LookupError, TypeError) as error:
        msg = f"`{folder / _CARD}` is damaged; it cannot be read as the account of a model."
        raise SchemaError(msg) from error
    return content, hashlib.sha256(text).hexdigest()


def _validate_digest(folder: Path, digest: str, wanted: str | None) -> None:
    if wanted not in (None, digest):
        msg = f"The model in `{folder}` is another one now: {digest}, not {wanted}."
        raise ParameterError(msg)


def _validate_estimator(content: Mapping[str, Any], folder: Path, digest: str | None) -> None:
    """Refuse a model whose estimator is lost (no digest) or is another one."""
    if digest != content["estimator"]["sha256"]:
        what = "is lost" if digest is None else "is not the one that the model was saved with"
        msg = f"The file `{_ESTIMATOR}` in `{folder}` {what}."
        raise SchemaError(msg)


def _open_estimator(content: Mapping[str, Any], folder: Path) -> Any:
    """Open the pickle, from the very bytes whose digest is right."""
    joblib, _ = _import_sklearn()
    path = folder / _ESTIMATOR
    found = path.read_bytes() if path.is_file() else None
    digest = None if found is None else hashlib.sha256(found).hexdigest()
    _validate_estimator(content, folder, digest)
    try:
        return joblib.load(BytesIO(found or b""))
    except (ImportError, AttributeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        what = f"the module `{error.name}`" if isinstance(error, ImportError) else "code"
        msg = (
            f"The estimator of the model in `{folder}` needs {what} that is not here as it was at "
            f"its training: {reason}. Install it, or put its folder on `PYTHONPATH`."
        )
        raise SchemaError(msg) from error


def _to_card(content: Mapping[str, Any]) -> ModelCard:
    return ModelCard(
        columns=tuple(content["columns"]),
        units=tuple(content["units"]),
        registry=content["registry"],
        classes=tuple(content["classes"]),
        training_table=content["training_table"],
        run=content["run"],
        # Models that are older do not say it.
        meaning=dict(content.get("meaning", {})),
    )


def _name_type(estimator: Any) -> str:
    """Return the class of an estimator, those of the steps of a pipeline."""
    steps = [step for _, step in getattr(estimator, "steps", [])] or [estimator]
    return ", ".join(type(step).__name__ for step in steps)


def _import_sklearn() -> tuple[Any, Any]:
    """Return joblib and scikit-learn, whose import takes a second: other jobs need not wait."""
    import joblib  # type: ignore[import-untyped]  # has no stubs
    import sklearn  # type: ignore[import-untyped]  # has no stubs

    return joblib, sklearn


def _split(rows: pa.Table, n: int) -> Iterator[pa.Table]:
    for first in range(0, rows.num_rows, n):
        yield rows.slice(first, n)


def _compute_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
