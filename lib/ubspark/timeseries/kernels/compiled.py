"""One way to compile the loops of this package."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function of arrays and numbers, cached on disk.

    Products and sums may be fused, nothing else is reordered: on one machine the same numbers
    give the same bits. Divisions by zero give inf or NaN, as in NumPy.
    """
    build = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
    return cast("Function", build(function))
