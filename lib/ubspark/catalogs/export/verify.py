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
    list_sums,
    read_manifest,
)
from ubspark.errors import ConflictError, SourceError, UbsparkError

__all__ = ["ExportCheck", "ExportDamagedError", "Finding", "validate_own_files", "verify_export"]

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
    found_beside = (*_check_sums(folder, manifest), *_find_foreign(folder, manifest))
    return ExportCheck(manifest, (*findings, *found_beside))


def validate_own_files(folder: Path) -> None:
    """Refuse to replace an export that somebody has put files into.

    Raises
    ------
    ConflictError
        With the first of them; also where the manifest does not tell which files are whose.
    """
    try:
        manifest = read_manifest(folder)
    except SourceError as error:
        msg = f"`{folder}` is not replaced: its manifest is damaged. Move the folder away."
        raise ConflictError(msg) from error
    foreign = next(_find_foreign(folder, manifest), None)
    if foreign is not None:
        msg = f"`{folder}` is not replaced: `{foreign.path}` in it is not of the export. Move it."
        raise ConflictError(msg)


def _check(folder: Path, file: ExportFile, sizes_only: bool) -> Finding | None:
    path = folder / file.path
    if path.is_symlink():
        msg = f"`{file.path}` is a link; the file that was written is elsewhere, or gone."
        return Finding(file.path, "missing", msg)
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


def _check_sums(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Yield what is wrong with the list that other tools check by."""
    try:
        if (folder / CHECKSUM_FILE).read_text(encoding="utf-8") != list_sums(manifest):
            msg = f"`{CHECKSUM_FILE}` was altered: it lists other digests than the manifest."
            yield Finding(CHECKSUM_FILE, "content", msg)
    except FileNotFoundError:
        yield Finding(CHECKSUM_FILE, "missing", f"`{CHECKSUM_FILE}` is missing.")
    except (OSError, ValueError):
        yield Finding(CHECKSUM_FILE, "content", f"`{CHECKSUM_FILE}` cannot be read.")


def _find_foreign(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """Yield the files that the manifest does not know: a reader may take them for rows."""
    known = {file.path for file in manifest.files} | {MANIFEST_FILE, CHECKSUM_FILE}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        # A link is none of the files, also to a folder; what is below one was not looked at.
        if (path.is_file() or path.is_symlink()) and name not in known:
            yield Finding(name, "foreign", f"`{name}` is not part of the export.")
