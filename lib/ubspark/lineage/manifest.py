"""What identifies files: their bytes and their digest."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ubspark.catalogs.export.manifest import is_export, read_manifest
from ubspark.errors import InputMissingError, UbsparkError

__all__ = ["compute_manifest", "find_maker"]


def compute_manifest(paths: Iterable[str], root: str) -> list[tuple[str, int, str]]:
    """Return path below a folder, bytes and SHA-256 of each file.

    Parameters
    ----------
    root
        The folder, or the one file itself; of a file elsewhere the name alone is kept.

    Raises
    ------
    InputMissingError
        If a file cannot be read.
    """
    found = []
    folder = Path(root).expanduser().resolve()
    for path in paths:
        try:
            with Path(path).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            is_below = folder in Path(path).parents
            name = Path(path).relative_to(folder).as_posix() if is_below else Path(path).name
            found.append((name, Path(path).stat().st_size, digest))
        except OSError as error:
            msg = f"The file `{path}` cannot be read: {error.strerror}."
            raise InputMissingError(msg) from error
    return found


def find_maker(uri: str) -> str | None:
    """Return the id of the run that exported a file or folder, None where none did."""
    place = Path(uri)
    folder = next((folder for folder in (place, place.parent) if is_export(folder)), None)
    try:
        run = None if folder is None else read_manifest(folder).record.get("run")
    except UbsparkError:
        return None
    return None if run is None else str(run)
