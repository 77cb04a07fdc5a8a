"""Reading a HATS catalog into Spark: its own vectorised scan of the partitions that are needed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf

from ubspark.catalogs.filters import columns_of, parse_condition, to_spark
from ubspark.catalogs.hats.catalog import HatsCatalog
from ubspark.catalogs.hats.folder import FolderFile
from ubspark.catalogs.hats.layout import MAX_FOOTERS
from ubspark.catalogs.hats.opening import open_hats
from ubspark.catalogs.hats.spatial_index import SpatialIndex
from ubspark.catalogs.schema import TableColumn
from ubspark.catalogs.sources.base import SourceColumn
from ubspark.catalogs.sources.parquet import ParquetSource, list_group_bytes, needs_arrow
from ubspark.catalogs.sources.schema import to_table_type
from ubspark.columns import HEALPIX_29, HEALPIX_ORDER
from ubspark.errors import SchemaError
from ubspark.sky.healpix import find_in_ranges
from ubspark.sky.regions import Region, parse_region

__all__ = ["read_hats", "to_dataframe"]

IntArray = NDArray[np.int64]

#: Spark hands this many ranges to the Parquet reader; more are joined over their gaps.
_MAX_PUSHED = 32
#: The stubs of Spark 4.2 know only some shapes of Arrow functions.
_arrow_udf: Any = arrow_udf


def read_hats(
    spark: SparkSession,
    path: str,
    *,
    columns: Sequence[str] | None = None,
    region: Region | str | None = None,
    where: str | None = None,
    version: str | None = None,
) -> DataFrame:
    """Read a HATS catalog, the primary catalog of a collection, a margin, index or association.

    Parameters
    ----------
    path
        Path or URI of the folder.
    columns
        Columns to return, in this order; all by default, with ``_healpix_29`` first where rows
        can have one.
    region
        Part of the sky outside of which rows are left out, such as ``cone 56.75 24.1 2 deg``; see
        `ubspark.sky.regions`.
    where
        Condition on the rows, such as ``mag < 18``; see `ubspark.catalogs.filters`.
    version
        Refuse the catalog unless it is of this version; see `open_hats`.

    Returns
    -------
    DataFrame
        Lazy, with units and descriptions in the metadata of its columns. No shuffle.

    Raises
    ------
    UbsparkError
        With one sentence that names what is broken in the catalog, or what is not in it.
    """
    catalog = open_hats(path, version=version)
    return to_dataframe(catalog, spark, columns=columns, region=region, where=where)


def to_dataframe(
    catalog: HatsCatalog,
    spark: SparkSession,
    *,
    columns: Sequence[str] | None = None,
    region: Region | str | None = None,
    where: str | None = None,
) -> DataFrame:
    """Read an opened catalog; the arguments are those of `read_hats`."""
    names = list(catalog.schema.names if columns is None else columns)
    catalog.schema.validate_columns(names, table=catalog.uri)
    asked = set(names)
    condition = None
    if where is not None:
        condition = parse_condition(where, catalog.schema, table=catalog.uri)
        asked |= set(columns_of(condition))
    part = parse_region(region) if isinstance(region, str) else region
    if part is not None:
        asked |= _find_region_columns(catalog, part)
    files = catalog.select_files(None if part is None else part.ranges)
    rows = _scan(catalog, spark, files, asked)
    if part is not None:
        rows = _skip_outside(rows, catalog.index, part.ranges)
    if catalog.index.is_known and HEALPIX_29.name in asked:
        rows = _with_index(rows, catalog.index)
    if part is not None:
        rows = _filter_region(rows, catalog.index, part)
    if condition is not None:
        rows = rows.where(to_spark(condition))
    return rows.select(*(_describe(catalog.schema[name]) for name in names))


def _find_region_columns(catalog: HatsCatalog, region: Region) -> set[str]:
    """Return the columns that tell which rows lie in a region."""
    index = catalog.index
    if region.is_exact and index.is_known:
        return {HEALPIX_29.name}
    if index.ra is None or index.dec is None:
        msg = f"Catalog `{catalog.uri}` names no positions; `region` cannot be taken from it."
        raise SchemaError(msg)
    return {index.ra, index.dec, *([index.column] if index.column else [])}


def _scan(
    catalog: HatsCatalog, spark: SparkSession, files: tuple[FolderFile, ...], asked: set[str]
) -> DataFrame:
    """Return columns of some files, as Spark itself reads them wherever it can."""
    needed = set(asked)
    if catalog.index.is_known and HEALPIX_29.name in asked:
        needed |= {*catalog.index.sources, catalog.index.column or ""}
    names = [name for name in catalog.stored.names if name in needed]
    columns = tuple(
        SourceColumn(
            name, to_table_type(catalog.stored.field(name).type, column=name, path=catalog.uri)
        )
        for name in names
    )
    paths = tuple(catalog.folder.join(file.path) for file in files)
    by_arrow = any(needs_arrow(catalog.stored.field(name).type) for name in names)
    # Of very many files Spark itself finds out what is wrong.
    is_checked = by_arrow or len(files) <= MAX_FOOTERS
    footers = _read_footers(catalog, files) if is_checked else ()
    source = ParquetSource(
        path=catalog.uri,
        format="hats",
        columns=columns,
        files=paths,
        n_rows=None,
        data_files=paths,
        stored=pa.schema([(column.name, column.type) for column in columns]),
        needs_arrow=by_arrow,
        group_bytes=tuple(list_group_bytes(footer) for footer in footers),
    )
    if not files:
        return spark.createDataFrame([], source.spark_schema)
    return source.to_dataframe(spark)


def _read_footers(
    catalog: HatsCatalog, files: tuple[FolderFile, ...]
) -> tuple[pq.FileMetaData, ...]:
    """Return the footers of some files; of all of them, their rows are compared with the stated."""
    is_whole = len(files) == catalog.n_files
    return (catalog.footers if is_whole else catalog.read_footers(files)).files


def _skip_outside(rows: DataFrame, index: SpatialIndex, ranges: IntArray) -> DataFrame:
    """Drop what the Parquet reader can of the rows outside the ranges, by comparisons only."""
    if index.column is None or index.column not in rows.columns:
        return rows
    column, shift = _column(index.column), 2 * (HEALPIX_ORDER - index.order)
    condition = F.lit(False)
    for low, high in _join_gaps(ranges).tolist():
        condition |= (column >= (low >> shift)) & (column <= ((high - 1) >> shift))
    return rows.where(condition)


def _with_index(rows: DataFrame, index: SpatialIndex) -> DataFrame:
    """Add ``_healpix_29``."""
    if index.is_exact:
        return rows.withColumn(HEALPIX_29.name, _column(str(index.column)).cast("long"))
    sources = index.sources

    def compute(*values: pa.Array) -> pa.Array:
        return pa.array(index.compute(pa.table(list(values), names=list(sources))))

    function = _arrow_udf(compute, "long")
    return rows.withColumn(HEALPIX_29.name, function(*(_column(name) for name in sources)))


def _filter_region(rows: DataFrame, index: SpatialIndex, region: Region) -> DataFrame:
    """Keep exactly the rows that lie in the region."""
    ranges = region.ranges
    if region.is_exact and index.is_known:
        if index.is_exact and len(ranges) <= _MAX_PUSHED:
            return rows

        def lies_in_ranges(healpix: pa.Array) -> pa.Array:
            return pa.array(find_in_ranges(healpix.to_numpy(zero_copy_only=False), ranges))

        return rows.where(_arrow_udf(lies_in_ranges, "boolean")(F.col(HEALPIX_29.name)))

    def contains(ra: pa.Array, dec: pa.Array) -> pa.Array:
        # Copies: kernels take no arrays that cannot be written to, as Arrow's are.
        parts = (part.cast(pa.float64()).to_numpy(zero_copy_only=False) for part in (ra, dec))
        return pa.array(region.contains(*(np.array(part) for part in parts)))

    places = (_column(str(name)) for name in (index.ra, index.dec))
    return rows.where(_arrow_udf(contains, "boolean")(*places))


def _join_gaps(ranges: IntArray) -> IntArray:
    """Return at most `_MAX_PUSHED` ranges that cover all, joined over the smallest gaps."""
    if len(ranges) <= _MAX_PUSHED:
        return ranges
    gaps = ranges[1:, 0] - ranges[:-1, 1]
    kept = np.sort(np.argsort(gaps)[-(_MAX_PUSHED - 1) :])
    low = ranges[np.concatenate([[0], kept + 1]), 0]
    high = ranges[np.concatenate([kept, [len(ranges) - 1]]), 1]
    return np.stack([low, high], axis=1)


def _describe(column: TableColumn) -> Column:
    """Return a column with what the catalog says of it as metadata."""
    return _column(column.name).alias(column.name, metadata=column.to_delta()["metadata"])


def _column(name: str) -> Column:
    return F.col("`" + name.replace("`", "``") + "`")
