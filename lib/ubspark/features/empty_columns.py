"""A step before an estimator that takes undefined values, but no column without any value."""

from typing import Any, Self

import numpy as np
from sklearn.base import (  # type: ignore[import-untyped]  # has no stubs
    BaseEstimator,
    TransformerMixin,
)

from ubspark.features.segments import FloatArray

__all__ = ["EmptyColumns"]


class EmptyColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # have no stubs
    """Hands in columns that have no value in the rows of `fit` as constant 0.

    They say nothing then, whatever they hold in rows that are scored later.

    Attributes
    ----------
    is_empty_
        Which columns these are, shape (columns,); set by `fit`.
    """

    def fit(self, x: FloatArray, y: Any = None) -> Self:
        """Remember which columns have no value."""
        _ = y
        self.is_empty_ = np.isnan(x).all(axis=0)
        return self

    def transform(self, x: FloatArray) -> FloatArray:
        """Return the rows with 0 in these columns."""
        if not self.is_empty_.any():
            return x
        return np.where(self.is_empty_, 0.0, x)
