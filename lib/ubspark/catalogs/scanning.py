"""What must be read where no metadata say it."""

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

__all__ = ["scan_bounds"]


def scan_bounds(rows: ds.Dataset, column: str) -> tuple[float, float]:
    """Return the smallest and largest value of a column by reading it; NaN does not count.

    Zeros where there is no value.
    """
    low, high = np.inf, -np.inf
    for batch in rows.to_batches(columns=[column]):
        values = batch.column(0).cast(pa.float64()).to_numpy(zero_copy_only=False)
        values = values[np.isfinite(values)]
        if len(values):
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    return (low, high) if low <= high else (0.0, 0.0)
