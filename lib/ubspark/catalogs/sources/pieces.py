"""Pieces of a source, which Spark's tasks read by themselves."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

__all__ = ["PieceReader"]


@dataclass(frozen=True)
class PieceReader(ABC):
    """Reads pieces, given their numbers: the function that runs in Spark tasks.

    Attributes
    ----------
    schema
        Columns of the rows, those that are read.
    """

    schema: pa.Schema

    @property
    @abstractmethod
    def n_pieces(self) -> int:
        """Number of pieces; they are numbered from 0, in the order of the rows."""

    @abstractmethod
    def read(self, piece: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows of one piece, in batches of bounded size."""

    @abstractmethod
    def select(self, columns: Sequence[str]) -> "PieceReader":
        """Return the reader of some columns."""

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the pieces whose numbers the first column holds."""
        for batch in batches:
            for piece in batch.column(0).to_pylist():
                yield from self.read(piece)
