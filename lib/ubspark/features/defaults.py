"""The registry of all features that the package computes."""

from ubspark.features.kernels.colours import COLOURS
from ubspark.features.kernels.distribution import DISTRIBUTION
from ubspark.features.kernels.fits import FITS
from ubspark.features.kernels.matched import (
    LUMINOSITY,
    PARALLAX,
    PROPER_MOTION,
    REDUCED_PROPER_MOTION,
    TANGENTIAL,
)
from ubspark.features.kernels.moments import MOMENTS
from ubspark.features.kernels.periodic import FOLDED, HARMONICS, PERIOD
from ubspark.features.kernels.quantiles import QUANTILES
from ubspark.features.kernels.slopes import SLOPES
from ubspark.features.kernels.structure import AUTOREGRESSION, STRUCTURE_FUNCTION
from ubspark.features.kernels.weighted import WEIGHTED
from ubspark.features.registry import Registry

__all__ = ["DEFAULT_FEATURES"]

#: In the order of the columns; a set stands behind those whose features it uses.
DEFAULT_FEATURES = Registry(
    (
        MOMENTS,
        QUANTILES,
        WEIGHTED,
        SLOPES,
        FITS,
        DISTRIBUTION,
        STRUCTURE_FUNCTION,
        AUTOREGRESSION,
        PERIOD,
        HARMONICS,
        FOLDED,
        COLOURS,
        PARALLAX,
        LUMINOSITY,
        PROPER_MOTION,
        REDUCED_PROPER_MOTION,
        TANGENTIAL,
    )
)
