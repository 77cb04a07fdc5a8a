"""What an export has written when only its last files are missing."""

from collections.abc import Callable
from dataclasses import dataclass

from ubspark.catalogs.export.manifest import ExportFile

__all__ = ["WrittenFolder"]


@dataclass(frozen=True)
class WrittenFolder:
    """The data files of an export.

    Attributes
    ----------
    kind
        Its format.
    files
        What is written.
    n_rows, n_unplaced
        Rows of the table that it holds, and those left out for want of a position.
    seal
        Writes the files that describe the others, given the id of the run, and returns them.
    """

    kind: str
    files: tuple[ExportFile, ...]
    n_rows: int
    n_unplaced: int
    seal: Callable[[str], tuple[ExportFile, ...]]

    @property
    def n_bytes(self) -> int:
        """Bytes of the data files."""
        return sum(file.n_bytes for file in self.files)
