"""Old versions stay readable; what goes is only what nobody needs."""

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table, read_history
from ubspark.catalogs.selection import read_rows
from ubspark.errors import (
    ConflictError,
    InputMissingError,
    ParameterError,
    SourceError,
    TransientError,
)
from ubspark.lineage.audit import audit
from ubspark.lineage.graph import LineageGraph, trace_down
from ubspark.runtime.archive import ArchiveDamagedError, archive_version, restore_version
from ubspark.runtime.cleanup import Cleanup, plan_cleanup, remove
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.pins import add_pin, find_pinned, read_pins, remove_pin
from ubspark.runtime.places import find_entity, open_ledger
from ubspark.runtime.records import RunRecord
from ubspark.runtime.replay import create_sandbox, find_original, prepare_replay, replay
from ubspark.runtime.run_job import run_job
from ubspark.runtime.tables import find_tables

pytestmark = pytest.mark.spark

YEAR_MS = 365 * 86_400_000
Versions = Callable[..., Path]


@pytest.fixture
def versions(home: Home, spark: SparkSession, tmp_path: Path) -> Versions:
    """Makes a table with so many versions, each of other rows, all a year old."""

    def build(name: str, n: int, cells: int = 1) -> Path:
        for i in range(n):
            rng = np.random.default_rng(i)
            stars = Table({"id": np.arange(9), "ra": rng.uniform(0, 360, 9), "dec": np.zeros(9)})
            stars.write(tmp_path / f"{name}{i}.csv", overwrite=True)
            content = {
                "job": "ingest",
                "inputs": {"source": {"path": str(tmp_path / f"{name}{i}.csv")}},
                "params": {"roles": {"id": "id"}},
                "outputs": {"table": {"table": name, "mode": "overwrite"}},
                "resources": {"cells": cells},
            }
            run_job(parse_job(content), home=home, spark=spark)
        back_date(home.warehouse / name)
        return home.warehouse / name

    return build


def back_date(table: Path) -> None:
    """Make all files and commits of a table a year older."""
    for path in (table / "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in path.read_text().splitlines()]
        for action in actions:
            for fact in ("timestamp", "inCommitTimestamp"):
                if fact in action.get("commitInfo", {}):
                    action["commitInfo"][fact] -= YEAR_MS
            for kind, fact in (("add", "modificationTime"), ("remove", "deletionTimestamp")):
                if fact in (action.get(kind) or {}):
                    action[kind][fact] -= YEAR_MS
        path.write_text("".join(json.dumps(action) + "\n" for action in actions))
    for path in [*table.rglob("*.crc"), *table.rglob(".*.crc")]:
        path.unlink(missing_ok=True)
    moment = time.time() - YEAR_MS / 1000
    for path in table.rglob("*"):
        os.utime(path, (moment, moment))


def list_removals(found: Cleanup) -> set[str]:
    return {removal.path.name for removal in found.removals}


def list_files(table: Path, version: int) -> set[str]:
    return {Path(p).name for p in open_table(str(table), version=version).read_layout().paths}


def test_version_of_a_year_ago_is_read_and_replayed(
    home: Home, spark: SparkSession, versions: Versions
) -> None:
    place = versions("stars", 2, cells=3)
    spark.sql(f"OPTIMIZE delta.`{place}`")
    assert read_history(str(place))[0].operation == "OPTIMIZE"
    spark.sql(f"ALTER TABLE delta.`{place}` SET TBLPROPERTIES ('note' = 'newer')")
    oldest = read_history(str(place))[-1]
    assert time.time() - oldest.timestamp_ms / 1000 > 360 * 86_400
    old = spark.read.format("delta").option("versionAsOf", 0).load(str(place))
    assert old.count() == 9
    ids = read_rows(open_table(str(place), version=0), ["id"])["id"].to_pylist()
    assert sorted(ids) == list(range(9))
    ledger = open_ledger(home)
    original = find_original("stars@v0", home, ledger)
    config, _ = prepare_replay(original, home, ledger, sandbox=create_sandbox(home))
    assert replay(original, config, [], home=home, spark=spark).verdict == "EXACT"


def test_default_retention_is_what_would_have_lost_it(spark: SparkSession, tmp_path: Path) -> None:
    """The trap itself: without our table properties Delta refuses the old version."""
    place = tmp_path / "foreign"
    for _ in range(2):
        spark.range(3).write.format("delta").mode("overwrite").save(str(place))
    back_date(place)
    spark.range(3).write.format("delta").mode("append").save(str(place))
    with pytest.raises(Exception, match="DELTA_UNSUPPORTED_TIME_TRAVEL"):
        spark.read.format("delta").option("versionAsOf", 0).load(str(place)).count()
    assert open_table(str(place), version=0).n_rows == 3


def test_versions_that_nobody_needs_go_on_request_only(home: Home, versions: Versions) -> None:
    place = versions("stars", 4)
    stray = place / "part-stray.zstd.parquet"
    foreign = place / "notes.parquet"
    for path in (stray, foreign):
        path.write_bytes(b"x" * 10)
    young = plan_cleanup(home)
    assert list_removals(young) == set(), "younger than a day"
    for path in (stray, foreign):
        os.utime(path, (time.time() - 90_000,) * 2)
    assert list_removals(plan_cleanup(home)) == {stray.name}
    add_pin(home, find_entity("stars@v1", home, open_ledger(home)), "a paper")
    files = {version: list_files(place, version) for version in range(4)}
    found = plan_cleanup(home, versions=True)
    assert list_removals(found) == {stray.name} | files[0] | files[2]
    reasons = {kept.place.rsplit("/", 1)[-1]: kept.reason for kept in found.kept}
    assert reasons["stars@v1"].endswith("a paper")
    assert reasons["stars@v3"] == "newest version"
    assert stray.exists(), "a plan removes nothing"
    assert remove(found) == 1 + len(files[0]) + len(files[2])
    assert foreign.exists()
    for version in (1, 3):
        assert read_rows(open_table(str(place), version=version), ["id"]).num_rows == 9
    message = r"^Version 0 of table `stars` was removed: its file `part-.*` is gone\. `ubspark res"
    with pytest.raises(InputMissingError, match=message):
        open_table(str(place), version=0, name="stars")
    assert list_removals(plan_cleanup(home, versions=True)) == set()


def test_input_of_what_stays_stays(
    home: Home,
    spark: SparkSession,
    versions: Versions,
    match_job: Callable[..., dict[str, Any]],
) -> None:
    for name in ("stars", "moved"):
        versions(name, 1)
    run_job(parse_job(match_job("pairs")), home=home, spark=spark)
    place = versions("stars", 3)
    back_date(home.warehouse / "pairs")
    found = plan_cleanup(home, versions=True)
    assert not list_removals(found) & list_files(place, 0)
    reasons = {kept.place.rsplit("/", 1)[-1]: kept.reason for kept in found.kept}
    assert reasons["stars@v0"] == "pairs@v0, which stays, was made from it"


def test_table_that_a_run_writes_to_is_left_alone(home: Home, versions: Versions) -> None:
    place = versions("stars", 2)
    (folder,) = (p.parent for p in home.runs.glob("*/spec.json") if "stars1" in p.read_text())
    record = RunRecord.load(folder)
    record.phase, record.pid = "EXECUTING", os.getpid()
    record.pid_started = RunRecord("x", folder, "ingest", "k").pid_started
    record.save()
    found = plan_cleanup(home, versions=True)
    assert found.removals == ()
    assert any(k.place == str(place) and record.run_id in k.reason for k in found.kept)


def test_pins_runs_and_tables_of_named_homes_count(
    home: Home,
    spark: SparkSession,
    versions: Versions,
    match_job: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    place = versions("stars", 4)
    other = Home(tmp_path / "other")
    other.validate_writable()
    add_pin(other, find_entity("stars@v1", home, open_ledger(home)), "their paper")
    job = match_job("pairs")
    stars = {"path": str(place), "version": 0}
    job["inputs"] = {"left": {"table": stars}, "right": {"table": stars}}
    run_job(parse_job(job), home=other, spark=spark)
    back_date(other.warehouse / "pairs")
    unnamed = list_removals(plan_cleanup(home, versions=True))
    assert list_files(place, 0) | list_files(place, 1) | list_files(place, 2) == unnamed

    config = home.path / "config.yaml"
    config.write_text(f"homes: [{other.path}]\n")
    found = plan_cleanup(home, versions=True)
    assert list_removals(found) == list_files(place, 2)
    reasons = {kept.place.rsplit("/", 1)[-1]: kept.reason for kept in found.kept}
    assert reasons["stars@v1"].endswith("their paper")
    assert reasons["stars@v0"] == "pairs@v0, which stays, was made from it"

    # A run of theirs that has committed nothing yet reads one more.
    record = next(RunRecord.load(path.parent) for path in other.runs.glob("*/record.json"))
    spec = json.loads((record.folder / "spec.json").read_text())
    for entry in spec["inputs"].values():
        entry["version"] = 2
    (record.folder / "spec.json").write_text(json.dumps(spec))
    record.phase, record.pid = "EXECUTING", os.getpid()
    record.pid_started = RunRecord("x", record.folder, "crossmatch", "k").pid_started
    record.save()
    assert list_removals(plan_cleanup(home, versions=True)) == set()

    other.path.rename(tmp_path / "away")
    with pytest.raises(InputMissingError, match=r"one of the `homes` in .*config\.yaml`, is not"):
        plan_cleanup(home)
    config.write_text("homes: /data\n")
    with pytest.raises(ParameterError, match=r"must be a list of folders, got '/data'\."):
        plan_cleanup(home)


def test_what_a_lost_model_was_trained_on_stays(home: Home, versions: Versions) -> None:
    """Scores name it; that their model is gone is no reason to lose it as well."""
    place = versions("features", 2)
    assert list_removals(plan_cleanup(home, versions=True)) == list_files(place, 0)
    scores = versions("scores", 1)
    (log,) = (scores / "_delta_log").glob("*.json")
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    info = next(action["commitInfo"] for action in actions if "commitInfo" in action)
    record = json.loads(info["userMetadata"])
    lost = {"model": "/gone", "model_sha256": "0" * 64, "training_table": f"{place}@v0"}
    record["spec"]["params"] |= lost
    info["userMetadata"] = json.dumps(record)
    log.write_text("".join(json.dumps(action) + "\n" for action in actions))
    found = plan_cleanup(home, versions=True)
    assert list_removals(found) == set()
    reasons = {kept.place: kept.reason for kept in found.kept}
    assert reasons[f"{place}@v0"] == "scores@v0, which stays, was learnt from it"
    (place.parent / "group").mkdir()
    moved = place.rename(place.parent / "group" / "features")
    found = plan_cleanup(home, versions=True)
    assert list_removals(found) == set()
    assert f"{moved}@v0" in {kept.place for kept in found.kept}


def match_elsewhere(
    home: Home, spark: SparkSession, versions: Versions, place: Path, output: dict[str, Any]
) -> Path:
    """Match the first of two versions of `stars` into a place outside the home."""
    stars = versions("stars", 2)
    read = {"table": {"path": str(stars), "version": 0}}
    job = {
        "job": "crossmatch",
        "inputs": {"left": read, "right": read},
        "params": {"radius": "1 arcsec", "association_only": True},
        "outputs": {"matches": {"table": str(place), **output}},
        "resources": {"cells": 1},
    }
    run_job(parse_job(job), home=home, spark=spark)
    back_date(place)
    return stars


@pytest.mark.parametrize("is_pinned", [True, False])
def test_inputs_of_what_is_away_stay(
    home: Home, spark: SparkSession, versions: Versions, tmp_path: Path, is_pinned: bool
) -> None:
    """A disk that is not mounted holds versions that need what it would remove."""
    place = tmp_path / "disk" / "pairs"
    stars = match_elsewhere(home, spark, versions, place, {})
    if is_pinned:
        add_pin(home, find_entity(str(place), home, open_ledger(home)), "a paper")
    assert list_removals(plan_cleanup(home, versions=True)) == set()
    (tmp_path / "disk").rename(tmp_path / "away")
    for is_mount_point in (False, True):
        if is_mount_point:
            (tmp_path / "disk").mkdir()
        found = plan_cleanup(home, versions=True)
        assert list_removals(found) == set()
        reasons = {kept.place: kept.reason for kept in found.kept}
        assert f"made `{place}` from it, which cannot be read now" in reasons[f"{stars}@v0"]


def test_table_behind_a_link_is_seen_and_its_inputs_stay(
    home: Home, spark: SparkSession, versions: Versions, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    stars = match_elsewhere(home, spark, versions, disk / "pairs", {})
    # Only the link leads there: no run of this home says where it wrote.
    shutil.rmtree(home.runs)
    assert list_removals(plan_cleanup(home, versions=True)) == list_files(stars, 0)
    (home.warehouse / "linked").symlink_to(disk)
    (disk / "loop").symlink_to(home.warehouse)
    pairs = home.warehouse / "linked" / "pairs"
    assert list(find_tables(home.warehouse)) == [pairs, stars]
    graph = LineageGraph(find_entity("stars@v0", home, open_ledger(home)))
    assert f"{pairs}@v0" in {
        e.place for e in trace_down(open_ledger(home), graph).entities.values()
    }
    assert audit(open_ledger(home)).n_outputs == 3
    found = plan_cleanup(home, versions=True)
    assert list_removals(found) == set()
    reasons = {kept.place: kept.reason for kept in found.kept}
    assert reasons[f"{stars}@v0"] == "pairs@v0, which stays, was made from it"
    assert reasons[str(pairs)] == "its files lie outside the warehouse, behind a link"


def test_what_failed_or_was_replayed_away_from_here_needs_nothing(
    home: Home, spark: SparkSession, versions: Versions, tmp_path: Path
) -> None:
    place = tmp_path / "disk" / "pairs"
    stars = match_elsewhere(home, spark, versions, place, {})
    ledger = open_ledger(home)
    original = find_original(str(place), home, ledger)
    sandbox = create_sandbox(home)
    config, _ = prepare_replay(original, home, ledger, sandbox=sandbox)
    replay(original, config, [], home=home, spark=spark)
    shutil.rmtree(sandbox)
    shutil.rmtree(place)
    record = RunRecord.load(home.runs / original.run_id)
    record.phase, record.outputs = "ERROR", {}
    record.save()
    assert list_removals(plan_cleanup(home, versions=True)) == list_files(stars, 0)


def test_inputs_of_an_object_store_stay(
    home: Home, spark: SparkSession, versions: Versions, tmp_path: Path
) -> None:
    """Nothing scans it, so that the records alone say what its tables were made from."""
    place = tmp_path / "pairs"
    stars = match_elsewhere(home, spark, versions, place, {})
    run = home.runs / find_original(str(place), home, open_ledger(home)).run_id
    for name in ("spec.json", "record.json"):
        text = (run / name).read_text()
        (run / name).write_text(text.replace(f'"{place}"', '"s3a://bucket/pairs"'))
    shutil.rmtree(place)
    found = plan_cleanup(home, versions=True)
    assert list_removals(found) == set()
    assert any("`s3a://bucket/pairs`" in kept.reason for kept in found.kept), stars


def test_pin_of_which_nobody_knows_anything_stops_the_removal_of_versions(
    home: Home, spark: SparkSession, versions: Versions, tmp_path: Path
) -> None:
    place = tmp_path / "disk" / "pairs"
    other = Home(tmp_path / "other")
    other.validate_writable()
    stars = match_elsewhere(other, spark, versions, place, {})
    assert home.warehouse in stars.parents
    entity = find_entity(str(place), home, open_ledger(home))
    add_pin(home, entity, "a paper")
    assert list_removals(plan_cleanup(home, versions=True)) == set(), "it is there, and asked"
    (tmp_path / "disk").rename(tmp_path / "away")
    with pytest.raises(InputMissingError, match=rf"`{place}@v0`, which is pinned, is in no place"):
        plan_cleanup(home, versions=True)
    assert plan_cleanup(home).removals == ()
    remove_pin(home, entity)
    assert list_removals(plan_cleanup(home, versions=True)) == list_files(stars, 0)


@pytest.mark.parametrize("name", ["spec.json", "record.json"])
def test_where_a_run_is_damaged_no_version_goes(home: Home, versions: Versions, name: str) -> None:
    """Nobody knows what it read or where it wrote."""
    place = versions("stars", 2)
    assert list_removals(plan_cleanup(home, versions=True)) == list_files(place, 0)
    run = next(iter(sorted(home.runs.iterdir())))
    (run / name).write_text('{"half')
    found = plan_cleanup(home, versions=True)
    assert list_removals(found) == set()
    assert str(run / name) in {kept.place for kept in found.kept}


def test_archive_brings_a_removed_version_back(
    home: Home, versions: Versions, tmp_path: Path
) -> None:
    place, target = versions("stars", 2), tmp_path / "safe"
    entity = find_entity("stars@v0", home, open_ledger(home))
    made = archive_version(entity, target)
    assert made.digest == (read_history(str(place))[-1].record or {})["digest"]
    assert open_table(str(target)).table_id == entity.identity
    before = read_rows(open_table(str(place), version=0), ["id", "ra"])
    assert remove(plan_cleanup(home, versions=True)) == 1
    with pytest.raises(InputMissingError, match="was removed"):
        archive_version(entity, tmp_path / "late")
    assert restore_version(target).n_files == 1
    assert read_rows(open_table(str(place), version=0), ["id", "ra"]) == before
    elsewhere = restore_version(target, tmp_path / "elsewhere")
    assert open_table(elsewhere.uri).table_id == entity.identity
    with pytest.raises(ConflictError, match="is not empty"):
        archive_version(entity, target)
    other = versions("other", 1)
    with pytest.raises(ConflictError, match="is not the table of this archive"):
        restore_version(target, other)
    with pytest.raises(ConflictError, match="lies in the folder of the table"):
        archive_version(find_entity("other@v0", home, open_ledger(home)), other / "inner")
    (file,) = target.glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(ArchiveDamagedError, match="is not what was archived"):
        restore_version(target)


def test_a_table_comes_back_into_no_other_and_gc_leaves_it_alone(
    home: Home, versions: Versions, tmp_path: Path
) -> None:
    place = versions("stars", 1)
    archive_version(find_entity("stars@v0", home, open_ledger(home)), tmp_path / "safe")
    with pytest.raises(ConflictError, match="lies in the folder of the table"):
        restore_version(tmp_path / "safe", place / "inner")
    # As an older version, or another program, may have put it there.
    shutil.copytree(tmp_path / "safe", place / "inner")
    back_date(place)
    assert list_removals(plan_cleanup(home)) == set()


def test_only_what_was_archived_comes_back(home: Home, versions: Versions, tmp_path: Path) -> None:
    versions("stars", 1)
    safe = tmp_path / "safe"
    archive_version(find_entity("stars@v0", home, open_ledger(home)), safe)
    log = safe / "_delta_log"
    shutil.copy(log / "00000000000000000000.json", log / "00000000000000000001.json")
    restore_version(safe, tmp_path / "back")
    assert open_table(str(tmp_path / "back")).version == 0
    content = json.loads((safe / "ubspark-archive.json").read_text())
    for commits in ([], {"../x": "0"}):
        (safe / "ubspark-archive.json").write_text(json.dumps(content | {"commits": commits}))
        with pytest.raises(SourceError, match="is damaged"):
            restore_version(safe, tmp_path / "other")


def test_archives_bring_back_files_and_commits(
    home: Home, versions: Versions, tmp_path: Path
) -> None:
    place = versions("stars", 2)
    ledger = open_ledger(home)
    for version in (0, 1):
        archive_version(find_entity(f"stars@v{version}", home, ledger), tmp_path / f"v{version}")
    whole = {path: path.read_bytes() for path in place.glob("*.parquet")}
    for path in whole:
        path.write_bytes(b"PAR1")
    for version in (0, 1):
        assert restore_version(tmp_path / f"v{version}").n_files == 1
    assert {path: path.read_bytes() for path in whole} == whole
    shutil.rmtree(place)
    for version in (0, 1):
        restore_version(tmp_path / f"v{version}")
    assert open_table(str(place)).version == 1
    assert open_table(str(place), version=1).to_dataset().count_rows() > 0
    copy = tmp_path / "v0" / "_delta_log" / "00000000000000000000.json"
    copy.write_bytes(copy.read_bytes() + b" ")
    with pytest.raises(ArchiveDamagedError, match="is not what was archived"):
        restore_version(tmp_path / "v0")


def test_gap_in_a_log_is_named_and_comes_back_from_an_archive(
    home: Home, spark: SparkSession, versions: Versions, tmp_path: Path
) -> None:
    """Behind a checkpoint the table is read without the file, but for its history."""
    stars = match_elsewhere(home, spark, versions, home.warehouse / "pairs", {})
    versions("stars", 3)
    ledger = open_ledger(home)
    whole = audit(ledger).n_outputs
    assert whole == 6
    archive_version(find_entity("stars@v4", home, ledger), tmp_path / "safe")
    DeltaTable(str(stars)).create_checkpoint()
    lost = stars / "_delta_log" / "00000000000000000001.json"
    lost.unlink()
    assert open_table(str(stars)).n_rows == 9
    damage = rf"Table `{stars}` is damaged: its log lacks `{lost.name}`"
    with pytest.raises(SourceError, match=damage):
        read_history(str(stars))
    ledger = open_ledger(home)
    found = audit(ledger)
    assert list(found.damaged) == [str(stars)]
    ((place, reason),) = found.open_ends.items()
    assert place == f"{home.warehouse / 'pairs'}@v0"
    assert re.match(damage, reason)
    original = find_original("pairs@v0", home, ledger)
    with pytest.raises(InputMissingError, match=damage):
        prepare_replay(original, home, ledger, sandbox=create_sandbox(home))
    (run,) = {r.name for r in home.runs.iterdir() if "stars2" in (r / "spec.json").read_text()}
    for what in ("stars@v0", "stars@v4", run):
        with pytest.raises(InputMissingError, match=damage):
            find_original(what, home, ledger)
    assert list_removals(plan_cleanup(home, versions=True)) == set()
    assert restore_version(tmp_path / "safe").n_files == 0
    assert [commit.version for commit in read_history(str(stars))] == [4, 3, 2, 1, 0]
    found = audit(open_ledger(home))
    assert (found.n_outputs, found.closed_percent, found.damaged) == (whole, 100.0, {})


def test_archive_that_could_not_be_written_is_made_again(
    home: Home, versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions("stars", 1, cells=3)
    entity = find_entity("stars@v0", home, open_ledger(home))
    copy, copied = shutil.copyfile, []

    def fill_disk(source: Path, target: Path) -> None:
        if copied:
            raise OSError(errno.ENOSPC, "No space left on device")
        copied.append(copy(source, target))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", fill_disk)
        with pytest.raises(TransientError, match=r"cannot be written: No space left on device\.$"):
            archive_version(entity, tmp_path / "safe")
    assert list((tmp_path / "safe").iterdir()) == []
    archive_version(entity, tmp_path / "safe")
    assert not (tmp_path / ".safe.ubspark-archive").exists()
    assert restore_version(tmp_path / "safe", tmp_path / "back").digest


def test_restore_that_was_killed_goes_on(home: Home, versions: Versions, tmp_path: Path) -> None:
    versions("stars", 1, cells=3)
    safe, place = tmp_path / "safe", tmp_path / "back"
    archive_version(find_entity("stars@v0", home, open_ledger(home)), safe)
    first, *rest = sorted(safe.glob("*.parquet"))
    (place / "_delta_log").mkdir(parents=True)
    shutil.copyfile(first, place / first.name)
    (place / f".part-{rest[0].name}").write_bytes(b"half")
    (place / "thesis.tex").write_text("mine")
    with pytest.raises(ConflictError, match="is not the table of this archive"):
        restore_version(safe, place)
    (place / "thesis.tex").unlink()
    assert restore_version(safe, place).n_files == len(rest)
    assert open_table(str(place)).to_dataset().count_rows() == 9


def test_pins_are_kept_with_their_reason(home: Home, versions: Versions) -> None:
    place = versions("stars", 2)
    entity = find_entity("stars@v0", home, open_ledger(home))
    with pytest.raises(ParameterError, match="needs a table version and a `--reason`"):
        add_pin(home, entity, " ")
    add_pin(home, entity, "first")
    add_pin(home, entity, "second")
    (found,) = read_pins(home)
    assert (found.key, found.reason) == (entity.key, "second")
    place.rename(home.path / "away")
    # Found by the place where it was.
    assert find_pinned(home, "stars@v0") == entity == find_pinned(home, "stars")
    assert find_pinned(home, "stars@v1") is None
    remove_pin(home, entity)
    with pytest.raises(InputMissingError, match=r"stars@v0` is not pinned"):
        remove_pin(home, entity)
    for text in ("{", "{}"):
        (home.path / "pins.json").write_text(text)
        with pytest.raises(SourceError, match="mend it before anything is removed"):
            plan_cleanup(home)


def test_version_that_was_removed_is_not_pinned(home: Home, versions: Versions) -> None:
    versions("stars", 2)
    entity = find_entity("stars@v0", home, open_ledger(home))
    assert remove(plan_cleanup(home, versions=True)) == 1
    with pytest.raises(InputMissingError, match=r"Version 0 of table .* was removed"):
        add_pin(home, entity, "too late")
