"""Adding files to a table in one transaction."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs import commit as commit_module
from ubspark.catalogs.commit import RETENTION, prepare_folder
from ubspark.catalogs.delta import open_table, read_history
from ubspark.catalogs.parquet_sink import Constraint
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.errors import SchemaError, TransientError

pytestmark = pytest.mark.spark

Put = Callable[..., int]
Race = Callable[[Callable[[], Any]], None]

SCHEMA = TableSchema(
    (
        TableColumn("_healpix_29", pa.int64(), False),
        TableColumn("x", pa.float64(), True, "mag", "phot.mag", "Brightness"),
    )
)
CONSTRAINT = Constraint("_healpix_29", -1)
CONFLICT = r"^Another writer changed table `.*` while this run was working; nothing of this run"


def make(*index: int) -> pa.Table:
    return pa.table([pa.array(index, pa.int64()), pa.array([0.5] * len(index))], names=SCHEMA.names)


def read(folder: Path, version: int | None = None) -> list[int]:
    """Return the indices that the log and the files hold; Spark's view is `test_conformance`."""
    rows = open_table(str(folder), version=version).to_dataset().to_table(["_healpix_29"])
    return sorted(rows["_healpix_29"].to_pylist())


def read_log(folder: Path, version: int) -> list[dict[str, Any]]:
    text = (folder / "_delta_log" / f"{version:020}.json").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def list_log(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "_delta_log").glob("*.json"))


@pytest.fixture
def race(monkeypatch: pytest.MonkeyPatch) -> Iterator[Race]:
    """Return a function that lets something happen after a transaction began, before it ends."""
    real = commit_module._operation

    def run_between(action: Callable[[], Any]) -> None:
        def interrupted(*arguments: Any) -> Any:
            monkeypatch.setattr(commit_module, "_operation", real)
            action()
            return real(*arguments)

        monkeypatch.setattr(commit_module, "_operation", interrupted)

    yield run_between
    assert commit_module._operation is real, "the other writer did not come"


def test_table_is_created_with_what_it_needs_to_last(put: Put, tmp_path: Path) -> None:
    properties = {"ubspark.role.id": "id", "ubspark.job": "ingest"}
    options = {"schema": SCHEMA, "constraints": (CONSTRAINT,), "properties": properties}
    assert put(tmp_path, make(1, 2), make(3), **options) == 0
    assert read(tmp_path) == [1, 2, 3]
    table = open_table(str(tmp_path))
    assert table.n_files == 2
    assert table.schema == SCHEMA
    assert table.properties == {
        **properties,
        "delta.logRetentionDuration": RETENTION,
        "delta.deletedFileRetentionDuration": RETENTION,
        "delta.enableDeletionVectors": "false",
        "delta.dataSkippingNumIndexedCols": "-1",
        "delta.constraints.healpix_29": "_healpix_29 IS NULL OR _healpix_29 >= -1",
    }
    assert RETENTION == "interval 3650 days"


def test_append_adds_rows_whatever_came_before(put: Put, tmp_path: Path) -> None:
    for n in range(3):
        assert put(tmp_path, make(n), schema=SCHEMA, mode="append", base=-1) == n
    assert read(tmp_path) == [0, 1, 2]
    assert read(tmp_path, 1) == [0, 1]


def test_overwrite_replaces_rows_and_schema_and_keeps_the_table(put: Put, tmp_path: Path) -> None:
    put(tmp_path, make(1, 2), schema=SCHEMA, properties={"old": "1"}, constraints=(CONSTRAINT,))
    before = open_table(str(tmp_path))
    other = pa.table({"_healpix_29": pa.array([7]), "name": ["a"]})
    assert put(tmp_path, other, mode="overwrite", base=0, properties={"new": "2"}) == 1
    after = open_table(str(tmp_path))
    assert read(tmp_path) == [7]
    assert after.table_id == before.table_id
    assert after.schema.names == ("_healpix_29", "name")
    assert "old" not in after.properties
    assert after.properties["new"] == "2"
    assert not [name for name in after.properties if name.startswith("delta.constraints.")]
    assert read(tmp_path, 0) == [1, 2]
    assert open_table(str(tmp_path), version=0).schema == SCHEMA


def test_overwrite_of_nothing_creates(put: Put, tmp_path: Path) -> None:
    assert put(tmp_path, make(1), schema=SCHEMA, mode="overwrite") == 0
    assert read(tmp_path) == [1]


def test_table_without_rows_is_a_table(put: Put, tmp_path: Path) -> None:
    put(tmp_path, make(), schema=SCHEMA)
    assert read(tmp_path) == []
    assert open_table(str(tmp_path)).schema == SCHEMA
    put(tmp_path, make(1), schema=SCHEMA, mode="append", base=0)
    put(tmp_path, make(), schema=SCHEMA, mode="overwrite", base=1)
    assert read(tmp_path) == []


@pytest.mark.parametrize(("mode", "base"), [("error", -1), ("error", 0), ("overwrite", 0)])
def test_commit_since_the_base_is_a_conflict_and_changes_nothing(
    put: Put, tmp_path: Path, mode: str, base: int
) -> None:
    put(tmp_path, make(1), schema=SCHEMA)
    put(tmp_path, make(2), schema=SCHEMA, mode="append", base=0)
    before = list_log(tmp_path)
    with pytest.raises(TransientError, match=CONFLICT):
        put(tmp_path, make(3), schema=SCHEMA, mode=mode, base=base)
    assert list_log(tmp_path) == before


def test_table_that_is_gone_is_a_conflict(put: Put, tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=CONFLICT):
        put(tmp_path, make(1), schema=SCHEMA, mode="overwrite", base=3)
    assert not (tmp_path / "_delta_log").exists()


def insert(spark: SparkSession, folder: Path) -> Callable[[], Any]:
    return lambda: spark.sql(f"INSERT INTO delta.`{folder}` VALUES (9, 9.0)")


def test_rows_added_by_another_during_an_overwrite_are_a_conflict(
    spark: SparkSession, put: Put, tmp_path: Path, race: Race
) -> None:
    """The metadata stay the same, and the other commit is a blind append: still a conflict."""
    put(tmp_path, make(1), schema=SCHEMA)
    race(insert(spark, tmp_path))
    with pytest.raises(TransientError, match=CONFLICT):
        put(tmp_path, make(3), schema=SCHEMA, mode="overwrite", base=0)
    assert read(tmp_path) == [1, 9]


@pytest.mark.parametrize("rows", [make(3), make()])
def test_of_two_that_create_a_table_one_wins(
    put: Put, tmp_path: Path, race: Race, rows: pa.Table
) -> None:
    race(lambda: put(tmp_path, make(1), schema=SCHEMA, app_id="other"))
    with pytest.raises(TransientError, match=CONFLICT):
        put(tmp_path, rows, schema=SCHEMA)
    assert read(tmp_path) == [1]
    assert len(list_log(tmp_path)) == 1


def test_rows_added_by_another_during_an_append_stay_beside(
    spark: SparkSession, put: Put, tmp_path: Path, race: Race
) -> None:
    put(tmp_path, make(1), schema=SCHEMA)
    race(insert(spark, tmp_path))
    assert put(tmp_path, make(3), schema=SCHEMA, mode="append", base=0) == 2
    assert read(tmp_path) == [1, 3, 9]


def test_schema_changed_by_another_during_an_append_is_a_conflict(
    spark: SparkSession, put: Put, tmp_path: Path, race: Race
) -> None:
    put(tmp_path, make(1), schema=SCHEMA)
    race(lambda: spark.sql(f"ALTER TABLE delta.`{tmp_path}` ADD COLUMNS (y INT)"))
    with pytest.raises(TransientError, match=CONFLICT):
        put(tmp_path, make(3), schema=SCHEMA, mode="append", base=0)
    assert read(tmp_path) == [1]


def test_same_transaction_twice_at_once_is_a_conflict(put: Put, tmp_path: Path, race: Race) -> None:
    """The same submission runs twice: one of them must not add its rows again."""
    put(tmp_path, make(1), schema=SCHEMA)
    race(lambda: put(tmp_path, make(3), schema=SCHEMA, mode="append", base=0))
    with pytest.raises(TransientError, match=CONFLICT):
        put(tmp_path, make(3), schema=SCHEMA, mode="append", base=0)
    assert read(tmp_path) == [1, 3]


def test_transaction_that_is_to_land_once_is_refused_afterwards(put: Put, tmp_path: Path) -> None:
    put(tmp_path, make(1), schema=SCHEMA, app_id="other")
    once: dict[str, Any] = {"schema": SCHEMA, "mode": "append", "base": 0, "is_once": True}
    assert put(tmp_path, make(2), **once) == 1
    with pytest.raises(TransientError, match=r"already; they were not added again\.$"):
        put(tmp_path, make(2), **once)
    assert put(tmp_path, make(3), app_id="third", **once) == 2
    assert read(tmp_path) == [1, 2, 3]


def test_transaction_id_is_recorded_and_rises(put: Put, tmp_path: Path) -> None:
    for version, app_id in enumerate(["a", "a", "b", "a"]):
        put(tmp_path, make(1), schema=SCHEMA, mode="append", base=version - 1, app_id=app_id)
    found = [
        (action["txn"]["appId"], action["txn"]["version"])
        for version in range(4)
        for action in read_log(tmp_path, version)
        if "txn" in action
    ]
    assert found == [("a", 0), ("a", 1), ("b", 0), ("a", 2)]


def test_history_says_what_was_done_and_by_whom(
    spark: SparkSession, put: Put, tmp_path: Path
) -> None:
    records = [{"ubspark": 1, "note": 'é "quoted" \\ \U0001f600', "n": n} for n in range(3)]
    put(tmp_path, make(1), schema=SCHEMA, metadata=records[0])
    put(tmp_path, make(2), schema=SCHEMA, mode="append", base=0, metadata=records[1])
    put(tmp_path, make(3), schema=SCHEMA, mode="overwrite", base=1, metadata=records[2])
    history = read_history(str(tmp_path))
    assert [commit.version for commit in history] == [2, 1, 0]
    assert [commit.record for commit in history] == records[::-1]
    assert all(commit.changed_data for commit in history)
    rows = spark.sql(f"DESCRIBE HISTORY delta.`{tmp_path}`").collect()
    assert [row["operationParameters"]["mode"] for row in rows] == [
        *("Overwrite", "Append", "ErrorIfExists"),
    ]
    assert [json.loads(row["userMetadata"]) for row in rows] == records[::-1]
    for row in rows:
        assert (row["operationMetrics"]["numFiles"], row["operationMetrics"]["numOutputRows"]) == (
            *("1", "1"),
        )
        assert int(row["operationMetrics"]["numOutputBytes"]) > 0


INDEX = SCHEMA["_healpix_29"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ((*SCHEMA.columns, TableColumn("y", pa.int64())), "it has no column `y`"),
        ((INDEX,), "they have no column `x`"),
        ((INDEX, TableColumn("x", pa.string())), "column `x` is double there and string here"),
        (
            (INDEX, TableColumn("x", pa.float64(), unit="mmag")),
            "column `x` is in `mag` there and in `mmag` here",
        ),
        (
            (TableColumn("_healpix_29", pa.int64()), SCHEMA["x"]),
            "column `_healpix_29` may not be null there",
        ),
    ],
)
def test_append_of_other_rows_is_refused_and_changes_nothing(
    put: Put, tmp_path: Path, columns: tuple[TableColumn, ...], reason: str
) -> None:
    """Delta takes any file: the rows would read as null, or not at all."""
    put(tmp_path, make(1), schema=SCHEMA)
    schema = TableSchema(columns)
    rows = pa.table([pa.array([1]).cast(column.type) for column in columns], names=schema.names)
    with pytest.raises(SchemaError, match=reason):
        put(tmp_path, rows, schema=schema, mode="append", base=0)
    assert len(list_log(tmp_path)) == 1


def test_append_keeps_to_a_constraint_that_somebody_added(
    spark: SparkSession, put: Put, tmp_path: Path
) -> None:
    put(tmp_path, make(1), schema=SCHEMA)
    spark.sql(f"ALTER TABLE delta.`{tmp_path}` ADD CONSTRAINT bright CHECK (x < 5)")
    with pytest.raises(SchemaError, match="its constraint `x < 5` is not one that ubspark checks"):
        put(tmp_path, make(1), schema=SCHEMA, mode="append", base=1)


def test_table_made_anew_in_the_same_folder_has_another_id(put: Put, tmp_path: Path) -> None:
    ids = []
    for name in ("a", "b"):
        put(tmp_path / name, make(1), schema=SCHEMA)
        ids.append(open_table(str(tmp_path / name)).table_id)
    assert len(set(ids)) == 2


@pytest.mark.parametrize("name", ["with space", "100%", "é日本", "a&=+:*'~b"])
def test_odd_folder_names(put: Put, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    put(folder, make(1, 2), schema=SCHEMA)
    put(folder, make(3), schema=SCHEMA, mode="append", base=0)
    assert read(folder) == [1, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert open_table(str(folder)).to_dataset().count_rows() == 3
    assert len(read_history(str(folder))) == 2


def test_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = rf"^The folder `{tmp_path}/file/x` cannot be written: .*\.$"
    with pytest.raises(TransientError, match=message):
        prepare_folder(str(tmp_path / "file" / "x"))


def test_prepared_folder_is_empty(tmp_path: Path) -> None:
    prepare_folder(str(tmp_path / "a" / "b"))
    assert list((tmp_path / "a" / "b").iterdir()) == []
