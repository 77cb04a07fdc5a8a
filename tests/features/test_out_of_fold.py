"""The file of out-of-fold predictions says of each row what the training found."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression

from ubspark.features.out_of_fold import OUT_OF_FOLD_FILE, write_out_of_fold
from ubspark.features.training import train


def test_file_holds_the_predictions_of_every_row(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    labels = np.repeat(["b", "a", "c"], 20)
    features = rng.normal(size=(60, 2)) + (labels == "a")[:, None]
    ids = pa.array(rng.permutation(60))
    training = train(
        features, labels, ids.to_pylist(), estimator=LogisticRegression(), n_shuffles=0
    )
    path = write_out_of_fold(training, ids, tmp_path)
    assert path == tmp_path / OUT_OF_FOLD_FILE
    rows = pq.read_table(path)
    assert rows.column_names == ["id", "fold", "true_class", "label", "probabilities"]
    assert rows["id"].to_pylist() == ids.to_pylist()
    assert rows["true_class"].to_pylist() == labels.tolist()
    stated = np.array(rows["probabilities"].to_pylist())
    np.testing.assert_array_equal(stated, training.probabilities)
    np.testing.assert_array_equal(rows["fold"], training.folds)
    hits = np.mean(np.array(rows["label"].to_pylist()) == labels)
    assert hits == training.evaluation.accuracy.value
