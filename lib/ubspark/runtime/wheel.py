"""The running package as a wheel, without its source tree: what a replay elsewhere installs."""

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterator
from importlib import metadata, resources
from pathlib import Path

from ubspark.lineage.environment import describe_code

__all__ = ["pack_wheel"]

_NAME = "ubspark"
_LEFT_OUT = ("__pycache__",)
#: Of every entry, so that equal code makes an equal wheel.
_MOMENT = (2020, 1, 1, 0, 0, 0)
_WHEEL = "Wheel-Version: 1.0\nGenerator: ubspark\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def pack_wheel(folder: Path) -> Path:
    """Write the package that is running now, with its git revision, as a wheel; return its path.

    Notes
    -----
    The format is that of PEP 427. The content hash of the code, as commits hold it, is the same
    once the wheel is installed.
    """
    found = metadata.distribution(_NAME)
    about = f"{_NAME}-{found.version}.dist-info"
    described = {
        f"{about}/METADATA": (found.read_text("METADATA") or "").encode(),
        f"{about}/WHEEL": _WHEEL.encode(),
        f"{about}/entry_points.txt": (found.read_text("entry_points.txt") or "").encode(),
    }
    entries = {**dict(_iterate_files()), **described}
    rows = [f"{name},sha256={_hash(content)},{len(content)}" for name, content in entries.items()]
    record = f"{about}/RECORD"
    entries[record] = "\n".join([*rows, f"{record},,", ""]).encode()
    path = folder / f"{_NAME}-{found.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in entries.items():
            wheel.writestr(zipfile.ZipInfo(name, _MOMENT), content, zipfile.ZIP_DEFLATED)
    return path


def _iterate_files() -> Iterator[tuple[str, bytes]]:
    """Yield the files of the package, and what a build writes of its revision."""
    package = Path(str(resources.files(_NAME)))
    for path in sorted(package.rglob("*")):
        inside = path.relative_to(package)
        # numba keeps compiled functions beside their modules.
        is_ours = path.suffix not in (".nbi", ".nbc", ".pyc") and inside.name != "_build.json"
        if path.is_file() and is_ours and not set(inside.parts) & set(_LEFT_OUT):
            yield f"{_NAME}/{inside.as_posix()}", path.read_bytes()
    built = {key: value for key, value in describe_code().items() if key in ("git", "dirty")}
    yield f"{_NAME}/_build.json", json.dumps(built).encode()


def _hash(content: bytes) -> str:
    digest = hashlib.sha256(content).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
