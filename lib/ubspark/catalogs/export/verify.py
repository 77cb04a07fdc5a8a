"""Comparing the files of an export with its manifest."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ubspark.catalogs.export.manifest import (
    CHECKSUM_FILE,
    MANIFEST_FILE,
    ExportFile,
    Manifest,
    compute_sha256,
    read_manifest,
)
from ubspark.errors import UbsparkError

__all__ = ["ExportCheck", "ExportDamagedError", "Finding", "verify_export"]

_N_THREADS = 4


class ExportDamagedError(UbsparkError):
    """The files of an export are not those that were written."""

    exit_code = 6


@dataclass(frozen=True)
class Finding:
    """Something wrong with one file of an export."""

    path: str
    #: ``missing``, ``size``, ``content`` or ``foreign``.
    kind: str
    sentence: str


@dataclass(frozen=True)
class ExportCheck:
    """What a check of an export found."""

    manifest: Manifest
    findings: tuple[Finding, ...]

    @property
    def is_good(self) -> bool:
        """Whether every file is as it was written, and no other is there."""
        return not self.findings

    def raise_if_damaged(self) -> None:
        """Raise what is wrong first.

        Raises
        ------
        ExportDamagedError
            With the first finding and their number.
        """
        if self.findings:
            more = len(self.findings) - 1
            rest = f" {more} more files are wrong." if more else ""
            raise ExportDamagedError(self.findings[0].sentence + rest)


def verify_export(folder: Path, *, sizes_only: bool = False) -> ExportCheck:
    """Compare the files of an export with its manifest.

    Parameters
    ----------
    folder
        The export.
    sizes_only
        Look at names and sizes alone: finds files that are missing or cut, not altered ones.

    Raises
    ------
    InputMissingError
        If there is no export.
    SourceError
        If the manifest itself is damaged.
    """
    manifest = read_manifest(folder)
    with ThreadPoolExecutor(_N_THREADS) as pool:
        found = list(pool.map(lambda file: _check(folder, file, sizes_only), manifest.files))
    findings = [finding for finding in found if finding is not None]
    return ExportCheck(manifest, (*findings, *_find_foreign(folder, manifest)))


def _check(folder: Path, file: ExportFile, sizes_only: bool) -> Finding | None:
    path = folder / file.path
    try:
        n_bytes = path.stat().st_size
        if n_bytes != file.n_bytes:
            msg = f"`{file.path}` has {n_bytes} bytes; it was written with {file.n_bytes}."
            return Finding(file.path, "size", msg)
        if not sizes_only and compute_sha256(path) != file.sha256:
            msg = f"`{file.path}` was altered: its content is not what was written."
            return Finding(file.path, "content", msg)
    except FileNotFoundError:
        return Finding(file.path, "missing", f"`{file.path}` is missing.")
    except OSError as error:
        msg = f"`{file.path}` cannot be read: {error.strerror or error}."
        return Finding(file.path, "missing", msg)
    return None


def _find_foreign(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Yield the files that the manifest does not know: a reader may take them for rows."""
    known = {file.path for file in manifest.files} | {MANIFEST_FILE, CHECKSUM_FILE}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in known:
            yield Finding(name, "foreign", f"`{name}` is not part of the export.")
