"""What identifies files: their bytes and their digest."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ubspark.errors import InputMissingError

__all__ = ["compute_manifest"]


def compute_manifest(paths: Iterable[str]) -> list[tuple[str, int, str]]:
    """Return name, bytes and SHA-256 of each file.

    Raises
    ------
    InputMissingError
        If a file cannot be read.
    """
    found = []
    for path in paths:
        try:
            with Path(path).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found.append((Path(path).name, Path(path).stat().st_size, digest))
        except OSError as error:
            msg = f"The file `{path}` cannot be read: {error.strerror}."
            raise InputMissingError(msg) from error
    return found
