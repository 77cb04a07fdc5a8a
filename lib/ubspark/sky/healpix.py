"""HEALPix NESTED indices and half-open ranges of them."""

import numpy as np
from numpy.typing import ArrayLike

from ubspark.columns import HEALPIX_ORDER, NO_POSITION
from ubspark.errors import ParameterError
from ubspark.sky.projection import fill_healpix_29
from ubspark.sky.vectors import (
    BoolArray,
    FloatArray,
    IntArray,
    is_usable_position,
    to_float_columns,
)

__all__ = [
    "N_PIXELS_29",
    "compute_healpix_29",
    "compute_healpix_29_from_vectors",
    "find_in_ranges",
    "merge_ranges",
    "pixel_to_range",
    "range_to_pixels",
    "validate_range",
]

#: Number of pixels of the sky at order 29; indices are in [0, N_PIXELS_29).
N_PIXELS_29 = 12 << (2 * HEALPIX_ORDER)


def compute_healpix_29(ra: ArrayLike, dec: ArrayLike) -> IntArray:
    """Compute the order-29 indices of positions.

    Parameters
    ----------
    ra, dec
        Positions, shape (n,), ICRS degrees; ``ra`` is wrapped, narrower types are cast first.

    Returns
    -------
    IntArray
        Shape (n,), in [0, N_PIXELS_29), or -1 where the position is not usable (NaN, inf,
        ``|dec| > 90``). The values of ``cdshealpix.nested.lonlat_to_healpix``.

    Raises
    ------
    ParameterError
        If the shapes are not one and the same (n,).
    """
    # Here and not above: they bring astropy, a second that most workers, whose rows carry
    # their index, need not spend.
    import cdshealpix.nested
    from astropy import units
    from astropy.coordinates import Latitude, Longitude

    ra_deg, dec_deg = to_float_columns(ra=ra, dec=dec)
    usable = is_usable_position(ra_deg, dec_deg)
    index = np.full(ra_deg.size, NO_POSITION, dtype=np.int64)
    if not usable.any():
        return index
    rows = slice(None) if usable.all() else usable
    ra_deg, dec_deg = ra_deg[rows], dec_deg[rows]
    if ra_deg.min() < 0.0 or ra_deg.max() >= 360.0:
        ra_deg = np.mod(ra_deg, 360.0)
    # Radians, so that astropy copies and wraps nothing.
    longitude = Longitude(np.deg2rad(ra_deg), units.rad, copy=False)
    latitude = Latitude(np.deg2rad(dec_deg), units.rad, copy=False)
    index[rows] = cdshealpix.nested.lonlat_to_healpix(
        longitude, latitude, HEALPIX_ORDER, num_threads=1
    )
    return index


def compute_healpix_29_from_vectors(vectors: FloatArray) -> IntArray:
    """Compute the order-29 indices of unit vectors.

    Parameters
    ----------
    vectors
        Shape (n, 3).

    Returns
    -------
    IntArray
        Shape (n,), in [0, N_PIXELS_29), or -1 where a part is NaN or inf. It may differ from the
        index of the degrees that the vector came from by one pixel, 0.4 mas, at its edge.
    """
    unit = np.ascontiguousarray(vectors, dtype=np.float64)
    index = np.empty(len(unit), dtype=np.int64)
    with np.errstate(invalid="ignore"):
        longitude = np.arctan2(*np.ascontiguousarray(unit.T[1::-1]))
    fill_healpix_29(unit, longitude, index)
    return index


def pixel_to_range(order: int, pixel: ArrayLike) -> IntArray:
    """Turn pixels into ranges of order-29 indices.

    Parameters
    ----------
    order
        Order of the pixels, in [0, 29].
    pixel
        Shape (n,) or a scalar, in [0, 12 * 4**order).

    Returns
    -------
    IntArray
        Half-open ranges [lo, hi), shape (n, 2), (2,) for a scalar.

    Raises
    ------
    ParameterError
        If the order or a pixel does not exist.
    """
    shift = to_shift(order)
    pixels = np.asarray(pixel, dtype=np.int64)
    if np.any((pixels < 0) | (pixels >= N_PIXELS_29 >> shift)):
        msg = f"`pixel` must be in [0, {N_PIXELS_29 >> shift}) at order {order}, got {pixel!r}."
        raise ParameterError(msg)
    return np.stack([pixels << shift, (pixels + 1) << shift], axis=-1)


def range_to_pixels(lo: int, hi: int, order: int) -> IntArray:
    """Return the pixels that cover a range of order-29 indices.

    Parameters
    ----------
    lo, hi
        Half-open range, 0 <= lo <= hi <= N_PIXELS_29.
    order
        Order of the pixels, in [0, 29].

    Returns
    -------
    IntArray
        Shape (k,), rising; empty for an empty range.

    Raises
    ------
    ParameterError
        If the order or the range does not exist.
    """
    shift = to_shift(order)
    validate_range(lo, hi)
    if lo == hi:
        return np.empty(0, dtype=np.int64)
    return np.arange(lo >> shift, ((hi - 1) >> shift) + 1, dtype=np.int64)


def merge_ranges(ranges: ArrayLike) -> IntArray:
    """Return the union of half-open ranges as sorted, disjoint ones that do not touch.

    Parameters
    ----------
    ranges
        Shape (k, 2), in any order; those with hi <= lo are empty.

    Returns
    -------
    IntArray
        Shape (j, 2), j <= k.
    """
    # Column by column: rows of two are slow to gather.
    low, high = np.ascontiguousarray(np.asarray(ranges, dtype=np.int64).reshape(-1, 2).T)
    order = np.argsort(low, kind="stable")
    order = order[(low < high)[order]]
    if order.size == 0:
        return np.empty((0, 2), dtype=np.int64)
    low, reach = low[order], np.maximum.accumulate(high[order])
    is_first = np.concatenate(([True], low[1:] > reach[:-1]))
    is_last = np.concatenate((is_first[1:], [True]))
    return np.stack([low[is_first], reach[is_last]], axis=1)


def find_in_ranges(values: ArrayLike, ranges: IntArray) -> BoolArray:
    """Tell which values lie in any of some ranges.

    Parameters
    ----------
    values
        Order-29 indices, shape (n,), in any order; -1 lies in none. Sorted ones are the fast case.
    ranges
        Half-open, sorted and disjoint, shape (k, 2).

    Returns
    -------
    BoolArray
        Shape (n,).
    """
    edges, values = np.asarray(ranges, dtype=np.int64).reshape(-1), np.asarray(values, np.int64)
    if edges.size < values.size and np.all(values[1:] >= values[:-1]):
        cuts = np.concatenate([[0], np.searchsorted(values, edges), [values.size]])
        return np.repeat(np.arange(edges.size + 1) % 2 == 1, np.diff(cuts))
    # In the flat list lo, hi, lo, hi... a value inside a range has an odd number of edges
    # at or below it.
    places = np.searchsorted(edges, values, side="right")
    inside: BoolArray = (places & 1).astype(np.bool_)
    return inside


def validate_range(lo: int, hi: int) -> None:
    """Refuse a range that is not one of order-29 indices.

    Parameters
    ----------
    lo, hi
        Half-open range.

    Raises
    ------
    ParameterError
        If not 0 <= lo <= hi <= N_PIXELS_29.
    """
    if not 0 <= lo <= hi <= N_PIXELS_29:
        msg = f"`lo`, `hi` must satisfy 0 <= lo <= hi <= {N_PIXELS_29}, got {lo}, {hi}."
        raise ParameterError(msg)


def to_shift(order: int) -> int:
    """Return the bits between an order and order 29."""
    if not 0 <= order <= HEALPIX_ORDER:
        msg = f"`order` must be in [0, {HEALPIX_ORDER}], got {order}."
        raise ParameterError(msg)
    return 2 * (HEALPIX_ORDER - order)
