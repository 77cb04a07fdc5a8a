"""A HATS catalog, opened: its rows by ranges of the sky, its schema, its margins and indexes."""

import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from ubspark.catalogs.hats.folder import Folder, FolderFile
from ubspark.catalogs.hats.footers import Footers, read_footers
from ubspark.catalogs.hats.layout import MAX_FOOTERS, HatsLayout
from ubspark.catalogs.hats.manifest import compute_manifest, compute_manifest_digest, has_footers
from ubspark.catalogs.hats.partitions import (
    PARTITION_FILE,
    IntArray,
    Partitions,
    find_dataset,
    find_index_files,
    find_partition_files,
    validate_listed,
)
from ubspark.catalogs.hats.properties import CollectionProperties, HatsProperties
from ubspark.catalogs.hats.spatial_index import SpatialIndex
from ubspark.catalogs.layout import open_filesystem
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.scanning import scan_bounds
from ubspark.catalogs.schema import TableSchema
from ubspark.errors import SchemaError

__all__ = ["HatsCatalog"]

_EVERYWHERE = (np.iinfo(np.int64).min, np.iinfo(np.int64).max)
#: Where nothing is stated.
_ROWS_PER_BYTE = 0.01


@dataclass(frozen=True, eq=False)
class HatsCatalog:
    """A catalog in the HATS format; its files are not looked at before they are needed.

    Attributes
    ----------
    uri
        The folder of the catalog itself, below that of its collection.
    schema
        The columns as tables hold them, with ``_healpix_29`` first where rows can have one.
    stored
        The columns as the files hold them.
    partitions
        Pixels in sky order; None for an index, whose files follow no pixels.
    collection
        The collection that it was opened through.
    known_by
        Whether the manifest holds the digests of whole files or of their footers; by size if None.
    """

    uri: str
    properties: HatsProperties
    schema: TableSchema
    roles: CatalogRoles
    stored: pa.Schema = field(repr=False)
    index: SpatialIndex
    partitions: Partitions | None = field(repr=False)
    collection: CollectionProperties | None = None
    known_by: Literal["files", "footers"] | None = None

    def __str__(self) -> str:
        """Return the place."""
        return self.uri

    @property
    def is_catalog(self) -> bool:
        """Whether rows can have the spatial index and lie in the order of the sky."""
        return self.index.is_known and self.partitions is not None

    @property
    def folder(self) -> Folder:
        """The folder of the catalog."""
        return Folder(self.uri)

    @cached_property
    def _files_by_partition(self) -> list[list[FolderFile]]:
        if not self.properties.has_leaf_files:
            return []
        if self.partitions is None:
            return [find_index_files(self.folder, self.properties)]
        found = find_partition_files(self.folder, self.properties, self.partitions)
        if self._is_placed:
            validate_listed(self.folder, self.properties, self.partitions)
        return found

    @cached_property
    def files(self) -> tuple[FolderFile, ...]:
        """The data files, in the order of the sky.

        Raises
        ------
        InputMissingError
            If the catalog names a partition whose file is not there.
        """
        return tuple(file for files in self._files_by_partition for file in files)

    @cached_property
    def footers(self) -> Footers:
        """The footers of all files, checked against the schema.

        Raises
        ------
        SourceError
            If a file is damaged.
        SchemaError
            If its columns do not fit the catalog's.
        """
        found = self.read_footers(self.files)
        stated = self.properties.n_rows
        if stated not in (None, found.n_rows):
            msg = (
                f"Catalog `{self.uri}` says `hats_nrows={stated}`, but its files hold "
                f"{found.n_rows} rows, which is what counts."
            )
            warnings.warn(msg, stacklevel=3)
        return found

    def read_footers(self, files: tuple[FolderFile, ...]) -> Footers:
        """Return the footers of some files, checked against the schema."""
        found = read_footers([self.folder.join(file.path) for file in files])
        found.validate(self.stored, needed=self._needed if self.is_catalog else ())
        if self._is_placed and self.partitions is not None:
            limits = self._find_limits()
            found.validate_places(self.index, [limits[file.path] for file in files])
        return found

    @property
    def _needed(self) -> tuple[str, ...]:
        """The columns that every file must have: without its position a row is in no region."""
        known = (self.roles.get(role) for role in ("ra", "dec"))
        positions = (name for name in known if name is not None and name in self.stored.names)
        return tuple(dict.fromkeys([*self.index.sources, *positions]))

    def _find_limits(self) -> dict[str, tuple[int, int]]:
        """Return the half-open range of ``_healpix_29`` of each file."""
        ranges = [] if self.partitions is None else self.partitions.ranges.tolist()
        pairs = zip(ranges, self._files_by_partition, strict=False)
        return {file.path: (low, high) for (low, high), files in pairs for file in files}

    @property
    def n_rows(self) -> int:
        """Number of rows: counted in the footers, or as stated where there are very many files."""
        stated = self.properties.n_rows
        is_counted = stated is None or self.n_files <= MAX_FOOTERS
        return self.footers.n_rows if is_counted else int(stated or 0)

    @property
    def n_bytes(self) -> int:
        """Bytes of the data files."""
        return sum(file.n_bytes for file in self.files)

    @property
    def n_files(self) -> int:
        """Number of data files."""
        return len(self.files)

    @cached_property
    def manifest(self) -> list[tuple[str, int, str]]:
        """Path, bytes and digest of every file that makes up the rows; see `compute_manifest`."""
        dataset = find_dataset(self.folder)
        metadata = [self.properties.file, PARTITION_FILE]
        metadata += [dataset + name for name in ("_common_metadata", "_metadata")]
        return compute_manifest(self.folder, metadata, self.files, known_by=self.known_by)

    @property
    def is_known_by_footers(self) -> bool:
        """Whether a byte that changes inside a column leaves the digest as it is."""
        return has_footers(self.manifest)

    @property
    def digest(self) -> str:
        """Digest of the manifest: what stands for the version of a catalog that keeps none."""
        return compute_manifest_digest(self.manifest)

    def select_files(self, ranges: IntArray | None) -> tuple[FolderFile, ...]:
        """Return the files of the partitions that meet half-open ranges of ``_healpix_29``.

        Those of a margin, whose rows lie outside of their pixel, are all returned.
        """
        if ranges is None or not self._is_placed or self.partitions is None:
            return self.files
        own = self.partitions.ranges
        first = np.searchsorted(ranges[:, 1], own[:, 0], side="right")
        meets = first < len(ranges)
        meets[meets] = ranges[first[meets], 0] < own[meets, 1]
        found = zip(self._files_by_partition, meets, strict=True)
        return tuple(file for files, is_met in found if is_met for file in files)

    def read_layout(self) -> HatsLayout:
        """Return the files with the ranges of ``_healpix_29`` that their pixels allow.

        Raises
        ------
        SchemaError
            If rows have no index and none can be computed.
        """
        if not self.is_catalog or self.partitions is None:
            msg = (
                f"Catalog `{self.uri}` of type {self.properties.kind} has no spatial index: "
                f"neither a column `_healpix_29` nor positions to compute it from."
            )
            raise SchemaError(msg)
        ranges = [
            (low, high - 1) if self._is_placed else _EVERYWHERE
            for (low, high), files in zip(
                self.partitions.ranges.tolist(), self._files_by_partition, strict=True
            )
            for _ in files
        ]
        low, high = np.array(ranges, dtype=np.int64).reshape(-1, 2).T
        n_bytes = np.array([file.n_bytes for file in self.files], dtype=np.int64)
        per_byte = (self.properties.n_rows or 0) / max(1, int(n_bytes.sum())) or _ROWS_PER_BYTE
        return HatsLayout(
            paths=tuple(self.folder.join(file.path) for file in self.files),
            groups=np.full(len(n_bytes), -1, dtype=np.int64),
            low=low,
            high=high,
            n_rows=np.maximum(1, n_bytes * per_byte).astype(np.int64),
            n_bytes=n_bytes,
            schema=self.schema.to_arrow(),
            stored=self.stored,
            index=self.index,
            needed=self._needed,
        )

    @property
    def _is_placed(self) -> bool:
        """Whether the rows of a partition lie in its pixel."""
        return self.properties.kind in ("object", "source")

    def read_bounds(self, column: str) -> tuple[float, float] | None:
        """Return the smallest and largest value of a column, where every footer states both."""
        return self.footers.read_bounds(column)

    def count_nulls(self, column: str) -> int:
        """Return the nulls of a flat column, from the footers where they say so."""
        known = self.footers.count_nulls(column)
        if known is not None:
            return known
        return int(self.to_dataset().count_rows(filter=pc.field(column).is_null()))

    def scan_bounds(self, column: str) -> tuple[float, float]:
        """Return the smallest and largest value of a column by reading it; NaN does not count."""
        return scan_bounds(self.to_dataset(), column)

    def to_dataset(self) -> ds.Dataset:
        """Return the rows as an Arrow dataset, without an index that is computed."""
        paths = [open_filesystem(self.folder.join(file.path)) for file in self.files]
        kinds = self.schema.to_arrow()
        schema = pa.schema([kinds.field(name) for name in kinds.names if name in self.stored.names])
        if not paths:
            return ds.dataset(schema.empty_table())
        names = [path for _, path in paths]
        return ds.dataset(names, schema=schema, filesystem=paths[0][0], format="parquet")
