"""Light curves of many objects as flat arrays: the shape that every time-series kernel takes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ubspark.errors import ParameterError

__all__ = ["LightCurves"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LightCurves:
    """Epochs of n objects, one object after the other (compressed sparse rows).

    Attributes
    ----------
    offsets
        Object ``i`` owns the epochs ``offsets[i]:offsets[i + 1]``, shape (n + 1,).
    t
        Time of each epoch, days, shape (m,); within an object it rises.
    y, dy
        Flux or magnitude and its standard error, shape (m,), in one unit; an unknown error is NaN.
    band
        Code of the band of each epoch, shape (m,), an index into ``bands``.
    bands
        Names of the bands.
    """

    offsets: IntArray
    t: FloatArray
    y: FloatArray
    dy: FloatArray
    band: NDArray[np.int8]
    bands: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the shapes."""
        shapes = {column.shape for column in (self.t, self.y, self.dy, self.band)}
        if len(self.offsets) < 1 or shapes != {(int(self.offsets[-1]),)}:
            msg = (
                f"`t`, `y`, `dy` and `band` must have the shape (`offsets[-1]`,), got "
                f"{sorted(shapes)} and offsets that end in {self.offsets[-1:].tolist()}."
            )
            raise ParameterError(msg)

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.offsets) - 1

    @property
    def counts(self) -> IntArray:
        """Epochs of each object, shape (n,)."""
        return np.diff(self.offsets)
