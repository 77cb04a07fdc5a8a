"""What a notebook calls: run a job, look at its plan, read a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from astropy.table import Column, MaskedColumn, Table
from pyspark.sql import SparkSession

from ubspark.catalogs.addresses import parse_address
from ubspark.catalogs.delta import TableVersion, open_table
from ubspark.catalogs.filters import parse_condition
from ubspark.catalogs.selection import read_rows
from ubspark.recipes.base import Fact
from ubspark.runtime.config import JobConfig, load_job, parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import RunOutcome, plan_job, run_job
from ubspark.runtime.tables import locate_table
from ubspark.sky.regions import parse_region

__all__ = ["plan", "read_table", "run"]


def run(
    job: str | Path | Mapping[str, Any],
    *,
    set: Mapping[str, Any] | None = None,  # noqa: A002 - as on the command line
    spark: SparkSession | None = None,
    force: bool = False,
) -> RunOutcome:
    """Run a job: the same as ``ubspark run``.

    Parameters
    ----------
    job
        A job file, or its content.
    set
        Dotted keys and values that win over the file, such as ``{"params.radius": "2 arcsec"}``.
    spark
        A session to use; by default the active one, or a new one.
    force
        Compute even where the outputs already hold this very result.

    Returns
    -------
    RunOutcome
        ``record`` of the run, ``outputs`` by name, and whether they were already made.

    Raises
    ------
    UbsparkError
        With one sentence.
    """
    return run_job(_load(job, set), spark=spark, force=force)


def plan(
    job: str | Path | Mapping[str, Any],
    *,
    set: Mapping[str, Any] | None = None,  # noqa: A002 - as on the command line
) -> list[Fact]:
    """Return what a job would read and do; nothing is run."""
    return plan_job(_load(job, set))[1]


def read_table(
    address: str,
    *,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    region: str | None = None,
) -> Table:
    """Read a table, or a part of it, into memory.

    Parameters
    ----------
    address
        Name, path or URI, with ``@vN`` for an old version.
    columns
        Columns to read; all by default.
    where
        Condition on the rows, such as ``phot_g_mean_mag < 6``.
    region
        Part of the sky, such as ``cone 56.75 24.1 2 deg``; rows then come in sky order.

    Returns
    -------
    astropy.table.Table
        With units and descriptions, UCDs in ``meta`` of the columns; null is masked.

    Raises
    ------
    UbsparkError
        If the table, a column or the version is not there.
    """
    asked = parse_address(address)
    uri = locate_table(asked, Home.find().warehouse)
    table = open_table(uri, version=asked.version, name=asked.place)
    names = list(columns or table.schema.names)
    table.schema.validate_columns(names, table=asked.place)
    rows = read_rows(
        table,
        names,
        region=parse_region(region) if region else None,
        condition=parse_condition(where, table.schema, table=asked.place) if where else None,
    )
    return _to_astropy(table, rows)


def _to_astropy(table: TableVersion, rows: pa.Table) -> Table:
    columns = []
    for name in rows.column_names:
        facts = table.schema[name]
        column = rows[name]
        empty = column.is_null().to_numpy()
        about: dict[str, Any] = {"name": name, "unit": facts.unit}
        # Where astropy looks for a UCD when it writes a VOTable.
        about["meta"] = {"ucd": facts.ucd} if facts.ucd else None
        about["description"] = facts.description
        if pa.types.is_nested(column.type) or pa.types.is_decimal(column.type):
            values = np.empty(len(column), dtype=object)
            values[:] = column.to_pylist()
        elif pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
            values = column.fill_null(0).to_numpy()
        elif pa.types.is_floating(column.type):
            values = column.to_numpy()
        else:
            values = np.array(["" if v is None else str(v) for v in column.to_pylist()])
        columns.append(
            MaskedColumn(values, mask=empty, **about) if empty.any() else Column(values, **about)
        )
    return Table(columns, meta={"table": str(table), "table_id": table.table_id})


def _load(job: str | Path | Mapping[str, Any], settings: Mapping[str, Any] | None) -> JobConfig:
    listed = [f"{key}={value}" for key, value in (settings or {}).items()]
    return parse_job(job, listed) if isinstance(job, Mapping) else load_job(job, listed)
