"""What a job may ask of a catalog, whatever its format."""

from collections.abc import Sequence
from typing import Protocol

import pyarrow.dataset as ds

from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.schema import TableSchema
from ubspark.crossmatch.plan import CatalogSource

__all__ = ["Catalog", "CatalogLayout"]


class CatalogLayout(CatalogSource, Protocol):
    """The files of a catalog with their ranges of ``_healpix_29``."""

    def refine(self) -> "CatalogLayout":
        """Return the layout of row groups, where it is cheap to know."""

    def remember(self) -> "CatalogLayout":
        """Return the layout with a memory of what it read last, for ranges side by side."""

    def estimate_share(self, columns: Sequence[str]) -> float:
        """Return the share of the files' bytes that some columns take."""


class Catalog(Protocol):
    """Rows with a schema, opened at one state: a Delta table at a version, a HATS catalog."""

    @property
    def uri(self) -> str:
        """Where it is."""

    @property
    def schema(self) -> TableSchema:
        """Its columns."""

    @property
    def roles(self) -> CatalogRoles:
        """What the columns stand for."""

    @property
    def is_catalog(self) -> bool:
        """Whether rows have the spatial index."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""

    @property
    def n_bytes(self) -> int:
        """Bytes of its files."""

    @property
    def n_files(self) -> int:
        """Number of its files."""

    def read_bounds(self, column: str) -> tuple[float, float] | None:
        """Return the smallest and largest value of a column, where metadata say both."""

    def scan_bounds(self, column: str) -> tuple[float, float]:
        """Return the smallest and largest value of a column by reading it; NaN does not count."""

    def count_nulls(self, column: str) -> int:
        """Return the nulls of a flat column."""

    def to_dataset(self) -> ds.Dataset:
        """Return the rows as an Arrow dataset."""

    def read_layout(self) -> CatalogLayout:
        """Return the files with their ranges of the spatial index."""
