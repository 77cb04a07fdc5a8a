"""The home folder: where tables, runs and the tracking store live."""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ubspark.errors import TransientError

__all__ = ["Home"]


@dataclass(frozen=True)
class Home:
    """The folders of one user or project."""

    path: Path

    @classmethod
    def find(cls) -> "Home":
        """Return the home that ``UBSPARK_HOME`` names, else ``~/.ubspark``."""
        given = os.environ.get("UBSPARK_HOME")
        return cls(Path(given).expanduser().absolute() if given else Path.home() / ".ubspark")

    @property
    def warehouse(self) -> Path:
        """Folder of the tables that have a name."""
        return self.path / "warehouse"

    @property
    def runs(self) -> Path:
        """Folder of the run records."""
        return self.path / "runs"

    @property
    def spool(self) -> Path:
        """Folder of records that the tracking server has not taken yet."""
        return self.path / "spool"

    @property
    def submissions(self) -> Path:
        """Folder of the appends that have not ended well yet."""
        return self.path / "submissions"

    @property
    def tracking_uri(self) -> str:
        """The MLflow store: ``MLFLOW_TRACKING_URI``, else a database in the home."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.path / 'mlflow.db'}"

    @property
    def artifact_root(self) -> str | None:
        """Where artifacts of new experiments go; None leaves it to a tracking server."""
        return (
            (self.path / "mlartifacts").as_uri()
            if "MLFLOW_TRACKING_URI" not in os.environ
            else None
        )

    def validate_writable(self) -> None:
        """Make the folders, and write and remove a file.

        Raises
        ------
        TransientError
            If that fails.
        """
        try:
            for folder in (self.path, self.warehouse, self.runs, self.spool):
                folder.mkdir(parents=True, exist_ok=True)
            probe = self.path / f".probe-{uuid.uuid4()}"
            # More than a block, so that a full disk shows.
            probe.write_bytes(b"\0" * 65536)
            probe.unlink()
        except OSError as error:
            msg = (
                f"The home folder `{self.path}` cannot be written: {error.strerror}. "
                f"Set UBSPARK_HOME to a folder that can."
            )
            raise TransientError(msg) from error

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock that other processes with the same home respect."""
        with (self.path / f".{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
