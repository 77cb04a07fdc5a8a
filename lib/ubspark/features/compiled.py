"""How feature kernels are compiled."""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

__all__ = ["compiled"]

F = TypeVar("F", bound=Callable[..., object])


def compiled(signature: str) -> Callable[[F], F]:
    """Compile a function for one signature, kept on disk, without the interpreter's lock.

    Division by zero gives inf or NaN, as in NumPy; no arithmetic is reordered.
    """
    decorate = njit(signature, cache=True, nogil=True, error_model="numpy")
    return cast("Callable[[F], F]", decorate)
