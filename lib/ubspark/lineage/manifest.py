"""What identifies files: their bytes and their digest."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ubspark.errors import InputMissingError

__all__ = ["compute_manifest"]


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
