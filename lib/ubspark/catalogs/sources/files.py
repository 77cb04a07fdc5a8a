"""The local files behind a path: found, looked at, unpacked."""

import gzip
import hashlib
import os
import shutil
import zlib
from collections.abc import Collection
from pathlib import Path
from tempfile import NamedTemporaryFile

from ubspark.errors import InputMissingError, SourceError

__all__ = ["find_files", "unpack", "validate_content"]

_HTML = (b"<!doctype html", b"<html", b"<head")


def find_files(path: str, extensions: Collection[str]) -> tuple[Path, ...]:
    """Return the file at ``path``, or the files below a folder, by name.

    In a folder only files with one of ``extensions`` count, and, as in Spark, nothing whose
    name begins with ``_`` or ``.``.

    Raises
    ------
    InputMissingError
        If there is nothing at ``path``, or no such file in the folder.
    SourceError
        If what is there cannot be read.
    """
    root = Path(path).expanduser()
    if not root.exists():
        msg = f"`{path}` does not exist."
        raise InputMissingError(msg)
    if not root.is_dir():
        files = [root]
    else:
        files = sorted(
            file
            for file in root.rglob("*")
            if file.name.lower().endswith(tuple(extensions))
            and not any(part[0] in "_." for part in file.relative_to(root).parts)
            and file.is_file()
        )
    if not files:
        msg = f"Folder `{path}` holds no file that ends in {', '.join(sorted(extensions))}."
        raise InputMissingError(msg)
    for file in files:
        if not os.access(file, os.R_OK):
            msg = f"`{file}` cannot be read: permission denied."
            raise SourceError(msg)
    return tuple(file.resolve() for file in files)


def validate_content(file: Path, format: str) -> None:  # noqa: A002 - the word of the interface
    """Raise a `SourceError` if ``file`` is empty or is plainly something else."""
    with file.open("rb") as stream:
        head = stream.read(1024)
    if not head:
        msg = f"`{file}` is empty."
        raise SourceError(msg)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML):
        msg = f"`{file}` is a web page (HTML), not {format}; the download may have failed."
        raise SourceError(msg)


def unpack(file: Path, scratch: Path) -> Path:
    """Return ``file`` itself, or its content unpacked into ``scratch`` if it is gzipped.

    A file unpacked before is used again while name, size and time of the original are the same.

    Raises
    ------
    SourceError
        If the gzip stream is cut short or damaged.
    """
    with file.open("rb") as stream:
        if stream.read(2) != b"\x1f\x8b":
            return file
    status = file.stat()
    identity = f"{file}\0{status.st_size}\0{status.st_mtime_ns}"
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    target = scratch / f"{file.name.removesuffix('.gz')}-{key}"
    if target.exists():
        return target
    scratch.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=scratch, delete=False) as partial:
        try:
            with gzip.open(file, "rb") as packed:
                shutil.copyfileobj(packed, partial, 1 << 20)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            Path(partial.name).unlink()
            msg = f"`{file}` is not a complete gzip file; it was cut short or damaged."
            raise SourceError(msg) from error
    # NamedTemporaryFile makes the file private; workers may run as someone else.
    Path(partial.name).chmod(0o644)
    Path(partial.name).replace(target)
    return target
