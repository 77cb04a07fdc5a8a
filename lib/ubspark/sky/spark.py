"""Where sky geometry meets Spark: columns computed from positions, in Arrow batches."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf

from ubspark.sky.frames import to_icrs

__all__ = ["with_icrs"]

#: The stubs of Spark 4.2 know only some shapes of Arrow functions.
_arrow_udf: Any = arrow_udf


def with_icrs(rows: DataFrame, lon: str, lat: str, frame: str) -> DataFrame:
    """Add columns ``ra`` and ``dec``, ICRS degrees, from positions in another frame.

    Parameters
    ----------
    rows
        Needs the columns ``lon`` and ``lat``, degrees in ``frame``.

    Returns
    -------
    DataFrame
        With ``ra`` and ``dec``, null where there is no position. No shuffle.
    """

    def convert(first: pa.Array, second: pa.Array) -> pa.Array:
        ra, dec = to_icrs(_to_float(first), _to_float(second), frame)
        parts = [pa.array(part, from_pandas=True) for part in (ra, dec)]
        return pa.StructArray.from_arrays(parts, names=["ra", "dec"])

    to_struct = _arrow_udf(convert, "struct<ra: double, dec: double>")
    placed = rows.withColumn("_icrs", to_struct(F.col(f"`{lon}`"), F.col(f"`{lat}`")))
    ra, dec = F.col("_icrs.ra"), F.col("_icrs.dec")
    return placed.withColumn("ra", ra).withColumn("dec", dec).drop("_icrs")


def _to_float(values: pa.Array) -> NDArray[np.float64]:
    found = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(found, dtype=np.float64)
