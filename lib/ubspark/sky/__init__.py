"""Spherical geometry, HEALPix and space motion on NumPy arrays."""

from ubspark.sky.cover import intersect_ranges
from ubspark.sky.healpix import (
    N_PIXELS_29,
    compute_healpix_29,
    compute_healpix_29_from_vectors,
    find_in_ranges,
    merge_ranges,
    pixel_to_range,
    range_to_pixels,
)
from ubspark.sky.motion import (
    MISSING_EPOCH,
    MISSING_PARALLAX,
    MISSING_PROPER_MOTION,
    MISSING_RADIAL_VELOCITY,
    Motion,
    compute_motion_bound_arcsec,
    propagate,
)
from ubspark.sky.offsets import compute_position_angle_deg
from ubspark.sky.regions import REGION_FORMS, Region, parse_region
from ubspark.sky.rings import (
    MAX_RING_RADIUS_ARCSEC,
    RING_WIDTH,
    SLACK_ARCSEC,
    compute_ring,
    compute_ring_of_positions,
)
from ubspark.sky.vectors import (
    ARCSEC_PER_RADIAN,
    BoolArray,
    FloatArray,
    IntArray,
    compute_chord_squared,
    compute_separation_arcsec,
    is_usable_position,
    to_arcsec,
    to_ra_dec,
    to_unit_vectors,
)

__all__ = [
    "ARCSEC_PER_RADIAN",
    "MAX_RING_RADIUS_ARCSEC",
    "MISSING_EPOCH",
    "MISSING_PARALLAX",
    "MISSING_PROPER_MOTION",
    "MISSING_RADIAL_VELOCITY",
    "N_PIXELS_29",
    "REGION_FORMS",
    "RING_WIDTH",
    "SLACK_ARCSEC",
    "BoolArray",
    "FloatArray",
    "IntArray",
    "Motion",
    "Region",
    "compute_chord_squared",
    "compute_healpix_29",
    "compute_healpix_29_from_vectors",
    "compute_motion_bound_arcsec",
    "compute_position_angle_deg",
    "compute_ring",
    "compute_ring_of_positions",
    "compute_separation_arcsec",
    "find_in_ranges",
    "intersect_ranges",
    "is_usable_position",
    "merge_ranges",
    "parse_region",
    "pixel_to_range",
    "propagate",
    "range_to_pixels",
    "to_arcsec",
    "to_ra_dec",
    "to_unit_vectors",
]
