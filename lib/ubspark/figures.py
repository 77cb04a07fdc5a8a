"""What a report can show, as data: recipes fill it in, ``reports`` draws it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Figure", "Histogram", "SkyMap"]


@dataclass(frozen=True)
class Histogram:
    """Counts between edges.

    Attributes
    ----------
    edges
        Shape (n + 1,), in the unit that ``label`` names.
    counts
        Shape (n,).
    """

    title: str
    label: str
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    caption: str = ""


@dataclass(frozen=True)
class SkyMap:
    """A value per HEALPix pixel.

    Attributes
    ----------
    values
        Shape (12 * 4**order,), NESTED, ICRS; NaN where there is nothing to show.
    """

    title: str
    label: str
    order: int
    values: NDArray[np.float64]
    caption: str = ""


Figure = Histogram | SkyMap
