"""The folder in which an export grows: passing names, the journal, the last rename."""

from pathlib import Path

import pytest

from ubspark.catalogs.export.manifest import ExportFile, Manifest, write_manifest
from ubspark.catalogs.export.staging import StagingFolder
from ubspark.errors import ConflictError, TransientError


def write(staging: StagingFolder, path: str, content: bytes = b"rows") -> ExportFile:
    with staging.writing(path) as part:
        part.write_bytes(content)
    return ExportFile.describe(staging.files, path, n_rows=1, order=3)


def test_export_grows_beside_its_place(tmp_path: Path) -> None:
    staging = StagingFolder(tmp_path / "out", "k" * 64)
    with staging.hold():
        write(staging, "a/b.parquet")
    assert not (tmp_path / "out").exists()
    assert [path.name[0] for path in tmp_path.iterdir()] == ["."]
    staging.publish(replace=False)
    assert (tmp_path / "out" / "a" / "b.parquet").read_bytes() == b"rows"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def fail_half_way(staging: StagingFolder) -> None:
    with staging.writing("a.parquet") as part:
        part.write_bytes(b"half")
        msg = "The disk is full."
        raise OSError(msg)


def test_failed_write_leaves_no_file(tmp_path: Path) -> None:
    staging = StagingFolder(tmp_path / "out", "k")
    with staging.hold(), pytest.raises(OSError, match="full"):
        fail_half_way(staging)
    assert list(staging.files.rglob("*")) == []


def test_journal_is_believed_as_far_as_the_files_go(tmp_path: Path) -> None:
    staging = StagingFolder(tmp_path / "out", "k")
    with staging.hold():
        for name in ("whole", "cut", "lost"):
            staging.note(name, (write(staging, f"{name}.parquet"),))
        staging.note("empty", ())
    (staging.files / "cut.parquet").write_bytes(b"ro")
    (staging.files / "lost.parquet").unlink()
    done = StagingFolder(tmp_path / "out", "k").find_done()
    assert sorted(done) == ["empty", "whole"]
    assert done["whole"][0].facts == {"order": 3}
    assert staging.find("cut") is None
    # Another computation grows elsewhere.
    assert StagingFolder(tmp_path / "out", "other").find_done() == {}


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    staging = StagingFolder(tmp_path / "out", "k")
    with (
        staging.hold(),
        pytest.raises(ConflictError, match="Another run is writing the export"),
        StagingFolder(tmp_path / "out", "k").hold(),
    ):
        pass
    with staging.hold():
        pass


def test_place_that_filled_meanwhile_is_left_alone(tmp_path: Path) -> None:
    staging = StagingFolder(tmp_path / "out", "k")
    with staging.hold():
        write(staging, "a.parquet")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(ConflictError, match="appeared while this run was working"):
        staging.publish(replace=True)
    assert (tmp_path / "out" / "mine").exists()
    assert (staging.files / "a.parquet").exists()


def test_old_export_goes_when_it_may(tmp_path: Path) -> None:
    old = tmp_path / "out"
    old.mkdir()
    write_manifest(old, Manifest("parquet", (), {}, 0))
    staging = StagingFolder(old, "k")
    with staging.hold():
        write(staging, "a.parquet")
    with pytest.raises(ConflictError):
        staging.publish(replace=False)
    staging.publish(replace=True)
    assert [path.name for path in old.iterdir()] == ["a.parquet"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    staging = StagingFolder(tmp_path / "file" / "out", "k")
    with pytest.raises(TransientError, match="cannot be written"), staging.hold():
        pass
