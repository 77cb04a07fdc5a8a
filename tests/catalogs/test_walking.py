"""Looking through folders."""

from pathlib import Path

from ubspark.catalogs.walking import find_below


def test_links_are_followed_and_nothing_is_found_twice(tmp_path: Path) -> None:
    root, disk = tmp_path / "root", tmp_path / "disk"
    for folder in (root / "b", disk / "c"):
        (folder / "log").mkdir(parents=True)
    (root / "a").symlink_to(root / "b")
    (root / "far").symlink_to(disk)
    (disk / "loop").symlink_to(root)
    (root / "gone").symlink_to(tmp_path / "nowhere")
    found = [root / "b" / "log", root / "far" / "c" / "log"]
    assert list(find_below([root], "log")) == found
    assert list(find_below([root, root / "b", tmp_path / "nowhere"], "log")) == found
    assert set(find_below([root, disk], "log")) == {found[0], disk / "c" / "log"}


def test_files_count_too(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "list.json").touch()
    assert list(find_below([tmp_path], "list.json")) == [tmp_path / "inner" / "list.json"]
