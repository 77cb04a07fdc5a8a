"""Parquet files: read by Spark itself, and by Arrow where Spark lacks a type."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, from_arrow_type

from ubspark.catalogs.kept_types import keep_type
from ubspark.catalogs.layout import naming
from ubspark.catalogs.sources.base import Source, SourceColumn
from ubspark.catalogs.sources.files import validate_content
from ubspark.catalogs.sources.names import make_table_names, make_table_type
from ubspark.catalogs.sources.parquet_notes import read_notes
from ubspark.catalogs.sources.pieces import PieceReader
from ubspark.catalogs.sources.schema import merge_types, tell_unsigned, to_table_type
from ubspark.errors import SchemaError, SourceError

__all__ = ["ParquetSource", "list_group_bytes", "needs_arrow", "open_parquet"]

BATCH_ROWS = 32_768
#: Decompressed bytes of row groups that one task reads.
_PIECE_BYTES = 64 << 20


@dataclass(frozen=True)
class ParquetSource(Source):
    """Rows of Parquet files that share their columns."""

    #: The Parquet files: `files`, or copies of them where those have another format.
    data_files: tuple[str, ...] = ()
    #: Columns as the files name them, with the types of the table.
    stored: pa.Schema = None
    #: True if Spark cannot read a column as it is stored.
    needs_arrow: bool = False
    #: Bytes of the row groups of each file, decompressed.
    group_bytes: tuple[tuple[int, ...], ...] = ()

    def open_pieces(self) -> PieceReader | None:
        """Return row groups; None where fields of structs are called otherwise in the table."""
        if self.stored.types != [column.type for column in self.columns]:
            return None
        return self._open_groups(self.arrow_schema)

    def _open_groups(self, schema: pa.Schema) -> "_RowGroupReader":
        stored = dict(zip(schema.names, self.stored.names, strict=True))
        return _RowGroupReader(schema, self.data_files, _join_groups(self.group_bytes), stored)

    def _read(self, spark: SparkSession) -> DataFrame:
        rows = self._read_by_arrow(spark) if self.needs_arrow else self._read_by_spark(spark)
        # Structs are cast by position: that renames fields a table could not hold.
        return rows.select(
            *(
                F.col("`" + old.replace("`", "``") + "`")
                .cast(from_arrow_type(column.type))
                .alias(column.name)
                for old, column in zip(rows.columns, self.columns, strict=True)
            )
        )

    def _read_by_spark(self, spark: SparkSession) -> DataFrame:
        """Let Spark read the files by the schema found in their footers."""
        reader = spark.read.schema(from_arrow_schema(self.stored))
        return reader.parquet(*(_to_hadoop_path(file) for file in self.data_files))

    def _read_by_arrow(self, spark: SparkSession) -> DataFrame:
        """Let tasks read row groups and convert them."""
        reader, schema = self._open_groups(self.stored), from_arrow_schema(self.stored)
        if reader.n_pieces == 0:
            return spark.createDataFrame([], schema)
        return reader.create_numbers(spark).mapInArrow(reader, schema)


@dataclass(frozen=True)
class _RowGroupReader(PieceReader):
    """Reads row groups."""

    files: tuple[str, ...]
    #: Of each piece: number of the file, number of the row group in it.
    groups: tuple[tuple[tuple[int, int], ...], ...]
    #: Name in the files, by column.
    stored: Mapping[str, str]

    @property
    def n_pieces(self) -> int:
        return len(self.groups)

    def read(self, piece: int) -> Iterator[pa.RecordBatch]:
        for file, group in self.groups[piece]:
            with naming(self.files[file]), _open_file(self.files[file]) as parquet:
                there = set(parquet.schema_arrow.names)
                names = [self.stored[name] for name in self.schema.names]
                wanted = [name for name in names if name in there]
                rows = parquet.iter_batches(BATCH_ROWS, row_groups=[group], columns=wanted)
                for batch in rows:
                    yield self._convert(batch)

    def _convert(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows in the types of the table; a column the file lacks is null."""
        arrays = [
            # Not `safe`: nanoseconds are cut to microseconds, as was warned at opening.
            batch.column(self.stored[column.name]).cast(column.type, safe=False)
            if self.stored[column.name] in batch.schema.names
            else pa.nulls(batch.num_rows, column.type)
            for column in self.schema
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _join_groups(
    group_bytes: Sequence[Sequence[int]],
) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Return pieces of row groups, one after the other, so that none is tiny."""
    pieces: list[list[tuple[int, int]]] = []
    room = 0
    for file, sizes in enumerate(group_bytes):
        for group, size in enumerate(sizes):
            if size > room:
                pieces.append([])
                room = _PIECE_BYTES
            pieces[-1].append((file, group))
            room -= size
    return tuple(map(tuple, pieces))


@dataclass(frozen=True)
class _Footer:
    """What one file says at its end."""

    schema: pa.Schema
    n_rows: int
    group_bytes: tuple[int, ...]


def open_parquet(
    path: str, files: Sequence[Path], *, names: Sequence[Path] | None = None
) -> ParquetSource:
    """Open Parquet files by their footers; columns that a file lacks are null in its rows.

    Parameters
    ----------
    path
        As the user gave it.
    files
        The files.
    names
        How the user knows them, where they are copies.

    Raises
    ------
    SourceError
        If a file is not Parquet, or its footer is missing or damaged.
    SchemaError
        If files give one column types that do not go together, or a table cannot hold one.
    """
    with ThreadPoolExecutor(8) as pool:
        footers = list(pool.map(_read_footer, files))
    _warn_of_partitions(path, files)
    arrow_types = _merge_schemas(names or files, [footer.schema for footer in footers])
    titles = make_table_names(list(arrow_types), path)
    stored = {
        name: to_table_type(arrow_type, column=name, path=path)
        for name, arrow_type in arrow_types.items()
    }
    _warn_of_nanoseconds(path, arrow_types)
    notes = read_notes(footers[0].schema)
    return ParquetSource(
        path=path,
        format="parquet",
        columns=tuple(
            _describe(
                titles[name],
                make_table_type(kind, path),
                notes.columns.get(name, {}),
                arrow_types[name],
            )
            for name, kind in stored.items()
        ),
        files=tuple(str(file) for file in files),
        n_rows=sum(footer.n_rows for footer in footers),
        remarks=tell_unsigned(
            titles[name] for name, kind in arrow_types.items() if pa.types.is_uint64(kind)
        ),
        frame=notes.frame,
        epoch=notes.epoch,
        renamed={old: new for old, new in titles.items() if old != new},
        data_files=tuple(str(file) for file in files),
        stored=pa.schema(list(stored.items())),
        needs_arrow=any(needs_arrow(kind) for f in footers for kind in f.schema.types),
        group_bytes=tuple(footer.group_bytes for footer in footers),
    )


def _open_file(file: str | Path) -> pq.ParquetFile:
    """Open a file; INT96 timestamps of old writers are read in microseconds."""
    return pq.ParquetFile(file, coerce_int96_timestamp_unit="us")


def _read_footer(file: Path) -> _Footer:
    """Return the footer of one file, or say that it has none."""
    validate_content(file, "Parquet")
    try:
        with _open_file(file) as parquet:
            metadata = parquet.metadata
            return _Footer(parquet.schema_arrow, metadata.num_rows, list_group_bytes(metadata))
    except (pa.ArrowException, OSError) as error:
        msg = (
            f"`{file}` cannot be read as Parquet: its footer is missing or damaged. "
            "It may have been cut short; fetch it again."
        )
        raise SourceError(msg) from error


def list_group_bytes(metadata: pq.FileMetaData) -> tuple[int, ...]:
    """Return the decompressed bytes of each row group."""
    return tuple(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))


def _merge_schemas(files: Sequence[Path], schemas: Sequence[pa.Schema]) -> dict[str, pa.DataType]:
    """Return the columns of all files, in the order of their first appearance."""
    merged: dict[str, pa.DataType] = {}
    for file, schema in zip(files, schemas, strict=True):
        if len(set(schema.names)) < len(schema.names):
            make_table_names(schema.names, str(file))
        for column in schema:
            known = merged.setdefault(column.name, column.type)
            both = merge_types(known, column.type)
            if both is None:
                msg = (
                    f"Column `{column.name}` has type {column.type} in `{file}` "
                    f"and {known} in a file before it. Convert one of them."
                )
                raise SchemaError(msg)
            merged[column.name] = both
    return merged


def _describe(
    name: str, kind: pa.DataType, notes: dict[str, str], stored: pa.DataType
) -> SourceColumn:
    """Return a column with the unit, UCD and description its file gives, and its own type."""
    return SourceColumn(
        name,
        kind,
        unit=notes.get("unit"),
        ucd=notes.get("ucd"),
        description=notes.get("description"),
        # Nulls alone say nothing of the values that later files may bring.
        extra={} if pa.types.is_null(stored) else keep_type(stored, kind),
    )


def needs_arrow(arrow_type: pa.DataType) -> bool:
    """Tell whether Spark cannot read values as stored, or would shift them by its time zone."""
    if pa.types.is_timestamp(arrow_type):
        return arrow_type.unit == "ns" or arrow_type.tz is None
    if pa.types.is_float16(arrow_type) or pa.types.is_null(arrow_type):
        return True
    return any(needs_arrow(arrow_type.field(n).type) for n in range(arrow_type.num_fields))


def _warn_of_nanoseconds(path: str, arrow_types: dict[str, pa.DataType]) -> None:
    """Warn once for all columns whose nanoseconds a table cannot keep."""
    names = [
        f"`{name}`"
        for name, kind in arrow_types.items()
        if pa.types.is_timestamp(kind) and kind.unit == "ns"
    ]
    if names:
        msg = f"Nanoseconds of {', '.join(names)} in `{path}` are cut to microseconds."
        warnings.warn(msg, stacklevel=4)


def _warn_of_partitions(path: str, files: Sequence[Path]) -> None:
    """Warn of columns that stand in folder names (``Norder=3``) and are not read."""
    root = Path(path).expanduser().resolve()
    inside = [file.relative_to(root) for file in files if file.is_relative_to(root)]
    folders = {part for file in inside for part in file.parts[:-1]}
    keys = sorted({folder.partition("=")[0] for folder in folders if "=" in folder})
    if keys:
        msg = (
            f"Folder names below `{path}` hold the columns {', '.join(keys)}; "
            "only columns inside the files are read."
        )
        warnings.warn(msg, stacklevel=4)


def _to_hadoop_path(file: str) -> str:
    """Return a file as Spark names it: a path is no other file system, no name a wildcard."""
    place = file.replace("s3://", "s3a://", 1) if "://" in file else "file://" + file
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", place)
