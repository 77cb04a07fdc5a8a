"""A model as a folder: what comes back is what was saved, and it knows which table fits."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from ubspark.errors import InputMissingError, ParameterError, SchemaError
from ubspark.features.calibration import Calibration
from ubspark.features.model import (
    ClassifierModel,
    ModelCard,
    load_card,
    load_model,
    save_model,
)
from ubspark.features.training import Training, make_estimator, train

UNITS = {"mean": "mag", "share": None}
MEANING = {"is_magnitude": "true", "unit": "mag", "engine": "own", "joined": "period=period"}


@pytest.fixture(scope="module")
def training() -> Training:
    rng = np.random.default_rng(2)
    labels = np.repeat(["eclipsing", "pulsating"], 60)
    features = rng.normal(size=(120, 2)) + np.where(labels == "pulsating", 1.5, 0.0)[:, None]
    features[::7, 1] = np.nan
    return train(features, labels, np.arange(120), estimator=make_estimator(1), n_shuffles=0)


@pytest.fixture
def model(training: Training) -> ClassifierModel:
    card = ModelCard(
        columns=tuple(UNITS),
        units=tuple(UNITS.values()),
        registry="abc",
        classes=training.classes,
        training_table="features@v3",
        run="0123",
    )
    return ClassifierModel.from_training(training, card)


@pytest.fixture
def rows() -> pa.Table:
    rng = np.random.default_rng(4)
    share = pa.array(rng.normal(size=1000), mask=rng.random(1000) < 0.2)
    return pa.table({"id": np.arange(1000), "share": share, "mean": rng.normal(size=1000)})


def test_what_comes_back_scores_alike(
    model: ClassifierModel, rows: pa.Table, tmp_path: Path
) -> None:
    digest = save_model(model, tmp_path / "model", facts={"balanced_accuracy": 0.9})
    read = load_model(tmp_path / "model")
    assert read.card == model.card
    assert read.digest == digest
    np.testing.assert_array_equal(read.score(rows), model.score(rows))
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert card["training_table"] == "features@v3"
    assert card["facts"]["balanced_accuracy"] == 0.9
    assert card["estimator"]["type"] == "EmptyColumns, HistGradientBoostingClassifier"


def test_probabilities_are_those_of_each_row(model: ClassifierModel, rows: pa.Table) -> None:
    """Whatever the batch, and whatever the order of the table's columns."""
    scores = model.score(rows)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0)
    parts = [model.score(rows.slice(first, 100)) for first in range(0, 1000, 100)]
    np.testing.assert_array_equal(np.concatenate(parts), scores)
    swapped = rows.select(["mean", "share", "id"])
    np.testing.assert_array_equal(model.score(swapped), scores)
    assert model.score(rows.slice(0, 0)).shape == (0, 2)


def test_scores_are_those_of_the_estimator_calibrated(
    model: ClassifierModel, rows: pa.Table
) -> None:
    """By the estimator itself and the formula of the calibration, written out."""
    model = replace(model, calibration=Calibration(0.4, np.array([0.7, -0.7])))
    raw = model.estimator.predict_proba(rows.select(["mean", "share"]).to_pandas().to_numpy())
    powers = raw**0.4 * np.exp([0.7, -0.7])
    expected = powers / powers.sum(axis=1, keepdims=True)
    assert np.abs(expected - raw).max() > 0.1
    np.testing.assert_allclose(model.score(rows), expected, rtol=1e-12)


def test_null_is_undefined_and_not_zero(model: ClassifierModel) -> None:
    one = pa.table({"mean": [0.3, 0.3], "share": pa.array([None, 0.0], pa.float64())})
    missing, zero = model.score(one)
    assert missing.tolist() != zero.tolist()


def test_the_class_given_is_the_one_that_rises_most(model: ClassifierModel, rows: pa.Table) -> None:
    probabilities, given = model.classify(rows)
    risen = (probabilities / model.priors).argmax(axis=1)
    assert given == [model.card.classes[code] for code in risen]


@pytest.mark.parametrize(
    ("units", "registry", "message"),
    [
        ({"mean": "mag"}, "abc", "lacks 1 of its 2 feature columns: share"),
        ({**UNITS, "mean": "nJy"}, "abc", "mean in nJy instead of mag"),
        (UNITS, "def", "feature registry def, the model with abc"),
        (UNITS, None, r"feature registry \(none\)"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    model: ClassifierModel, units: dict[str, Any], registry: str | None, message: str
) -> None:
    model.validate_table(UNITS, "abc", table="t")
    with pytest.raises(SchemaError, match=message):
        model.validate_table(units, registry, table="t")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"is_magnitude": "false"}, "`is_magnitude` is false instead of true"),
        ({"unit": "nJy", "engine": "light_curve"}, "`unit` is nJy instead of mag, `engine` is"),
    ],
)
def test_numbers_that_mean_something_else_are_refused(
    model: ClassifierModel, changed: dict[str, str], message: str
) -> None:
    model = replace(model, card=replace(model.card, meaning=MEANING))
    assert model.validate_table(UNITS, "abc", MEANING, table="t") == []
    with pytest.raises(SchemaError, match=message):
        model.validate_table(UNITS, "abc", {**MEANING, **changed}, table="t")


def test_what_is_named_otherwise_is_told(model: ClassifierModel, tmp_path: Path) -> None:
    save_model(replace(model, card=replace(model.card, meaning=MEANING)), tmp_path, facts={})
    read = load_model(tmp_path)
    told = read.validate_table(UNITS, "abc", {**MEANING, "joined": "period=pf"}, table="t")
    assert told == ["Unlike in the training table, `joined` is period=pf instead of period=period."]


def test_tables_and_models_that_do_not_say_it_are_taken_with_a_note(
    model: ClassifierModel, tmp_path: Path
) -> None:
    save_model(model, tmp_path, facts={})
    card = json.loads((tmp_path / "model.json").read_text())
    del card["meaning"]
    (tmp_path / "model.json").write_text(json.dumps(card))
    (told,) = load_model(tmp_path).validate_table(UNITS, "abc", MEANING, table="t")
    assert told.startswith("The model does not say")
    model = replace(model, card=replace(model.card, meaning=MEANING))
    (told,) = model.validate_table(UNITS, "abc", {}, table="t")
    assert told.startswith("Table `t` does not say")


def test_a_changed_file_is_refused(model: ClassifierModel, tmp_path: Path) -> None:
    save_model(model, tmp_path, facts={})
    with (tmp_path / "estimator.joblib").open("ab") as file:
        file.write(b"x")
    with pytest.raises(SchemaError, match="is not the one that the model was saved with"):
        load_model(tmp_path)


def test_the_digest_is_that_of_the_whole_model(model: ClassifierModel, tmp_path: Path) -> None:
    """Two models with one estimator and other calibrations, classes or origins are two."""
    digest = save_model(model, tmp_path / "a", facts={})
    assert save_model(model, tmp_path / "b", facts={}) == digest
    weaker = replace(model, calibration=replace(model.calibration, inverse_temperature=0.5))
    assert save_model(weaker, tmp_path / "c", facts={}) != digest
    estimators = {(tmp_path / name / "estimator.joblib").read_bytes() for name in "abc"}
    assert len(estimators) == 1
    assert load_card(tmp_path / "a") == (model.card, digest)
    card = tmp_path / "a" / "model.json"
    card.write_text(card.read_text().replace("pulsating", "eruptive"))
    assert load_model(tmp_path / "a").digest != digest


def test_a_damaged_account_is_refused(model: ClassifierModel, tmp_path: Path) -> None:
    save_model(model, tmp_path, facts={})
    (tmp_path / "model.json").write_text('{"columns": [')
    with pytest.raises(SchemaError, match=r"model\.json` is damaged"):
        load_model(tmp_path)


def test_another_scikit_learn_is_refused(model: ClassifierModel, tmp_path: Path) -> None:
    save_model(model, tmp_path, facts={})
    card = json.loads((tmp_path / "model.json").read_text())
    card["made_with"]["scikit-learn"] = "0.24.1"
    (tmp_path / "model.json").write_text(json.dumps(card))
    with pytest.raises(SchemaError, match=r"made with scikit-learn 0\.24\.1"):
        load_model(tmp_path)


@pytest.mark.parametrize("code", ["", "x = 1"])
def test_an_estimator_whose_code_is_not_here_is_said(
    model: ClassifierModel, tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a module that is lost, or has it no more."""
    module = ModuleType("own_estimator")
    own = type("Own", (LogisticRegression,), {"__module__": "own_estimator"})
    module.Own = own  # type: ignore[attr-defined]  # a module of the user's
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "own_estimator", module)
        save_model(replace(model, estimator=own()), tmp_path / "model", facts={})
    if code:
        (tmp_path / "own_estimator.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SchemaError, match=r"own_estimator.*put its folder on `PYTHONPATH`"):
        load_model(tmp_path / "model")


def test_a_digest_may_be_asked_for(model: ClassifierModel, tmp_path: Path) -> None:
    digest = save_model(model, tmp_path, facts={})
    assert load_model(tmp_path, sha256=digest).digest == digest
    for load in (load_model, load_card):
        with pytest.raises(ParameterError, match="is another one now"):
            load(tmp_path, sha256="0" * 64)


def test_no_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="There is no model in"):
        load_model(tmp_path)


def test_an_estimator_of_your_own_serves(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat(["x", "y"], 30)
    features = rng.normal(size=(60, 1)) + np.where(labels == "y", 2.0, 0.0)[:, None]
    found = train(features, labels, np.arange(60), estimator=LogisticRegression(), n_shuffles=0)
    card = ModelCard(("a",), (None,), "r", found.classes, "t@v0", "run")
    save_model(ClassifierModel.from_training(found, card), tmp_path, facts={})
    high, low = load_model(tmp_path).score(pa.table({"a": [3.0, -1.0]}))
    assert high[1] > 0.9
    assert low[0] > 0.9
