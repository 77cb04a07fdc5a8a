"""A user's own judgement of candidate pairs, given as Python text and run inside the tasks."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ubspark.errors import ParameterError

__all__ = ["Scorer"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Scorer:
    """A function of candidate pairs, told by its source so that a run can be repeated.

    It is called as ``function(left, right, dist_arcsec)`` with two Arrow tables of k rows, the
    left and the right row of each pair, and their separations, shape (k,). It returns one value
    per pair: a truth value keeps or drops the pair; a number ranks the pairs, the highest first
    in place of the nearest, and NaN drops one. The answer for a pair must depend on its own row
    alone: pairs come in any number and order.

    Attributes
    ----------
    source
        Python text that defines the function.
    function
        Its name.
    left, right
        Columns that it wants of either side.
    """

    source: str
    function: str
    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()

    def score(self, left: pa.Table, right: pa.Table, dist_arcsec: FloatArray) -> FloatArray:
        """Return the score of each pair, NaN where it is dropped, 0 where it is merely kept.

        Raises
        ------
        ParameterError
            If the function does not answer one number or truth value per pair.
        """
        try:
            answer = np.asarray(self._compiled(left, right, dist_arcsec))
        except (Exception, SystemExit) as error:
            msg = f"The scorer `{self.function}` failed: {type(error).__name__}: {error}."
            raise ParameterError(msg) from error
        if answer.shape != dist_arcsec.shape or answer.dtype.kind not in "biuf":
            msg = (
                f"The scorer `{self.function}` must return a number or truth value for each of "
                f"{len(dist_arcsec)} pairs, got {answer.dtype} of shape {answer.shape}."
            )
            raise ParameterError(msg)
        if answer.dtype.kind == "b":
            return np.where(answer, 0.0, np.nan)
        return answer.astype(np.float64)

    def validate(self) -> None:
        """Check that the text defines the function, and that it can be called as it will be.

        Raises
        ------
        ParameterError
            If it does not, or cannot.
        """
        function = self._compiled
        try:
            signature = inspect.signature(function)
        except ValueError:
            # Functions written in C do not always tell.
            return
        try:
            signature.bind(None, None, None)
        except TypeError as error:
            msg = (
                f"The scorer must take three arguments, `{self.function}(left, right, "
                f"dist_arcsec)`, got `{self.function}{signature}`."
            )
            raise ParameterError(msg) from error

    @cached_property
    def _compiled(self) -> Callable[..., Any]:
        names: dict[str, Any] = {"__name__": "ubspark_scorer"}
        try:
            # The user's own code, run as the user, as every Spark job runs it.
            exec(compile(self.source, f"<scorer {self.function}>", "exec"), names)  # noqa: S102
        except (Exception, SystemExit) as error:
            msg = f"The source of the scorer cannot be read: {type(error).__name__}: {error}."
            raise ParameterError(msg) from error
        found = names.get(self.function)
        if not callable(found):
            msg = f"The source of the scorer defines no function `{self.function}`."
            raise ParameterError(msg)
        return found  # type: ignore[no-any-return]  # whatever the user wrote

    def __getstate__(self) -> dict[str, Any]:
        """Leave the compiled function behind: the text travels."""
        return {key: self.__dict__[key] for key in ("source", "function", "left", "right")}
