"""The list of an export's files, with their sizes and digests, and the run that made them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ubspark.errors import InputMissingError, SourceError

__all__ = [
    "CHECKSUM_FILE",
    "MANIFEST_FILE",
    "ExportFile",
    "Manifest",
    "compute_sha256",
    "is_export",
    "list_sums",
    "read_manifest",
    "write_manifest",
]

MANIFEST_FILE = "ubspark-manifest.json"
#: The same digests in the form that `sha256sum --check` reads.
CHECKSUM_FILE = "SHA256SUMS"
_FORMAT = 1


@dataclass(frozen=True)
class ExportFile:
    """A file of an export.

    Attributes
    ----------
    path
        Name below the folder of the export, with ``/``.
    n_rows
        Rows of the table that it holds; 0 for a file that describes others.
    facts
        What else its task said of it.
    """

    path: str
    n_bytes: int
    sha256: str
    n_rows: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def describe(cls, root: Path, path: str, *, n_rows: int = 0, **facts: Any) -> "ExportFile":
        """Return the record of a file that is there."""
        file = root / path
        return cls(path, file.stat().st_size, compute_sha256(file), n_rows, facts)


@dataclass(frozen=True)
class Manifest:
    """What an export holds, and where it comes from.

    Attributes
    ----------
    kind
        Its format: ``hats``, ``parquet``, ``fits`` or ``votable``.
    files
        By path.
    record
        What a commit would say: run, key, output, inputs and code.
    """

    kind: str
    files: tuple[ExportFile, ...]
    record: Mapping[str, Any]
    #: Rows of the exported table; margins and indexes repeat some of them.
    n_rows: int

    @property
    def n_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.n_bytes for file in self.files)

    @property
    def digest(self) -> str:
        """SHA-256 over names, sizes and digests of all files."""
        return compute_digest(self.files)


def compute_digest(files: Iterable[ExportFile]) -> str:
    """Return one digest of files; their names count."""
    listed = sorted(f"{file.sha256} {file.n_bytes} {file.path}" for file in files)
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()


def compute_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_export(folder: Path) -> bool:
    """Whether a folder is an export of ours, complete when it was written."""
    return (folder / MANIFEST_FILE).is_file()


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, and the digests for other tools, into the folder of an export."""
    files = sorted(manifest.files, key=lambda file: file.path)
    (folder / CHECKSUM_FILE).write_text(list_sums(manifest), encoding="utf-8")
    content = {
        "ubspark_manifest": _FORMAT,
        "kind": manifest.kind,
        "n_rows": manifest.n_rows,
        "n_bytes": manifest.n_bytes,
        "digest": manifest.digest,
        "record": manifest.record,
        "files": [
            {"path": f.path, "n_bytes": f.n_bytes, "sha256": f.sha256, "n_rows": f.n_rows}
            for f in files
        ],
    }
    content["manifest_sha256"] = _seal(content)
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def list_sums(manifest: Manifest) -> str:
    """Return the digests of the files as `sha256sum` lists them."""
    files = sorted(manifest.files, key=lambda file: file.path)
    return "".join(f"{file.sha256}  {file.path}\n" for file in files)


def _seal(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a manifest says, but for this."""
    rest = {key: value for key, value in content.items() if key != "manifest_sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an export.

    Raises
    ------
    InputMissingError
        If the folder is not there or has none.
    SourceError
        If it is damaged, or was changed by hand.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        what = "is not there" if not folder.exists() else f"has no `{MANIFEST_FILE}`"
        msg = f"`{folder}` is no export of ubspark: it {what}."
        raise InputMissingError(msg)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        files = tuple(ExportFile(**entry) for entry in content["files"])
        manifest = Manifest(content["kind"], files, content["record"], content["n_rows"])
        stated, seal = content["digest"], _seal(content)
        is_sealed = seal == content["manifest_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"`{path}` is damaged; it cannot be read as a manifest."
        raise SourceError(msg) from error
    if manifest.digest != stated:
        msg = f"`{path}` was altered: its list of files is not the one that its digest stands for."
        raise SourceError(msg)
    if not is_sealed or not isinstance(manifest.record, dict):
        msg = f"`{path}` was altered: it does not say what was written."
        raise SourceError(msg)
    return manifest
