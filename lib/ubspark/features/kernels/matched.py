"""Features of columns that a crossmatch brings: parallax, proper motion, absolute magnitude."""

import numpy as np

from ubspark.features.registry import Feature, FeatureInputs, FeatureSet
from ubspark.features.segments import FloatArray

__all__ = ["LUMINOSITY", "PARALLAX", "PROPER_MOTION", "REDUCED_PROPER_MOTION", "TANGENTIAL"]

#: Astronomical unit per Julian year, km/s (ESA 1997, vol. 1, table 1.2.2).
_KM_S_PER_AU_YR = 4.740470446

_PARALLAX = (
    Feature(
        "parallax",
        "mas",
        "pos.parallax.trig",
        "Parallax of the match, of either sign",
        "the matched catalog",
        min_epochs=0,
    ),
    Feature(
        "parallax_over_error",
        None,
        "stat.snr;pos.parallax.trig",
        "Parallax over its error; NaN where the error is not positive",
        "Gaia DR3 data model",
        min_epochs=0,
    ),
)
_LUMINOSITY = (
    Feature(
        "absolute_magnitude",
        "mag",
        "phys.magAbs;em.opt",
        "Magnitude of the match at 10 pc, m + 5 log10(parallax / 100 mas), without extinction; "
        "NaN unless the parallax is positive: biased where `parallax_over_error` is small",
        "Luri et al. 2018, A&A 616, A9",
        min_epochs=0,
    ),
    Feature(
        "astrometric_luminosity",
        None,
        "phys.luminosity;em.opt",
        "Parallax times 10^(m/5 - 2), parallax in mas; defined for negative parallaxes too",
        "Arenou & Luri 1999, ASPC 167, 13",
        min_epochs=0,
    ),
)
_PROPER_MOTION = (
    Feature(
        "proper_motion",
        "mas/yr",
        "pos.pm",
        "Total proper motion of the match",
        "Gaia DR3 data model",
        min_epochs=0,
    ),
)
_REDUCED = (
    Feature(
        "reduced_proper_motion",
        "mag",
        "phot.mag;pos.pm",
        "m + 5 log10(proper motion in arcsec/yr) + 5; NaN where the motion is 0",
        "Luyten 1922, Lick Obs. Bull. 10, 135",
        min_epochs=0,
    ),
)
_TANGENTIAL = (
    Feature(
        "tangential_velocity",
        "km/s",
        "phys.veloc.transverse",
        "4.740470446 times proper motion over parallax; NaN unless the parallax is positive",
        "ESA 1997, SP-1200, vol. 1",
        min_epochs=0,
    ),
)


def _compute_parallax(inputs: FeatureInputs) -> FloatArray:
    parallax, error = (inputs.columns[name] for name in ("parallax", "parallax_error"))
    ratio = np.full_like(parallax, np.nan)
    np.divide(parallax, error, out=ratio, where=error > 0.0)
    return np.stack([parallax, ratio], axis=1)


def _compute_luminosity(inputs: FeatureInputs) -> FloatArray:
    parallax, magnitude = (inputs.columns[name] for name in ("parallax", "phot_mag"))
    absolute = magnitude + 5.0 * _log10(parallax / 100.0)
    return np.stack([absolute, parallax * 10.0 ** (0.2 * magnitude - 2.0)], axis=1)


def _compute_proper_motion(inputs: FeatureInputs) -> FloatArray:
    return np.hypot(inputs.columns["pmra"], inputs.columns["pmdec"])[:, None]


def _compute_reduced(inputs: FeatureInputs) -> FloatArray:
    motion = _compute_proper_motion(inputs)[:, 0] / 1000.0
    return (inputs.columns["phot_mag"] + 5.0 * _log10(motion) + 5.0)[:, None]


def _compute_tangential(inputs: FeatureInputs) -> FloatArray:
    parallax = inputs.columns["parallax"]
    velocity = np.full_like(parallax, np.nan)
    motion = _compute_proper_motion(inputs)[:, 0]
    np.divide(_KM_S_PER_AU_YR * motion, parallax, out=velocity, where=parallax > 0.0)
    return velocity[:, None]


def _log10(values: FloatArray) -> FloatArray:
    """Return the logarithm, NaN where there is none."""
    found = np.full_like(values, np.nan)
    np.log10(values, out=found, where=values > 0.0)
    return found


PARALLAX = FeatureSet(
    "parallax", "object", _PARALLAX, _compute_parallax, needs=("parallax", "parallax_error")
)
LUMINOSITY = FeatureSet(
    "luminosity", "object", _LUMINOSITY, _compute_luminosity, needs=("parallax", "phot_mag")
)
PROPER_MOTION = FeatureSet(
    "proper_motion", "object", _PROPER_MOTION, _compute_proper_motion, needs=("pmra", "pmdec")
)
REDUCED_PROPER_MOTION = FeatureSet(
    "reduced_proper_motion",
    "object",
    _REDUCED,
    _compute_reduced,
    needs=("pmra", "pmdec", "phot_mag"),
)
TANGENTIAL = FeatureSet(
    "tangential", "object", _TANGENTIAL, _compute_tangential, needs=("pmra", "pmdec", "parallax")
)
