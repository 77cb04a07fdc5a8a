"""Sentinels become null in the type of their column, and nowhere else."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.sources import NullRules, open_source
from ubspark.errors import ParameterError, SchemaError

TABLE = pa.table(
    {
        "f": pa.array([99.99, 1, None], pa.float32()),
        "d": pa.array([99.99, -999, 5], pa.float64()),
        "n": pa.array([-999, 99, 5], pa.int32()),
        "u": pa.array([2**64 - 1, 5, 0], pa.uint64()),
        "s": ["-999", "N/A", "x"],
        "l": pa.array([[99.99, 1], [], None], pa.list_(pa.float32())),
    }
)


def clean(spark: SparkSession, tmp_path: Path, *rules: str) -> dict[str, list[Any]]:
    path = tmp_path / "x.parquet"
    pq.write_table(TABLE, path)
    source = open_source(str(path), scratch=tmp_path)
    rows = source.to_dataframe(spark, nulls=NullRules.parse(rules))
    columns: dict[str, list[Any]] = rows.toArrow().to_pydict()
    return columns


@pytest.mark.spark
def test_sentinels_in_every_number_column(spark: SparkSession, tmp_path: Path) -> None:
    rows = clean(spark, tmp_path, "-999", "99.99", "18446744073709551615")
    assert rows["f"] == [None, 1.0, None]
    assert rows["d"] == [None, None, 5.0]
    assert rows["n"] == [None, 99, 5]
    assert [row and int(row) for row in rows["u"]] == [None, 5, 0]
    assert rows["s"] == ["-999", "N/A", "x"]
    assert rows["l"] == [[None, 1.0], [], None]


@pytest.mark.spark
def test_sentinels_in_one_column(spark: SparkSession, tmp_path: Path) -> None:
    rows = clean(spark, tmp_path, "d=99.99", "d=5", "s=N/A", "n=inf", "f=nan")
    assert rows["d"] == [None, -999.0, None]
    assert rows["s"] == ["-999", None, "x"]
    assert rows["n"] == [-999, 99, 5]
    assert rows["l"][0] is not None
    assert rows["l"][0][0] is not None


@pytest.mark.spark
def test_rules_may_use_the_name_in_the_file(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a b": [1, 2]}), path)
    source = open_source(str(path), scratch=tmp_path)
    rows = source.to_dataframe(spark, nulls=NullRules.parse(["a b=1"]))
    assert rows.toArrow().to_pydict() == {"a_b": [None, 2]}


@pytest.mark.parametrize("rule", ["N/A", "", "=5"])
def test_rules_that_say_nothing(rule: str) -> None:
    with pytest.raises(ParameterError, match="`null` must be a number or `column=value`"):
        NullRules.parse([rule])


def test_rules_for_columns_that_are_not_there() -> None:
    rules = NullRules.parse(["psfmag=99.99"])
    with pytest.raises(SchemaError, match=r"Did you mean `psfMag`\?$"):
        rules.validate({"psfMag": pa.float32()})
    with pytest.raises(ParameterError, match="must be a number, got 'x'"):
        NullRules.parse(["psfMag=x"]).validate({"psfMag": pa.float32()})
