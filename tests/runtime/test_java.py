"""A Java that Spark cannot use is found before Spark is started."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ubspark.errors import ParameterError
from ubspark.runtime.jars import JARS, S3_JARS, validate_jars
from ubspark.runtime.java import find_java, validate_java

_CURE = "Install Java 17 or 21 .* or set JAVA_HOME to it"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forgets which Java was found, before and after."""
    find_java.cache_clear()
    yield
    find_java.cache_clear()


@pytest.fixture
def pretend(tmp_path: Path) -> Callable[[str, str], Path]:
    """Makes a Java that says a version and lists modules, and nothing else."""

    def make(version: str, modules: str) -> Path:
        program = tmp_path / "java" / "bin" / "java"
        program.parent.mkdir(parents=True)
        program.write_text(
            f'#!/bin/sh\n[ "$1" = --list-modules ] && echo "{modules}" && exit 0\n'
            f"echo 'openjdk version \"{version}\"' >&2\n"
        )
        program.chmod(0o755)
        return program.parent.parent

    return make


def test_older_java_on_the_path_is_refused(
    pretend: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{pretend('11.0.2', 'java.base') / 'bin'}:/usr/bin:/bin")
    with pytest.raises(ParameterError, match=f"needs Java 17 or 21, got Java 11 in .* {_CURE}"):
        validate_java()


def test_missing_java_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ParameterError, match=f"No Java was found on the PATH, .* {_CURE}"):
        validate_java()


def test_java_home_without_java_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ParameterError, match=f"No Java was found under JAVA_HOME=.* {_CURE}"):
        validate_java()


def test_trimmed_java_is_refused(
    pretend: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(pretend("17.0.2", "java.base@17.0.2")))
    with pytest.raises(ParameterError, match=r"lacks the module jdk\.incubator\.vector"):
        validate_java()


def test_java_that_is_no_program_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").write_bytes(b"\0\1\2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ParameterError, match="No Java was found under JAVA_HOME"):
        validate_java()


def test_first_missing_jar_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    (tmp_path / "jars").mkdir()
    with pytest.raises(ParameterError, match=f"{JARS[0].file_name} is not in .*doctor --fix"):
        validate_jars()
    for jar in JARS:
        shutil.copy(__file__, tmp_path / "jars" / jar.file_name)
    validate_jars()
    with pytest.raises(
        ParameterError, match=f"{S3_JARS[0].file_name} is not in .*doctor --fix --s3"
    ):
        validate_jars(s3=True)
    for jar in S3_JARS:
        shutil.copy(__file__, tmp_path / "jars" / jar.file_name)
    validate_jars(s3=True)
