"""The ``doctor`` command: is everything here that a run needs, and what to do if not."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Annotated
from urllib.request import urlopen

import psutil
import typer

from ubspark.cli.output import print_json, print_table
from ubspark.errors import TransientError, UbsparkError
from ubspark.runtime.home import Home
from ubspark.runtime.jars import (
    JARS,
    S3_JARS,
    Jar,
    fetch_jars,
    find_jar_folder,
    find_missing_jars,
)
from ubspark.runtime.java import validate_java

__all__ = ["doctor"]

_MIN_MEMORY = 4 << 30
_MIN_DISK = 5 << 30
_PATIENCE_SECONDS = 5


@dataclass(frozen=True)
class _Check:
    name: str
    is_good: bool
    finding: str


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Fetch what is missing.")] = False,
    s3: Annotated[bool, typer.Option("--s3", help="Look after object stores too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check Python, Java, JARs, memory, disk, the home folder and MLflow.

    Example: ubspark doctor --fix
    """
    jars = (*JARS, *S3_JARS) if s3 else JARS
    if fix:
        validate_java()
        fetch_jars(jars)
    checks = list(_run_checks(jars))
    if json:
        print_json([vars(check) for check in checks])
    else:
        marks = (
            ("ok" if check.is_good else "FAILS", check.name, check.finding) for check in checks
        )
        print_table(("", "check", "found"), marks)
    if not all(check.is_good for check in checks):
        raise typer.Exit(2)


def _run_checks(jars: Sequence[Jar]) -> Iterator[_Check]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield _Check("Python", (3, 11) <= sys.version_info[:2] < (3, 14), f"{python} (3.11 to 3.13)")
    yield _try("Java", lambda: f"{(java := validate_java()).version} in {java.home}")
    pyspark, delta = metadata.version("pyspark"), metadata.version("delta-spark")
    fits = pyspark.startswith("4.2.") and delta == "4.4.0"
    yield _Check("Spark and Delta", fits, f"pyspark {pyspark}, delta-spark {delta}")
    missing = find_missing_jars(jars)
    option = "--fix --s3" if len(jars) > len(JARS) else "--fix"
    names = ", ".join(jar.file_name for jar in missing)
    found = f"{names} missing or altered; `ubspark doctor {option}`"
    yield _Check("JARs", not missing, found if missing else f"complete in {find_jar_folder()}")
    foreign = _find_foreign_delta()
    yield _Check("one Delta only", not foreign, ", ".join(foreign) or "yes")
    memory = psutil.virtual_memory().total
    yield _Check("memory", memory >= _MIN_MEMORY, f"{memory / 2**30:.1f} GiB")
    home = Home.find()
    yield _try("home folder", lambda: _describe_home(home))
    yield _try("tracking", lambda: _describe_tracking(home))
    yield _try("compiled kernels", _describe_kernels)
    free = shutil.disk_usage(home.path if home.path.exists() else home.path.anchor).free
    yield _Check("disk", free >= _MIN_DISK, f"{free / 2**30:.1f} GiB free")


def _find_foreign_delta() -> list[str]:
    """Return Delta JARs of other versions that would come first or second by chance."""
    known = {"delta-spark_4.2_2.13-4.4.0.jar", "delta-storage-4.4.0.jar"}
    folder = find_jar_folder()
    found = [
        p.name for stem in ("delta-spark", "delta-storage") for p in folder.glob(f"{stem}*.jar")
    ]
    return sorted(set(found) - known)


def _describe_home(home: Home) -> str:
    home.validate_writable()
    return str(home.path)


def _describe_tracking(home: Home) -> str:
    """Ask a tracking server how it is; a database in the home needs no asking."""
    uri = home.tracking_uri
    if not uri.startswith(("http://", "https://")):
        return uri
    try:
        with urlopen(f"{uri.rstrip('/')}/health", timeout=_PATIENCE_SECONDS):  # noqa: S310
            return uri
    except (OSError, ValueError) as error:
        msg = f"MLflow at {uri} does not answer ({error}); runs go on, their records wait."
        raise TransientError(msg) from error


def _describe_kernels() -> str:
    """Find where numba keeps what it compiled, and whether it may."""
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or str(resources.files("ubspark")))
    if not os.access(folder, os.W_OK):
        msg = f"numba cannot write to `{folder}`; set NUMBA_CACHE_DIR to a folder that it can."
        raise TransientError(msg)
    return f"{sum(1 for _ in folder.rglob('*.nbc'))} in {folder}"


def _try(name: str, check: Callable[[], str]) -> _Check:
    try:
        return _Check(name, is_good=True, finding=check())
    except UbsparkError as error:
        return _Check(name, is_good=False, finding=str(error))
