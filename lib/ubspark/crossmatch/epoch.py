"""Positions of a batch of rows at the epoch of the match."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ubspark.crossmatch.options import PositionColumns
from ubspark.sky.motion import (
    MISSING_EPOCH,
    MISSING_PARALLAX,
    MISSING_PROPER_MOTION,
    MISSING_RADIAL_VELOCITY,
    compute_motion_bound_arcsec,
    propagate,
    to_julian_year,
)
from ubspark.sky.vectors import to_unit_vectors

__all__ = ["Positions", "compute_motion_arcsec", "compute_positions"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Positions:
    """Where the rows of a batch are.

    Attributes
    ----------
    ra, dec
        Catalog positions, shape (n,), degrees.
    vectors
        Unit vectors at the match epoch, shape (n, 3).
    missing
        Bits of what was missing for the motion (``sky.motion``), shape (n,).
    """

    ra: FloatArray
    dec: FloatArray
    vectors: FloatArray
    missing: NDArray[np.int32]


def compute_positions(
    rows: pa.Table, columns: PositionColumns, *, epoch: float | None
) -> Positions:
    """Move the rows to an epoch.

    Parameters
    ----------
    rows
        Rows with the columns named by ``columns``.
    epoch
        Julian year; None, or a catalog without epochs, leaves the positions as they are.

    Returns
    -------
    Positions
        Rows without a usable position hold NaN. Rows of another epoch in a catalog without proper
        motions stay where they are and have the bit that says so.
    """
    ra, dec = (_to_float(rows[name]) for name in (columns.ra, columns.dec))
    missing = np.zeros(rows.num_rows, dtype=np.int32)
    if epoch is None or columns.epoch is None:
        return Positions(ra, dec, to_unit_vectors(ra, dec), missing)
    if columns.pmra is None or columns.pmdec is None:
        missing[_compute_years(rows, columns, epoch) != 0] = MISSING_PROPER_MOTION
        return Positions(ra, dec, to_unit_vectors(ra, dec), missing)
    pmra, pmdec = (
        _to_float(rows[name]) * columns.pm_factor for name in (columns.pmra, columns.pmdec)
    )
    if not columns.pm_includes_cos_dec:
        pmra = pmra * np.cos(np.radians(dec))
    moved = propagate(
        ra,
        dec,
        pmra,
        pmdec,
        _to_scaled(rows, columns.parallax, columns.parallax_factor),
        _to_scaled(rows, columns.rv, columns.rv_factor),
        _compute_years(rows, columns, epoch),
    )
    return Positions(ra, dec, moved.vectors, moved.missing & _compute_relevant_bits(columns))


def compute_motion_arcsec(
    rows: pa.Table, columns: PositionColumns, *, epoch: float | None
) -> FloatArray:
    """Return a bound of how far each row moves to an epoch, shape (n,), arcsec."""
    if epoch is None or columns.epoch is None or columns.pmra is None or columns.pmdec is None:
        return np.zeros(rows.num_rows)
    pmra, pmdec = (
        _to_float(rows[name]) * columns.pm_factor for name in (columns.pmra, columns.pmdec)
    )
    # A motion that is not known, in part or in whole, counts as none.
    motion = np.hypot(pmra, pmdec) * np.abs(_compute_years(rows, columns, epoch))
    per_mas = compute_motion_bound_arcsec(1.0, 0.0, 1.0)
    return np.where(np.isfinite(motion), motion, 0.0) * per_mas


def _compute_relevant_bits(columns: PositionColumns) -> int:
    """Return the bits that mean something: a role that no row has is not missing in a row."""
    bits = MISSING_PROPER_MOTION
    bits |= MISSING_PARALLAX if columns.parallax else 0
    bits |= MISSING_RADIAL_VELOCITY if columns.rv else 0
    return bits | (MISSING_EPOCH if isinstance(columns.epoch, str) else 0)


def _compute_years(rows: pa.Table, columns: PositionColumns, epoch: float) -> FloatArray:
    """Return the years from each row's epoch to that of the match, NaN where a row has none."""
    if isinstance(columns.epoch, str):
        years = _to_float(rows[columns.epoch])
        return epoch - (to_julian_year(years) if columns.epoch_is_mjd else years)
    return np.full(rows.num_rows, epoch - float(columns.epoch or epoch))


def _to_scaled(rows: pa.Table, name: str | None, factor: float) -> FloatArray | None:
    return None if name is None else _to_float(rows[name]) * factor


def _to_float(column: pa.ChunkedArray) -> FloatArray:
    """Return a contiguous float64 array of our own, null as NaN; kernels take no read-only view."""
    return np.require(column.cast(pa.float64()).to_numpy(), np.float64, ["C", "W"])
