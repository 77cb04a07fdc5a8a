"""Reading the log of a Delta table without a JVM: versions, schema, files, history."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from ubspark.catalogs.layout import FileLayout, open_filesystem
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.schema import TableSchema
from ubspark.columns import HEALPIX_29
from ubspark.errors import InputMissingError, SchemaError

__all__ = ["Commit", "TableVersion", "is_delta_table", "open_table", "read_history"]

#: Reader features under which the Parquet files of a table are its rows, as they stand.
_PLAIN_READER_FEATURES = frozenset({"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"})
_OPERATIONS_WITHOUT_DATA = frozenset(
    {"OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "ADD CONSTRAINT"}
)


@dataclass(frozen=True)
class Commit:
    """One entry of a table's history."""

    version: int
    timestamp_ms: int
    operation: str
    #: What ubspark wrote into the commit; None for a commit of somebody else.
    record: Mapping[str, Any] | None

    @property
    def changed_data(self) -> bool:
        """Whether the commit may have changed the rows of the table."""
        return self.operation not in _OPERATIONS_WITHOUT_DATA


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

    @property
    def n_rows(self) -> int:
        """Number of rows, from the statistics of the log."""
        return int(sum(n or 0 for n in self._actions["num_records"].to_pylist()))

    @property
    def n_bytes(self) -> int:
        """Bytes of the table's files."""
        return int(sum(self._actions["size_bytes"].to_pylist()))

    @property
    def n_files(self) -> int:
        """Number of the table's files."""
        return int(self._actions.num_rows)

    def read_bounds(self, column: str) -> tuple[float, float] | None:
        """Return the smallest and largest value of a column, where every file states both."""
        names = [f"{which}.{column}" for which in ("min", "max")]
        if self.n_files == 0 or any(name not in self._actions.column_names for name in names):
            return None
        low, high = (self._actions[name] for name in names)
        empty = self._actions[f"null_count.{column}"].to_pylist()
        rows = self._actions["num_records"].to_pylist()
        pairs = zip(low.to_pylist(), high.to_pylist(), empty, rows, strict=True)
        known = [(lo, hi) for lo, hi, nulls, n in pairs if not (lo is None and nulls == n)]
        if not known or any(lo is None or hi is None for lo, hi in known):
            return (0.0, 0.0) if not known else None
        return float(min(lo for lo, _ in known)), float(max(hi for _, hi in known))

    def count_nulls(self, column: str) -> int:
        """Return the nulls of a flat column, from the statistics of the log."""
        name = f"null_count.{column}"
        known = name in self._actions.column_names
        return int(sum(n or 0 for n in self._actions[name].to_pylist())) if known else 0

    def scan_bounds(self, column: str) -> tuple[float, float]:
        """Return the smallest and largest value of a column by reading it; NaN does not count."""
        low, high = np.inf, -np.inf
        for batch in self.to_dataset().to_batches(columns=[column]):
            values = batch.column(0).cast(pa.float64()).to_numpy(zero_copy_only=False)
            values = values[np.isfinite(values)]
            if len(values):
                low, high = min(low, float(values.min())), max(high, float(values.max()))
        return (low, high) if low <= high else (0.0, 0.0)

    def to_dataset(self) -> ds.Dataset:
        """Return the rows as an Arrow dataset, to scan without Spark."""
        layout = self.read_layout()
        if not layout.paths:
            return ds.dataset(self.schema.to_arrow().empty_table())
        filesystem, _ = open_filesystem(layout.paths[0])
        paths = [open_filesystem(path)[1] for path in layout.paths]
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
        actions = self._actions
        names = [f"{which}.{HEALPIX_29.name}" for which in ("min", "max")]
        if actions.num_rows and any(name not in actions.column_names for name in names):
            msg = (
                f"Table `{self.uri}` has no statistics of `{HEALPIX_29.name}` in its log. "
                f"Ingest it again with `ubspark ingest`."
            )
            raise SchemaError(msg)
        root = self.uri.rstrip("/")
        paths = [f"{root}/{unquote(path)}" for path in actions["path"].to_pylist()]
        low, high = [actions[name].to_numpy() for name in names] if actions.num_rows else ([], [])
        order = np.lexsort((np.asarray(paths), np.asarray(low, dtype=np.int64)))
        return FileLayout(
            paths=tuple(paths[i] for i in order),
            low=np.asarray(low, dtype=np.int64)[order],
            high=np.asarray(high, dtype=np.int64)[order],
            n_rows=np.asarray(actions["num_records"].to_pylist(), dtype=np.int64)[order],
            n_bytes=np.asarray(actions["size_bytes"].to_pylist(), dtype=np.int64)[order],
            schema=self.schema.to_arrow(),
        )

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
    return bool(DeltaTable.is_deltatable(uri))


def open_table(uri: str, *, version: int | None = None, name: str | None = None) -> TableVersion:
    """Open a table at a version, the latest by default.

    Raises
    ------
    InputMissingError
        If there is no table, or no such version.
    """
    shown = name or uri
    try:
        table = DeltaTable(uri)
    except TableNotFoundError as error:
        what = "holds no Delta table" if Path(uri).exists() else "is not there"
        msg = f"Table `{shown}` {what} ({uri}). `ubspark tables` lists those of the home folder."
        raise InputMissingError(msg) from error
    latest = table.version()
    if version is not None and version != latest:
        if version > latest:
            msg = f"Table `{shown}` has no version {version}; the latest is {latest}."
            raise InputMissingError(msg)
        try:
            table = DeltaTable(uri, version=version)
        except DeltaError as error:
            msg = f"Version {version} of table `{shown}` can no longer be read: {error}."
            raise InputMissingError(msg) from error
    metadata = table.metadata()
    return TableVersion(
        uri=uri,
        table_id=str(metadata.id),
        version=int(table.version()),
        schema=TableSchema.from_delta_json(table.schema().to_json()),
        properties=dict(metadata.configuration),
        _table=table,
    )


def read_history(uri: str) -> list[Commit]:
    """Return the commits of a table, the newest first."""
    return [
        Commit(
            version=int(entry["version"]),
            timestamp_ms=int(entry["timestamp"]),
            operation=str(entry.get("operation")),
            record=_read_record(entry.get("userMetadata")),
        )
        for entry in DeltaTable(uri).history()
    ]


def _read_record(text: str | None) -> Mapping[str, Any] | None:
    try:
        record = json.loads(text or "")
    except ValueError:
        return None
    return record if isinstance(record, dict) and "ubspark" in record else None
