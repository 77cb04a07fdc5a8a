"""From light curves by features and training to scores, each of which knows where it comes from."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import joblib
import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from ubspark.catalogs.delta import open_table, read_history
from ubspark.errors import InputMissingError, ParameterError, SchemaError, TransientError
from ubspark.features.model import load_model
from ubspark.lineage.audit import audit
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.places import open_ledger
from ubspark.runtime.run_job import plan_job, run_job
from ubspark.runtime.sync import sync_spool
from ubspark.sky.healpix import compute_healpix_29

pytestmark = pytest.mark.spark

N = 150
ROLES = {"id": "objectId", "ra": "ra", "dec": "dec", "time": "t", "flux": "mag"}


def make_estimator() -> Any:
    """Return a classifier that is quick to train."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=20, class_weight="balanced", random_state=1)


def fail() -> Any:
    """Fail as a user's code does."""
    return {}["trees"]


def make_strict() -> Any:
    """Return a classifier that takes no NaN."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


@pytest.fixture(scope="module")
def home(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with light curves of three kinds, their features, labels and a model."""
    found = Home(tmp_path_factory.mktemp("chain"))
    found.validate_writable()
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0, 360, N), rng.uniform(-80, 80, N)
    index = compute_healpix_29(ra, dec)
    order = np.argsort(index)
    kind = np.arange(N) % 3
    curves = [make_curve(rng, int(k)) for k in kind]
    rows = {
        "_healpix_29": index[order],
        "objectId": np.arange(N)[order],
        "ra": ra[order],
        "dec": dec[order],
        **{name: [curves[i][name].tolist() for i in order] for name in ("t", "mag", "magErr")},
    }
    save(spark, found, "curves", rows, {**ROLES, "flux_error": "magErr"})
    names = np.array(["quiet", "sine", "outburst"])[kind]
    labelled = {"objectId": np.arange(0, N, 2), "class": names[::2]}
    save(spark, found, "labels", labelled, {"id": "objectId"})
    features = {
        "job": "features",
        "inputs": {"lightcurves": {"table": "curves"}},
        "params": {"bands": ["V"], "is_magnitude": True},
        "outputs": {"features": {"table": "features"}},
    }
    run_job(parse_job(features), home=found, spark=spark)
    run_job(configure_train(found), home=found, spark=spark)
    return found


def make_curve(rng: np.random.Generator, kind: int) -> dict[str, Any]:
    t = np.sort(rng.uniform(0.0, 200.0, 60))
    y = 15.0 + rng.normal(0.0, 0.02, 60)
    if kind == 1:
        y += 0.3 * np.sin(2 * np.pi * t / rng.uniform(0.4, 5.0))
    if kind == 2:
        y -= 2.0 * np.exp(-np.abs(t - 100.0) / 5.0)
    return {"t": t, "mag": y, "magErr": np.full(60, 0.02)}


def save(
    spark: SparkSession, home: Home, name: str, rows: dict[str, Any], roles: dict[str, str]
) -> None:
    place = Path(home.warehouse) / name
    spark.createDataFrame(pa.table(rows).to_pandas()).coalesce(1).write.format("delta").save(
        str(place)
    )
    properties = ", ".join(f"'ubspark.role.{role}' = '{column}'" for role, column in roles.items())
    spark.sql(f"ALTER TABLE delta.`{place}` SET TBLPROPERTIES ({properties})")


def configure_train(home: Home, folder: str = "model", **params: Any) -> Any:
    given = {"folds": 3, "shuffles": 1, "estimator": "chain_estimator:make_estimator", **params}
    content = {
        "job": "train",
        "inputs": {"features": {"table": "features"}, "labels": {"table": "labels"}},
        "params": given,
        "outputs": {"model": {"path": str(home.path / folder)}},
    }
    return parse_job(content)


def configure_classify(home: Home, output: str = "scores", cells: int = 2, **params: Any) -> Any:
    content = {
        "job": "classify",
        "inputs": {"features": {"table": "features"}},
        "params": {"model": str(home.path / "model"), **params},
        "outputs": {"scores": {"table": output}},
        "resources": {"cells": cells},
    }
    return parse_job(content)


@pytest.fixture(scope="module", autouse=True)
def _estimator_module() -> Any:
    """Make this module importable by name, as a user's own module is."""
    import sys

    sys.modules["chain_estimator"] = sys.modules[__name__]
    yield
    del sys.modules["chain_estimator"]


def test_the_model_knows_where_it_comes_from(home: Home) -> None:
    model = load_model(home.path / "model")
    assert model.card.classes == ("outburst", "quiet", "sine")
    assert model.card.training_table.endswith("/features@v0")
    table = open_table(str(Path(home.warehouse) / "features"))
    assert model.card.registry == table.properties["ubspark.features.registry"]
    card = json.loads((home.path / "model" / "model.json").read_text())
    assert card["facts"]["evaluation"]["balanced_accuracy"]["low"] > 0.8
    assert len(card["facts"]["importance"]) == len(card["columns"])
    manifest = json.loads((home.path / "model" / "ubspark-manifest.json").read_text())
    assert manifest["record"]["run"] == model.card.run
    assert manifest["kind"] == "model"


def test_ids_and_positions_are_not_trained_on(home: Home) -> None:
    columns = load_model(home.path / "model").card.columns
    assert {"objectId", "ra", "dec", "_healpix_29", "feature_status"}.isdisjoint(columns)
    assert "V_magSigma" in columns


def test_scores_name_model_and_training_table(home: Home, spark: SparkSession) -> None:
    outcome = run_job(configure_classify(home), home=home, spark=spark)
    model = load_model(home.path / "model")
    uri = str(Path(home.warehouse) / "scores")
    table = open_table(uri)
    assert table.properties["ubspark.model.sha256"] == model.digest
    assert table.properties["ubspark.model.training_table"] == model.card.training_table
    record = read_history(uri)[-1].record or {}
    params = record["spec"]["params"]
    assert params["model_sha256"] == model.digest
    assert params["model_run"] == model.card.run
    assert params["training_table"] == model.card.training_table
    assert outcome.record.metrics["objects"] == N


def test_scores_are_those_of_the_model(home: Home, spark: SparkSession) -> None:
    run_job(configure_classify(home), home=home, spark=spark)
    scores = open_table(str(Path(home.warehouse) / "scores")).to_dataset().to_table()
    scores = scores.sort_by("objectId")
    features = open_table(str(Path(home.warehouse) / "features")).to_dataset().to_table()
    features = features.sort_by("objectId")
    probabilities, given = load_model(home.path / "model").classify(features)
    assert scores["label"].to_pylist() == given
    found = np.stack([scores[f"p_{n}"].to_numpy() for n in ("outburst", "quiet", "sine")], axis=1)
    np.testing.assert_array_equal(found, probabilities.astype(np.float32))
    truth = np.array(["quiet", "sine", "outburst"])[np.arange(N) % 3]
    unseen = np.arange(N) % 2 == 1
    assert np.mean(np.array(given)[unseen] == truth[unseen]) > 0.85


def test_cells_do_not_change_the_scores(home: Home, spark: SparkSession) -> None:
    digests = {
        run_job(configure_classify(home, f"cells_{n}", n), home=home, spark=spark).outputs[
            "scores"
        ]["digest"]
        for n in (1, 5)
    }
    assert len(digests) == 1


def test_training_again_changes_nothing(home: Home, spark: SparkSession) -> None:
    assert run_job(configure_train(home), home=home, spark=spark).already_made


def test_only_rows_that_meet_the_conditions_are_trained_on(home: Home, spark: SparkSession) -> None:
    """Of labels and of features; the others might not exist."""
    config = configure_train(home, "some")
    conditions = {"labels": "objectId < 100", "features": "objectId >= 10 and V_n_epochs > 5"}
    for name, where in conditions.items():
        config.inputs[name] = config.inputs[name].model_copy(update={"where": where})
    outcome = run_job(config, home=home, spark=spark)
    held = pq.read_table(home.path / "some" / "out_of_fold.parquet")
    # Every other object has a label.
    assert sorted(held["id"].to_pylist()) == list(range(10, 100, 2))
    assert outcome.record.metrics["labelled_objects"] == 45
    everything = load_model(home.path / "model").digest
    assert load_model(home.path / "some").digest != everything


def test_a_condition_on_no_column_is_refused(home: Home) -> None:
    config = configure_train(home, "refused")
    labels = config.inputs["labels"].model_copy(update={"where": "clas = 'sine'"})
    config.inputs["labels"] = labels
    with pytest.raises(SchemaError, match="Did you mean `class`"):
        plan_job(config, home=home)


@pytest.mark.parametrize(
    ("rows", "where", "params", "message"),
    [
        ({}, "objectId < 0", {}, "No row of `inputs.labels` has a `class`"),
        ({"objectId": [4, 4, 6], "class": ["a", "b", "a"]}, None, {}, "more than one .* such as 4"),
        ({"objectId": [901, 902], "class": ["a", "b"]}, None, {}, "are the ids of one catalog"),
        ({"objectId": ["x", "y", "z", "w"], "class": ["a", "b", "a", "b"]}, None, {}, "is string"),
        ({}, None, {"estimator": "chain_estimator:make_strict"}, "Input X contains NaN"),
    ],
)
def test_labels_that_teach_nothing_are_refused(
    home: Home,
    spark: SparkSession,
    rows: dict[str, Any],
    where: str | None,
    params: dict[str, Any],
    message: str,
) -> None:
    config = configure_train(home, "refused", **params)
    table = "labels"
    if rows:
        table = f"labels_{len(rows['objectId'])}"
        save(spark, home, table, rows, {"id": "objectId"})
    given = config.inputs["labels"].model_copy(update={"table": table, "where": where})
    config.inputs["labels"] = given
    with pytest.raises((ParameterError, SchemaError), match=message):
        run_job(config, home=home, spark=spark)


def test_a_table_of_another_registry_is_refused(home: Home, spark: SparkSession) -> None:
    features = {
        "job": "features",
        "inputs": {"lightcurves": {"table": "curves"}},
        "params": {"bands": ["V"], "is_magnitude": True, "sets": ["moments"]},
        "outputs": {"features": {"table": "fewer"}},
    }
    run_job(parse_job(features), home=home, spark=spark)
    config = configure_classify(home, "refused")
    config.inputs["features"] = config.inputs["features"].model_copy(update={"table": "fewer"})
    with pytest.raises(SchemaError, match=r"`fewer` does not fit the model: it lacks \d+ of its"):
        plan_job(config, home=home)


def test_a_table_of_fluxes_is_refused_by_a_model_of_magnitudes(
    home: Home, spark: SparkSession
) -> None:
    """The flux column has no unit, so that the columns of both are alike."""
    meaning = load_model(home.path / "model").card.meaning
    said = {"is_magnitude": "true", "engine": "own", "values": "mag", "bands": "V"}
    assert meaning == said
    features = {
        "job": "features",
        "inputs": {"lightcurves": {"table": "curves"}},
        "params": {"bands": ["V"], "is_magnitude": False},
        "outputs": {"features": {"table": "fluxes"}},
    }
    run_job(parse_job(features), home=home, spark=spark)
    config = configure_classify(home, "refused")
    config.inputs["features"] = config.inputs["features"].model_copy(update={"table": "fluxes"})
    with pytest.raises(SchemaError, match="`is_magnitude` is false instead of true"):
        plan_job(config, home=home)


def test_an_old_table_is_scored_with_a_note(home: Home, spark: SparkSession) -> None:
    shutil.copytree(Path(home.warehouse) / "features", Path(home.warehouse) / "old")
    place = Path(home.warehouse) / "old"
    spark.sql(f"ALTER TABLE delta.`{place}` UNSET TBLPROPERTIES ('ubspark.features.is_magnitude')")
    config = configure_classify(home, "of_old")
    config.inputs["features"] = config.inputs["features"].model_copy(update={"table": "old"})
    notes = run_job(config, home=home, spark=spark).record.notes
    assert "Table `old` does not say whether its values are magnitudes: it is too old." in notes


def test_another_model_in_its_place_is_refused(home: Home) -> None:
    with pytest.raises(ParameterError, match="is another one now"):
        plan_job(configure_classify(home, "refused", model_sha256="0" * 64), home=home)


def test_a_model_that_was_altered_is_refused(home: Home, tmp_path: Path) -> None:
    """Its calibration and classes are in no pickle; its training sealed them all the same."""
    folder = shutil.copytree(home.path / "model", tmp_path / "model")
    card = folder / "model.json"
    card.write_text(card.read_text().replace('"sine"', '"wave"'))
    with pytest.raises(SchemaError, match="was altered after its training"):
        plan_job(configure_classify(home, "refused", model=str(folder)), home=home)


class Payload:
    """A pickle of it makes a file when it is opened."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.place,)


@pytest.mark.parametrize(
    ("pinned", "error", "message"),
    [
        (None, SchemaError, "was altered after its training"),
        ("0" * 64, ParameterError, "is another one now"),
    ],
)
def test_a_pickle_is_not_opened_before_its_digest_is_known_to_be_right(
    home: Home, tmp_path: Path, pinned: str | None, error: type[Exception], message: str
) -> None:
    folder = shutil.copytree(home.path / "model", tmp_path / "model")
    pickle, card = folder / "estimator.joblib", folder / "model.json"
    joblib.dump(Payload(tmp_path / "was_run"), pickle)
    content = json.loads(card.read_text())
    content["estimator"]["sha256"] = hashlib.sha256(pickle.read_bytes()).hexdigest()
    card.write_text(json.dumps(content))
    config = configure_classify(home, "refused", model=str(folder), model_sha256=pinned)
    with pytest.raises(error, match=message):
        plan_job(config, home=home)
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("ubspark-manifest.json", "has no `ubspark-manifest.json`"),
        ("estimator.joblib", "`estimator.joblib` in .* is lost"),
    ],
)
def test_a_model_that_is_not_whole_is_refused(
    home: Home, tmp_path: Path, lost: str, message: str
) -> None:
    folder = shutil.copytree(home.path / "model", tmp_path / "model")
    (folder / lost).unlink()
    with pytest.raises(SchemaError, match=message):
        plan_job(configure_classify(home, "refused", model=str(folder)), home=home)


@pytest.mark.parametrize("text", ["{}", "[]", '{"columns": [1]}'])
def test_an_account_that_is_none_is_refused(home: Home, tmp_path: Path, text: str) -> None:
    folder = shutil.copytree(home.path / "model", tmp_path / "model")
    (folder / "model.json").write_text(text)
    with pytest.raises(SchemaError, match="is damaged"):
        plan_job(configure_classify(home, "refused", model=str(folder)), home=home)


def test_scores_whose_model_is_gone_are_an_open_end(home: Home, spark: SparkSession) -> None:
    run_job(configure_classify(home), home=home, spark=spark)
    scores = f"{Path(home.warehouse) / 'scores'}@v0"
    assert scores not in audit(open_ledger(home)).open_ends
    aside = shutil.move(home.path / "model", home.path.parent / "aside")
    try:
        found = audit(open_ledger(home)).open_ends
    finally:
        shutil.move(aside, home.path / "model")
    assert "is in no place known here" in found[scores]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"label": "klass"}, SchemaError, "Did you mean `class`"),
        ({"estimator": "nowhere:f"}, ParameterError, "must be `module:function`"),
        ({"estimator": "builtins:dict"}, ParameterError, "must return a classifier"),
        ({"estimator": "chain_estimator:fail"}, ParameterError, "failed with KeyError: 'trees'"),
        ({"columns": ["ra", "V_magMean"]}, ParameterError, r"must name numbers of .* Got ra\."),
        ({"columns": ["_healpix_29"]}, ParameterError, "must name numbers"),
        ({"exclude": ["V_magMeen"]}, SchemaError, "Did you mean `V_magMean`"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    home: Home, params: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plan_job(configure_train(home, "refused", **params), home=home)


def test_labels_that_are_no_number_are_none(home: Home, spark: SparkSession) -> None:
    ids = read_features(home)["objectId"].to_pylist()
    kinds = [(1.0, 2.0, float("nan"))[i % 3] for i in range(len(ids))]
    save(spark, home, "numbers", {"objectId": ids, "class": kinds}, {"id": "objectId"})
    config = configure_train(home, "of_numbers")
    config.inputs["labels"] = config.inputs["labels"].model_copy(update={"table": "numbers"})
    run_job(config, home=home, spark=spark)
    assert load_model(home.path / "of_numbers").card.classes == ("1.0", "2.0")


def test_labels_as_people_write_them_train_a_model(home: Home, spark: SparkSession) -> None:
    """One object of a rare class, blanks about labels, and words for none."""
    ids = read_features(home)["objectId"].to_pylist()
    kinds = [("quiet", "sine ", "outburst", "sine", "", "NaN")[i % 6] for i in range(len(ids))]
    kinds[1] = "weird"
    save(spark, home, "written", {"objectId": ids, "class": kinds}, {"id": "objectId"})
    config = configure_train(home, "of_written")
    config.inputs["labels"] = config.inputs["labels"].model_copy(update={"table": "written"})
    made = run_job(config, home=home, spark=spark).record
    assert load_model(home.path / "of_written").card.classes == ("outburst", "quiet", "sine")
    assert made.metrics["dropped_objects"] == 1
    assert made.metrics["rows_without_label"] == N // 3
    assert made.metrics["labelled_objects"] == N - N // 3 - 1
    assert any(note.startswith("1 objects of `other` were left out") for note in made.notes)
    assert any(note.startswith("50 rows of the labels have none") for note in made.notes)


def test_objects_without_an_epoch_are_given_no_class(home: Home, spark: SparkSession) -> None:
    place = Path(home.warehouse)
    rows = spark.read.format("delta").load(str(place / "curves"))
    error = F.when(F.col("objectId") == 7, F.lit(None)).otherwise(F.col("magErr"))
    rows.withColumn("magErr", error).coalesce(1).write.format("delta").save(str(place / "lost"))
    features = {
        "job": "features",
        "inputs": {"lightcurves": {"table": "lost", "roles": {**ROLES, "flux_error": "magErr"}}},
        "params": {"bands": ["V"], "is_magnitude": True},
        "outputs": {"features": {"table": "features_lost"}},
    }
    run_job(parse_job(features), home=home, spark=spark)
    config = configure_classify(home, "of_lost")
    given = config.inputs["features"].model_copy(update={"table": "features_lost"})
    config.inputs["features"] = given
    made = run_job(config, home=home, spark=spark).record
    assert made.metrics["unclassified_objects"] == 1
    scores = open_table(str(place / "of_lost")).to_dataset().to_table().sort_by("objectId")
    for name in ("label", "p_quiet", "p_sine", "p_outburst"):
        assert np.flatnonzero(scores[name].is_null()).tolist() == [7]
    assert scores["feature_status"].to_pylist()[6:9] == [0, 33, 0]


def test_classes_of_any_name_reach_mlflow(home: Home, spark: SparkSession) -> None:
    ids = read_features(home)["objectId"].to_pylist()
    kinds = [("RR(B)", "E?")[i % 2] for i in range(len(ids))]
    save(spark, home, "named", {"objectId": ids, "class": kinds}, {"id": "objectId"})
    config = configure_train(home, "of_names")
    config.inputs["labels"] = config.inputs["labels"].model_copy(update={"table": "named"})
    made = run_job(config, home=home, spark=spark).record
    shown = open_registry(home).get_run(str(made.mlflow_run))
    assert shown.info.status == "FINISHED"
    assert shown.data.metrics["recall_RR_B_"] == made.metrics["recall_RR(B)"]
    assert list(home.spool.glob("*.json")) == []


def test_classes_of_one_column_are_refused_before_training(home: Home, spark: SparkSession) -> None:
    ids = read_features(home)["objectId"].to_pylist()
    kinds = [("RR-ab", "RR+ab")[i % 2] for i in range(len(ids))]
    save(spark, home, "alike", {"objectId": ids, "class": kinds}, {"id": "objectId"})
    config = configure_train(home, "refused")
    config.inputs["labels"] = config.inputs["labels"].model_copy(update={"table": "alike"})
    with pytest.raises(SchemaError, match=r"`RR\+ab` and `RR-ab` would both have the column"):
        run_job(config, home=home, spark=spark)


def test_the_label_is_not_learnt_from(home: Home, spark: SparkSession) -> None:
    """A column that is carried along is no feature, the label's own least of all."""
    rng = np.random.default_rng(3)
    curves = open_table(str(Path(home.warehouse) / "curves")).to_dataset().to_table()
    kind = pa.array(rng.integers(0, 2, curves.num_rows))
    roles = {**ROLES, "flux_error": "magErr"}
    save(spark, home, "marked", curves.append_column("kind", kind).to_pydict(), roles)
    features = {
        "job": "features",
        "inputs": {"lightcurves": {"table": "marked", "columns": ["kind"]}},
        "params": {"bands": ["V"], "is_magnitude": True, "sets": ["moments"]},
        "outputs": {"features": {"table": "carrying"}},
    }
    run_job(parse_job(features), home=home, spark=spark)
    config = configure_train(home, "chance", label="kind")
    for name, table in (("features", "carrying"), ("labels", "marked")):
        config.inputs[name] = config.inputs[name].model_copy(update={"table": table})
    found = run_job(config, home=home, spark=spark).record.metrics
    assert found["balanced_accuracy_low"] < 0.5 < found["balanced_accuracy_high"]
    assert "kind" not in load_model(home.path / "chance").card.columns
    config.params["columns"] = ["kind"]
    with pytest.raises(ParameterError, match="labels are not trained on"):
        plan_job(config, home=home)


def test_labels_may_repeat_and_have_wider_ids(home: Home, spark: SparkSession) -> None:
    """Rows of labels are no objects, and ids of nobody's here may be any number."""
    ids = read_features(home)["objectId"].to_pylist()
    rows = {
        "objectId": [*ids, *ids[:10], 9_000_215_153, None],
        "class": [
            *(str(i % 2) for i in range(len(ids))),
            *(str(i % 2) for i in range(10)),
            "0",
            "1",
        ],
    }
    place = Path(home.warehouse) / "repeated"
    frame = spark.createDataFrame(
        list(zip(*rows.values(), strict=True)), "objectId long, class string"
    )
    frame.write.format("delta").save(str(place))
    spark.sql(f"ALTER TABLE delta.`{place}` SET TBLPROPERTIES ('ubspark.role.id' = 'objectId')")
    config = configure_train(home, "repeated")
    config.inputs["labels"] = config.inputs["labels"].model_copy(update={"table": "repeated"})
    made = run_job(config, home=home, spark=spark).record
    assert made.metrics["labelled_objects"] == len(ids)
    report = (made.folder / "report.html").read_text()
    assert "1 labelled objects are not in the feature table" in report


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"registered_name": "v1.2"}, "registered_name"),
        ({"alias": "latest"}, "neither `latest`"),
        ({"alias": "v1"}, "neither `latest`"),
        ({"seed": -1}, "seed"),
        ({"columns": []}, "must name numbers"),
        ({"columns": ["V_magMean", "V_magMean"]}, "each once"),
        ({"least": 100_000}, "would be one"),
    ],
)
def test_parameters_that_nobody_could_use_later_are_refused(
    home: Home, spark: SparkSession, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        run_job(configure_train(home, "refused", **params), home=home, spark=spark)


def test_too_few_objects_are_said(home: Home, spark: SparkSession) -> None:
    config = configure_train(home, "few", folds=40)
    with pytest.raises(ParameterError, match="has 25 objects, or groups of them, fewer than"):
        run_job(config, home=home, spark=spark)


def test_columns_that_say_nothing_are_not_called_important(home: Home, spark: SparkSession) -> None:
    config = configure_train(home, "one", columns=["V_n_epochs"])
    made = run_job(config, home=home, spark=spark).record
    report = (made.folder / "report.html").read_text()
    card = json.loads((home.path / "one" / "model.json").read_text())
    counts = card["facts"]["importance"]["V_n_epochs"] > 0
    assert ("The columns that count most" in report) == counts
    assert ("No column counts alone" in report) == (not counts)


def open_registry(home: Home) -> MlflowClient:
    return MlflowClient(home.tracking_uri, registry_uri=home.tracking_uri)


def read_features(home: Home) -> pa.Table:
    found = open_table(str(Path(home.warehouse) / "features")).to_dataset().to_table()
    return found.sort_by("objectId")


def test_the_model_is_registered_with_signature_and_inputs(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_registry(home)
    version = client.get_model_version_by_alias("model", "champion")
    model = load_model(home.path / "model")
    assert version.tags["ubspark.sha256"] == model.digest
    assert version.tags["ubspark.folder"] == str(home.path / "model")
    assert client.get_run(version.run_id).data.tags["ubspark.run_id"] == model.card.run
    made = client.get_run(version.run_id).outputs.model_outputs
    logged = client.get_logged_model(made[0].model_id)
    features = open_table(str(Path(home.warehouse) / "features"))
    assert logged.params["input.features"] == f"{features.uri}@v0"
    assert logged.params["table_id.features"] == features.table_id
    # For this test alone: MLflow itself would set it for the whole process.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", home.tracking_uri)
    signature = mlflow.models.get_model_info("models:/model@champion").signature
    assert signature.inputs.input_names() == list(model.card.columns)
    assert {str(kind) for kind in signature.inputs.input_types()} == {"DataType.double"}
    assert signature.outputs.input_names() == ["label", "p_outburst", "p_quiet", "p_sine"]


def test_mlflow_scores_as_classify_does(
    home: Home, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By address the job uses the same model, and its commit names the version."""
    # For this test alone: MLflow itself would set it for the whole process.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", home.tracking_uri)
    features = read_features(home)
    found = mlflow.pyfunc.load_model("models:/model@champion").predict(features.to_pandas())
    config = configure_classify(home, "by_alias", model="models:/model@champion")
    run_job(config, home=home, spark=spark)
    uri = str(Path(home.warehouse) / "by_alias")
    scores = open_table(uri).to_dataset().to_table().sort_by("objectId")
    assert scores["label"].to_pylist() == found["label"].tolist()
    for name in ("p_outburst", "p_quiet", "p_sine"):
        np.testing.assert_array_equal(scores[name].to_numpy(), found[name].astype(np.float32))
    assert open_table(uri).properties["ubspark.model.version"] == "models:/model/1"
    record = read_history(uri)[-1].record or {}
    assert record["spec"]["params"]["registered"] == "models:/model/1"
    assert record["spec"]["params"]["model_sha256"] == load_model(home.path / "model").digest


@pytest.mark.parametrize("harm", ["moved", "estimator lost", "copy damaged too"])
def test_a_registered_model_survives_its_folder(home: Home, harm: str) -> None:
    """The registry's copy is used, and is the same model."""
    place, aside = home.path / "model", home.path / "aside"
    shutil.move(place, aside)
    if harm != "moved":
        shutil.copytree(aside, place)
        (place / "estimator.joblib").unlink()
    if harm == "copy damaged too":
        copy = home.path / "models" / load_model(aside).digest
        shutil.copytree(place, copy, dirs_exist_ok=True)
        (copy / "estimator.joblib").write_bytes(b"x")
    try:
        job, _ = plan_job(configure_classify(home, "copy", model="models:/model/1"), home=home)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        shutil.move(aside, place)
    folder = Path(job.spec.params["model"])
    assert folder != place
    assert load_model(folder).digest == load_model(place).digest


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("models:/model@challenger", InputMissingError, "does not have `models:/model@challenger`"),
        ("models:/model/7", InputMissingError, "does not have `models:/model/7`"),
        ("models:/nothing@champion", InputMissingError, "does not have"),
        ("models:/model", ParameterError, "must be written `models:/NAME@ALIAS`"),
    ],
)
def test_an_address_without_a_model_is_refused(
    home: Home, address: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plan_job(configure_classify(home, "refused", model=address), home=home)


def test_a_registered_model_must_have_its_digest(home: Home) -> None:
    config = configure_classify(
        home, "refused", model="models:/model@champion", model_sha256="0" * 64
    )
    with pytest.raises(ParameterError, match="is another one now"):
        plan_job(config, home=home)


def test_without_mlflow_the_model_is_made_and_registered_later(
    home: Home, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    config = configure_train(home, "late", registered_name="late_model", alias="newest")
    with pytest.warns(UserWarning, match="did not take the record"):
        outcome = run_job(config, home=home, spark=spark)
    assert load_model(home.path / "late").card.run == outcome.record.run_id
    address = {"model": "models:/late_model@newest"}
    with pytest.raises(TransientError, match="does not answer"):
        plan_job(configure_classify(home, "refused", **address), home=home)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert sync_spool(home)["delivered"] == 1
    job, _ = plan_job(configure_classify(home, "now", **address), home=home)
    assert job.spec.params["registered"] == "models:/late_model/1"
    assert job.spec.params["model"] == str(home.path / "late")
