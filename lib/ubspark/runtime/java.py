"""Finding a Java that Spark can use."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ubspark.errors import ParameterError

__all__ = ["SUPPORTED_JAVA", "Java", "find_java", "validate_java"]

SUPPORTED_JAVA = (17, 21)
_CURE = (
    "Install Java 17 or 21 (Debian/Ubuntu: `apt-get install openjdk-17-jre-headless`; conda: "
    "`conda install openjdk=17`; macOS: `brew install openjdk@17`) or set JAVA_HOME to it"
)


@dataclass(frozen=True)
class Java:
    """A Java installation."""

    home: Path
    version: int

    @property
    def is_supported(self) -> bool:
        """Whether Spark runs on it."""
        return self.version in SUPPORTED_JAVA and self.has_vector_module

    @property
    def has_vector_module(self) -> bool:
        """Whether the module ``jdk.incubator.vector``, which Spark 4 needs, is there."""
        listed = subprocess.run(
            [self.home / "bin" / "java", "--list-modules"],
            capture_output=True,
            text=True,
            check=False,
        )
        return "jdk.incubator.vector" in listed.stdout


@cache
def find_java() -> Java | None:
    """Return the Java of ``JAVA_HOME``, else that on the PATH, or None."""
    home = os.environ.get("JAVA_HOME")
    program = Path(home) / "bin" / "java" if home else Path(shutil.which("java") or "")
    if not program.is_file():
        return None
    try:
        answer = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)', answer.stderr)
    return Java(program.resolve().parent.parent, int(found[1]) if found else 0)


def validate_java() -> Java:
    """Return the Java to use.

    Raises
    ------
    ParameterError
        If there is none, or not one that Spark can use.
    """
    java = find_java()
    if java is None:
        place = os.environ.get("JAVA_HOME")
        where = f"under JAVA_HOME={place}" if place else "on the PATH, and JAVA_HOME is not set"
        msg = f"No Java was found {where}. {_CURE}."
        raise ParameterError(msg)
    if java.version not in SUPPORTED_JAVA:
        msg = f"Spark needs Java 17 or 21, got Java {java.version} in `{java.home}`. {_CURE}."
        raise ParameterError(msg)
    if not java.has_vector_module:
        msg = (
            f"The Java in `{java.home}` lacks the module jdk.incubator.vector that Spark needs "
            f"(a trimmed runtime). {_CURE}."
        )
        raise ParameterError(msg)
    return java
