"""The code and the surroundings of a run: what one needs to run it again."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite.binding import get_host_cpu_name  # type: ignore[import-untyped,unused-ignore]
from threadpoolctl import threadpool_info  # type: ignore[import-untyped,unused-ignore]

from ubspark import __version__

__all__ = ["describe_code", "describe_environment", "to_lock"]


@cache
def describe_code() -> dict[str, Any]:
    """Return version, git revision and content hash of the running code.

    The revision is that of the checkout, or the one written into the wheel when it was built.
    """
    package = Path(str(resources.files("ubspark")))
    baked = package / "_build.json"
    code: dict[str, Any] = {"version": __version__, "sha256": _hash_package(package)}
    if baked.is_file():
        built: dict[str, Any] = json.loads(baked.read_text(encoding="utf-8"))
        return code | built
    revision = _ask_git(package, "rev-parse", "HEAD")
    if revision:
        changed = _ask_git(package, "status", "--porcelain", "--", ".")
        return code | {"git": revision, "dirty": bool(changed)}
    return code


@cache
def describe_environment() -> dict[str, Any]:
    """Return Python, packages, processor, linear algebra, image, and what kernels were chosen."""
    packages = {
        str(dist.metadata["Name"]).lower(): dist.version
        for dist in metadata.distributions()
        if dist.metadata["Name"]
    }
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _read_cpu(),
        "blas": _read_blas(),
        "numba_cpu": os.environ.get("NUMBA_CPU_NAME") or get_host_cpu_name(),
        "image": os.environ.get("UBSPARK_IMAGE"),
        "packages": dict(sorted(packages.items())),
    }


def to_lock(packages: Mapping[str, str]) -> str:
    """Return the packages beside ubspark as a requirements file that names every version."""
    kept = (f"{name}=={version}\n" for name, version in packages.items() if name != "ubspark")
    return "".join(kept)


def _hash_package(package: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _ask_git(folder: Path, *words: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _read_blas() -> str:
    built: Any = np.show_config(mode="dicts")
    blas = built.get("Build Dependencies", {}).get("blas", {})
    # The library chooses its kernels when it is loaded: they decide the last bits.
    chosen = {str(found.get("architecture")) for found in threadpool_info() if _is_of_numpy(found)}
    return f"{blas.get('name')} {blas.get('version')} ({', '.join(sorted(chosen)) or 'unknown'})"


def _is_of_numpy(library: Mapping[str, Any]) -> bool:
    return library["user_api"] == "blas" and "numpy" in str(library["filepath"])


def _read_cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
