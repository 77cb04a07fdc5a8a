"""Running a frozen spec again: the same comes out, or it is said what does not."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import TableVersion, open_table
from ubspark.errors import InputMissingError
from ubspark.lineage.ledger import Ledger
from ubspark.runtime.bundle import write_bundle
from ubspark.runtime.home import Home
from ubspark.runtime.places import open_ledger
from ubspark.runtime.replay import (
    Original,
    Replay,
    create_sandbox,
    find_original,
    prepare_replay,
)
from ubspark.runtime.replay import replay as run_again

pytestmark = pytest.mark.spark


def again(
    home: Home, spark: SparkSession, what: str | Original, **resources: Any
) -> tuple[Replay, list[str]]:
    ledger = open_ledger(home)
    original = find_original(what, home, ledger) if isinstance(what, str) else what
    sandbox = create_sandbox(home)
    config, changes = prepare_replay(original, home, ledger, sandbox=sandbox, resources=resources)
    return run_again(original, config, changes, home=home, spark=spark), changes


def alter(original: Original, params: Mapping[str, Any]) -> Original:
    spec = {**original.spec, "params": {**original.spec["params"], **params}}
    return replace(original, spec=spec)


@pytest.mark.parametrize("what", ["stars@v0", "pairs@v0", "pairs@v1"])
@pytest.mark.parametrize("cells", [1, 3])
def test_tables_come_out_the_same_whatever_the_cut(
    chain_home: Home, spark: SparkSession, what: str, cells: int
) -> None:
    done, changes = again(chain_home, spark, what, cells=cells)
    assert done.verdict == "EXACT"
    assert changes == []
    ((_, found),) = done.outputs.items()
    assert found.n_original == found.n_replay == 60
    said = json.loads((done.record.folder / "replay.json").read_text())
    assert (said["verdict"], said["replay_of"]) == ("EXACT", done.original.run_id)
    assert said["machine"] == said["machine_of_original"]


def test_export_comes_out_the_same_file_by_file(chain_home: Home, spark: SparkSession) -> None:
    done, _ = again(chain_home, spark, str(chain_home.path.parent / "outside" / "pairs"))
    assert done.verdict == "EXACT"
    assert done.outputs["folder"].n_original == 60


def test_run_is_found_by_its_id_without_its_folder(chain_home: Home, tmp_path: Path) -> None:
    ledger = open_ledger(chain_home)
    known = find_original("pairs@v0", chain_home, ledger)
    other = Home(tmp_path)
    found = find_original(known.run_id, other, Ledger([chain_home.warehouse]))
    assert replace(found, folder=known.folder) == known
    with pytest.raises(InputMissingError):
        find_original("./nothing", chain_home, ledger)


def test_other_result_is_different_and_its_rows_are_saved(
    chain_home: Home, spark: SparkSession
) -> None:
    original = find_original("pairs@v0", chain_home, open_ledger(chain_home))
    done, _ = again(chain_home, spark, alter(original, {"radius": "0.1 arcsec"}))
    assert done.verdict == "DIFFERENT"
    (path,) = done.differences
    rows = pq.read_table(path)
    assert set(rows["_side"].to_pylist()) == {"original"}
    assert rows.num_rows == 60


def test_changed_code_is_said_before_the_run(chain_home: Home, tmp_path: Path) -> None:
    ledger = open_ledger(chain_home)
    known = find_original("pairs@v0", chain_home, ledger)
    code = {"version": "0.0.1", "sha256": "f" * 64, "git": "abc"}
    spec = {**known.spec, "job_version": "0"}
    old = replace(known, run_id="gone", spec=spec, code=code, folder=tmp_path)
    _, changes = prepare_replay(old, chain_home, ledger, sandbox=create_sandbox(chain_home))
    assert "instead of abc" in changes[0]
    assert "other results are expected" in changes[1]
    assert "environment of the run is not known" in changes[2]


def test_another_processor_is_said_before_the_run_and_kept_beside_this_one(
    chain_home: Home, spark: SparkSession
) -> None:
    known = find_original("stars@v0", chain_home, open_ledger(chain_home))
    path = known.folder / "environment.json"
    text = path.read_text()
    there = {"cpu": "Other CPU", "blas": "other-blas 1.0"}
    try:
        path.write_text(json.dumps(json.loads(text) | there))
        done, changes = again(chain_home, spark, "stars@v0")
    finally:
        path.write_text(text)
    assert [change.partition(" is ")[0] for change in changes] == ["cpu", "blas"]
    assert all(", and was " in change for change in changes)
    said = json.loads((done.record.folder / "replay.json").read_text())
    assert said["machine_of_original"].items() >= there.items()
    assert said["machine"]["cpu"] != "Other CPU"
    assert (done.verdict, said["changes"]) == ("EXACT", changes)


def test_changed_byte_of_a_source_is_noticed(chain_home: Home) -> None:
    source = chain_home.path.parent / "stars.csv"
    content = source.read_bytes()
    ledger = open_ledger(chain_home)
    original = find_original("stars@v0", chain_home, ledger)
    try:
        source.write_bytes(content.replace(b"1", b"2", 1))
        with pytest.raises(InputMissingError, match=r"file `stars\.csv` .* has changed since"):
            prepare_replay(original, chain_home, ledger, sandbox=create_sandbox(chain_home))
    finally:
        source.write_bytes(content)


def test_altered_file_of_a_table_is_noticed(chain_home: Home) -> None:
    (file,) = (chain_home.warehouse / "stars").glob("*.parquet")
    content = file.read_bytes()
    ledger = open_ledger(chain_home)
    original = find_original("pairs@v0", chain_home, ledger)
    try:
        file.write_bytes(content + b"x")
        with pytest.raises(InputMissingError, match=r"`inputs\.left`: version 0 .* was altered"):
            prepare_replay(original, chain_home, ledger, sandbox=create_sandbox(chain_home))
    finally:
        file.write_bytes(content)


def test_altered_rows_are_named_where_outputs_differ(
    chain_home: Home, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the same size is as it should be before the run; its digest is not, after it."""
    monkeypatch.setattr(TableVersion, "find_altered_file", lambda _: None)
    (file,) = (chain_home.warehouse / "stars").glob("*.parquet")
    content = file.read_bytes()
    rows = pq.read_table(file)
    k = rows.column_names.index("dec")
    try:
        pq.write_table(rows.set_column(k, rows.schema.field(k), pc.add(rows["dec"], 1e-5)), file)
        done, _ = again(chain_home, spark, "pairs@v0")
    finally:
        file.write_bytes(content)
    assert done.verdict == "DIFFERENT"
    (remark,) = done.remarks
    assert remark.startswith("`inputs.left`")
    assert "stars@v0` was altered" in remark


def test_original_that_cannot_be_read_any_more_is_told(
    chain_home: Home, spark: SparkSession
) -> None:
    """Its commit still says what it was, so the verdict stands."""
    file = sorted((chain_home.warehouse / "pairs").glob("*.parquet"))[0]
    content = file.read_bytes()
    try:
        file.write_bytes(content[:100])
        done, _ = again(chain_home, spark, "pairs@v1")
    finally:
        file.write_bytes(content)
    assert done.verdict == "EXACT"
    assert any("of the original" in remark and "was altered" in remark for remark in done.remarks)


def verify(home: Home, spark: SparkSession, what: str) -> Replay:
    ledger = open_ledger(home)
    original = find_original(what, home, ledger)
    config, changes = prepare_replay(original, home, ledger, sandbox=create_sandbox(home))
    return run_again(original, config, changes, home=home, spark=spark, verify=True)


def test_what_is_stored_is_verified_on_request(chain_home: Home, spark: SparkSession) -> None:
    folder = chain_home.path.parent / "outside" / "pairs"
    for what in ("pairs@v0", "pairs@v1", str(folder)):
        assert verify(chain_home, spark, what).altered == []
    (exported,) = folder.rglob("*.parquet")
    whole = exported.read_bytes()
    try:
        exported.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        done = verify(chain_home, spark, str(folder))
    finally:
        exported.write_bytes(whole)
    assert done.verdict == "EXACT"
    (said,) = done.altered
    assert f"`{folder}`: `{exported.relative_to(folder)}` was altered" in said
    assert list(done.remarks) == [said]
    # What was appended is compared without the rows before it.
    earlier = Path(
        open_table(str(chain_home.warehouse / "pairs"), version=0).read_layout().paths[0]
    )
    whole, size = earlier.read_bytes(), earlier.stat().st_size
    rows = pq.read_table(earlier)
    try:
        k = rows.column_names.index("dist_arcsec")
        moved = rows.set_column(k, rows.schema.field(k), pc.add(rows["dist_arcsec"], 1e-9))
        pq.write_table(moved, earlier)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TableVersion, "find_altered_file", lambda _: None)
            first, second = (verify(chain_home, spark, f"pairs@v{v}") for v in (0, 1))
    finally:
        earlier.write_bytes(whole)
    assert (first.verdict, second.verdict, second.altered) == ("EXACT", "EXACT", [])
    assert "pairs@v0` was altered; its rows do not have the digest" in first.altered[0]
    assert earlier.stat().st_size == size


def test_environment_that_is_not_known_is_said_as_it_is(chain_home: Home, tmp_path: Path) -> None:
    original = find_original("pairs@v0", chain_home, open_ledger(chain_home))
    run = tmp_path / original.run_id
    for folder, what in ((tmp_path / "gone", "is not in this home"), (run, "has no whole `env")):
        run.mkdir(exist_ok=True)
        with pytest.raises(InputMissingError, match=f"folder `{folder}` {what}"):
            write_bundle(original.run_id, original.outputs, folder, tmp_path / "bundle")


def test_version_whose_files_are_gone_is_refused(chain_home: Home) -> None:
    place = chain_home.warehouse / "stars"
    (file,) = place.glob("*.parquet")
    ledger = open_ledger(chain_home)
    original = find_original("pairs@v0", chain_home, ledger)
    hidden = file.rename(file.with_suffix(".hidden"))
    try:
        with pytest.raises(InputMissingError, match=r"`inputs\.left`: version 0 of .* was removed"):
            prepare_replay(original, chain_home, ledger, sandbox=create_sandbox(chain_home))
    finally:
        hidden.rename(file)
