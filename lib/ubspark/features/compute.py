"""From a batch of light curves to the columns of a feature table."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ubspark.errors import ParameterError
from ubspark.features.registry import FeatureInputs, FeatureSet, Registry
from ubspark.features.segments import FloatArray, IntArray, split_bands
from ubspark.timeseries import LightCurves

__all__ = ["FeatureTable", "compute_features", "compute_set"]


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of n objects.

    Attributes
    ----------
    values
        Column name to values, shape (n,), float64, in the order of `Registry.to_columns`.
    counts
        Usable epochs of each object and band, shape (n, b).
    status
        Bits of `ubspark.features.segments.STATUS_BITS`, shape (n,).
    """

    values: dict[str, FloatArray]
    counts: IntArray
    status: NDArray[np.int16]


def compute_features(
    curves: LightCurves,
    registry: Registry,
    *,
    bands: tuple[str, ...] | None = None,
    columns: Mapping[str, FloatArray] | None = None,
    is_magnitude: bool = False,
    quantity: str = "psfFlux",
) -> FeatureTable:
    """Compute the features of a batch of objects.

    An object's values depend on its own epochs and columns alone, to the last bit: neither on
    the other objects of the batch nor on the order of its epochs.

    Parameters
    ----------
    curves
        Light curves of n objects.
    registry
        The sets to compute; those whose needs are not in ``columns`` raise.
    bands
        Bands, in the order of the columns; None for those of ``curves``.
    columns
        Joined values by name, shape (n,), NaN where there is none.
    is_magnitude
        Whether values are magnitudes.
    quantity
        Stands for ``{y}`` in names.

    Raises
    ------
    ParameterError
        If a column is missing or of another length, or a kernel returns another shape.
    """
    given = {name: np.asarray(values, np.float64) for name, values in (columns or {}).items()}
    _validate_columns(registry, given, len(curves))
    split = split_bands(curves, bands)
    inputs = FeatureInputs(split, is_magnitude, given)
    names = registry.name_columns(split.bands, quantity=quantity)
    parts = [compute_set(part, inputs) for part in registry]
    flat = [column for part in parts for column in part]
    return FeatureTable(dict(zip(names, flat, strict=True)), split.counts, split.status)


def compute_set(part: FeatureSet, inputs: FeatureInputs) -> list[FloatArray]:
    """Run one kernel, apply the smallest counts, and return its columns by place, then feature."""
    n, n_bands = inputs.curves.n_objects, len(inputs.curves.bands)
    n_places = {"band": n_bands, "pair": max(n_bands - 1, 0), "object": 1}[part.scope]
    # A copy: a kernel may return what belongs to another set.
    found = np.array(part.kernel(inputs), dtype=np.float64)
    expected = (n * n_places, len(part.features))
    if found.shape != expected:
        msg = f"The kernel of `{part.name}` must return the shape {expected}, got {found.shape}."
        raise ParameterError(msg)
    values = found.reshape(n, n_places, len(part.features))
    counts = _count_epochs(inputs.curves.counts, part)
    for k, feature in enumerate(part.features):
        # Infinite is undefined too, and what is so in the column's type.
        largest = np.finfo(np.float32 if feature.type == "float32" else np.float64).max
        is_defined = (counts >= feature.min_epochs) & (np.abs(values[:, :, k]) <= largest)
        values[~is_defined, k] = np.nan
        inputs.computed[feature.name] = values[:, :, k]
    return [
        np.ascontiguousarray(values[:, p, k]) for p in range(n_places) for k in range(expected[1])
    ]


def _count_epochs(counts: IntArray, part: FeatureSet) -> IntArray:
    """Return the epochs that `min_epochs` is compared with, shape (n, places)."""
    if part.scope == "band":
        return counts
    if part.scope == "pair":
        return np.minimum(counts[:, :-1], counts[:, 1:])
    return np.asarray(counts.sum(axis=1, keepdims=True))


def _validate_columns(registry: Registry, columns: Mapping[str, FloatArray], n: int) -> None:
    for part in registry:
        for name in part.needs:
            if name not in columns:
                msg = f"Feature set `{part.name}` needs the column `{name}`, which was not given."
                raise ParameterError(msg)
    for name, values in columns.items():
        if values.shape != (n,):
            msg = f"Column `{name}` must have the shape ({n},), got {values.shape}."
            raise ParameterError(msg)
