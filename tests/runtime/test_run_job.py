"""What a run leaves beside its table, and what becomes of two that want the same one."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import ubspark.runtime.run_job as runner
from ubspark.catalogs.delta import open_table, read_history
from ubspark.errors import SchemaError, TransientError
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.records import iterate_records
from ubspark.runtime.run_job import run_job

pytestmark = pytest.mark.spark

Job = dict[str, Any]


@contextmanager
def before_the_commit(act: Callable[[], Any]) -> Iterator[list[Any]]:
    """Let something happen once, when the rows of the next run are written."""
    done: list[Any] = []
    write = runner.write_output

    def write_after(*arguments: Any) -> Any:
        written = write(*arguments)
        runner.write_output = write
        done.append(act())
        return written

    runner.write_output = write_after
    try:
        yield done
    finally:
        runner.write_output = write


def list_data(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.parquet")}


def test_surroundings_are_kept_before_the_commit(
    small_home: Home,
    spark: SparkSession,
    match_job: Callable[..., Job],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that is killed after its commit is a whole one, which is bundled and replayed."""
    commit, known = runner.commit_output, []

    def commit_later(*arguments: Any, run_id: str, **options: Any) -> Any:
        known.append({path.name for path in (small_home.runs / run_id).iterdir()})
        return commit(*arguments, run_id=run_id, **options)

    monkeypatch.setattr(runner, "commit_output", commit_later)
    run_job(parse_job(match_job("surrounded")), home=small_home, spark=spark)
    (names,) = known
    assert {"spec.json", "environment.json", "requirements.lock"} <= names


def test_equal_run_that_was_first_is_named(
    small_home: Home, spark: SparkSession, match_job: Callable[..., Job]
) -> None:
    job = parse_job(match_job("wanted_twice"))
    with before_the_commit(lambda: run_job(job, home=small_home, spark=spark)) as done:
        outcome = run_job(job, home=small_home, spark=spark)
    first = done[0]
    assert not first.already_made
    assert outcome.already_made
    assert outcome.record.run_id == first.record.run_id
    assert outcome.outputs == first.outputs
    place = small_home.warehouse / "wanted_twice"
    assert [commit.version for commit in read_history(str(place))] == [0]
    assert len(list_data(place)) == open_table(str(place)).n_files
    (second,) = (
        record
        for record in iterate_records(small_home.runs)
        if record.run_id != first.record.run_id
        and str(place) in (record.folder / "spec.json").read_text()
    )
    assert second.phase == "COMPLETED"
    assert f"was made by the equal run {first.record.run_id}" in second.notes[0]


def test_other_run_that_was_first_is_a_reason_to_try_again(
    small_home: Home, spark: SparkSession, match_job: Callable[..., Job]
) -> None:
    job = parse_job(match_job("wanted_by_two"))
    other = parse_job(match_job("wanted_by_two", radius="0.2 arcsec"))
    with (
        before_the_commit(lambda: run_job(other, home=small_home, spark=spark)),
        pytest.raises(TransientError, match=r"Another writer changed table .* Run it again\."),
    ):
        run_job(job, home=small_home, spark=spark)
    place = small_home.warehouse / "wanted_by_two"
    assert [commit.version for commit in read_history(str(place))] == [0]
    assert len(list_data(place)) == open_table(str(place)).n_files


def test_append_that_does_not_fit_is_refused_before_the_work(
    small_home: Home,
    spark: SparkSession,
    match_job: Callable[..., Job],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_job(parse_job(match_job("grows")), home=small_home, spark=spark)
    before = list_data(small_home.warehouse / "grows")
    job = match_job("grows", mode="append")
    job["params"]["association_only"] = False

    def work(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("ubspark.runtime.outputs.write_rows", work)
    with pytest.raises(SchemaError, match="cannot take the rows of this run: it has no column"):
        run_job(parse_job(job), home=small_home, spark=spark)
    assert list_data(small_home.warehouse / "grows") == before


def test_appends_under_one_name_land_once(
    small_home: Home, spark: SparkSession, match_job: Callable[..., Job]
) -> None:
    run_job(parse_job(match_job("named")), home=small_home, spark=spark)
    job = match_job("named", mode="append")

    def append(name: str) -> tuple[bool, int]:
        asked = parse_job(job | {"run": {"submission": name}})
        outcome = run_job(asked, home=small_home, spark=spark)
        return outcome.already_made, int(outcome.outputs["matches"]["version"])

    assert append("monday") == (False, 1)
    assert append("tuesday") == (False, 2)
    # Neither is the newest: both are found.
    assert append("monday") == (True, 1)
    assert append("tuesday") == (True, 2)


def test_log_tells_the_run(
    small_home: Home, spark: SparkSession, match_job: Callable[..., Job]
) -> None:
    outcome = run_job(parse_job(match_job("logged")), home=small_home, spark=spark)
    text = (outcome.record.folder / "run.log").read_text()
    assert f"Run {outcome.record.run_id} of the job crossmatch" in text
    assert f"Spark {spark.version} on local[2]." in text
    assert re.search(r"Input left: .*/stars@v0", text)
    assert re.search(r"Counts: .*\bseconds .* cells 4, tasks \d", text)
    for step in ("Spark is there", "Prepared", "Written matches", "Committed matches"):
        assert re.search(rf"{step} after \d+\.\d s\.", text), step


def test_report_names_what_identifies_the_run(
    small_home: Home, spark: SparkSession, match_job: Callable[..., Job]
) -> None:
    outcome = run_job(parse_job(match_job("reported")), home=small_home, spark=spark)
    page = (outcome.record.folder / "report.html").read_text()
    assert "<title>crossmatch: stars x moved → reported</title>" in page
    assert outcome.record.key in page
    assert outcome.outputs["matches"]["digest"] in page
    assert re.search(r"duration</th><td><code>\d+\.\d s<", page)
    assert "\nassociation_only: true\n" in page
    assert "&#39;" not in page
    assert outcome.record.metrics["seconds"] > 0
