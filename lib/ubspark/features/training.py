"""Training a classifier on a feature table, and judging it by cross-validation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

from ubspark.errors import ParameterError
from ubspark.features.calibration import Calibration, fit_calibration
from ubspark.features.evaluation import Evaluation, evaluate
from ubspark.features.segments import FloatArray, IntArray

__all__ = ["OTHER", "Training", "decide", "make_estimator", "merge_rare", "score_classes", "train"]

#: The class that rare ones are merged into.
OTHER = "other"
#: Up to so many rows one thread trains: several wait for each other at every node of a tree, for
#: most of the time where the machine has other work, and sum in another order.
_FEW_ROWS = 20_000


@dataclass(frozen=True, eq=False)
class Training:
    """A classifier trained on all objects, and what cross-validation says of it.

    Attributes
    ----------
    estimator
        Trained on all rows.
    calibration
        Fitted to the scores of all rows by the classifiers that had not seen them.
    classes
        Names of the classes, in the order of the probabilities.
    priors
        Share of each class in the training rows, shape (k,).
    folds
        Fold in which each row was held out, shape (n,).
    labels
        Class of each row, shape (n,), in [0, k).
    probabilities
        Of each row by the classifier that had not seen it, calibrated without its fold too.
    importance
        Loss of balanced accuracy in held-out rows when a column is shuffled, shape (columns,).
    evaluation
        Figures of the held-out rows.
    """

    estimator: Any
    calibration: Calibration
    classes: tuple[str, ...]
    priors: FloatArray
    folds: IntArray
    labels: IntArray
    probabilities: FloatArray
    importance: FloatArray
    evaluation: Evaluation


def make_estimator(seed: int = 0) -> Any:
    """Return the default: gradient boosting of trees, which takes NaN as it comes.

    A column without a value in the rows it is fitted on counts for nothing: scikit-learn cannot
    find bins for such a one, which folds of few objects easily have.
    """
    # scikit-learn takes a second to import; other jobs need not wait for it.
    from sklearn.ensemble import (  # type: ignore[import-untyped]  # has no stubs
        HistGradientBoostingClassifier,
    )
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]  # has no stubs

    from ubspark.features.empty_columns import EmptyColumns

    trees = HistGradientBoostingClassifier(
        max_iter=100,
        learning_rate=0.1,
        max_leaf_nodes=15,
        min_samples_leaf=5,
        l2_regularization=1.0,
        max_features=0.3,
        class_weight="balanced",
        early_stopping=False,
        random_state=seed,
    )
    return make_pipeline(EmptyColumns(), trees)


def merge_rare(
    labels: ArrayLike, *, least: int, objects: ArrayLike | None = None
) -> tuple[list[str], list[str]]:
    """Give classes with fewer objects than ``least`` the name `OTHER`.

    Parameters
    ----------
    labels
        Of each row.
    objects
        Which object each row is of; None where each is its own.

    Returns
    -------
    labels, merged
        The new names, and the classes that were merged.
    """
    names = [str(label) for label in np.asarray(labels)]
    ids = np.arange(len(names)) if objects is None else np.asarray(objects)
    _, members = np.unique(ids, return_inverse=True)
    classes, codes = np.unique(names, return_inverse=True)
    pairs = np.unique(np.stack([codes, members]), axis=1)
    counts = np.bincount(pairs[0], minlength=len(classes))
    merged = {str(c) for c, n in zip(classes, counts, strict=True) if n < least}
    return [OTHER if name in merged else name for name in names], sorted(merged)


def train(
    features: FloatArray,
    labels: ArrayLike,
    groups: ArrayLike,
    *,
    estimator: Any = None,
    n_folds: int = 5,
    n_shuffles: int = 2,
    seed: int = 0,
) -> Training:
    """Train a classifier, and judge it on objects that it has not seen.

    Parameters
    ----------
    features
        Shape (n, columns); NaN where undefined.
    labels
        Names of classes, shape (n,).
    groups
        Rows of one group, such as the epochs or crops of one object, are never on both sides of
        a split, shape (n,).
    estimator
        Anything with scikit-learn's ``fit`` and ``predict_proba``; None for `make_estimator`.
    n_folds
        Folds of the cross-validation; each class needs as many groups.
    n_shuffles
        How often each column is shuffled for its importance; 0 leaves importance out.

    Raises
    ------
    ParameterError
        If there are fewer than two classes, or a class has fewer groups than folds.
    """
    # Only threads of libraries that are loaded can be limited.
    import sklearn.ensemble  # type: ignore[import-untyped]  # noqa: F401

    with threadpool_limits(1 if len(features) <= _FEW_ROWS else None):
        return _train(features, labels, groups, estimator, n_folds, n_shuffles, seed)


def _train(
    features: FloatArray,
    labels: ArrayLike,
    groups: ArrayLike,
    estimator: Any,
    n_folds: int,
    n_shuffles: int,
    seed: int,
) -> Training:
    from sklearn.base import clone  # type: ignore[import-untyped]  # has no stubs
    from sklearn.model_selection import StratifiedGroupKFold  # type: ignore[import-untyped]

    classes, codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    _, members = np.unique(np.asarray(groups), return_inverse=True)
    names = tuple(str(name) for name in classes)
    _validate(names, codes, members, n_folds)
    base = make_estimator(seed) if estimator is None else estimator
    splits = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    folds = np.zeros(len(codes), dtype=np.int64)
    scores = np.zeros((len(codes), len(names)))
    importance = np.zeros(features.shape[1])
    priors = np.bincount(codes, minlength=len(names)) / len(codes)
    rng = np.random.default_rng(seed)
    for fold, (seen, held) in enumerate(splits.split(features, codes, members)):
        fitted = clone(base).fit(features[seen], codes[seen])
        folds[held] = fold
        scores[held] = score_classes(fitted, features[held], len(names))
        importance += _compute_importance(
            fitted, priors, features[held], codes[held], n_shuffles, rng
        )
    probabilities = _calibrate_by_fold(scores, codes, folds)
    return Training(
        estimator=clone(base).fit(features, codes),
        calibration=fit_calibration(scores, codes),
        classes=names,
        priors=priors,
        folds=folds,
        labels=codes.astype(np.int64),
        probabilities=probabilities,
        importance=importance / n_folds,
        evaluation=evaluate(
            names, codes, decide(probabilities, priors), probabilities, members, seed=seed
        ),
    )


def decide(probabilities: FloatArray, priors: FloatArray) -> IntArray:
    """Return the class whose probability is raised most above its share in the training rows.

    Each class counts alike, however rare: the decision that makes balanced accuracy largest.
    """
    return np.asarray((probabilities / priors).argmax(axis=1), dtype=np.int64)


def _calibrate_by_fold(scores: FloatArray, codes: IntArray, folds: IntArray) -> FloatArray:
    """Return the scores of each fold calibrated by those of the others."""
    probabilities = np.zeros_like(scores)
    for fold in np.unique(folds):
        held = folds == fold
        probabilities[held] = fit_calibration(scores[~held], codes[~held]).apply(scores[held])
    return probabilities


def score_classes(fitted: Any, rows: FloatArray, n_classes: int) -> FloatArray:
    """Return scores of all classes, shape (n, k), also of those the classifier has not seen."""
    scores = np.zeros((len(rows), n_classes))
    found = np.asarray(fitted.predict_proba(rows), dtype=np.float64)
    scores[:, np.asarray(fitted.classes_, dtype=np.int64)] = found
    if not (np.all(found >= 0) and np.allclose(found.sum(axis=1), 1.0, atol=1e-3)):
        msg = "its `predict_proba` returns numbers that are no probabilities of the classes"
        raise ValueError(msg)
    return scores


def _compute_importance(
    fitted: Any,
    priors: FloatArray,
    rows: FloatArray,
    codes: IntArray,
    n_shuffles: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Return by how much recall, averaged over classes, falls when a column is shuffled."""

    def compute_recall(changed: FloatArray) -> float:
        return _compute_recall(score_classes(fitted, changed, len(priors)) / priors, codes)

    importance = np.zeros(rows.shape[1])
    if n_shuffles == 0:
        return importance
    before = compute_recall(rows)
    for column in range(rows.shape[1]):
        changed = rows.copy()
        for _ in range(n_shuffles):
            changed[:, column] = rng.permutation(rows[:, column])
            importance[column] += before - compute_recall(changed)
    return importance / n_shuffles


def _compute_recall(scores: FloatArray, codes: IntArray) -> float:
    is_hit = scores.argmax(axis=1) == codes
    return float(np.mean([is_hit[codes == code].mean() for code in np.unique(codes)]))


def _validate(names: tuple[str, ...], codes: IntArray, groups: IntArray, n_folds: int) -> None:
    if len(names) < 2:
        msg = f"`labels` must hold at least two classes, got {', '.join(names) or 'none'}."
        raise ParameterError(msg)
    for code, name in enumerate(names):
        n = len(np.unique(groups[codes == code]))
        if n < n_folds:
            msg = (
                f"Class `{name}` has {n} objects, or groups of them, fewer than the {n_folds} "
                f"folds. Merge rare classes with `least`, or take fewer folds."
            )
            raise ParameterError(msg)
