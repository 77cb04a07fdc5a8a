"""What is remembered of the code and its surroundings."""

import json
import platform
import re
from importlib import metadata
from pathlib import Path

import pytest

from ubspark import __version__
from ubspark.lineage import environment
from ubspark.lineage.environment import describe_code, describe_environment


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """Asks anew, as a new process would."""
    describe_code.cache_clear()
    describe_environment.cache_clear()


def test_code_is_known_by_version_content_and_revision() -> None:
    code = describe_code()
    assert code["version"] == __version__
    assert re.fullmatch(r"[0-9a-f]{64}", code["sha256"])
    if "git" in code:
        assert re.fullmatch(r"[0-9a-f]{40}", code["git"])
        assert isinstance(code["dirty"], bool)


def test_content_hash_changes_with_any_module(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    first = environment._hash_package(tmp_path)
    assert environment._hash_package(tmp_path) == first
    (tmp_path / "b.py").write_text("")
    second = environment._hash_package(tmp_path)
    (tmp_path / "b.py").rename(tmp_path / "c.py")
    assert len({first, second, environment._hash_package(tmp_path)}) == 3


def test_revision_baked_into_a_wheel_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = {"git": "0" * 40, "dirty": False}
    (tmp_path / "_build.json").write_text(json.dumps(built))
    monkeypatch.setattr(environment.resources, "files", lambda _: tmp_path)
    assert describe_code().items() >= built.items()


def test_code_without_git_is_still_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code = describe_code()
    assert code.keys() == {"version", "sha256"}


def test_environment_names_python_packages_and_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("UBSPARK_IMAGE", "registry/ubspark@sha256:0")
    found = describe_environment()
    assert found["python"] == platform.python_version()
    assert found["packages"]["pyspark"] == metadata.version("pyspark")
    assert found["cpu"]
    assert found["numba_cpu"]
    assert re.fullmatch(r"\S+ [\d.]+ \(\w+\)", found["blas"]), found["blas"]
    assert found["image"] == "registry/ubspark@sha256:0"
    assert list(found["packages"]) == sorted(found["packages"])
