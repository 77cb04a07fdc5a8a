"""Training, calibration, evaluation: right where the answer is known, else chance."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    log_loss,
)
from threadpoolctl import threadpool_info, threadpool_limits

from ubspark.errors import ParameterError
from ubspark.features import DEFAULT_FEATURES, compute_features
from ubspark.features.calibration import fit_calibration
from ubspark.features.evaluation import compute_reliability, compute_wilson, evaluate
from ubspark.features.training import (
    OTHER,
    Training,
    _calibrate_by_fold,
    decide,
    make_estimator,
    merge_rare,
    train,
)
from ubspark.timeseries import LightCurves

FloatArray = NDArray[np.float64]
Blobs = tuple[FloatArray, NDArray[np.str_], NDArray[np.int64]]


@pytest.fixture(scope="module")
def blobs() -> Blobs:
    """Three Gaussian classes of unequal size, two rows per object, and a column of noise."""
    rng = np.random.default_rng(7)
    labels = np.repeat(["a", "b", "c"], [300, 120, 60])
    centres = {"a": (0.0, 0.0), "b": (2.0, 0.0), "c": (0.0, 3.0)}
    features = np.array([centres[label] for label in labels]) + rng.normal(size=(480, 2))
    features = np.column_stack([features, rng.normal(size=480)])
    groups = np.arange(480) // 2
    labels = labels[groups * 2]
    return features, labels, groups


@pytest.fixture(scope="module")
def training(blobs: Blobs) -> Training:
    return train(*blobs, estimator=LogisticRegression(class_weight="balanced"))


def test_groups_are_never_on_both_sides(blobs: Blobs, training: Training) -> None:
    groups = blobs[2]
    for group in np.unique(groups):
        assert len(set(training.folds[groups == group])) == 1
    assert set(training.folds) == set(range(5))


def test_known_classes_are_found(training: Training) -> None:
    found = training.evaluation
    assert found.classes == ("a", "b", "c")
    assert found.balanced_accuracy.low > 0.75
    assert found.balanced_accuracy.low < found.balanced_accuracy.value
    assert found.balanced_accuracy.value < found.balanced_accuracy.high
    assert found.confusion.sum() == 480
    assert found.majority_accuracy == pytest.approx(300 / 480)


def test_the_noise_column_has_no_importance(training: Training) -> None:
    first, second, noise = training.importance
    assert min(first, second) > 0.1
    assert abs(noise) < 0.02


def test_a_fold_is_calibrated_without_its_own_labels(blobs: Blobs) -> None:
    """Other labels of its own rows change nothing in a fold."""
    rng = np.random.default_rng(6)
    scores, codes = rng.dirichlet([2.0, 1.0, 1.0], 300), rng.integers(0, 3, 300)
    folds = np.arange(300) % 5
    others = np.where(folds == 2, (codes + 1) % 3, codes)
    first, second = (_calibrate_by_fold(scores, labels, folds) for labels in (codes, others))
    np.testing.assert_array_equal(first[folds == 2], second[folds == 2])
    assert not np.array_equal(first[folds != 2], second[folds != 2])


class CountSpy(LogisticRegression):  # type: ignore[misc]  # has no stubs
    """A classifier that knows how many rows it was fitted on."""

    def fit(self, x: FloatArray, y: NDArray[np.int64]) -> "CountSpy":
        super().fit(x, y)
        self.n_rows_ = len(x)
        return self


def test_the_model_that_is_kept_has_seen_all_rows(blobs: Blobs) -> None:
    found = train(*blobs, estimator=CountSpy(), n_shuffles=0)
    assert found.estimator.n_rows_ == len(blobs[0])


def test_importance_is_that_for_rows_not_seen() -> None:
    """Noise known by heart helps with no other row; and each fold counts once."""
    rng = np.random.default_rng(9)
    labels = np.repeat(["x", "y"], 100)
    truth = np.where(labels == "y", 2.5, 0.0) + rng.normal(size=200)
    features = np.stack([truth, *rng.normal(size=(6, 200))], axis=1)
    estimator = ExtraTreesClassifier(100, random_state=1)
    found = train(features, labels, np.arange(200), estimator=estimator, n_shuffles=2)
    assert 0.2 < found.importance[0] < 0.5
    assert np.abs(found.importance[1:]).max() < 0.06


def test_rare_classes_weigh_as_much_by_default() -> None:
    """One in twelve, and hardly told apart: without weights nothing would be called rare."""
    rng = np.random.default_rng(12)
    labels = np.repeat(["rare", "usual"], [50, 550])
    features = rng.normal(size=(600, 2)) + np.where(labels == "rare", 0.7, 0.0)[:, None]
    estimator = make_estimator(1)
    assert estimator[-1].get_params()["class_weight"] == "balanced"
    raw = estimator.fit(features, (labels == "usual").astype(int)).predict(features)
    assert np.mean(raw[labels == "rare"] == 0) > 0.9


@pytest.mark.parametrize("known", [(), (5,)])
def test_a_column_may_be_empty_in_all_rows_or_in_those_of_a_fold(known: tuple[int, ...]) -> None:
    """It says nothing then, also of rows that have it."""
    rng = np.random.default_rng(14)
    labels = np.repeat(["x", "y"], 40)
    truth = np.where(labels == "y", 2.5, 0.0) + rng.normal(size=80)
    features = np.stack([truth, np.full(80, np.nan)], axis=1)
    features[list(known), 1] = 1.0
    found = train(features, labels, np.arange(80), estimator=make_estimator(1))
    assert found.evaluation.balanced_accuracy.value > 0.8
    assert abs(found.importance[1]) < 0.02
    if not known:
        later = np.where(np.isnan(features), 7.0, features)
        np.testing.assert_array_equal(
            found.estimator.predict_proba(later), found.estimator.predict_proba(features)
        )


@pytest.mark.parametrize("value", [np.nan, -1.0, 7.0, 0.0])
def test_scores_that_are_no_probabilities_are_refused(blobs: Blobs, value: float) -> None:
    class Broken(LogisticRegression):  # type: ignore[misc]  # has no stubs
        def predict_proba(self, x: FloatArray) -> FloatArray:
            return np.full((len(x), 3), value)

    with pytest.raises(ValueError, match="no probabilities"):
        train(*blobs, estimator=Broken(), n_shuffles=0)


def test_shuffled_labels_give_chance(blobs: Blobs) -> None:
    """Nothing of the answer leaks: by objects, so that the two rows of one stay alike."""
    features, labels, groups = blobs
    shuffled = np.random.default_rng(3).permutation(labels[::2])[groups]
    found = train(features, shuffled, groups, n_shuffles=0).evaluation
    assert found.balanced_accuracy.low < 1 / 3 < found.balanced_accuracy.high
    assert found.accuracy.value < found.majority_accuracy


def test_rows_of_one_object_do_not_help_each_other() -> None:
    """Noise with the object's name in it: known by heart, useless for other objects."""
    rng = np.random.default_rng(5)
    name = rng.normal(size=(60, 4))
    features = np.repeat(name, 5, axis=0) + 1e-3 * rng.normal(size=(300, 4))
    labels = np.repeat(rng.permutation(np.repeat(["x", "y"], 30)), 5)
    estimator = ExtraTreesClassifier(100, random_state=1)
    apart = train(features, labels, np.repeat(np.arange(60), 5), estimator=estimator, n_shuffles=0)
    mixed = train(features, labels, np.arange(300), estimator=estimator, n_shuffles=0)
    assert mixed.evaluation.balanced_accuracy.value > 0.95
    assert apart.evaluation.balanced_accuracy.value < 0.7


def test_the_same_seed_gives_the_same_training(blobs: Blobs, training: Training) -> None:
    again = train(*blobs, estimator=LogisticRegression(class_weight="balanced"))
    np.testing.assert_array_equal(again.probabilities, training.probabilities)
    np.testing.assert_array_equal(again.importance, training.importance)


class ThreadSpy(LogisticRegression):  # type: ignore[misc]  # has no stubs
    """A classifier that notes with how many threads it may be fitted."""

    seen: ClassVar[set[int]] = set()

    def fit(self, x: FloatArray, y: NDArray[np.int64]) -> "ThreadSpy":
        found = (int(pool["num_threads"]) for pool in threadpool_info())
        self.seen.add(max(found))
        super().fit(x, y)
        return self


def test_few_rows_are_trained_by_one_thread(blobs: Blobs) -> None:
    ThreadSpy.seen.clear()
    with threadpool_limits(2):
        train(*blobs, estimator=ThreadSpy(), n_shuffles=0)
    assert ThreadSpy.seen == {1}


def test_probabilities_of_an_overconfident_classifier_are_mended() -> None:
    rng = np.random.default_rng(8)
    truth = rng.dirichlet([1.0, 1.0, 1.0], 4000)
    labels = np.array([rng.choice(3, p=p) for p in truth])
    # Too sure of itself, and too fond of the first class.
    scores = truth**3 * [4.0, 1.0, 1.0]
    scores /= scores.sum(axis=1, keepdims=True)
    calibration = fit_calibration(scores[:2000], labels[:2000])
    assert calibration.inverse_temperature == pytest.approx(1 / 3, abs=0.05)
    mended = calibration.apply(scores[2000:])
    np.testing.assert_allclose(mended.sum(axis=1), 1.0)
    assert np.mean(np.abs(mended - truth[2000:])) < 0.02
    for probabilities, is_good in ((scores[2000:], False), (mended, True)):
        stated, found, share = compute_reliability(labels[2000:], probabilities)
        assert bool(np.sum(share * np.abs(stated - found)) < 0.04) is is_good


def test_good_probabilities_stay(blobs: Blobs) -> None:
    rng = np.random.default_rng(8)
    truth = rng.dirichlet([2.0, 1.0, 1.0], 4000)
    labels = np.array([rng.choice(3, p=p) for p in truth])
    mended = fit_calibration(truth, labels).apply(truth)
    assert np.max(np.abs(mended - truth)) < 0.05


def test_wilson_intervals_are_those_of_scipy() -> None:
    for hits, n in ((0, 7), (3, 9), (50, 50), (480, 1000)):
        expected = binomtest(hits, n).proportion_ci(method="wilson")
        found = compute_wilson(hits, n)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_intervals_hold_the_truth() -> None:
    """Of 200 samples of a classifier with known recalls, about 95 % of the intervals hold it."""
    rng = np.random.default_rng(6)
    recall, sizes = np.array([0.9, 0.6]), (60, 30)
    hits = 0
    for _ in range(200):
        labels = np.repeat([0, 1], sizes)
        given = np.where(rng.random(90) < recall[labels], labels, 1 - labels)
        probabilities = np.eye(2)[given]
        found = evaluate(("x", "y"), labels, given, probabilities, np.arange(90)).balanced_accuracy
        hits += found.low <= recall.mean() <= found.high
    assert 180 <= hits <= 199


def test_figures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(13)
    probabilities = rng.dirichlet([2.0, 1.0, 1.0], 500)
    labels = rng.integers(0, 3, 500)
    given = probabilities.argmax(axis=1)
    found = evaluate(("x", "y", "z"), labels, given, probabilities, np.arange(500))
    assert found.log_loss == pytest.approx(log_loss(labels, probabilities), rel=1e-12)
    parts = [brier_score_loss(labels == k, probabilities[:, k]) for k in range(3)]
    assert found.brier == pytest.approx(sum(parts), rel=1e-12)
    assert found.accuracy.value == pytest.approx(accuracy_score(labels, given), rel=1e-12)
    expected = balanced_accuracy_score(labels, given)
    assert found.balanced_accuracy.value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(found.confusion, confusion_matrix(labels, given))


def test_the_calibration_error_is_the_one_by_hand() -> None:
    """Ten bins of two: five say 0.6 and hit one of two, five say 0.8 and hit both."""
    stated = np.repeat([0.6, 0.8], 10)
    labels = np.concatenate([np.tile([0, 1], 5), np.zeros(10, dtype=np.int64)])
    probabilities = np.stack([stated, 1 - stated], axis=1)
    found = evaluate(("x", "y"), labels, np.zeros(20, int), probabilities, np.arange(20))
    assert found.calibration_error == pytest.approx((0.1 + 0.2) / 2)


def test_intervals_are_those_of_groups_and_not_of_rows() -> None:
    """Each object nine times says nothing more; as objects of their own, they would."""
    rng = np.random.default_rng(15)
    labels = rng.integers(0, 2, 80)
    given = np.where(rng.random(80) < 0.8, labels, 1 - labels)
    parts = (labels, given, np.eye(2)[given], np.arange(80))
    once = evaluate(("x", "y"), *parts)
    repeated = [np.repeat(part, 9, axis=0) for part in parts]
    often = evaluate(("x", "y"), *repeated)
    alone = evaluate(("x", "y"), *repeated[:3], np.arange(720))
    for name in ("accuracy", "balanced_accuracy"):
        one, same, narrow = (getattr(found, name) for found in (once, often, alone))
        assert (same.low, same.high) == pytest.approx((one.low, one.high), rel=1e-12)
        assert 2.5 < (one.high - one.low) / (narrow.high - narrow.low) < 3.6


def test_rare_classes_are_decided_by_their_rise() -> None:
    probabilities = np.array([[0.7, 0.3], [0.95, 0.05]])
    assert decide(probabilities, np.array([0.9, 0.1])).tolist() == [1, 0]


def test_rare_classes_become_other() -> None:
    labels, merged = merge_rare(["a"] * 3 + ["b"] * 2 + ["c"], least=3)
    assert labels == ["a", "a", "a", OTHER, OTHER, OTHER]
    assert merged == ["b", "c"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 20, "at least two classes, got a"),
        (
            ["a"] * 17 + ["b"] * 3,
            "Class `b` has 3 objects, or groups of them, fewer than the 5",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(labels: list[str], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        train(np.zeros((20, 1)), labels, np.arange(20))


def show(title: str, training: Training) -> None:
    found = training.evaluation
    print(f"\n{title}: {len(found.classes)} classes, {found.confusion.sum()} objects")
    print(f"balanced accuracy {found.balanced_accuracy}, majority {1 / len(found.classes):.3f}")
    print(f"accuracy {found.accuracy}, majority {found.majority_accuracy:.3f}")
    print(f"log loss {found.log_loss:.3f}, calibration error {found.calibration_error:.3f}")
    for name, recall, row in zip(found.classes, found.recall, found.confusion, strict=True):
        print(f"  {name:20s} {row.sum():5d} recall {recall}")


@pytest.mark.slow
def test_asas_classes_are_learned(data: Path) -> None:
    """28 classes of 413 stars, those under 8 merged; light curves alone, without periods."""
    folder = data / "asas_classes"
    if not folder.is_dir():
        pytest.skip("`asas_classes` is not in UBSPARK_DATA.")
    rows = pq.read_table(folder / "lightcurves.parquet").sort_by(
        [("asas_id", "ascending"), ("hjd", "ascending")]
    )
    ids, sizes = np.unique(rows["asas_id"].to_numpy(), return_counts=True)
    t, y, dy = (rows[name].to_numpy().astype(np.float64) for name in ("hjd", "mag", "magErr"))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    curves = LightCurves(offsets, t, y, dy, np.zeros(t.size, dtype=np.int8), ("V",))
    known = pq.read_table(folder / "classes.parquet").to_pydict()
    classes = dict(zip(known["asas_id"], known["class"], strict=True))
    labels, merged = merge_rare([classes[i] for i in ids], least=8)
    assert len(merged) == 9
    registry = DEFAULT_FEATURES.select(columns=())
    found = compute_features(curves, registry, is_magnitude=True, quantity="mag")
    features = np.stack(list(found.values.values()), axis=1)
    training = train(features, labels, ids, n_shuffles=0)
    show("ASAS", training)
    assert len(training.classes) == 20
    assert training.evaluation.balanced_accuracy.low > 0.4
    assert training.evaluation.accuracy.low > training.evaluation.majority_accuracy
    shuffled = np.random.default_rng(1).permutation(labels)
    chance = train(features, shuffled, ids, n_shuffles=0).evaluation.balanced_accuracy
    # Of labels without information cross-validation finds rather less than chance.
    assert chance.low < 1 / 20
    assert chance.value < 2 / 20


@pytest.mark.slow
def test_linear_classes_are_learned(data: Path) -> None:
    folder = data / "linear_sdss"
    if not folder.is_dir():
        pytest.skip("`linear_sdss` is not in UBSPARK_DATA.")
    rows: Any = pq.read_table(folder / "linear_attributes.parquet")
    names = ("ug", "gi", "iK", "JK", "logP", "Ampl", "skew", "kurt", "magMed")
    features = np.stack([rows[name].to_numpy().astype(np.float64) for name in names], axis=1)
    features[np.abs(features) > 90.0] = np.nan
    labels = [str(label) for label in rows["LCtype"].to_pylist()]
    training = train(features, labels, rows["linear_id"].to_numpy())
    show("LINEAR", training)
    for name, loss in sorted(zip(names, training.importance, strict=True), key=lambda p: -p[1]):
        print(f"  importance {name:8s} {loss:.3f}")
    assert training.evaluation.balanced_accuracy.low > 0.75
    assert names[int(training.importance.argmax())] == "logP"
