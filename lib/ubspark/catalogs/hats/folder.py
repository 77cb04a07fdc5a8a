"""The folder of a catalog, on this machine or in an object store."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs

from ubspark.catalogs.addresses import to_local_path
from ubspark.catalogs.layout import open_filesystem
from ubspark.errors import SourceError

__all__ = ["Folder", "FolderFile"]


@dataclass(frozen=True)
class FolderFile:
    """A file below a folder: its path there, with ``/``, and its size."""

    path: str
    n_bytes: int


@dataclass(frozen=True)
class Folder:
    """A folder that is read by names relative to it."""

    uri: str

    @classmethod
    def at(cls, place: str) -> "Folder":
        """Return the folder at a path, relative to where this process is, or a URI."""
        local = to_local_path(place)
        return cls(local.rstrip("/") if "://" in local else str(Path(local).absolute()))

    def join(self, path: str) -> str:
        """Return the path or URI of a name below the folder."""
        return f"{self.uri.rstrip('/')}/{path}"

    def exists(self, path: str = "") -> bool:
        """Whether there is a file or folder of this name."""
        return bool(self._stat(path).type != fs.FileType.NotFound)

    def read(self, path: str) -> bytes | None:
        """Return the bytes of a file, or None where there is none."""
        filesystem, root = open_filesystem(self.uri)
        try:
            with filesystem.open_input_stream(f"{root}/{path}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            msg = f"`{self.join(path)}` cannot be read: {error}."
            raise SourceError(msg) from error

    def read_text(self, path: str) -> str | None:
        """Return the text of a file, or None where there is none.

        Raises
        ------
        SourceError
            If it is not UTF-8.
        """
        content = self.read(path)
        try:
            return None if content is None else content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            msg = f"`{self.join(path)}` is no UTF-8 text: {error.reason} at byte {error.start}."
            raise SourceError(msg) from error

    def list_files(self, path: str) -> list[FolderFile]:
        """Return the files below a folder, by name; those that begin with ``_`` or ``.`` not."""
        filesystem, root = open_filesystem(self.uri)
        selector = fs.FileSelector(f"{root}/{path}", allow_not_found=True, recursive=True)
        found = (
            FolderFile(info.path[len(root) :].lstrip("/"), info.size)
            for info in filesystem.get_file_info(selector)
            if info.type == fs.FileType.File
        )
        below = len(path.rstrip("/").split("/")) if path else 0
        return sorted(
            (
                file
                for file in found
                if not any(part[0] in "_." for part in file.path.split("/")[below:])
            ),
            key=lambda file: file.path,
        )

    def find_sizes(self, paths: Sequence[str]) -> list[int | None]:
        """Return the bytes of each file, None where there is no such file."""
        filesystem, root = open_filesystem(self.uri)
        infos = filesystem.get_file_info([f"{root}/{path}" for path in paths])
        return [info.size if info.type == fs.FileType.File else None for info in infos]

    def _stat(self, path: str) -> fs.FileInfo:
        filesystem, root = open_filesystem(self.uri)
        return filesystem.get_file_info([f"{root}/{path}".rstrip("/")])[0]
