"""Positional errors of rows, from the columns that hold them."""

import numpy as np
import pyarrow as pa

from ubspark.crossmatch.field import Rows
from ubspark.crossmatch.options import PositionColumns
from ubspark.sky.vectors import FloatArray

__all__ = ["compute_covariance", "read_arcsec"]


def compute_covariance(
    rows: Rows, columns: PositionColumns, *, constant_arcsec: float = 0.0
) -> FloatArray:
    """Return variances in ra (with cos dec) and dec and the covariance of each row.

    Parameters
    ----------
    constant_arcsec
        Standard error per axis that is added in quadrature to those of the columns.

    Returns
    -------
    FloatArray
        Shape (n, 3), arcsec squared; a missing error counts as 0.
    """
    sigma_ra, sigma_dec = (
        read_arcsec(rows, name, columns.error_factor)
        for name in (columns.ra_error, columns.dec_error)
    )
    correlation = read_arcsec(rows, columns.ra_dec_corr, 1.0)
    constant = constant_arcsec**2
    return np.stack(
        [sigma_ra**2 + constant, sigma_dec**2 + constant, correlation * sigma_ra * sigma_dec],
        axis=1,
    )


def read_arcsec(rows: Rows, name: str | None, factor: float) -> FloatArray:
    """Return a column in arcsec, missing values and columns as 0, shape (n,)."""
    if name is None:
        return np.zeros(rows.table.num_rows)
    values: FloatArray = rows.table[name].cast(pa.float64()).to_numpy()
    return np.nan_to_num(values, nan=0.0) * factor
