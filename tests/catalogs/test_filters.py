"""The subset of SQL that `where` knows: against Spark's own reading of the text, and its refusals.

How both engines compute one parsed condition is `test_conditions`.
"""

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from ubspark.catalogs.filters import parse_where
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.errors import ParameterError, SchemaError

NAN, INF = float("nan"), float("inf")
ROWS = pa.table(
    {
        "n": range(8),
        "mag": pa.array([17.5, 18.0, None, -0.0, INF, -INF, 0.0, 1e300]),
        "err": pa.array([0.5, 18.0, 2.0, None, INF, 0.0, -1.0, 3.0]),
        "flag": pa.array([1, 0, None, -127, 127, 2, 3, 7], pa.int8()),
        "source_id": pa.array([5, 2**62, None, -(2**62), 2**53 + 1, 2**53, 0, 8], pa.int64()),
        "big": pa.array([2**64 - 1, 1, None, 2, 3, 4, 5, 6], pa.decimal128(20, 0)),
        "band": pa.array(["g", "r", None, "", "it's", "\U0001f600", "a\\b", "Z"]),
        "good": pa.array([True, False, None, True, True, False, True, False]),
        "day": pa.array([0, 1, None, 19_000, -1, 2, 3, 4], pa.int32()).cast(pa.date32()),
        "order by": pa.array([1, 2, 3, 4, 5, 6, 7, 8], pa.int16()),
        "many": pa.array([[1]] * 8),
    }
)
SCHEMA = TableSchema(tuple(TableColumn(field.name, field.type) for field in ROWS.schema))
#: Read the same by Spark SQL.
SAME = [
    *("mag < 18", "mag <= 18", "mag > 18", "mag >= 18.0", "mag = 18", "mag == 18", "18 > mag"),
    *("mag != 18", "mag <> 18", "mag = 0", "mag < 1e3", "mag > -.5", "mag >= -0.0", "mag < err"),
    *("mag between 0 and 18", "mag not between 0 and 18", "mag between 18 and 0"),
    *("flag in (1, 2, 300)", "flag not in (1, 2)", "flag in (-127)", "mag in (18, 0)"),
    *("flag < 300", "flag + 127 > 127", "-flag > 0", "flag * 2 - 1 = 1", "flag - -1 = 2"),
    *("flag / 2 = 0.5", "(flag + 1) / 4 > 0.6", "flag + 1 * 2 = 3", "(flag + 1) * 2 = 4"),
    *("source_id = 4611686018427387904", "source_id > 9007199254740992", "source_id < 0.5"),
    *("source_id in (8, 9007199254740993)", "source_id > 1e10", "source_id <= flag"),
    *("big = 18446744073709551615", "big in (1, 2)", "big > 4", "big <> 1", "big between 2 and 4"),
    *("band = 'g'", 'band = "g"', "band > 'a'", "band != ''", "band in ('g', 'r')", "band = ''"),
    *(
        "band not in ('g')",
        r"band = 'it\'s'",
        r"band = 'a\\b'",
        "band = '\U0001f600'",
        "'g' = band",
    ),
    *("good = true", "not good", "good and mag < 18", "good or mag < 18", "!good", "good <> false"),
    *("not (good or mag < 18)", "not (good and mag < 18)", "not mag < 18", "not not (mag < 18)"),
    *("mag is null", "mag is not null", "(mag is null)", "mag + err is null", "many is null"),
    *("mag is null or good is null and flag = 1", "mag < 18 and mag > 0 or good and not flag = 1"),
    *("day = '1970-01-02'", "day >= '1970-01-02'", "day < '1970-01-01'", "MAG < 18 AND Band = 'g'"),
    *(
        "`order by` > 6",
        "mag < 18 -- bright",
        "mag /* or */ < 18",
        " mag\n<\t18 ",
        "1 = 1",
        "2 < 1",
    ),
]
#: Read otherwise by Spark SQL, and why: the rows of ours, and those of Spark.
OTHER: dict[str, list[list[int]]] = {
    # NaN is a number to Spark, equal to itself and above all others.
    "y > 5": [[4, 5], [1, 4, 5, 7]],
    "y >= 5": [[3, 4, 5], [1, 3, 4, 5, 7]],
    "y = y": [[0, 3, 4, 5, 6], [0, 1, 3, 4, 5, 6, 7]],
    "y != 5": [[0, 4, 5, 6], [0, 1, 4, 5, 6, 7]],
    "not (y > 5)": [[0, 1, 3, 6, 7], [0, 3, 6]],
    "not (y != 5)": [[1, 3, 7], [3]],
    "y between 5 and 1e308": [[3, 4], [3, 4]],
    "y not between 5 and 1e308": [[0, 1, 5, 6, 7], [0, 1, 5, 6, 7]],
    # A decimal literal is a double beside Spark's floats, and a float beside ours.
    "f = 18.1": [[0], []],
    "f > 18.1": [[1], [0, 1]],
}
FLOATS = pa.table(
    {
        "n": range(8),
        "y": pa.array([1.0, NAN, None, 5.0, 9.0, INF, -INF, NAN]),
        "f": pa.array([18.1, 18.2, None, 5.0, 0.0, 1.0, 2.0, 3.0], pa.float32()),
    }
)


def keep(text: str, rows: pa.Table = ROWS) -> list[int]:
    schema = TableSchema(tuple(TableColumn(field.name, field.type) for field in rows.schema))
    kept: list[int] = rows.filter(parse_where(text, schema, table="gaia"))["n"].to_pylist()
    return kept


def keep_by_spark(spark: SparkSession, texts: list[str], rows: pa.Table) -> dict[str, list[int]]:
    """Return what Spark SQL makes of each text, by one job."""
    columns = [F.expr(text).alias(f"c{i}") for i, text in enumerate(texts)]
    found = spark.createDataFrame(rows).select("n", *columns).toArrow().to_pylist()
    return {text: [row["n"] for row in found if row[f"c{i}"]] for i, text in enumerate(texts)}


@pytest.mark.spark
def test_every_operator_keeps_the_rows_that_spark_sql_keeps(spark: SparkSession) -> None:
    assert {text: keep(text) for text in SAME} == keep_by_spark(spark, SAME, ROWS)


def test_operators_tell_rows_apart() -> None:
    trivial = {text for text in SAME if len(keep(text)) in (0, ROWS.num_rows)}
    assert trivial == {"1 = 1", "2 < 1", "mag between 18 and 0", "many is null"}


@pytest.mark.spark
def test_differences_from_spark_sql_are_those_that_are_said(spark: SparkSession) -> None:
    found = keep_by_spark(spark, list(OTHER), FLOATS)
    assert {text: [keep(text, FLOATS), found[text]] for text in OTHER} == OTHER


def test_division_by_zero_is_inf_or_nan_where_spark_fails() -> None:
    assert keep("flag / 0 > 1") == [0, 4, 5, 6, 7]
    assert keep("flag / 0 < -1") == [3]
    assert keep("not (flag / 0 > 1)") == [1, 3]
    assert keep("mag / 0 > 1") == keep("mag > 0")


def test_long_lists_and_long_chains_are_read() -> None:
    assert keep(f"flag in ({', '.join(map(str, range(20_000)))})") == [0, 1, 4, 5, 6, 7]
    assert keep(" or ".join(f"flag = {i}" for i in range(900))) == [0, 1, 4, 5, 6, 7]
    assert keep("(" * 20 + "flag = 1" + ")" * 20) == [0]


MUST = r"^`where` must be a condition such as `mag < 18`, got "
KNOWS = r"^`where` knows comparisons, and, or, not, in, between, is null and arithmetic; `"
CANNOT = r"^`where` cannot be computed for table `gaia`, got "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, MUST) for text in ("", "  ", "mag <", "mag < 18)", "< 18", "a b c")),
        *((text, MUST) for text in ("mag", "18", "true", "mag + 1", "'x'", "-mag")),
        *((text, MUST) for text in ("select 1", "mag < 18; drop table gaia", "1=1; select 1")),
        *(
            (text, MUST)
            for text in ("mag < 18 union select 1", "mag < 18 order by mag", "mag < 18 as x")
        ),
        *(
            (text, MUST)
            for text in ("drop table gaia", "mag < 18 limit 1", "(" * 5000 + "mag < 18")
        ),
        ("max(mag) < 18", KNOWS + "MAX"),
        ("count(*) > 1", KNOWS + "COUNT"),
        ("abs(mag) < 18", KNOWS + "ABS"),
        ("mag < (select max(mag) from gaia)", KNOWS),
        ("flag in (select flag from gaia)", KNOWS),
        ("exists (select 1)", KNOWS),
        ("flag in (1, null)", KNOWS + "NULL"),
        ("flag in (mag)", KNOWS),
        ("flag = null", KNOWS + "NULL"),
        ("flag <=> 1", KNOWS),
        ("flag % 2 = 1", KNOWS),
        ("flag & 1 = 1", KNOWS),
        ("band like 'g%'", KNOWS),
        ("band || 'x' = 'gx'", KNOWS),
        ("case when good then 1 else 0 end = 1", KNOWS),
        ("cast(mag as int) = 1", KNOWS),
        ("mag::int = 1", KNOWS),
        ("gaia.mag < 18", KNOWS),
        ("many[0] = 1", KNOWS),
        ("mag = :value", KNOWS),
        ("mag = ?", KNOWS),
        ("good is true", KNOWS),
        ("mag is nan", KNOWS),
        ("mag < < 18", KNOWS),
        ("mag between symmetric 2 and 1", KNOWS),
        ("mag and good", KNOWS),
        ("not mag", KNOWS),
        ("band = 5", CANNOT),
        ("band in ('g', 5)", CANNOT),
        ("mag = 'g'", CANNOT),
        ("good = 1", CANNOT),
        ("mag + band > 1", CANNOT),
        ("-band = 1", CANNOT),
        ("many = 1", CANNOT),
        ("day < 5", CANNOT),
        ("day < 'yesterday'", CANNOT),
        (f"big = {10**40}", CANNOT),
        (" and ".join(["mag < 18"] * 1001), r"^`where` must not have more than 1000 comparisons"),
    ],
)
def test_what_is_not_in_the_subset_is_refused_in_one_sentence(text: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message) as found:
        keep(text)
    sentence = str(found.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 600


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("magn < 18", r"^Column `magn` is not in table `gaia`\. Did you mean `mag`\? Available"),
        ("mag < x", r"^Column `x` is not in table `gaia`\. Available columns: n, mag, err, "),
        ("`mag ` < 18", r"^Column `mag ` is not in table"),
        ("mag < 18 and (good or magn = 1)", r"^Column `magn` is not in table"),
    ],
)
def test_column_that_is_not_there_is_named(text: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        keep(text)


def test_names_that_differ_by_case_alone_are_told_apart() -> None:
    rows = pa.table({"n": range(3), "A": [1, 2, 3], "a": [3, 2, 1]})
    assert keep("A = 1", rows) == [0]
    assert keep("a = 1", rows) == [2]


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (pa.int32(), 7, "v = 7"),
        (pa.float32(), 7.5, "v = 7.5"),
        (pa.decimal128(9, 2), Decimal("7.25"), "v = 7.25"),
        (pa.string(), "é", "v = 'é'"),
        (pa.bool_(), True, "v = true"),
    ],
)
def test_each_type_meets_its_literal(kind: pa.DataType, value: Any, text: str) -> None:
    rows = pa.table({"n": range(2), "v": pa.array([value, None], kind)})
    assert keep(text, rows) == [0]
