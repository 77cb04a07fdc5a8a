"""The package light-curve as another engine for the features that both have."""

from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pyarrow as pa

from ubspark.errors import ParameterError
from ubspark.features.registry import FeatureInputs, FeatureKernel, FeatureSet, Registry
from ubspark.features.segments import BandCurves, FloatArray

__all__ = ["with_light_curve"]

_PACKAGE = "light_curve"
#: Extractor of light-curve, and its arguments, by the first of the names that it gives.
_EXTRACTORS: dict[str, tuple[str, dict[str, float]]] = {
    "amplitude": ("Amplitude", {}),
    "anderson_darling_normal": ("AndersonDarlingNormal", {}),
    "beyond_1_std": ("BeyondNStd", {"nstd": 1.0}),
    "beyond_2_std": ("BeyondNStd", {"nstd": 2.0}),
    "biweight_scale_9": ("BiweightScale", {}),
    "chi2": ("ReducedChi2", {}),
    "chi2_pvar": ("Chi2Pvar", {}),
    "cusum": ("Cusum", {}),
    "duration": ("Duration", {}),
    "eta": ("Eta", {}),
    "eta_e": ("EtaE", {}),
    "excess_variance": ("ExcessVariance", {}),
    "inter_percentile_range_25": ("InterPercentileRange", {"quantile": 0.25}),
    "kurtosis": ("Kurtosis", {}),
    "lafler_kinman_string_length": ("LaflerKinmanStringLength", {}),
    "linear_fit_slope": ("LinearFit", {}),
    "linear_trend": ("LinearTrend", {}),
    "magnitude_percentage_ratio_40_5": ("MagnitudePercentageRatio", {}),
    "maximum_slope": ("MaximumSlope", {}),
    "maximum_time_interval": ("MaximumTimeInterval", {}),
    "mean": ("Mean", {}),
    "mean_variance": ("MeanVariance", {}),
    "median": ("Median", {}),
    "median_absolute_deviation": ("MedianAbsoluteDeviation", {}),
    "median_buffer_range_percentage_10": ("MedianBufferRangePercentage", {}),
    "minimum_time_interval": ("MinimumTimeInterval", {}),
    "otsu_mean_diff": ("OtsuSplit", {}),
    "parabola_fit_g": ("ParabolaFit", {}),
    "percent_amplitude": ("PercentAmplitude", {}),
    "percent_difference_magnitude_percentile_5": ("PercentDifferenceMagnitudePercentile", {}),
    "roms": ("Roms", {}),
    "skew": ("Skew", {}),
    "standard_deviation": ("StandardDeviation", {}),
    "stetson_K": ("StetsonK", {}),
    "time_mean": ("TimeMean", {}),
    "time_standard_deviation": ("TimeStandardDeviation", {}),
    "weighted_mean": ("WeightedMean", {}),
}
_FIELDS = {"t": "t", "m": "m", "sigma": "sigma"}


def with_light_curve(registry: Registry) -> Registry:
    """Return the registry with light-curve's numbers in place of ours, where it has them.

    Names, units and definitions stay. Ours remain where light-curve has no such feature, where
    a segment has epochs without a usable error or two at one time, and where its value is not
    defined.

    Raises
    ------
    ParameterError
        If light-curve is not installed.
    """
    try:
        import_module(_PACKAGE)
    except ImportError as error:
        msg = "The engine light_curve needs the package light-curve: `pip install light-curve`."
        raise ParameterError(msg) from error
    return Registry(tuple(_replace_kernel(part) for part in registry))


def _replace_kernel(part: FeatureSet) -> FeatureSet:
    columns = {
        feature.peer: k for k, feature in enumerate(part.features) if feature.peer is not None
    }
    columns.pop("observation_count", None)
    return replace(part, kernel=_Kernel(part.kernel, columns)) if columns else part


class _Kernel:
    """Computes a set by its own kernel, then puts light-curve's columns over it."""

    def __init__(self, kernel: FeatureKernel, columns: dict[str, int]) -> None:
        self._kernel, self._columns = kernel, columns

    def __call__(self, inputs: FeatureInputs) -> FloatArray:
        out = self._kernel(inputs)
        names, found = _extract(inputs.curves, self._columns)
        fits = _is_complete(inputs.curves)
        for name, column in zip(names, found.T, strict=True):
            if name in self._columns:
                k = self._columns[name]
                out[:, k] = np.where(fits & np.isfinite(column), column, out[:, k])
        return out


def _extract(curves: BandCurves, wanted: dict[str, int]) -> tuple[list[str], FloatArray]:
    """Return the names and values, shape (segments, names), of the extractors that are needed."""
    light_curve = import_module(_PACKAGE)
    # An extractor cannot be pickled: each task builds its own.
    kinds = [kind for name, kind in _EXTRACTORS.items() if name in wanted]
    parts = [getattr(light_curve, kind)(**arguments) for kind, arguments in kinds]
    extractor = light_curve.Extractor(*parts)
    dy = np.where(curves.dy > 0.0, curves.dy, 1.0)
    arrays = [pa.array(values) for values in (curves.t, curves.y, dy)]
    epochs = pa.StructArray.from_arrays(arrays, names=list(_FIELDS))
    lists = pa.LargeListArray.from_arrays(pa.array(curves.offsets), epochs)
    found = extractor.many(
        lists, arrow_fields=_FIELDS, fill_value=np.nan, sorted=True, check=False, n_jobs=1
    )
    return list(extractor.names), np.asarray(found, dtype=np.float64)


def _is_complete(curves: BandCurves) -> Any:
    """Whether each segment has an error at every epoch, and no two epochs at one time."""
    segment = np.repeat(np.arange(len(curves.offsets) - 1), np.diff(curves.offsets))
    is_bad = ~(curves.dy > 0.0)
    is_bad[1:] |= (np.diff(curves.t) == 0.0) & (np.diff(segment) == 0)
    complete = np.ones(len(curves.offsets) - 1, dtype=np.bool_)
    complete[segment[is_bad]] = False
    return complete
