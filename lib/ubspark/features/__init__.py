"""Features of objects for machine learning: declared once, computed on batches of light curves."""

from ubspark.features.compute import FeatureTable, compute_features
from ubspark.features.defaults import DEFAULT_FEATURES
from ubspark.features.plugins import load_registry
from ubspark.features.registry import Feature, FeatureInputs, FeatureSet, Registry
from ubspark.features.segments import BandCurves, split_bands

__all__ = [
    "DEFAULT_FEATURES",
    "BandCurves",
    "Feature",
    "FeatureInputs",
    "FeatureSet",
    "FeatureTable",
    "Registry",
    "compute_features",
    "load_registry",
    "split_bands",
]
