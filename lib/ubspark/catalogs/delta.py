"""Reading the log of a Delta table without a JVM: versions, schema, files, history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from ubspark.catalogs.addresses import to_local_path
from ubspark.catalogs.digests import ContentDigest, compute_digest
from ubspark.catalogs.history import Commit, read_history
from ubspark.catalogs.layout import FileLayout, open_filesystem
from ubspark.catalogs.object_store import get_delta_options, validate_bucket
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.scanning import scan_bounds
from ubspark.catalogs.schema import TableSchema
from ubspark.columns import HEALPIX_29
from ubspark.errors import InputMissingError, SchemaError

__all__ = [
    "Commit",
    "TableVersion",
    "is_delta_table",
    "locate_file",
    "open_log",
    "open_table",
    "read_history",
]

#: Reader features under which the Parquet files of a table are its rows, as they stand.
_PLAIN_READER_FEATURES = frozenset({"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"})


@dataclass(frozen=True)
class TableVersion:
    """A Delta table at one version, as its log describes it."""

    uri: str
    table_id: str
    version: int
    schema: TableSchema
    properties: Mapping[str, str]
    _table: DeltaTable

    def __str__(self) -> str:
        """Return the place and the version."""
        return f"{self.uri}@v{self.version}"

    @property
    def roles(self) -> CatalogRoles:
        """What the columns stand for."""
        return CatalogRoles.from_properties(self.properties)

    @property
    def is_catalog(self) -> bool:
        """Whether the table carries the spatial index."""
        return HEALPIX_29.name in self.schema

    @cached_property
    def _actions(self) -> pa.Table:
        return pa.table(self._table.get_add_actions(flatten=True))

    def _read_log(self, fact: str) -> list[Any]:
        """Return what the log says of each file; None where it does not."""
        known = fact in self._actions.column_names
        return self._actions[fact].to_pylist() if known else [None] * self.n_files

    @property
    def n_rows(self) -> int:
        """Number of rows, from the statistics of the log."""
        return int(sum(n or 0 for n in self._read_log("num_records")))

    @property
    def n_bytes(self) -> int:
        """Bytes of the table's files."""
        return int(sum(self._actions["size_bytes"].to_pylist()))

    @property
    def n_files(self) -> int:
        """Number of the table's files."""
        return int(self._actions.num_rows)

    def read_bounds(self, column: str) -> tuple[float, float] | None:
        """Return the smallest and largest value of a column, where every file states both.

        A bound of NaN or infinity, as Spark writes them, says nothing of the other values.
        """
        facts = ("num_records", *(f"{what}.{column}" for what in ("null_count", "min", "max")))
        files = zip(*(self._read_log(fact) for fact in facts), strict=True)
        known = [pair for n_rows, nulls, *pair in files if n_rows is None or n_rows != (nulls or 0)]
        if self.n_files == 0 or any(None in pair for pair in known):
            return None
        bounds = np.array(known, dtype=np.float64).reshape(-1, 2)
        if not np.isfinite(bounds).all():
            return None
        return (float(bounds[:, 0].min()), float(bounds[:, 1].max())) if known else (0.0, 0.0)

    def count_nulls(self, column: str) -> int:
        """Return the nulls of a flat column, from the log where it says so of every file."""
        counts = self._read_log(f"null_count.{column}")
        if None not in counts:
            return int(sum(counts))
        return int(self.to_dataset().count_rows(filter=pc.field(column).is_null()))

    def scan_bounds(self, column: str) -> tuple[float, float]:
        """Return the smallest and largest value of a column by reading it; NaN does not count."""
        return scan_bounds(self.to_dataset(), column)

    def read_digest(self) -> ContentDigest:
        """Return the digest of the rows, from the history where it says so of all of them."""
        newest = (c for c in read_history(self.uri) if c.version <= self.version and c.changed_data)
        record = next((commit.record for commit in newest), None) or {}
        spec, output = record.get("spec", {}), record.get("output")
        if spec.get("outputs", {}).get(output, {}).get("mode", "append") != "append":
            return ContentDigest.parse(str(record["digest"]))
        digest = ContentDigest.empty(self.schema.to_arrow())
        for batch in self.to_dataset().to_batches():
            digest = digest + compute_digest(batch)
        return digest

    def to_dataset(self) -> ds.Dataset:
        """Return the rows as an Arrow dataset, to scan without Spark."""
        if self.is_catalog:
            located: Sequence[str] = self.read_layout().paths
        else:
            self._validate_plain()
            root = self.uri.rstrip("/")
            located = [locate_file(root, path) for path in sorted(self._read_log("path"))]
        if not located:
            return ds.dataset(self.schema.to_arrow().empty_table())
        filesystem, _ = open_filesystem(located[0])
        paths = [open_filesystem(path)[1] for path in located]
        return ds.dataset(
            paths, schema=self.schema.to_arrow(), filesystem=filesystem, format="parquet"
        )

    def read_layout(self) -> FileLayout:
        """Return the files of a catalog table with their ranges of ``_healpix_29``.

        Raises
        ------
        SchemaError
            If the files cannot be read as plain Parquet, or the table has no spatial index.
        """
        self._validate_plain()
        facts = ("num_records", f"min.{HEALPIX_29.name}", f"max.{HEALPIX_29.name}", "size_bytes")
        columns = (self._read_log(fact) for fact in ("path", *facts))
        # Spark may leave files without rows, of which there are no minima.
        files = [file for file in zip(*columns, strict=True) if file[1] != 0]
        if any(None in file for file in files):
            msg = (
                f"Table `{self.uri}` has files without statistics of `{HEALPIX_29.name}` in its "
                f"log. Ingest it again with `ubspark ingest`."
            )
            raise SchemaError(msg)
        files.sort(key=lambda file: (file[2], file[0]))
        n_rows, low, high, n_bytes = (
            np.array([file[i] for file in files], dtype=np.int64) for i in range(1, 5)
        )
        root = self.uri.rstrip("/")
        paths = tuple(locate_file(root, file[0]) for file in files)
        return FileLayout(paths, low, high, n_rows, n_bytes, self.schema.to_arrow())

    def find_altered_file(self) -> str | None:
        """Return the name of a local file that is gone or has not the size that the log states.

        None if there is none. It asks the file system alone, so an altered byte is not seen:
        `read_digest` is for that.
        """
        if "://" in self.uri:
            return None
        root = self.uri.rstrip("/")
        for path, n_bytes in zip(self._read_log("path"), self._read_log("size_bytes"), strict=True):
            place = Path(locate_file(root, path))
            if not place.is_file() or place.stat().st_size != n_bytes:
                return place.name
        return None

    def _validate_plain(self) -> None:
        protocol = self._table.protocol()
        features = set(protocol.reader_features or ())
        foreign = features - _PLAIN_READER_FEATURES
        # Reader version 2 without features is column mapping.
        if foreign or (protocol.min_reader_version == 2 and not features):
            what = ", ".join(sorted(foreign)) or "columnMapping"
            msg = (
                f"Table `{self.uri}` uses the Delta features {what}, with which its files are not "
                f"its rows. Copy it with `ubspark ingest`, or turn them off."
            )
            raise SchemaError(msg)
        if self._table.metadata().partition_columns:
            msg = (
                f"Table `{self.uri}` is partitioned by columns; a catalog table is not. "
                f"Copy it with `ubspark ingest`."
            )
            raise SchemaError(msg)


def is_delta_table(uri: str) -> bool:
    """Whether a Delta table is at this place."""
    validate_bucket(uri)
    return bool(DeltaTable.is_deltatable(uri, get_delta_options(uri)))


def open_log(uri: str, *, version: int | None = None) -> DeltaTable:
    """Read the log of a table, wherever it lies.

    Raises
    ------
    UbsparkError
        If its object store cannot be reached; delta-rs says the rest in its own words.
    """
    validate_bucket(uri)
    return DeltaTable(uri, version=version, storage_options=get_delta_options(uri))


def open_table(uri: str, *, version: int | None = None, name: str | None = None) -> TableVersion:
    """Open a table at a version, the latest by default.

    Raises
    ------
    InputMissingError
        If there is no table, or no such version.
    """
    shown = name or uri
    try:
        table = open_log(uri)
    except (TableNotFoundError, DeltaError) as error:
        what = "is not there"
        if not isinstance(error, TableNotFoundError):
            what = f"cannot be read: {_shorten(error)}"
        elif Path(uri).exists():
            what = "holds no Delta table"
        msg = f"Table `{shown}` {what} ({uri}). `ubspark tables` lists those of the home folder."
        raise InputMissingError(msg) from error
    latest = table.version()
    if version is not None and version != latest:
        if version > latest:
            msg = f"Table `{shown}` has no version {version}; the latest is {latest}."
            raise InputMissingError(msg)
        try:
            table = open_log(uri, version=version)
        except DeltaError as error:
            msg = f"Version {version} of table `{shown}` can no longer be read: {_shorten(error)}."
            raise InputMissingError(msg) from error
    metadata = table.metadata()
    found = TableVersion(
        uri=uri,
        table_id=str(metadata.id),
        version=int(table.version()),
        schema=TableSchema.from_delta_json(table.schema().to_json()),
        properties=dict(metadata.configuration),
        _table=table,
    )
    if found.version != latest:
        _validate_files(found, shown)
    return found


def _validate_files(table: TableVersion, shown: str) -> None:
    """Refuse an old version whose local files were removed, by `ubspark gc` or by VACUUM."""
    if "://" in table.uri:
        return
    places = (locate_file(table.uri.rstrip("/"), path) for path in table._read_log("path"))
    gone = next((place for place in places if not Path(place).is_file()), None)
    if gone is not None:
        msg = (
            f"Version {table.version} of table `{shown}` was removed: its file "
            f"`{Path(gone).name}` is gone. `ubspark restore` brings it back from an archive."
        )
        raise InputMissingError(msg)


def locate_file(root: str, path: str) -> str:
    """Return the place of a file of the log; those of a shallow clone lie with its source."""
    if path.startswith("file:") or "://" in path:
        return to_local_path(path)
    return unquote(path) if path.startswith("/") else f"{root}/{unquote(path)}"


def _shorten(error: Exception) -> str:
    """Return the first line of an error of delta-rs, whose others are its own stack."""
    return str(error).strip().partition("\n")[0].rstrip(".")
