"""Features of pairs of neighbouring bands."""

import numpy as np

from ubspark.features.registry import Feature, FeatureInputs, FeatureSet
from ubspark.features.segments import FloatArray

__all__ = ["COLOURS"]

_COLOUR = "bluer minus redder band in mag; of fluxes -2.5 log10 of their ratio, NaN unless both > 0"

_FEATURES = (
    Feature(
        "color_median",
        "mag",
        "phot.color",
        f"Difference of the medians, {_COLOUR},",
        "light-curve ColorOfMedian",
    ),
    Feature(
        "color_mean",
        "mag",
        "phot.color",
        f"Difference of the weighted means, {_COLOUR},",
        "this package",
    ),
    Feature(
        "amplitude_ratio",
        None,
        "src.var.amplitude;arith.ratio",
        "Ratio of the amplitudes, NaN where the second is 0,",
        "this package",
        min_epochs=2,
    ),
)


def _compute(inputs: FeatureInputs) -> FloatArray:
    median, mean = inputs.computed["{y}Percentile50"], inputs.computed["{y}Mean"]
    amplitude = inputs.computed["amplitude"]
    ratio = np.full_like(amplitude[:, 1:], np.nan)
    np.divide(amplitude[:, :-1], amplitude[:, 1:], out=ratio, where=amplitude[:, 1:] > 0.0)
    parts = [_subtract(values, inputs.is_magnitude) for values in (median, mean)]
    return np.stack([*parts, ratio], axis=-1).reshape(-1, len(_FEATURES))


def _subtract(values: FloatArray, is_magnitude: bool) -> FloatArray:
    if not is_magnitude:
        magnitude = np.full_like(values, np.nan)
        np.log10(values, out=magnitude, where=values > 0.0)
        values = -2.5 * magnitude
    return np.asarray(values[:, :-1] - values[:, 1:])


COLOURS = FeatureSet(
    "colours", "pair", _FEATURES, _compute, uses=("{y}Percentile50", "{y}Mean", "amplitude")
)
