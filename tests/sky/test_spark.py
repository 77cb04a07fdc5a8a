"""Columns computed from positions in Spark."""

import math

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from ubspark.sky.frames import to_icrs
from ubspark.sky.spark import with_icrs

pytestmark = pytest.mark.spark

NAN, INF = math.nan, math.inf
LON = [0.0, 360.0, -10.0, 123.4, NAN, 10.0, None, 10.0, INF, 10.0, 45.0]
LAT = [0.0, 10.0, -20.0, 90.0, 10.0, NAN, 10.0, None, 10.0, 90.5, -90.0]
GOOD = [*range(4), 10]


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    columns = {"n": range(11), "lon deg": LON, "lat": LAT, "tag": ["a"] * 11}
    return spark.createDataFrame(pa.table(columns))


def collect(frame: DataFrame, *names: str) -> dict[str, list[object]]:
    found: dict[str, list[object]] = frame.orderBy("n").select(*names).toArrow().to_pydict()
    return found


def test_positions_of_another_frame_become_icrs(rows: DataFrame) -> None:
    placed = with_icrs(rows, "lon deg", "lat", "GALACTIC")
    assert placed.columns == ["n", "lon deg", "lat", "tag", "ra", "dec"]
    found = collect(placed, "ra", "dec")
    lon, lat = (np.array(values, dtype=np.float64) for values in (LON, LAT))
    for name, expected in zip(("ra", "dec"), to_icrs(lon, lat, "GALACTIC"), strict=True):
        assert [i for i, value in enumerate(found[name]) if value is not None] == GOOD
        assert [found[name][i] for i in GOOD] == expected[GOOD].tolist()


def test_no_rows_give_no_rows(rows: DataFrame) -> None:
    nothing = rows.where("n < 0")
    assert collect(with_icrs(nothing, "lon deg", "lat", "GALACTIC"), "ra") == {"ra": []}


def test_columns_come_without_a_shuffle(rows: DataFrame) -> None:
    plan = with_icrs(rows, "lon deg", "lat", "FK4 B1950")
    text = plan._jdf.queryExecution().executedPlan().toString()
    assert "ArrowEvalPython" in text
    assert "Exchange" not in text
