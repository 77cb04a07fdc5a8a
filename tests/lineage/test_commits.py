"""What a commit says of the run behind it, and finding a run by its commit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.commit import TableCommit, WriteMode, commit_files
from ubspark.catalogs.delta import read_history
from ubspark.catalogs.digests import ContentDigest
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.errors import UbsparkError
from ubspark.lineage.commits import build_commit_record, find_made, validate_commit
from ubspark.lineage.spec import FrozenSpec, TableInput

pytestmark = pytest.mark.spark

Make = Callable[..., int]

SCHEMA = TableSchema((TableColumn("_healpix_29", pa.int64()),))
DIGEST = ContentDigest.empty(SCHEMA.to_arrow())


def freeze(
    mode: WriteMode = "error", *, radius: float = 1.0, submission: str | None = None
) -> FrozenSpec:
    return FrozenSpec(
        job="crossmatch",
        job_version="1",
        inputs={"left": TableInput("/w/hip", "id", 3)},
        params={"radius": radius, "note": 'é "quoted" \U0001f600'},
        outputs={"matches": {"uri": "/w/out", "mode": mode}},
        submission=submission,
    )


def record(spec: FrozenSpec, run_id: str = "r1", output: str = "matches") -> dict[str, Any]:
    return build_commit_record(spec, run_id=run_id, output=output, digest=DIGEST)


@pytest.fixture
def make(spark: SparkSession, tmp_path: Path) -> Make:
    """Return a function that commits a version without rows."""

    def make_it(metadata: dict[str, Any], mode: WriteMode = "append") -> int:
        commits = read_history(str(tmp_path)) if (tmp_path / "_delta_log").exists() else []
        base = commits[0].version if commits else -1
        return commit_files(
            spark, TableCommit(str(tmp_path), mode, base, SCHEMA, {}, (), (), "app", metadata)
        )

    return make_it


def find(folder: Path, spec: FrozenSpec, output: str = "matches") -> tuple[int, str] | None:
    commit = find_made(str(folder), spec, output)
    return None if commit is None else (commit.version, str((commit.record or {})["run"]))


def test_record_stands_for_itself() -> None:
    spec = freeze()
    found = record(spec, "r7")
    assert found["ubspark"] == 1
    assert (found["run"], found["key"], found["output"]) == ("r7", spec.key, "matches")
    assert found["digest"] == str(DIGEST)
    assert found["spec"] == spec.to_json()
    assert "version" in found["code"]


def test_place_without_a_table_was_made_by_nobody(tmp_path: Path) -> None:
    assert find_made(str(tmp_path), freeze(), "matches") is None
    assert find_made(str(tmp_path / "gone"), freeze(), "matches") is None


def test_newest_data_decide_whether_a_result_is_there(
    spark: SparkSession, make: Make, tmp_path: Path
) -> None:
    spec, other = freeze(), freeze(radius=2.0)
    make(record(spec))
    assert find(tmp_path, spec) == (0, "r1")
    assert find(tmp_path, other) is None
    make(record(other, "r2"), "overwrite")
    assert find(tmp_path, spec) is None
    assert find(tmp_path, other) == (1, "r2")
    spark.sql(f"ALTER TABLE delta.`{tmp_path}` SET TBLPROPERTIES ('a' = 'b')")
    spark.sql(f"OPTIMIZE delta.`{tmp_path}`")
    assert find(tmp_path, other) == (1, "r2")
    spark.sql(f"INSERT INTO delta.`{tmp_path}` VALUES (1)")
    assert find(tmp_path, other) is None, "somebody has changed the rows since"


def test_other_output_of_the_same_run_is_another_result(make: Make, tmp_path: Path) -> None:
    outputs = {name: {"uri": "/w/out", "mode": "error"} for name in ("matches", "more")}
    spec = replace(freeze(), outputs=outputs)
    make(record(spec, output="more"))
    assert find(tmp_path, spec, "more") == (0, "r1")
    assert find(tmp_path, spec, "matches") is None


def test_appended_rows_stay_whatever_came_after(make: Make, tmp_path: Path) -> None:
    first, second = (freeze("append", submission=name) for name in ("s1", "s2"))
    make(record(first))
    make(record(second, "r2"))
    assert find(tmp_path, first) == (0, "r1")
    assert find(tmp_path, second) == (1, "r2")
    assert find(tmp_path, freeze("append", submission="s3")) is None


def test_commit_of_the_record_is_valid_and_no_other(make: Make, tmp_path: Path) -> None:
    mine = record(freeze())
    make(mine)
    make(record(freeze(radius=2.0)), "overwrite")
    validate_commit(str(tmp_path), 0, mine)
    message = r"^Version 1 of `.*` was committed without its run record; please report it\.$"
    with pytest.raises(UbsparkError, match=message):
        validate_commit(str(tmp_path), 1, mine)
    with pytest.raises(UbsparkError, match=r"^Version 0 of `.*` was committed without its run"):
        validate_commit(str(tmp_path), 0, {**mine, "run": "r9"})
    with pytest.raises(UbsparkError, match=r"^Version 5 of `"):
        validate_commit(str(tmp_path), 5, mine)


def test_commit_of_another_program_is_not_ours(
    spark: SparkSession, make: Make, tmp_path: Path
) -> None:
    spec = freeze()
    make({"key": spec.key, "output": "matches", "run": "r1"})
    assert find_made(str(tmp_path), spec, "matches") is None


def test_key_of_the_record_is_that_of_the_spec_read_back() -> None:
    spec = freeze("append", submission="s1")
    assert record(spec)["spec"]["submission"] == "s1"
    assert record(spec)["key"] != record(replace(spec, submission=None))["key"]
