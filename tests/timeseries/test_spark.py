"""Doors for DataFrames, and how Arrow becomes arrays."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from surveys import collect, make_object

from ubspark.errors import SchemaError
from ubspark.timeseries import LightCurves
from ubspark.timeseries.arrow import CurveColumns, nest_rows, to_arrow_columns, to_light_curves
from ubspark.timeseries.options import PeriodOptions
from ubspark.timeseries.periods import compute_periods
from ubspark.timeseries.spark import compute_period_frame, describe_columns, make_period_udf

OPTIONS = PeriodOptions(fmin=0.8, fmax=2.0)
COLUMNS = CurveColumns("t", "y", "dy", "band")
BANDS = tuple("ugrizy")


@pytest.fixture(scope="module")
def curves() -> LightCurves:
    rng = np.random.default_rng(3)
    return collect([make_object(rng, n) for n in (60, 0, 3, 80, 100)])


@pytest.fixture(scope="module")
def rows(curves: LightCurves) -> pa.Table:
    offsets = pa.array(curves.offsets.astype(np.int32))
    names = pa.array(BANDS).take(pa.array(curves.band))
    parts = {"t": curves.t, "y": curves.y, "dy": curves.dy, "band": names}
    lists = {
        name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in parts.items()
    }
    return pa.table({"name": pa.array(list("abcde")), **lists})


def test_lists_become_the_same_arrays(curves: LightCurves, rows: pa.Table) -> None:
    for table in (rows, pa.concat_tables([rows.slice(2), rows]).slice(3)):
        found = to_light_curves(table, COLUMNS, BANDS)
        for name in ("offsets", "t", "y", "dy", "band"):
            assert np.array_equal(getattr(found, name), getattr(curves, name)), name


def test_nested_structs_are_lists_too(curves: LightCurves, rows: pa.Table) -> None:
    struct = pa.StructArray.from_arrays(
        [rows[name].combine_chunks() for name in COLUMNS.parts], names=list(COLUMNS.parts)
    )
    columns = CurveColumns("t", "y", "dy", "band", nested="epochs")
    found = to_light_curves(pa.table({"epochs": struct}), columns, BANDS)
    assert np.array_equal(found.t, curves.t)
    assert np.array_equal(found.band, curves.band)


def test_nulls_uneven_lists_and_other_bands_are_no_failure() -> None:
    rows = pa.table(
        {
            "t": pa.array([[1.0, 2.0], None, [1.0], [3.0, None]]),
            "y": pa.array([[1.0, 2.0], [1.0], [1.0, 2.0], [5, 6]], pa.list_(pa.float32())),
            "band": pa.array([["g", "x"], ["g"], ["g"], ["r", None]]),
        }
    )
    found = to_light_curves(rows, CurveColumns("t", "y", None, "band"), ("g", "r"))
    assert found.offsets.tolist() == [0, 2, 2, 2, 4]
    assert found.band.tolist() == [0, -1, 1, -1]
    assert np.isnan(found.t[3])
    assert np.all(np.isnan(found.dy))


def test_rows_per_epoch_are_nested_by_object() -> None:
    rows = pa.table(
        {
            "_healpix_29": pa.array([5, 5, 2, 5]),
            "id": pa.array(["b", "a", "c", "b"]),
            "t": pa.array([1.0, 2.0, 3.0, 4.0]),
            "y": pa.array([1.0, 2.0, 3.0, 4.0]),
        }
    )
    found = nest_rows(rows, "id", CurveColumns("t", "y", None, None))
    assert found["id"].to_pylist() == ["c", "a", "b"]
    assert found["t"].to_pylist() == [[3.0], [2.0], [1.0, 4.0]]
    empty = nest_rows(rows.slice(0, 0), "id", CurveColumns("t", "y", None, None))
    assert empty.num_rows == 0
    torn = rows.set_column(0, "_healpix_29", pa.array([5, 5, 2, 6]))
    with pytest.raises(SchemaError, match="different positions"):
        nest_rows(torn, "id", CurveColumns("t", "y", None, None))


@pytest.mark.parametrize("keeps", [False, True])
def test_results_have_the_types_declared(curves: LightCurves, keeps: bool) -> None:
    options = replace(OPTIONS, keep_periodogram=keeps)
    found = to_arrow_columns(compute_periods(curves, options))
    schema = describe_columns(BANDS, options)
    assert list(found) == schema.names
    for field in schema:
        assert found[field.name].type == field.type, field.name
        assert len(found[field.name]) == len(curves)
    assert found["period"].null_count == 2
    assert found["peak_power"].to_pylist()[1] == []


@pytest.mark.spark
@pytest.mark.parametrize(("partitions", "keeps"), [(1, True), (3, False)])
def test_a_frame_of_light_curves_becomes_a_frame_of_periods(
    spark: SparkSession, curves: LightCurves, rows: pa.Table, partitions: int, keeps: bool
) -> None:
    frame = spark.createDataFrame(rows).repartition(partitions)
    options = replace(OPTIONS, keep_periodogram=keeps)
    found = compute_period_frame(frame, COLUMNS, bands=BANDS, options=options, carried=["name"])
    table = found.toArrow().sort_by("name")
    expected = to_arrow_columns(compute_periods(curves, options))
    for name, values in expected.items():
        assert table[name].to_pylist() == values.to_pylist(), name
    with pytest.raises(SchemaError, match="`dy` is not in the light curves"):
        compute_period_frame(frame.drop("dy"), COLUMNS, bands=BANDS)


@pytest.mark.spark
def test_a_function_for_select(spark: SparkSession, curves: LightCurves, rows: pa.Table) -> None:
    find_period = make_period_udf(BANDS, OPTIONS)
    frame = spark.createDataFrame(rows).select(
        "name", find_period("t", "y", "dy", "band").alias("found")
    )
    table = frame.select("name", "found.period", F.col("found.status")).toArrow().sort_by("name")
    expected = to_arrow_columns(compute_periods(curves, OPTIONS))
    assert table["period"].to_pylist() == expected["period"].to_pylist()
    assert table["status"].to_pylist() == expected["status"].to_pylist()
