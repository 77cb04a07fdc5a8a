"""Two ways to write one table: Spark must see no difference, whichever was taken.

Every value that statistics or footers can get wrong stands in a file of its own, so that a filter
that skips a file by a wrong minimum or maximum loses a row.
"""

import datetime as dt
import functools
import json
import math
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ubspark.catalogs.commit import TableCommit, commit_files, prepare_folder
from ubspark.catalogs.delta import open_table
from ubspark.catalogs.digests import compute_digest
from ubspark.catalogs.parquet_sink import Constraint, ParquetSink
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.catalogs.writers import WrittenRows, write_rows
from ubspark.errors import SchemaError
from ubspark.runtime.failures import describe_failure

pytestmark = pytest.mark.spark

NAN, INF = math.nan, math.inf
LAST = "\U0010ffff"
FACE = "\U0001f600"
TIME = pa.timestamp("us", tz="UTC")
METADATA = {"ubspark": 1, "key": "key", "output": "matches", "run": "r1"}
CONSTRAINTS = (Constraint("id", 0), Constraint("dist", 0))

FLOATS = [1.0, -1.0, NAN, INF, -INF, -0.0, 0.0, 1e308, 5e-324, None, 0.1, 100.5]
TEXTS: list[str | None] = [
    "",
    "a",
    "a" * 32,
    "a" * 33,
    "a" * 40,
    "a" * 32 + "b",
    "é" * 33,
    FACE * 40,
]
TEXTS += ["\uffff" * 33, LAST * 33, LAST * 40, LAST * 32 + "a", "\U00010000", "z\0z", None]
TIMES = [None, 0, 999, 1001, 1_700_000_000_123_456, -1, -1001]
TIMES += [-62_135_596_800_000_000, 253_402_300_799_999_999]
DAYS: list[dt.date | None] = [
    dt.date(*day) for day in ((1970, 1, 1), (1582, 10, 4), (1582, 10, 15), (1, 1, 1))
]
DAYS += [dt.date(9999, 12, 31), None]
DECIMALS = [Decimal(0), Decimal(2**64 - 1), Decimal(-(2**64)), Decimal(7), None]
LISTS = [[], [1.0, None], [NAN], None, [INF, -0.0]]
STRUCTS = [{"a": 1, "z": NAN}, {"a": None, "z": 200.0}, None, {"a": 3, "z": None}]


def repeat(values: list[Any]) -> list[Any]:
    """Return the values again and again, one for each row."""
    return [values[i % len(values)] for i in range(N_ROWS)]


N_ROWS = 30
ROWS = pa.table(
    {
        "id": pa.array(range(N_ROWS), pa.int64()),
        "x": pa.array(repeat(FLOATS), pa.float64()),
        "f": pa.array(repeat(FLOATS[:7] + FLOATS[9:]), pa.float32()),
        "s": pa.array(repeat(TEXTS), pa.string()),
        "t": pa.array(repeat(TIMES), pa.int64()).cast(TIME),
        "d": pa.array(repeat(DAYS), pa.date32()),
        "n": pa.array(repeat(DECIMALS), pa.decimal128(21, 0)),
        "b": pa.array(repeat([True, False, None]), pa.bool_()),
        "i": pa.array(repeat([-(2**63), 2**63 - 1, 0, None, -1]), pa.int64()),
        "y": pa.array(repeat([-128, 127, 0, None]), pa.int8()),
        "l": pa.array(repeat(LISTS), pa.list_(pa.float64())),
        "st": pa.array(repeat(STRUCTS), pa.struct([("a", pa.int32()), ("z", pa.float64())])),
        "raw": pa.array(repeat([b"", b"\xff" * 40, None]), pa.binary()),
        "dist": pa.array(repeat([0.0, None, 1.5]), pa.float64()),
    }
)
FACTS = {"id": (None, "Identifier"), "x": ("mag", "Brightness"), "f": ("mas/yr", 'It\'s "so" à')}
SCHEMA = TableSchema(
    tuple(
        TableColumn(
            field.name,
            field.type,
            field.name != "id",
            unit=FACTS.get(field.name, (None, None))[0],
            description=FACTS.get(field.name, (None, None))[1],
        )
        for field in ROWS.schema
    )
)

CONDITIONS = [
    *("x > 100", "x >= 1e308D", "x < 0", "x <= double('-inf')", "x = double('inf')", "x != 1.0D"),
    *("x = double('nan')", "not isnan(x)", "x is null", "x is not null", "x <=> null"),
    *("x = 0.0D", "x = -0.0D", "x < 0.0D", "x >= 0.0D", "x <= -0.0D", "not (x > 0)", "x = 0.1D"),
    *("x in (1.0D, double('nan'))", "x > double('inf')", "x = 5e-324D"),
    *("f > 100", "isnan(f)", "f = float(0.1)", "f < 0", "f = -0.0F"),
    *(f"s = '{text}'" for text in TEXTS[3:-2]),
    *("s is null", f"s > '{LAST * 32}'", f"s >= '{LAST * 33}'", f"s > '{'a' * 32}'"),
    *(f"s < '{'a' * 33}'", f"s > '{FACE * 32}'", "s like 'aaaa%'", "s > '\uffff'"),
    *(f"t = timestamp_micros({moment})" for moment in TIMES[1:]),
    *("t is null", "t < timestamp_micros(-1)", "t >= timestamp_micros(1001)"),
    *("d = date'1582-10-04'", "d <= date'0001-01-01'", "d >= date'9999-12-31'", "d is null"),
    *("n = 18446744073709551615", "n < -5", "n is null", "not b", "b is null"),
    *("i = 9223372036854775807", "i < -9223372036854775807", "i is null", "y >= 127", "y < -127"),
    *("l is null", "size(l) = 0", "get(l, 0) > 100", "array_contains(l, -0.0D)"),
    *("st is null", "st.a = 1", "st.z > 100", "isnan(st.z)", "st.a is null", "st.z is null"),
    *("length(raw) = 40", "dist is null", "dist = 0.0D", "id >= 15", "id = 29"),
]

Answers = dict[str, list[int]]


def write_directly(
    spark: SparkSession,
    folder: Path,
    frame: DataFrame,
    *,
    schema: TableSchema = SCHEMA,
    constraints: tuple[Constraint, ...] = (),
    **options: Any,
) -> WrittenRows:
    """Write as jobs do: the tasks write files, the driver commits them."""
    prepare_folder(str(folder))
    rows = write_rows(frame, ParquetSink(str(folder), schema.to_arrow(), constraints))
    facts = {"mode": "error", "base_version": -1, "app_id": "app", "metadata": METADATA, **options}
    commit_files(
        spark,
        TableCommit(
            uri=str(folder),
            schema=schema,
            properties={},
            constraints=constraints,
            files=rows.files,
            **facts,
        ),
    )
    return rows


def load(spark: SparkSession, folder: Path, **options: Any) -> DataFrame:
    return spark.read.format("delta").options(**options).load(str(folder))


def answer(frame: DataFrame) -> Answers:
    """Return the ids that each condition keeps, by one Spark job."""
    parts = [
        frame.where(condition).select(F.lit(i).alias("condition"), "id")
        for i, condition in enumerate(CONDITIONS)
    ]
    found: Answers = {condition: [] for condition in CONDITIONS}
    for row in functools.reduce(DataFrame.unionAll, parts).collect():
        found[CONDITIONS[row["condition"]]].append(row["id"])
    return {condition: sorted(ids) for condition, ids in found.items()}


@dataclass(frozen=True)
class Tables:
    direct: Path
    spark: Path


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    """The rows, one or two in each of many partitions."""
    return spark.createDataFrame(ROWS).repartitionByRange(18, "id")


@pytest.fixture(scope="module")
def tables(
    spark: SparkSession, frame: DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Tables:
    """The same rows by both writers, each into a table of the same declaration."""
    made = Tables(*(tmp_path_factory.mktemp(name) / "table" for name in ("direct", "spark")))
    rows = write_directly(spark, made.direct, frame, constraints=CONSTRAINTS)
    assert len(rows.files) == 18
    create_by_sql(spark, made.spark)
    name = "spark.databricks.delta.commitInfo.userMetadata"
    spark.conf.set(name, json.dumps(METADATA, separators=(",", ":")))
    frame.write.format("delta").mode("append").save(str(made.spark))
    spark.conf.unset(name)
    return made


def create_by_sql(spark: SparkSession, folder: Path) -> None:
    types = {f.name: f.dataType.simpleString() for f in spark.createDataFrame(ROWS).schema}
    lines = []
    for column in SCHEMA.columns:
        comment = (column.comment or "").replace('"', '\\"')
        nulls = "" if column.nullable else "NOT NULL"
        lines.append(f'{column.name} {types[column.name]} {nulls} COMMENT "{comment}"')
    table = f"delta.`{folder}`"
    spark.sql(f"CREATE TABLE {table} ({', '.join(lines)}) USING delta")
    for one in CONSTRAINTS:
        spark.sql(f"ALTER TABLE {table} ADD CONSTRAINT {one.column} CHECK ({one.sql})")


@pytest.fixture(scope="module")
def answers(spark: SparkSession, tables: Tables) -> dict[str, Answers]:
    columns = [F.expr(condition).alias(condition) for condition in CONDITIONS]
    memory = spark.createDataFrame(ROWS).select("id", *columns).toArrow().to_pylist()
    # Compiling each of the small queries would take longer than all else.
    spark.conf.set("spark.sql.codegen.wholeStage", "false")
    spark.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    found = {
        "memory": {text: [row["id"] for row in memory if row[text]] for text in CONDITIONS},
        "direct": answer(load(spark, tables.direct)),
        "spark": answer(load(spark, tables.spark)),
    }
    spark.conf.unset("spark.sql.codegen.wholeStage")
    spark.conf.unset("spark.sql.codegen.factoryMode")
    return found


@pytest.mark.parametrize("writer", ["direct", "spark"])
def test_filters_keep_the_same_rows(answers: dict[str, Answers], writer: str) -> None:
    """Rows in memory have neither statistics nor footers: they are the judge."""
    wrong = {
        condition: (ids, answers["memory"][condition])
        for condition, ids in answers[writer].items()
        if ids != answers["memory"][condition]
    }
    assert wrong == {}


def test_conditions_keep_some_rows_and_not_all(answers: dict[str, Answers]) -> None:
    trivial = [text for text, ids in answers["memory"].items() if len(ids) in (0, N_ROWS)]
    assert trivial == []


def test_spark_sees_the_same_rows(spark: SparkSession, tables: Tables) -> None:
    digests = {
        str(compute_digest(load(spark, folder).toArrow()))
        for folder in (tables.direct, tables.spark)
    }
    assert digests == {str(compute_digest(ROWS))}


def test_spark_sees_the_same_columns(spark: SparkSession, tables: Tables) -> None:
    found = []
    for folder in (tables.direct, tables.spark):
        rows = spark.sql(f"DESCRIBE TABLE delta.`{folder}`").collect()
        # An empty comment and none are the same to a reader.
        found.append([(row["col_name"], row["data_type"], row["comment"] or None) for row in rows])
        fields = load(spark, folder).schema.fields
        assert [(f.name, f.dataType) for f in fields] == [
            (f.name, f.dataType) for f in spark.createDataFrame(ROWS).schema.fields
        ]
    assert found[0] == found[1]
    assert found[0][1] == ("x", "double", "Brightness [mag]")


def test_nullability_is_that_of_sql(tables: Tables) -> None:
    for folder in (tables.direct, tables.spark):
        schema = open_table(str(folder)).schema
        assert [column.name for column in schema.columns if not column.nullable] == ["id"]


def test_constraints_and_protocol_are_those_of_sql(tables: Tables) -> None:
    found = []
    for folder in (tables.direct, tables.spark):
        table = open_table(str(folder))
        constraints = {k: v for k, v in table.properties.items() if "constraints" in k}
        found.append((constraints, table._table.protocol()))
    assert found[0] == found[1]
    assert len(found[0][0]) == 2


def test_history_carries_the_metadata_of_the_user(spark: SparkSession, tables: Tables) -> None:
    for folder in (tables.direct, tables.spark):
        newest = spark.sql(f"DESCRIBE HISTORY delta.`{folder}` LIMIT 1").collect()[0]
        assert json.loads(newest["userMetadata"]) == METADATA
        assert newest["operation"] == "WRITE"


def test_statistics_are_there_and_as_tight_as_those_of_spark(tables: Tables) -> None:
    for column in ("id", "i", "y", "dist"):
        bounds = {open_table(str(folder)).read_bounds(column) for folder in vars(tables).values()}
        assert len(bounds) == 1
        assert None not in bounds


def insert(spark: SparkSession, folder: Path, **values: str) -> None:
    names, row = ", ".join(values), ", ".join(values.values())
    spark.sql(f"INSERT INTO delta.`{folder}` ({names}) VALUES ({row})")


@pytest.fixture
def small(spark: SparkSession, tmp_path: Path) -> Path:
    """A table of two files with a null where a constraint is."""
    schema = SCHEMA.select(["id", "x", "dist"])
    frame = spark.createDataFrame(ROWS.select(schema.names).slice(0, 4)).repartitionByRange(2, "id")
    write_directly(spark, tmp_path / "small", frame, schema=schema, constraints=CONSTRAINTS)
    return tmp_path / "small"


def test_constraints_hold_for_other_writers(spark: SparkSession, small: Path) -> None:
    for values, message in (
        ({"id": "-1"}, "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES.*id"),
        ({"id": "1", "dist": "-0.5"}, "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES.*dist"),
        ({"id": "null", "x": "1"}, "NOT_NULL|CHECK constraint id"),
    ):
        with pytest.raises(Exception, match=message):
            insert(spark, small, **values)
    assert open_table(str(small)).version == 0
    insert(spark, small, id="9", dist="null")
    assert load(spark, small).count() == 5


def test_rows_with_null_under_a_constraint_can_be_rewritten(
    spark: SparkSession, small: Path
) -> None:
    """To Delta a CHECK of null is broken; OPTIMIZE of a left join must not fail for it."""
    before = str(compute_digest(load(spark, small).toArrow()))
    spark.sql(f"OPTIMIZE delta.`{small}`")
    assert open_table(str(small)).n_files == 1
    assert str(compute_digest(load(spark, small).toArrow())) == before
    assert load(spark, small).where("dist is null").count() == 1


def test_deleted_rows_leave_no_deletion_vectors(spark: SparkSession, small: Path) -> None:
    spark.sql(f"DELETE FROM delta.`{small}` WHERE id = 1")
    log = "".join(path.read_text() for path in (small / "_delta_log").glob("*.json"))
    assert 'deletionVector"' not in log
    assert open_table(str(small)).n_rows == 3
    assert sorted(row["id"] for row in load(spark, small).collect()) == [0, 2, 3]


def test_old_versions_stay(spark: SparkSession, small: Path) -> None:
    more = spark.createDataFrame(ROWS.select(["id", "x", "dist"]).slice(10, 2))
    schema = SCHEMA.select(["id", "x", "dist"])
    options: dict[str, Any] = {"schema": schema, "constraints": CONSTRAINTS}
    write_directly(spark, small, more, mode="append", base_version=0, **options)
    write_directly(spark, small, more, mode="overwrite", base_version=1, **options)
    ids = [sorted(r["id"] for r in load(spark, small, versionAsOf=v).collect()) for v in range(3)]
    assert ids == [[0, 1, 2, 3], [0, 1, 2, 3, 10, 11], [10, 11]]


def test_no_rows_make_a_table(spark: SparkSession, tmp_path: Path) -> None:
    nothing = spark.createDataFrame(ROWS).where("id < 0")
    rows = write_directly(spark, tmp_path / "empty", nothing, constraints=CONSTRAINTS)
    assert (rows.n_rows, rows.files) == (0, ())
    assert load(spark, tmp_path / "empty").collect() == []
    assert load(spark, tmp_path / "empty").columns == list(SCHEMA.names)
    assert str(rows.digest) == str(compute_digest(ROWS.slice(0, 0)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "CASE WHEN id != 3 THEN id END",
            r"^Column `id` may not be null, but 1 rows have no value in it; nothing was kept\.$",
        ),
        ("id - 5", r"^Column `id` breaks `id >= 0` in \d rows; nothing was kept\.$"),
    ],
)
def test_bad_rows_are_refused_before_the_commit(
    spark: SparkSession, tmp_path: Path, change: str, message: str
) -> None:
    schema = SCHEMA.select(["id", "x", "dist"])
    bad = spark.createDataFrame(ROWS.select(schema.names)).withColumn("id", F.expr(change))
    with pytest.raises(PySparkException, match=r"ubspark\.errors\.SchemaError") as found:
        write_directly(
            spark, tmp_path / "bad", bad.repartition(3), schema=schema, constraints=CONSTRAINTS
        )
    assert not (tmp_path / "bad" / "_delta_log").exists()
    failure = describe_failure(found.value)
    with pytest.raises(SchemaError, match=message):
        raise failure
