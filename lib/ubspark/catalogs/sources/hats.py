"""HATS catalogs as a source: every row, with what the catalog says of itself and its columns."""

from dataclasses import dataclass, field

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from ubspark.catalogs.hats.catalog import HatsCatalog
from ubspark.catalogs.hats.opening import open_hats
from ubspark.catalogs.hats.spark import to_dataframe
from ubspark.catalogs.hats.stated import select_inherited
from ubspark.catalogs.schema import TableColumn
from ubspark.catalogs.sources.base import Source, SourceColumn
from ubspark.catalogs.sources.names import make_table_names, make_table_type
from ubspark.catalogs.sources.schema import tell_unsigned
from ubspark.columns import HEALPIX_29
from ubspark.errors import SchemaError

__all__ = ["HATS_PROPERTY", "HatsSource", "open_hats_source"]

#: Begins the properties of a table that were those of a catalog.
HATS_PROPERTY = "ubspark.hats."


@dataclass(frozen=True)
class HatsSource(Source):
    """The rows of a catalog of any version of the format."""

    catalog: HatsCatalog = field(kw_only=True)

    def open_pieces(self) -> None:
        """Return None: Spark reads the catalog."""

    def _read(self, spark: SparkSession) -> DataFrame:
        names = {new: old for old, new in self.renamed.items()}
        stored = [names.get(column.name, column.name) for column in self.columns]
        rows = to_dataframe(self.catalog, spark, columns=stored)
        schema = self.spark_schema
        return rows.select(
            *(
                F.col("`" + old.replace("`", "``") + "`").cast(field.dataType).alias(field.name)
                for old, field in zip(stored, schema.fields, strict=True)
            )
        )


def open_hats_source(path: str) -> HatsSource:
    """Open a catalog, or the primary catalog of a collection, as a source.

    Raises
    ------
    UbsparkError
        As `open_hats`; also where the catalog is an index, whose rows are those of another one.
    """
    catalog = open_hats(path)
    if not catalog.is_catalog:
        msg = f"`{path}` is an index, without positions; ingest the catalog that it belongs to."
        raise SchemaError(msg)
    columns = [column for column in catalog.schema.columns if column.name != HEALPIX_29.name]
    names = make_table_names([column.name for column in columns], path)
    roles = {role: names[column] for role, column in catalog.roles.columns.items()}
    inherited = select_inherited(catalog.properties.entries)
    if catalog.properties.kind == "source":
        inherited["dataproduct_type"] = "source"
    return HatsSource(
        path=path,
        format="hats",
        columns=tuple(_describe(column, names[column.name], path) for column in columns),
        files=tuple(catalog.folder.join(file.path) for file in catalog.files),
        n_rows=catalog.n_rows,
        frame="ICRS",
        epoch=catalog.roles.epoch,
        renamed={old: new for old, new in names.items() if old != new},
        roles=roles,
        properties={HATS_PROPERTY + key: value for key, value in inherited.items()},
        remarks=_remark(catalog, names),
        catalog=catalog,
    )


def _describe(column: TableColumn, name: str, path: str) -> SourceColumn:
    kind = make_table_type(column.type, path)
    return SourceColumn(name, kind, column.unit, column.ucd, column.description, column.extra)


def _remark(catalog: HatsCatalog, names: dict[str, str]) -> tuple[str, ...]:
    """Say what becomes of types that a table cannot hold."""
    unsigned = (name for name in names if pa.types.is_uint64(catalog.stored.field(name).type))
    return tell_unsigned(names[name] for name in unsigned)
