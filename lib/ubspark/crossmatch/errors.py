"""Positional errors of rows and pairs, from the columns that hold them."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ubspark.crossmatch.field import Field, Rows
from ubspark.crossmatch.kernels.covariance import sum_covariances
from ubspark.crossmatch.kernels.pairs import Pairs
from ubspark.crossmatch.options import PositionColumns
from ubspark.sky.offsets import compute_offsets
from ubspark.sky.vectors import FloatArray

__all__ = ["PairErrors", "compute_pair_errors", "read_arcsec"]


class PairErrors(NamedTuple):
    """Offsets of pairs, in the frame of the left row, and how well they are known."""

    east_arcsec: FloatArray
    """From left to right, shape (k,)."""
    north_arcsec: FloatArray
    """From left to right, shape (k,)."""
    covariance: FloatArray
    """Variance to the east, to the north and covariance, shape (k, 3), arcsec squared."""


def compute_pair_errors(
    pairs: Pairs,
    here: Field,
    left: PositionColumns,
    right: PositionColumns,
    *,
    left_error_arcsec: float = 0.0,
    right_error_arcsec: float = 0.0,
) -> PairErrors:
    """Return the offsets of pairs with the errors of both rows.

    Parameters
    ----------
    left_error_arcsec, right_error_arcsec
        Standard error per axis of all rows of a side, added in quadrature to those of its columns.
    """
    there, back = (
        compute_offsets(
            a.vectors, b.vectors, rows_a, rows_b, pairs.dist_arcsec, ra_a=a.positions.ra
        )
        for a, b, rows_a, rows_b in (
            (here.left, here.right, pairs.left, pairs.right),
            (here.right, here.left, pairs.right, pairs.left),
        )
    )
    covariance = sum_covariances(
        pairs,
        _compute_covariance(here.left, left, left_error_arcsec),
        _compute_covariance(here.right, right, right_error_arcsec),
        there,
        back,
    )
    return PairErrors(there.east_arcsec, there.north_arcsec, covariance)


def read_arcsec(rows: Rows, name: str | None, factor: float) -> FloatArray:
    """Return a column of radii or errors in arcsec, shape (n,).

    What is missing, negative or infinite counts as 0, and so does a missing column.
    """
    values = factor * _read(rows, name)
    return np.where((values > 0.0) & np.isfinite(values), values, 0.0)


def _compute_covariance(rows: Rows, columns: PositionColumns, constant_arcsec: float) -> FloatArray:
    """Return variances in ra (with cos dec) and dec and the covariance, shape (n, 3), arcsec^2."""
    sigma_ra, sigma_dec = (
        read_arcsec(rows, name, columns.error_factor)
        for name in (columns.ra_error, columns.dec_error)
    )
    correlation = _read(rows, columns.ra_dec_corr)
    correlation = np.where(np.abs(correlation) <= 1.0, correlation, 0.0)
    constant = constant_arcsec**2
    return np.stack(
        [sigma_ra**2 + constant, sigma_dec**2 + constant, correlation * sigma_ra * sigma_dec],
        axis=1,
    )


def _read(rows: Rows, name: str | None) -> FloatArray:
    """Return a column as numbers, NaN where a value is missing."""
    if name is None:
        return np.zeros(rows.table.num_rows)
    values: FloatArray = rows.table[name].cast(pa.float64()).to_numpy()
    return values
