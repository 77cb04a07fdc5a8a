"""Pieces of a source, which Spark's tasks read by themselves."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

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

    def select(self, columns: Sequence[str]) -> "PieceReader":
        """Return the reader of some columns."""
        return replace(self, schema=pa.schema([self.schema.field(name) for name in columns]))

    def create_numbers(self, spark: SparkSession) -> DataFrame:
        """Return the numbers of the pieces, a task each."""
        return spark.range(0, self.n_pieces, 1, max(self.n_pieces, 1))

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the pieces whose numbers the first column holds."""
        for batch in batches:
            for piece in batch.column(0).to_pylist():
                yield from self.read(piece)
