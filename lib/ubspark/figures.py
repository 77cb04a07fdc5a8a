"""What a report can show, as data: recipes fill it in, ``reports`` draws it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Bars",
    "Curve",
    "Curves",
    "Figure",
    "FoldedCurves",
    "Histogram",
    "Image",
    "Matrix",
    "SkyMap",
    "Table",
]


@dataclass(frozen=True)
class Histogram:
    """Counts between edges.

    Attributes
    ----------
    edges
        Shape (n + 1,), in the unit that ``label`` names.
    counts
        Shape (n,).
    expected
        What the counts are compared with, shape (n,); None for nothing.
    counted
        What is counted.
    """

    title: str
    label: str
    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    caption: str = ""
    expected: NDArray[np.float64] | None = None
    counted: str = "rows"


@dataclass(frozen=True)
class Image:
    """Counts over a plane.

    Attributes
    ----------
    extent
        Left, right, bottom and top edge, in the units that the labels name.
    counts
        Shape (rows, columns), the lowest row first.
    """

    title: str
    x_label: str
    y_label: str
    extent: tuple[float, float, float, float]
    counts: NDArray[np.int64]
    caption: str = ""


@dataclass(frozen=True)
class Curve:
    """A line of `Curves`: a name and points, each shape (n,); NaN leaves a gap."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """Lines over one axis."""

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    caption: str = ""


@dataclass(frozen=True)
class FoldedCurves:
    """Folded light curves, a panel each.

    Attributes
    ----------
    panels
        By the title of the panel, a `Curve` of points for each band: phase in [0, 1) and value.
    is_magnitude
        Whether brighter is lower.
    """

    title: str
    y_label: str
    panels: Mapping[str, tuple[Curve, ...]]
    is_magnitude: bool = False
    caption: str = ""


@dataclass(frozen=True)
class SkyMap:
    """A value per HEALPix pixel, of those that have one.

    Attributes
    ----------
    order
        HEALPix order; NESTED, ICRS.
    pixels
        Pixel numbers, rising, shape (n,).
    values
        Shape (n,).
    """

    title: str
    label: str
    order: int
    pixels: NDArray[np.int64]
    values: NDArray[np.float64]
    caption: str = ""


@dataclass(frozen=True)
class Bars:
    """Values that have names, the first on top.

    Attributes
    ----------
    names
        Length n.
    values
        Shape (n,), in what ``label`` says.
    """

    title: str
    label: str
    names: tuple[str, ...]
    values: NDArray[np.float64]
    caption: str = ""


@dataclass(frozen=True)
class Matrix:
    """Counts of pairs of classes, shaded by their share of the row.

    Attributes
    ----------
    names
        Of the classes, length k.
    counts
        Shape (k, k); rows by ``y_label``, columns by ``x_label``.
    """

    title: str
    x_label: str
    y_label: str
    names: tuple[str, ...]
    counts: NDArray[np.int64]
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of a report that are read, not seen.

    Attributes
    ----------
    header
        Names of the columns; the first is the name of a row.
    rows
        Each as long as the header; numbers stand to the right, NaN as nothing.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]
    caption: str = ""


Figure = Bars | Curves | FoldedCurves | Histogram | Image | Matrix | SkyMap
