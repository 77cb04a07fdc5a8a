"""One condition, two engines: Arrow and Spark keep the very same rows."""

import pickle
from decimal import Decimal

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ubspark.catalogs.filters import columns_of, parse_condition, to_spark
from ubspark.catalogs.schema import TableColumn, TableSchema

NAN = float("nan")
ROWS = pa.table(
    {
        "row": pa.array(range(6)),
        "x": pa.array([1.0, 5.0, NAN, None, -0.0, 9.0]),
        "y": pa.array([NAN, 5.0, NAN, None, 0.0, None]),
        "f": pa.array([18.1, 5, NAN, None, 0, 1], pa.float32()),
        "i": pa.array([1, 2, 0, None, 7, 2**62], pa.int64()),
        "s": pa.array([1, 2, 3, None, 5, 6], pa.int16()),
        "Name": ["a", "b", None, "B", "é", "a'b"],
        "is `odd`": pa.array([True, False, None, True, True, False]),
        "d": pa.array([Decimal(2**64 - 1), 1, None, 2, 3, 4], pa.decimal128(20, 0)),
        "t": pa.array([1_700_000_000_000_000 + k for k in range(6)], pa.timestamp("us", tz="UTC")),
        "and": [1, 2, 3, 4, 5, 6],
    }
)
SCHEMA = TableSchema(tuple(TableColumn(field.name, field.type) for field in ROWS.schema))

CASES: dict[str, list[int]] = {
    "x > 5": [5],
    "not (x > 5)": [0, 1, 2, 4],
    "x != 5": [0, 4, 5],
    "not x != 5": [1, 2],
    "x = x": [0, 1, 4, 5],
    "x = y": [1, 4],
    "x != y": [],
    "not (x = y)": [0, 2],
    "not (y < x)": [0, 1, 2, 4],
    "x in (0, 5)": [1, 4],
    "x not in (0, 5)": [0, 2, 5],
    "i in (1, 2)": [0, 1],
    "i not in (1, 2)": [2, 4, 5],
    "i in (1, 2.0)": [0, 1],
    "i = 4611686018427387904": [5],
    "i > 1.5": [1, 4, 5],
    "i < x": [1],
    "f = 18.1": [0],
    "f in (18.1, 5)": [0, 1],
    "f <= 18.1": [0, 1, 4, 5],
    "f < x": [5],
    "i / 2 > 0.5": [1, 4, 5],
    "s / 2 = 1.5": [2],
    "1 / x < 0": [],
    "1 / x > 1e300": [4],
    "x / 0 > 1": [0, 1, 5],
    "not (x / 0 > 1)": [2, 4],
    "x / i > 3": [],
    "-x > -5": [0, 4],
    "-(s + 1) < -2": [1, 2, 4, 5],
    "s * 2 - 1 between 1 and 5": [0, 1, 2],
    "s not between 2 and 3": [0, 4, 5],
    "NAME = 'a'": [0],
    "name in ('a', 'B')": [0, 3],
    "name > 'a'": [1, 4, 5],
    r"name = 'a\'b'": [5],
    'name = "a\'b"': [5],
    "`is ``odd```": [0, 3, 4],
    "not `IS ``odd```": [1, 5],
    "`is ``odd``` = false": [1, 5],
    "d > 18446744073709551614": [0],
    "d in (1, 3)": [1, 4],
    "d < 2.5": [1, 3],
    "t < '2023-11-14T22:13:20.000003Z'": [0, 1, 2],
    "t >= '2023-11-14'": [0, 1, 2, 3, 4, 5],
    "x is null": [3],
    "x is not null": [0, 1, 2, 4, 5],
    "`and` > 3 and (x > 1 or i < 3) and not (s = 2)": [5],
    "x > 5 or y is null": [3, 5],
}


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    return spark.createDataFrame(ROWS).cache()


@pytest.mark.parametrize("text", CASES)
def test_arrow_keeps_the_rows(text: str) -> None:
    condition = parse_condition(text, SCHEMA, table="t")
    assert ROWS.filter(condition.to_arrow())["row"].to_pylist() == CASES[text]


@pytest.mark.spark
def test_spark_keeps_the_rows_that_arrow_keeps(frame: DataFrame) -> None:
    """One Spark job for all conditions."""
    columns = [
        to_spark(parse_condition(text, SCHEMA, table="t")).alias(f"c{i}")
        for i, text in enumerate(CASES)
    ]
    rows = frame.select("row", *columns).orderBy(F.col("row")).collect()
    found = {text: [r["row"] for r in rows if r[f"c{i}"]] for i, text in enumerate(CASES)}
    assert found == CASES


@pytest.mark.parametrize("text", CASES)
def test_canonical_text_reads_back(text: str) -> None:
    condition = pickle.loads(pickle.dumps(parse_condition(text, SCHEMA, table="t")))
    again = parse_condition(str(condition), SCHEMA, table="t")
    assert str(again) == str(condition)
    assert ROWS.filter(again.to_arrow())["row"].to_pylist() == CASES[text]


def test_columns_are_named_as_the_table_does() -> None:
    condition = parse_condition("NAME = 'a' or (X > 1 and x < `And`)", SCHEMA, table="t")
    assert columns_of(condition) == ("Name", "x", "and")
    assert str(condition) == "Name = 'a' or (x > 1 and x < `and`)"


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("x < 5 and 1 <= x", {"x": (1.0, 5.0)}),
        ("i between 3 and 7 and not (x = 2)", {"i": (3, 7)}),
        ("i in (5, 2) and (x < 1 or x > 3)", {"i": (2, 5)}),
        ("f = 18.1", {"f": (18.100000381469727, 18.100000381469727)}),
        ("x < 5 or i < 3", {}),
        ("x + 1 < 5", {}),
        ("x != 5 and name = 'a'", {}),
    ],
)
def test_bounds_hold_every_row_that_is_kept(
    text: str, bounds: dict[str, tuple[float, float]]
) -> None:
    assert parse_condition(text, SCHEMA, table="t").find_bounds() == bounds
