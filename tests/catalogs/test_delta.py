"""Reading the log of a table without a JVM: ours, and those that others have made."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.commit import TableCommit, commit_files
from ubspark.catalogs.delta import TableVersion, is_delta_table, open_table, read_history
from ubspark.catalogs.parquet_sink import WrittenFile
from ubspark.catalogs.roles import CatalogRoles
from ubspark.errors import InputMissingError, SchemaError

pytestmark = pytest.mark.spark

Put = Callable[..., int]
Sql = Callable[..., Path]

NAN, INF = math.nan, math.inf
NO_ROWS = '{"numRecords": 0}'
EVERYTHING = np.array([[-1, 2**62]])


def make(*index: int, **columns: pa.Array) -> pa.Table:
    return pa.table({"_healpix_29": pa.array(index, pa.int64()), **columns})


def read(table: TableVersion, *columns: str) -> list[tuple[object, ...]]:
    rows = table.read_layout().read(EVERYTHING, columns)
    return [tuple(row.values()) for row in rows.to_pylist()]


@pytest.fixture
def sql(spark: SparkSession, tmp_path: Path) -> Sql:
    """Return a function that makes a table by Spark alone; `{t}` stands for the table."""

    def run(*statements: str, columns: str = "_healpix_29 BIGINT, x DOUBLE", end: str = "") -> Path:
        folder = tmp_path / "table"
        create = f"CREATE TABLE {{t}} ({columns}) USING delta {end}"
        for statement in (create, *statements):
            spark.sql(statement.replace("{t}", f"delta.`{folder}`"))
        return folder

    return run


@pytest.fixture(scope="module")
def facts(put: Put, tmp_path_factory: pytest.TempPathFactory) -> TableVersion:
    """A table of two files whose columns hold what statistics find hard."""
    folder = tmp_path_factory.mktemp("facts")
    kinds = {
        "even": ([1.0, 2.0], [3.0, None]),
        "nan": ([1.0, NAN], [3.0, 4.0]),
        "inf": ([1.0, -INF], [3.0, 4.0]),
        "half": ([None, None], [3.0, 4.0]),
        "none": ([None, None], [None, None]),
        "only_nan": ([NAN, NAN], [None, NAN]),
    }
    parts = [
        make(*index, **{name: pa.array(kinds[name][i], pa.float64()) for name in kinds})
        for i, index in enumerate([(5, 7), (-1, 3)])
    ]
    extra = {f"c{i}": pa.array([i, i + 1]) for i in range(40)}
    parts = [
        pa.table({**dict(zip(p.column_names, p.columns, strict=True)), **extra}) for p in parts
    ]
    put(folder, *parts, properties={"ubspark.role.ra": "even", "ubspark.epoch": "1991.25"})
    return open_table(str(folder))


def test_table_is_counted_from_its_log(facts: TableVersion) -> None:
    assert (facts.n_rows, facts.n_files, facts.version) == (4, 2, 0)
    assert facts.n_bytes == sum(path.stat().st_size for path in Path(facts.uri).glob("*.parquet"))
    assert facts.is_catalog
    assert str(facts) == f"{facts.uri}@v0"
    assert len(facts.table_id) == 36


def test_roles_are_those_of_the_properties(facts: TableVersion) -> None:
    assert facts.roles == CatalogRoles({"ra": "even"}, 1991.25)


@pytest.mark.parametrize(
    ("column", "bounds"),
    [
        ("even", (1.0, 3.0)),
        ("nan", None),
        ("inf", None),
        ("half", (3.0, 4.0)),
        ("none", (0.0, 0.0)),
        ("only_nan", None),
        ("_healpix_29", (-1.0, 7.0)),
        ("nothing", None),
        ("c39", (39.0, 40.0)),
    ],
)
def test_bounds_come_from_the_log_or_not_at_all(
    facts: TableVersion, column: str, bounds: tuple[float, float] | None
) -> None:
    """A bound that leaves out NaN or infinity would be no bound of what the log does not say.

    The columns beyond the 32nd have theirs too: those of Gaia's proper motions are such.
    """
    assert facts.read_bounds(column) == bounds


@pytest.mark.parametrize(
    ("column", "bounds"),
    [
        ("even", (1.0, 3.0)),
        ("nan", (1.0, 4.0)),
        ("inf", (1.0, 4.0)),
        ("none", (0.0, 0.0)),
        ("only_nan", (0.0, 0.0)),
    ],
)
def test_scanned_bounds_are_those_of_the_finite_values(
    facts: TableVersion, column: str, bounds: tuple[float, float]
) -> None:
    assert facts.scan_bounds(column) == bounds


@pytest.mark.parametrize(
    ("column", "n"), [("even", 1), ("nan", 0), ("half", 2), ("none", 4), ("only_nan", 1)]
)
def test_nulls_are_counted_and_nan_is_none(facts: TableVersion, column: str, n: int) -> None:
    assert facts.count_nulls(column) == n


def test_layout_is_in_sky_order(facts: TableVersion) -> None:
    layout = facts.read_layout()
    assert (layout.low.tolist(), layout.high.tolist()) == ([-1, 5], [3, 7])
    assert layout.n_rows.tolist() == [2, 2]
    assert layout.n_bytes.sum() == facts.n_bytes
    assert read(facts, "c0") == [(-1, 0), (3, 1), (5, 0), (7, 1)]


def test_dataset_holds_the_rows(facts: TableVersion) -> None:
    rows = facts.to_dataset().to_table().sort_by("_healpix_29")
    assert rows["_healpix_29"].to_pylist() == [-1, 3, 5, 7]
    assert rows.schema.equals(facts.schema.to_arrow())


def test_table_without_rows(put: Put, tmp_path: Path) -> None:
    put(tmp_path, make().append_column("x", pa.array([], pa.float64())))
    table = open_table(str(tmp_path))
    assert (table.n_rows, table.n_files, table.n_bytes) == (0, 0, 0)
    assert table.read_bounds("x") is None
    assert table.scan_bounds("x") == (0.0, 0.0)
    assert table.count_nulls("x") == 0
    assert read(table, "x") == []
    assert table.to_dataset().to_table().schema.names == ["_healpix_29", "x"]
    assert table.read_layout().refine().paths == ()


def test_versions_are_opened_by_number(put: Put, tmp_path: Path) -> None:
    put(tmp_path, make(1))
    put(tmp_path, make(2), mode="append", base=0)
    assert [open_table(str(tmp_path), version=v).n_rows for v in (0, 1, None)] == [1, 2, 2]
    message = r"^Table `gaia` has no version 2; the latest is 1\.$"
    with pytest.raises(InputMissingError, match=message):
        open_table(str(tmp_path), version=2, name="gaia")


def test_table_of_many_commits_is_read_from_its_checkpoint(put: Put, tmp_path: Path) -> None:
    for i in range(12):
        put(tmp_path, make(10 * i, 10 * i + 1), mode="append", base=i - 1)
    log = tmp_path / "_delta_log"
    assert list(log.glob("*.checkpoint*.parquet"))
    for i in range(8):
        (log / f"{i:020}.json").unlink()
    table = open_table(str(tmp_path))
    assert (table.version, table.n_rows, table.read_bounds("_healpix_29")) == (11, 24, (0.0, 111.0))
    assert table.read_layout().low.tolist() == [10 * i for i in range(12)]
    assert table.properties["delta.enableDeletionVectors"] == "false"
    assert open_table(str(tmp_path), version=10).n_rows == 22
    message = r"^Version 3 of table `gaia` can no longer be read: [^\n]*\.$"
    with pytest.raises(InputMissingError, match=message):
        open_table(str(tmp_path), version=3, name="gaia")


def test_place_without_a_table_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty" / "_delta_log").mkdir(parents=True)
    end = r"\. `ubspark tables` lists those of the home folder\.$"
    for name, what in (("empty", "holds no Delta table"), ("gone", "is not there")):
        uri = str(tmp_path / name)
        with pytest.raises(InputMissingError, match=rf"^Table `gaia` {what} \({uri}\){end}"):
            open_table(uri, name="gaia")
        assert not is_delta_table(uri)
    with pytest.raises(
        InputMissingError, match=rf"^Table `{tmp_path}/file` cannot be read: .*{end}"
    ):
        open_table(str(tmp_path / "file"))


def test_log_that_is_no_json_is_said_in_one_line(tmp_path: Path) -> None:
    log = tmp_path / "_delta_log"
    log.mkdir()
    (log / f"{0:020}.json").write_text("not json")
    with pytest.raises(InputMissingError, match=r"^Table `gaia` cannot be read: [^\n]*\.$"):
        open_table(str(tmp_path), name="gaia")


def test_history_tells_ours_from_foreign(spark: SparkSession, put: Put, tmp_path: Path) -> None:
    put(tmp_path, make(1), metadata={"ubspark": 1, "run": "r1"})
    name = "spark.databricks.delta.commitInfo.userMetadata"
    for text in ("by hand", "[1]", '{"run": "r2"}'):
        spark.conf.set(name, text)
        spark.sql(f"INSERT INTO delta.`{tmp_path}` VALUES (2)")
    spark.conf.unset(name)
    spark.sql(f"ALTER TABLE delta.`{tmp_path}` SET TBLPROPERTIES ('a' = 'b')")
    spark.sql(f"OPTIMIZE delta.`{tmp_path}`")
    history = read_history(str(tmp_path))
    assert [commit.version for commit in history] == [5, 4, 3, 2, 1, 0]
    assert [commit.record for commit in history] == [None] * 5 + [{"ubspark": 1, "run": "r1"}]
    assert [commit.changed_data for commit in history] == [False, False, True, True, True, True]
    assert all(commit.timestamp_ms > 1.7e12 for commit in history)
    assert history[0].operation == "OPTIMIZE"


def test_bounds_that_spark_wrote_of_nan_and_infinity_are_none(sql: Sql) -> None:
    """Spark writes NaN and Infinity as the maximum, of which nothing can be computed."""
    columns = "_healpix_29 BIGINT, x DOUBLE, y DOUBLE, z DOUBLE"
    values = "(1, double('nan'), double('inf'), 1), (2, 5, 6, 2), (3, null, -1, null)"
    table = open_table(str(sql(f"INSERT INTO {{t}} VALUES {values}", columns=columns)))
    assert [table.read_bounds(name) for name in ("x", "y", "z")] == [None, None, (1.0, 2.0)]
    assert [table.scan_bounds(name) for name in ("x", "y")] == [(5.0, 5.0), (-1.0, 6.0)]


def test_rows_of_both_writers_are_read_together(
    spark: SparkSession, put: Put, tmp_path: Path
) -> None:
    """Spark's times are INT96; files before ALTER TABLE have no such column."""
    time = pa.timestamp("us", tz="UTC")
    moment = pa.array([1_700_000_000_123_456], pa.int64()).cast(time)
    put(tmp_path, make(1, t=moment))
    spark.sql(f"ALTER TABLE delta.`{tmp_path}` ADD COLUMNS (n INT)")
    spark.sql(f"INSERT INTO delta.`{tmp_path}` VALUES (2, timestamp_micros(1700000000123456), 7)")
    table = open_table(str(tmp_path))
    assert read(table, "t", "n") == [(1, moment[0].as_py(), None), (2, moment[0].as_py(), 7)]
    assert table.count_nulls("n") == 1
    assert table.read_bounds("n") is None
    assert table.to_dataset().to_table().num_rows == 2


def test_file_without_rows_counts_for_nothing(
    spark: SparkSession, put: Put, tmp_path: Path
) -> None:
    """Spark leaves such files; there are no minima of them."""
    put(tmp_path, make(1))
    pq.write_table(make(), tmp_path / "empty.parquet")
    empty = WrittenFile("empty.parquet", (tmp_path / "empty.parquet").stat().st_size, 0, NO_ROWS)
    schema = open_table(str(tmp_path)).schema
    commit_files(
        spark, TableCommit(str(tmp_path), "append", 0, schema, {}, (), (empty,), "app", {})
    )
    table = open_table(str(tmp_path))
    assert (table.n_files, table.n_rows) == (2, 1)
    assert read(table) == [(1,)]
    assert table.read_bounds("_healpix_29") == (1.0, 1.0)


@pytest.mark.parametrize("first", ["0", "32"])
def test_files_without_statistics_are_refused(sql: Sql, first: str) -> None:
    """Some files with, some without: no range may be made up for those without."""
    other = "32" if first == "0" else "0"
    folder = sql(
        "INSERT INTO {t} VALUES (2305843009213693953, 1.0)",
        f"ALTER TABLE {{t}} SET TBLPROPERTIES ('delta.dataSkippingNumIndexedCols' = '{other}')",
        "INSERT INTO {t} VALUES (4611686018427387905, 1.0)",
        end=f"TBLPROPERTIES ('delta.dataSkippingNumIndexedCols' = '{first}')",
    )
    message = r"^Table `.*` has files without statistics of `_healpix_29` in its log\. Ingest it"
    with pytest.raises(SchemaError, match=message):
        open_table(str(folder)).read_layout()


def test_indices_keep_all_their_bits(put: Put, tmp_path: Path) -> None:
    """A float64 on the way would round them, and lose the rows at the ends of a file."""
    put(tmp_path, make(2**61 + 1), make(2**61 + 3))
    layout = open_table(str(tmp_path)).read_layout()
    assert layout.low.tolist() == layout.high.tolist() == [2**61 + 1, 2**61 + 3]


@pytest.mark.parametrize(
    ("end", "statements", "message"),
    [
        (
            "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
            ["DELETE FROM {t} WHERE x = 2.0"],
            "uses the Delta features deletionVectors, with which its files are not its rows",
        ),
        (
            "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
            [],
            "uses the Delta features columnMapping, with which",
        ),
        ("PARTITIONED BY (x)", [], "is partitioned by columns; a catalog table is not"),
    ],
)
def test_table_whose_files_are_not_its_rows_is_refused(
    sql: Sql, end: str, statements: list[str], message: str
) -> None:
    folder = sql("INSERT INTO {t} VALUES (1, 1.0), (2, 2.0)", *statements, end=end)
    table = open_table(str(folder))
    for reads in (table.read_layout, table.to_dataset):
        with pytest.raises(SchemaError, match=rf"^Table `{folder}` {message}.*\.$"):
            reads()


def test_table_without_the_spatial_index_is_no_catalog(sql: Sql) -> None:
    table = open_table(str(sql("INSERT INTO {t} VALUES (1, 1.0)", columns="id BIGINT, x DOUBLE")))
    assert not table.is_catalog
    assert table.n_rows == 1
    with pytest.raises(SchemaError, match="without statistics of `_healpix_29`"):
        table.read_layout()


def test_shallow_clone_is_read_where_its_files_are(
    spark: SparkSession, put: Put, tmp_path: Path
) -> None:
    source = tmp_path / "with space"
    put(source, make(1, 2))
    spark.sql(f"CREATE TABLE delta.`{tmp_path}/clone` SHALLOW CLONE delta.`{source}`")
    assert read(open_table(str(tmp_path / "clone"))) == [(1,), (2,)]


def test_type_that_we_do_not_know_is_said(sql: Sql) -> None:
    folder = sql(columns="_healpix_29 BIGINT, t TIMESTAMP_NTZ")
    with pytest.raises(SchemaError, match=r"^The Delta type 'timestamp_ntz' is not known to this"):
        open_table(str(folder))
