"""The folder in which an export grows until it is complete, and what is already in it.

It lies hidden beside the place that was asked for, and is renamed to it at the end: an interrupted
export never looks like one. Each file is written under a passing name, renamed, and then noted in
a journal; the same command takes up the files that the journal names.
"""

import fcntl
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ubspark.catalogs.export.manifest import ExportFile, is_export
from ubspark.catalogs.export.verify import validate_own_files
from ubspark.errors import ConflictError, TransientError

__all__ = ["StagingFolder"]


@dataclass(frozen=True)
class StagingFolder:
    """Where one export grows; tasks use it as well as the driver.

    Attributes
    ----------
    target
        The place that was asked for.
    key
        Run key: another computation grows elsewhere.
    """

    target: Path
    key: str

    @property
    def work(self) -> Path:
        """The hidden folder beside the target."""
        return self.target.parent / f".{self.target.name}.ubspark-{self.key[:16]}"

    @property
    def files(self) -> Path:
        """What becomes the target."""
        return self.work / "files"

    @property
    def _journal(self) -> Path:
        return self.work / "journal"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Make the folders, and keep other runs of the same export out while the body runs.

        Raises
        ------
        TransientError
            If the folder cannot be made.
        ConflictError
            If another run is at work in it.
        """
        try:
            self.files.mkdir(parents=True, exist_ok=True)
            self._journal.mkdir(exist_ok=True)
            lock = (self.work / "lock").open("w")
        except OSError as error:
            msg = f"The folder `{self.work}` cannot be written: {error.strerror or error}."
            raise TransientError(msg) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                msg = f"Another run is writing the export `{self.target}` at this moment."
                raise ConflictError(msg) from error
            yield

    @contextmanager
    def writing(self, path: str) -> Iterator[Path]:
        """Yield a passing name for a file of the export; it gets its own when the body ends."""
        final = self.files / path
        final.parent.mkdir(parents=True, exist_ok=True)
        # Names that begin with a dot are no data to any reader.
        part = final.parent / f".{uuid.uuid4().hex}.part"
        try:
            yield part
            part.replace(final)
        finally:
            part.unlink(missing_ok=True)

    def note(self, item: str, files: tuple[ExportFile, ...]) -> None:
        """Write down that an item of the work is done, and the files that came of it."""
        text = json.dumps([asdict(file) for file in files])
        part = self._journal / f".{uuid.uuid4().hex}.part"
        part.write_text(text, encoding="utf-8")
        part.replace(self._journal / f"{item}.json")

    def find(self, item: str) -> tuple[ExportFile, ...] | None:
        """Return the files of an item that is done, None where it is not."""
        return self._read(self._journal / f"{item}.json")

    def find_done(self) -> dict[str, tuple[ExportFile, ...]]:
        """Return the items that are done, whose files are there with their full sizes."""
        found = {}
        for path in self._journal.glob("*.json"):
            files = self._read(path)
            if files is not None:
                found[path.stem] = files
        return found

    def _read(self, path: Path) -> tuple[ExportFile, ...] | None:
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
            files = tuple(ExportFile(**entry) for entry in entries)
            sizes = [(self.files / file.path).stat().st_size for file in files]
        except (OSError, ValueError, TypeError):
            return None
        return files if sizes == [file.n_bytes for file in files] else None

    def remove_leftovers(self) -> None:
        """Remove what attempts that were killed left under passing names."""
        for path in self.files.rglob(".*.part"):
            path.unlink(missing_ok=True)

    def publish(self, *, replace: bool) -> None:
        """Rename the folder to the place that was asked for.

        Parameters
        ----------
        replace
            Whether an export that is there goes; it is moved away first and removed last.

        Raises
        ------
        ConflictError
            If something is there that may not go, such as a file that the export did not make.
        """
        self.remove_leftovers()
        old = None
        if self.target.exists() and any(self.target.iterdir()):
            if not (replace and is_export(self.target)):
                msg = f"`{self.target}` appeared while this run was working; nothing was changed."
                raise ConflictError(msg)
            validate_own_files(self.target)
            old = self.work / f"replaced-{uuid.uuid4().hex}"
            self.target.rename(old)
        # An empty folder gives way to a rename.
        self.files.replace(self.target)
        self.clear()

    def clear(self) -> None:
        """Remove the working folder, once its export is in place."""
        shutil.rmtree(self.work, ignore_errors=True)
