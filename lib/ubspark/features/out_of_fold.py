"""The predictions of a cross-validation as a file, by which two trainings are compared."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ubspark.features.training import Training, decide

__all__ = ["OUT_OF_FOLD_FILE", "write_out_of_fold"]

#: In the folder of a model.
OUT_OF_FOLD_FILE = "out_of_fold.parquet"


def write_out_of_fold(training: Training, ids: pa.Array, folder: Path) -> Path:
    """Write what each training row was given by the classifier that had not seen it.

    Parameters
    ----------
    ids
        Of the training rows, shape (n,); the file has one row for each, in the same order.

    Returns
    -------
    Path
        The file, with the columns ``id``, ``fold``, ``true_class``, ``label`` (the class given)
        and ``probabilities``, calibrated, in the order of the model's classes.
    """
    classes = pa.array(training.classes, pa.string())
    given = decide(training.probabilities, training.priors)
    n, k = training.probabilities.shape
    probabilities = pa.ListArray.from_arrays(
        np.arange(0, n * k + 1, k, dtype=np.int32), training.probabilities.ravel()
    )
    rows = pa.table(
        {
            "id": ids,
            "fold": training.folds,
            "true_class": classes.take(pa.array(training.labels)),
            "label": classes.take(pa.array(given)),
            "probabilities": probabilities,
        }
    )
    path = folder / OUT_OF_FOLD_FILE
    pq.write_table(rows, path)
    return path
