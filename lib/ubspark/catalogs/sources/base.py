"""What every source of rows can say about itself before Spark starts."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from ubspark.catalogs.sources.nulls import NullRules
from ubspark.catalogs.sources.pieces import PieceReader

__all__ = ["Source", "SourceColumn"]


@dataclass(frozen=True)
class SourceColumn:
    """One column of a source, as its table will hold it."""

    name: str
    #: Type in the table, not in the file: unsigned integers are widened, text is ``string``.
    type: pa.DataType
    unit: str | None = None
    ucd: str | None = None
    description: str | None = None
    #: Other metadata that goes with the column, as of `TableColumn.extra`.
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source(ABC):
    """Rows in local files: what they hold is known at once, the rows come through Spark.

    Opening a source checks all that can be checked without reading every row; a source that
    opened should not fail in Spark unless its files change or hold damaged pages.
    """

    #: The path as given: a file or a folder.
    path: str
    format: str
    columns: tuple[SourceColumn, ...]
    #: The local files the source consists of, in the order they are read.
    files: tuple[str, ...]
    n_rows: int | None
    #: Declared frame (``ICRS``, ``FK5 J2000``, ``FK4 B1950``, ``GALACTIC``), None if undeclared.
    frame: str | None = None
    #: Declared epoch of the positions, Julian year, None if undeclared.
    epoch: float | None = None
    #: Columns whose name a table cannot hold: name in the file to name here.
    renamed: dict[str, str] = field(default_factory=dict)
    #: Column roles that the source declares.
    roles: Mapping[str, str] = field(default_factory=dict)
    #: What else it says of itself, as properties of the table.
    properties: Mapping[str, str] = field(default_factory=dict)
    #: Sentences for the user: what becomes of its rows.
    remarks: tuple[str, ...] = ()

    @property
    def arrow_schema(self) -> pa.Schema:
        """Names and types of the columns as an Arrow schema; every column may hold nulls."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    @property
    def spark_schema(self) -> StructType:
        """Names and types of the columns as a Spark schema; every column may hold nulls."""
        schema: StructType = from_arrow_schema(self.arrow_schema)
        return schema

    def to_dataframe(self, spark: SparkSession, *, nulls: NullRules | None = None) -> DataFrame:
        """Return the rows as a lazy DataFrame read in pieces of bounded size.

        Parameters
        ----------
        spark
            Session that will read the files; its workers must see the same paths.
        nulls
            Sentinels that become null; none by default.

        Returns
        -------
        DataFrame
            The columns of `columns`, in that order. No shuffle.

        Raises
        ------
        SchemaError
            If ``nulls`` names a column that is not there.
        ParameterError
            If ``nulls`` gives a number column a sentinel that is not a number.
        """
        rules = (nulls or NullRules()).renamed(self.renamed)
        rules.validate({column.name: column.type for column in self.columns})
        return rules.apply(self._read(spark))

    @abstractmethod
    def open_pieces(self) -> PieceReader | None:
        """Return the rows as tasks read them in Python; None where only Spark can read them."""

    def _read(self, spark: SparkSession) -> DataFrame:
        """Return all rows, before sentinels become null."""
        pieces = self.open_pieces()
        if pieces is None or pieces.n_pieces == 0:
            return spark.createDataFrame([], self.spark_schema)
        return pieces.create_numbers(spark).mapInArrow(pieces, self.spark_schema)
