"""Catalog tables that live for one run: rows sorted on the sky, beside no log."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyspark.sql import DataFrame

from ubspark.catalogs.layout import FileLayout, open_filesystem
from ubspark.catalogs.parquet_sink import ParquetSink, WrittenFile
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.scanning import scan_bounds
from ubspark.catalogs.schema import TableSchema
from ubspark.catalogs.writers import RowTask, write_rows
from ubspark.columns import HEALPIX_29

__all__ = ["StagedTable", "stage_rows"]


@dataclass(frozen=True, eq=False)
class StagedTable:
    """A catalog made for one run; implements the protocol of catalogs.

    Attributes
    ----------
    uri
        Where the rows came from.
    folder
        Where they are now.
    """

    uri: str
    folder: str
    schema: TableSchema
    roles: CatalogRoles
    files: tuple[WrittenFile, ...]
    is_catalog: bool = True

    def __str__(self) -> str:
        """Return where the rows came from."""
        return f"{self.uri} (sorted for this run)"

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return sum(file.n_rows for file in self.files)

    @property
    def n_bytes(self) -> int:
        """Bytes of the files."""
        return sum(file.n_bytes for file in self.files)

    @property
    def n_files(self) -> int:
        """Number of the files."""
        return len(self.files)

    def read_bounds(self, column: str) -> tuple[float, float] | None:
        """Return the smallest and largest value of a column, where every file states both."""
        known = [s for s in self._statistics if s["nullCount"].get(column) != s["numRecords"]]
        if not all(column in s["minValues"] and column in s["maxValues"] for s in known):
            return None
        low = min((float(s["minValues"][column]) for s in known), default=0.0)
        return low, max((float(s["maxValues"][column]) for s in known), default=0.0)

    def scan_bounds(self, column: str) -> tuple[float, float]:
        """Return the smallest and largest value of a column by reading it; NaN does not count."""
        return scan_bounds(self.to_dataset(), column)

    def count_nulls(self, column: str) -> int:
        """Return the nulls of a flat column."""
        return int(self.to_dataset().count_rows(filter=pc.field(column).is_null()))

    def to_dataset(self) -> ds.Dataset:
        """Return the rows as an Arrow dataset."""
        schema = self.schema.to_arrow()
        paths = list(self.read_layout().paths)
        if not paths:
            return ds.dataset(schema.empty_table())
        filesystem, _ = open_filesystem(paths[0])
        names = [open_filesystem(path)[1] for path in paths]
        return ds.dataset(names, schema=schema, filesystem=filesystem, format="parquet")

    def read_layout(self) -> FileLayout:
        """Return the files with their ranges of ``_healpix_29``, in sky order."""
        index = HEALPIX_29.name
        low, high = (
            np.array([s[key][index] for s in self._statistics], dtype=np.int64)
            for key in ("minValues", "maxValues")
        )
        order = np.argsort(low, kind="stable")
        files = [self.files[i] for i in order]
        return FileLayout(
            tuple(f"{self.folder}/{file.path}" for file in files),
            low[order],
            high[order],
            np.array([file.n_rows for file in files], dtype=np.int64),
            np.array([file.n_bytes for file in files], dtype=np.int64),
            self.schema.to_arrow(),
        )

    @cached_property
    def _statistics(self) -> list[dict[str, Any]]:
        return [json.loads(file.stats) for file in self.files]


def stage_rows(
    frame: DataFrame,
    task: RowTask,
    schema: TableSchema,
    roles: CatalogRoles,
    *,
    folder: str,
    uri: str,
) -> StagedTable:
    """Write rows that are sorted on the sky where only this run looks for them.

    Parameters
    ----------
    frame, task
        Tasks, and what makes of each rows with the columns of ``schema``, sorted on the sky.
    folder
        A folder that all workers see.
    uri
        Where the rows came from, for messages.
    """
    written = write_rows(frame, ParquetSink(folder, schema.to_arrow()), task)
    return StagedTable(uri, folder, schema, roles, written.files)
