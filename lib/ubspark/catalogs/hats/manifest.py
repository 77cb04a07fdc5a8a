"""What identifies a catalog that keeps no versions: its files, their sizes and their digests."""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from ubspark.catalogs.hats.folder import Folder, FolderFile
from ubspark.catalogs.layout import open_filesystem

__all__ = ["FULL_DIGEST_BYTES", "compute_manifest", "compute_manifest_digest", "has_footers"]

#: Up to this many bytes of data the files are read whole; above, their footers.
FULL_DIGEST_BYTES = 256 << 20
_FOOTER = "footer:"
_N_THREADS = 8


def compute_manifest(
    folder: Folder,
    metadata: Sequence[str],
    data: Sequence[FolderFile],
    *,
    known_by: Literal["files", "footers"] | None = None,
    full_bytes: int = FULL_DIGEST_BYTES,
) -> list[tuple[str, int, str]]:
    """List the files of a catalog.

    Parameters
    ----------
    metadata
        Names of the metadata files; those that are not there are left out.
    data
        The data files.
    known_by
        ``footers``: the digest of each data file is that of its Parquet footer, written
        ``footer:<sha256>``: it holds the sizes, places and extremes of every column chunk, and
        costs one small read. ``files``: all files are read whole.
    full_bytes
        By default files are read whole up to this many bytes of data together.

    Returns
    -------
    list
        Path, bytes and SHA-256, by path.
    """
    sizes = folder.find_sizes(metadata)
    present = [FolderFile(p, n) for p, n in zip(metadata, sizes, strict=True) if n is not None]
    if known_by is None:
        is_small = sum(file.n_bytes for file in data) <= full_bytes
        known_by = "files" if is_small else "footers"

    def digest(file: FolderFile) -> tuple[str, int, str]:
        whole = known_by == "files" or file in present
        text = _digest_file(folder, file) if whole else _FOOTER + _digest_footer(folder, file)
        return file.path, file.n_bytes, text

    with ThreadPoolExecutor(_N_THREADS) as pool:
        return sorted(pool.map(digest, [*present, *data]))


def compute_manifest_digest(files: Iterable[tuple[str, int, str]]) -> str:
    """Return one digest of a manifest; the names count, for they say where on the sky rows lie."""
    listed = sorted(f"{path} {n_bytes} {digest}" for path, n_bytes, digest in files)
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()


def has_footers(files: Iterable[tuple[str, int, str]]) -> bool:
    """Whether some files of a manifest are known by their footers alone."""
    return any(digest.startswith(_FOOTER) for _, _, digest in files)


def _digest_file(folder: Folder, file: FolderFile) -> str:
    filesystem, path = open_filesystem(folder.join(file.path))
    digest = hashlib.sha256()
    with filesystem.open_input_stream(path) as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _digest_footer(folder: Folder, file: FolderFile) -> str:
    """Return the digest of the end of a Parquet file, as long as it says its footer is."""
    filesystem, path = open_filesystem(folder.join(file.path))
    with filesystem.open_input_file(path) as stream:
        size = stream.size()
        stream.seek(max(size - 8, 0))
        tail = stream.read(8)
        length = struct.unpack("<I", tail[:4])[0] if len(tail) == 8 else 0
        stream.seek(max(size - 8 - length, 0))
        return hashlib.sha256(stream.read()).hexdigest()
