"""Two models are compared by what they said of rows that they had not seen."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ubspark.catalogs.digests import compute_digest as compute_rows_digest
from ubspark.catalogs.export.manifest import ExportFile, Manifest, compute_digest, write_manifest
from ubspark.features.out_of_fold import OUT_OF_FOLD_FILE
from ubspark.lineage.comparison import Comparison
from ubspark.lineage.entities import Entity, Made
from ubspark.runtime.verdicts import compare_outputs

PROBABILITIES = [[0.9, 0.1], [0.3, 0.7]]


def make_model(
    folder: Path,
    *,
    probabilities: list[list[float]] = PROBABILITIES,
    estimator: str = "trees",
    accuracy: float = 1.0,
    columns: tuple[str, ...] = ("mean",),
) -> Made:
    folder.mkdir()
    rows = pa.table({"id": [4, 7], "label": ["a", "b"], "probabilities": probabilities})
    pq.write_table(rows, folder / OUT_OF_FOLD_FILE)
    (folder / "estimator.joblib").write_text(estimator)
    facts = {"evaluation": {"accuracy": accuracy}, "params": {"folds": 2}}
    card = {"run": folder.name, "columns": columns, "facts": facts}
    (folder / "model.json").write_text(json.dumps(card))
    files = tuple(ExportFile.describe(folder, path.name) for path in sorted(folder.iterdir()))
    write_manifest(folder, Manifest("model", files, {"run": folder.name}, 2))
    return Made(Entity("folder", str(folder), compute_digest(files)), None, "EXPORT", True, None)


def test_rows_of_the_original_are_those_that_its_commit_states() -> None:
    """Not those of the replay, or the two could never differ."""
    digest = str(compute_rows_digest(pa.table({"id": [1, 2, 3]})))
    entity = Entity("delta", "/gone", "table", 0)
    made = Made(entity, None, "WRITE", True, {"digest": digest})
    told = {"uri": "/new", "version": 0, "digest": digest, "n_rows": 4}
    found = compare_outputs({"table": made}, {"table": told}, {})["table"]
    assert (found.verdict, found.n_original, found.n_replay) == ("EXACT", 3, 4)


@pytest.fixture
def compare(tmp_path: Path) -> Callable[..., Comparison]:
    def run(**changed: Any) -> Comparison:
        original = make_model(tmp_path / "original")
        make_model(tmp_path / "replay", **changed)
        replay = {"model": {"uri": str(tmp_path / "replay")}}
        return compare_outputs({"model": original}, replay, {})["model"]

    return run


def test_same_predictions_and_files_are_exact(compare: Callable[..., Comparison]) -> None:
    found = compare()
    assert (found.verdict, found.n_original, found.n_replay) == ("EXACT", 2, 2)


def test_another_estimator_file_with_the_same_predictions_is_equivalent(
    compare: Callable[..., Comparison],
) -> None:
    found = compare(estimator="the same trees, written otherwise")
    assert found.verdict == "EQUIVALENT"
    assert [column.name for column in found.columns] == ["estimator.joblib"]


def test_predictions_within_the_tolerance_are_equivalent(
    compare: Callable[..., Comparison],
) -> None:
    near = [[0.9 + 1e-12, 0.1], [0.3, 0.7]]
    found = compare(probabilities=near, accuracy=1.0 - 1e-12)
    assert found.verdict == "EQUIVALENT"
    names = {column.name for column in found.columns}
    assert names == {f"{OUT_OF_FOLD_FILE}: probabilities", "model.json: evaluation"}


def test_other_predictions_are_different_and_their_rows_are_kept(
    compare: Callable[..., Comparison],
) -> None:
    found = compare(probabilities=[[0.9, 0.1], [0.35, 0.65]])
    assert found.verdict == "DIFFERENT"
    assert found.rows is not None
    assert found.rows["id"].to_pylist() == [7, 7]
    assert found.columns[0].largest == pytest.approx(0.05)


def test_other_columns_are_different_whatever_was_predicted(
    compare: Callable[..., Comparison],
) -> None:
    assert compare(columns=("median",)).verdict == "DIFFERENT"
