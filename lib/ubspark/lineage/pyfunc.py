"""What MLflow calls to open a model's folder: a table of features goes in, classes come out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from ubspark.features.model import LABEL, ClassifierModel, load_model

__all__ = ["TableModel"]


@dataclass(frozen=True)
class TableModel:
    """A classifier on pandas tables, as MLflow's ``pyfunc`` flavour wants one."""

    model: ClassifierModel

    def predict(self, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Return class and probabilities, one row per object.

        Parameters
        ----------
        model_input
            The feature columns of the model, in any order; NaN where undefined.

        Returns
        -------
        DataFrame
            ``label`` and, for each class, ``p_{class}``, with the index of the input.
        """
        _ = params
        columns = list(self.model.card.columns)
        rows = pa.Table.from_pandas(model_input[columns], preserve_index=False)
        probabilities, given = self.model.classify(rows)
        found = pd.DataFrame(
            probabilities, columns=self.model.card.probability_columns, index=model_input.index
        )
        found.insert(0, LABEL, given)
        return found


def _load_pyfunc(path: str) -> TableModel:
    """Open a model: the name that MLflow looks for in a loader module."""
    return TableModel(load_model(Path(path)))
