"""Columns computed from positions in Spark."""

import math

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from ubspark.sky.frames import to_icrs
from ubspark.sky.healpix import compute_healpix_29
from ubspark.sky.spark import with_healpix_29, with_icrs

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


@pytest.mark.parametrize("n_partitions", [1, 3])
def test_index_is_that_of_the_kernel_in_any_partition(rows: DataFrame, n_partitions: int) -> None:
    indexed = with_healpix_29(rows.repartition(n_partitions), "lon deg", "lat")
    assert indexed.columns == ["n", "lon deg", "lat", "tag", "_healpix_29"]
    assert indexed.schema["_healpix_29"].dataType == T.LongType()
    lon, lat = (np.array(values, dtype=np.float64) for values in (LON, LAT))
    found = collect(indexed, "_healpix_29")["_healpix_29"]
    assert found == compute_healpix_29(lon, lat).tolist()
    assert [i for i, index in enumerate(found) if index != -1] == GOOD


@pytest.mark.parametrize("kind", ["float", "int", "decimal(9,3)", "string"])
def test_index_of_other_types_is_that_of_their_values(spark: SparkSession, kind: str) -> None:
    frame = spark.createDataFrame([(0, 10, -20), (1, 350, 45), (2, None, 1)], "n int, a int, b int")
    cast = frame.selectExpr("n", f"cast(a as {kind}) a", f"cast(b as {kind}) b")
    expected = compute_healpix_29(np.array([10.0, 350.0]), np.array([-20.0, 45.0])).tolist()
    assert collect(with_healpix_29(cast, "a", "b"), "_healpix_29")["_healpix_29"] == [*expected, -1]


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
    assert collect(with_healpix_29(nothing, "lon deg", "lat"), "_healpix_29") == {"_healpix_29": []}
    assert collect(with_icrs(nothing, "lon deg", "lat", "GALACTIC"), "ra") == {"ra": []}


def test_columns_come_without_a_shuffle(rows: DataFrame) -> None:
    plan = with_icrs(with_healpix_29(rows, "lon deg", "lat"), "lon deg", "lat", "FK4 B1950")
    text = plan._jdf.queryExecution().executedPlan().toString()
    assert "ArrowEvalPython" in text
    assert "Exchange" not in text
