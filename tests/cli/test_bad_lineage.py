"""Damaged records, lists, archives and places: one sentence, and nothing is lost for it."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from astropy.table import Table
from pyspark.sql import SparkSession

from ubspark.runtime.archive import archive_version
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.places import find_entity, open_ledger
from ubspark.runtime.run_job import run_job

USAGE, MISSING, TEMPORARY = 2, 4, 75
#: Commands that read the record of a table, with what they need beside its name.
READERS = {"lineage": ("--up",), "replay": ("--check",), "bundle": ("bundle",)}

pytestmark = pytest.mark.spark

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Path:
    """A home whose table `stars` has two versions, beside an archive of the first."""
    folder = tmp_path_factory.mktemp("kept")
    home = Home(folder / "home")
    for version in range(2):
        table = Table({"id": [1, 2], "ra": [1.0, 2.0 + version], "dec": [0.0, 0.5]})
        table.write(folder / f"stars{version}.csv")
        content = {
            "job": "ingest",
            "inputs": {"source": {"path": str(folder / f"stars{version}.csv")}},
            "params": {"roles": {"id": "id"}},
            "outputs": {"table": {"table": "stars", "mode": "overwrite"}},
        }
        run_job(parse_job(content), home=home, spark=spark)
    archive_version(find_entity("stars@v0", home, open_ledger(home)), folder / "archive")
    return folder


@pytest.fixture
def place(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to be damaged: the home, in the working folder."""
    shutil.copytree(kept, tmp_path / "kept")
    monkeypatch.chdir(tmp_path / "kept")
    monkeypatch.setenv("UBSPARK_HOME", str(tmp_path / "kept" / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "kept" / "home"


def alter_record(home: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change what the newest commit of `stars` says of its run."""
    log = home / "warehouse" / "stars" / "_delta_log"
    for crc in log.glob("*.crc"):
        crc.unlink()
    path = log / f"{1:020d}.json"
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    for action in actions:
        if "commitInfo" in action:
            record = json.loads(action["commitInfo"]["userMetadata"])
            change(record)
            action["commitInfo"]["userMetadata"] = json.dumps(record)
    path.write_text("".join(json.dumps(action) + "\n" for action in actions))


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("spec"),
        lambda record: record.pop("output"),
        lambda record: record.pop("code"),
        lambda record: record.update(digest=None),
        lambda record: record.update(spec="{}"),
        lambda record: record["spec"].update(inputs=[]),
        lambda record: record["spec"]["inputs"]["source"].pop("digest"),
        lambda record: record["spec"].update(spec_version=99),
    ],
)
def test_damaged_record_is_an_open_end_and_stops_no_other_command(
    place: Path, call: Call, change: Callable[[dict[str, Any]], Any]
) -> None:
    alter_record(place, change)
    assert "UNRESOLVED: " in call("lineage", "stars@v1").out
    audit = call("lineage", "audit")
    assert (audit.code, audit.said) == (6, "")
    assert "stars@v1: The record of its run is damaged, or of a newer ubspark." in audit.out
    assert call("lineage", "stars@v0").code == 0
    refused = call("replay", "stars@v1", "--check")
    assert refused.code == MISSING
    assert refused.said.endswith("was not made by a run of ubspark, so it cannot be replayed.\n")
    kept = json.loads(call("gc", "--versions", "--json").out)
    assert kept["removals"] == []
    assert kept["kept"][0]["place"] == "all versions"
    assert call("archive", "stars@v1", "copy").code == 0


@pytest.mark.parametrize("content", ["{nonsense", "", None])
def test_damaged_log_gets_one_sentence(
    place: Path, call: Call, refuse: Call, content: str | None
) -> None:
    log = place / "warehouse" / "stars" / "_delta_log" / f"{0:020d}.json"
    for file in (place / "warehouse" / "stars" / "_delta_log").iterdir():
        if file.is_file():
            file.unlink()
    if content is not None:
        log.write_text(content)
    for command, words in READERS.items():
        assert refuse(command, "stars", *words).code == MISSING
    assert refuse("pin", "stars", "--reason", "x").code == MISSING
    assert refuse("archive", "stars", "copy").code == MISSING
    assert call("gc", "--versions").code == 0


@pytest.mark.parametrize("content", ["{", "[1, 2]", '[{"uri": 1}]', '{"a": 1}', None])
def test_pins_that_cannot_be_read_stop_what_would_remove(
    place: Path, refuse: Call, content: str | None
) -> None:
    pins = place / "pins.json"
    if content is None:
        pins.mkdir()
    else:
        pins.write_text(content)
    for words in (("pins",), ("gc",), ("pin", "stars", "--reason", "x"), ("unpin", "stars")):
        answer = refuse(*words)
        assert answer.code == MISSING
        assert "mend it before anything is removed" in answer.said


@pytest.mark.parametrize(
    "content", ["- a", "roots: /data", "roots: [1]", "homes: {a: b}", "a: [", b"\xff\xfe"]
)
def test_configuration_that_is_wrong_is_said(
    place: Path, refuse: Call, content: str | bytes
) -> None:
    given = content.encode() if isinstance(content, str) else content
    (place / "config.yaml").write_bytes(given)
    for words in (("lineage", "stars"), ("gc",), ("lineage", "audit")):
        answer = refuse(*words)
        assert answer.code == USAGE
        assert "config.yaml" in answer.said


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "{}",
        "[]",
        '{"uri": "/x", "files": [1]}',
        '{"uri": "/x", "files": {"../../x": "0"}, "version": 0, "digest": "", "table_id": ""}',
        '{"uri": "/x", "files": {"/etc/x": "0"}, "version": 0, "digest": "", "table_id": ""}',
        '{"uri": "/x", "files": {}, "version": "0", "digest": "", "table_id": ""}',
    ],
)
def test_archive_that_is_damaged_restores_nothing(place: Path, refuse: Call, content: str) -> None:
    manifest = place.parent / "archive" / "ubspark-archive.json"
    manifest.write_text(content)
    answer = refuse("restore", "archive")
    assert answer.code == MISSING
    assert answer.said.endswith("ubspark-archive.json` is damaged.\n")


def test_places_that_hold_something_else_are_refused(place: Path, refuse: Call) -> None:
    (place.parent / "file").write_text("x")
    for words in (("archive", "stars", "file"), ("bundle", "stars", "file/below")):
        answer = refuse(*words)
        assert answer.code == USAGE
        assert "/file` is a file; choose another folder for the " in answer.said
    assert refuse("archive", "stars", "home").code == USAGE
    assert refuse("archive", "stars", "/proc/none").code == TEMPORARY
    assert refuse("restore", "archive", "--to", "file").code == USAGE
    assert refuse("restore", "home").code == MISSING
    assert (place.parent / "file").read_text() == "x"


def test_damaged_rows_are_not_archived(place: Path, refuse: Call) -> None:
    for file in (place / "warehouse" / "stars").glob("*.parquet"):
        file.write_bytes(b"PAR1")
    answer = refuse("archive", "stars@v0", "copy")
    assert answer.code == MISSING
    assert "stars@v0` cannot be read whole: " in answer.said


@pytest.mark.parametrize("word", ["x", "ra=-1", "ra=nan", "=1", "ra=much"])
def test_tolerance_that_is_none_is_said_before_the_run(
    place: Path, refuse: Call, word: str
) -> None:
    answer = refuse("replay", "stars", "--tolerance", word)
    assert answer.code == USAGE
    assert f"got '{word}'." in answer.said


def test_tolerance_of_no_column_is_said_before_the_run(place: Path, refuse: Call) -> None:
    answer = refuse("replay", "stars", "--tolerance", "nope=1")
    assert answer.code == USAGE
    assert "names the column `nope`, which the run did not make. It made: " in answer.said
    assert "ra, dec" in answer.said


def test_home_that_cannot_be_written_is_temporary(
    place: Path, refuse: Call, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = str(place / "warehouse" / "stars")
    monkeypatch.setenv("UBSPARK_HOME", "/proc/none")
    for words in (("pin", table, "--reason", "x"), ("unpin", table), ("sync",)):
        answer = refuse(*words)
        assert answer.code == TEMPORARY
        assert "The home folder `/proc/none` cannot be written" in answer.said
    # What only reads needs no home.
    assert call("lineage", table).code == 0


def test_audit_of_a_home_that_is_not_there_is_no_success(
    tmp_path: Path, refuse: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UBSPARK_HOME", str(tmp_path / "nowhere"))
    answer = refuse("lineage", "audit")
    assert answer.code == MISSING
    assert "nowhere` is not there" in answer.said


def test_spool_and_database_that_are_damaged_are_counted_or_named(
    place: Path, call: Call, refuse: Call
) -> None:
    for name, content in (("a.json", "{"), ("b.json", "[]")):
        (place / "spool" / name).write_text(content)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        answer = call("sync")
    assert answer.out == "delivered: 0, broken: 2\n"
    assert answer.said.count("it is no record of a run") == 2
    (place / "mlflow.db").write_text("no database")
    assert refuse("lineage", "rebuild").code == TEMPORARY
    assert call("lineage", "stars@v0").code == 0
