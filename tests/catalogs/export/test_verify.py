"""A missing, cut, altered or foreign file of an export is found, and a changed manifest."""

import json
from pathlib import Path
from typing import Any

import pytest

from ubspark.catalogs.export import verify_export
from ubspark.catalogs.export.manifest import (
    CHECKSUM_FILE,
    MANIFEST_FILE,
    ExportFile,
    Manifest,
    read_manifest,
    write_manifest,
)
from ubspark.catalogs.export.verify import ExportDamagedError
from ubspark.errors import InputMissingError, SourceError


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """An export of three files."""
    (tmp_path / "sub").mkdir()
    names = ["a.parquet", "b.parquet", "sub/c.parquet"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode() * 100)
    files = tuple(ExportFile.describe(tmp_path, name, n_rows=10) for name in names)
    write_manifest(tmp_path, Manifest("parquet", files, {"run": "r", "key": "k"}, 30))
    return tmp_path


def test_whole_export_is_good(made: Path) -> None:
    check = verify_export(made)
    assert check.is_good
    check.raise_if_damaged()
    assert check.manifest.n_rows == 30
    assert check.manifest.n_bytes == 900 + 900 + 1300


def test_missing_file_is_found(made: Path) -> None:
    (made / "sub/c.parquet").unlink()
    check = verify_export(made, sizes_only=True)
    assert [(f.path, f.kind) for f in check.findings] == [("sub/c.parquet", "missing")]
    with pytest.raises(ExportDamagedError, match=r"^`sub/c\.parquet` is missing\.$") as error:
        check.raise_if_damaged()
    assert error.value.exit_code == 6


def test_cut_file_is_found(made: Path) -> None:
    (made / "b.parquet").write_bytes(b"short")
    check = verify_export(made, sizes_only=True)
    assert [(f.path, f.kind) for f in check.findings] == [("b.parquet", "size")]
    assert check.findings[0].sentence == "`b.parquet` has 5 bytes; it was written with 900."


def test_altered_byte_is_found_by_reading(made: Path) -> None:
    content = bytearray((made / "a.parquet").read_bytes())
    content[450] ^= 1
    (made / "a.parquet").write_bytes(content)
    assert verify_export(made, sizes_only=True).is_good
    assert [(f.path, f.kind) for f in verify_export(made).findings] == [("a.parquet", "content")]


def test_foreign_file_is_found(made: Path) -> None:
    (made / "sub/d.parquet").touch()
    assert [f.kind for f in verify_export(made).findings] == ["foreign"]


def test_all_findings_are_told(made: Path) -> None:
    (made / "a.parquet").unlink()
    (made / "b.parquet").write_bytes(b"")
    check = verify_export(made)
    assert len(check.findings) == 2
    with pytest.raises(
        ExportDamagedError, match=r"`a\.parquet` is missing\. 1 more files are wrong\."
    ):
        check.raise_if_damaged()


def test_altered_manifest_is_refused(made: Path) -> None:
    content = json.loads((made / MANIFEST_FILE).read_text())
    content["files"].pop()
    (made / MANIFEST_FILE).write_text(json.dumps(content))
    with pytest.raises(SourceError, match="was altered: its list of files"):
        verify_export(made)


@pytest.mark.parametrize(
    ("key", "value"), [("n_rows", 31), ("kind", "hats"), ("record", {"run": "x"}), ("record", "x")]
)
def test_forged_manifest_is_refused(made: Path, key: str, value: object) -> None:
    content = json.loads((made / MANIFEST_FILE).read_text())
    (made / MANIFEST_FILE).write_text(json.dumps(content | {key: value}))
    with pytest.raises(SourceError, match="was altered: it does not say what was written"):
        verify_export(made)


def test_altered_or_missing_sums_are_found(made: Path) -> None:
    sums = made / CHECKSUM_FILE
    sums.write_text(sums.read_text().replace("a.parquet", "z.parquet"))
    assert [(f.path, f.kind) for f in verify_export(made).findings] == [(CHECKSUM_FILE, "content")]
    sums.write_bytes(b"\xff")
    assert "cannot be read" in verify_export(made).findings[0].sentence
    sums.unlink()
    assert [(f.path, f.kind) for f in verify_export(made).findings] == [(CHECKSUM_FILE, "missing")]


def test_link_in_the_place_of_a_file_is_found(made: Path, tmp_path_factory: Any) -> None:
    moved = (made / "a.parquet").rename(tmp_path_factory.mktemp("away") / "a.parquet")
    (made / "a.parquet").symlink_to(moved)
    (finding,) = (f for f in verify_export(made).findings if f.kind != "foreign")
    assert finding.sentence.startswith("`a.parquet` is a link;")


def test_links_are_foreign(made: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "rows.parquet").touch()
    (made / "linked").symlink_to(elsewhere)
    (made / "dangling.parquet").symlink_to(elsewhere / "nothing")
    found = [(finding.path, finding.kind) for finding in verify_export(made).findings]
    assert found == [("dangling.parquet", "foreign"), ("linked", "foreign")]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}'])
def test_damaged_manifest_is_refused(made: Path, text: str) -> None:
    (made / MANIFEST_FILE).write_text(text)
    with pytest.raises(SourceError, match="is damaged; it cannot be read as a manifest"):
        read_manifest(made)


def test_folder_without_manifest_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="is no export of ubspark: it has no `ubspark-"):
        verify_export(tmp_path)
    with pytest.raises(InputMissingError, match="is no export of ubspark: it is not there"):
        verify_export(tmp_path / "nowhere")


def test_sums_stand_beside_the_manifest(made: Path) -> None:
    lines = (made / CHECKSUM_FILE).read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == ["a.parquet", "b.parquet", "sub/c.parquet"]
