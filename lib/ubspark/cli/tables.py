"""Commands that look at tables: ``tables``, ``show``, ``history``. None of them starts Spark."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ubspark.catalogs.addresses import parse_address
from ubspark.catalogs.delta import open_table, read_history
from ubspark.catalogs.filters import parse_condition
from ubspark.catalogs.selection import read_rows
from ubspark.cli.output import print_json, print_table
from ubspark.errors import ParameterError
from ubspark.runtime.home import Home
from ubspark.runtime.tables import find_tables, locate_table
from ubspark.sky.regions import parse_region

__all__ = ["history", "show", "tables"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Table = Annotated[str, typer.Argument(metavar="TABLE", help="Name, path or URI; may end in @vN.")]


def tables(json: Json = False) -> None:
    """List the tables of the home folder; one that is damaged is marked.

    Example: ubspark tables
    """
    home = Home.find()
    rows = [
        (str(path.relative_to(home.warehouse)), *_describe_table(path))
        for path in find_tables(home.warehouse)
    ]
    header = ("table", "version", "rows", "files", "bytes", "id", "damage")
    if json:
        print_json([dict(zip(header, row, strict=True)) for row in rows])
        return
    n_shown = len(header) if any(row[-1] for row in rows) else len(header) - 1
    print_table(header[:n_shown], [row[:n_shown] for row in rows])


def show(
    table: Table,
    where: Annotated[
        str | None, typer.Option(help='Only rows for which this holds: "mag < 18 and ra > 10".')
    ] = None,
    region: Annotated[
        str | None, typer.Option(help='Only rows in a part of the sky: "cone 56.75 24.1 2 deg".')
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Columns, separated by commas.")] = None,
    limit: Annotated[int, typer.Option(help="Largest number of rows.")] = 20,
    schema: Annotated[bool, typer.Option("--schema", help="Show the columns instead.")] = False,
    json: Json = False,
) -> None:
    """Print rows, or the columns, of a table.

    Example: ubspark show gaia_dr3 --where "phot_g_mean_mag < 6" --limit 5
    """
    if limit < 0:
        msg = f"`--limit` must be at least 0, got {limit}."
        raise ParameterError(msg)
    address = parse_address(table)
    uri = locate_table(address, Home.find().warehouse)
    opened = open_table(uri, version=address.version, name=address.place)
    if schema:
        facts = [(c.name, str(c.type), c.unit, c.ucd, c.description) for c in opened.schema.columns]
        _print(("column", "type", "unit", "ucd", "description"), facts, json=json)
        return
    names = [name.strip() for name in columns.split(",")] if columns else list(opened.schema.names)
    opened.schema.validate_columns(names, table=address.place)
    rows = read_rows(
        opened,
        names,
        region=parse_region(region) if region else None,
        condition=parse_condition(where, opened.schema, table=address.place) if where else None,
        limit=limit,
    )
    _print(names, [list(row.values()) for row in rows.to_pylist()], json=json)


def history(table: Table, json: Json = False) -> None:
    """Print the versions of a table, up to @vN, with the runs that made them.

    Example: ubspark history hip_x_gaia
    """
    address = parse_address(table)
    uri = locate_table(address, Home.find().warehouse)
    last = open_table(uri, version=address.version, name=address.place).version
    rows = []
    for commit in read_history(uri):
        if commit.version > last:
            continue
        record: Any = commit.record or {}
        spec = record.get("spec", {})
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(commit.timestamp_ms / 1000))
        inputs = ", ".join(_describe_input(entry) for entry in spec.get("inputs", {}).values())
        user = spec.get("run", {}).get("user")
        code = record.get("code", {})
        revision = str(code.get("git") or code.get("version") or "")[:12]
        rows.append(
            (
                commit.version,
                moment,
                commit.operation,
                spec.get("job"),
                record.get("run"),
                user,
                revision,
                inputs,
                record.get("digest"),
            )
        )
    header = (
        "version",
        "time (UTC)",
        "operation",
        "job",
        "run",
        "user",
        "code",
        "inputs",
        "digest",
    )
    _print(header, rows, json=json)


def _print(header: Any, rows: list[Any], *, json: bool) -> None:
    if json:
        print_json([dict(zip(header, row, strict=True)) for row in rows])
    else:
        print_table(header, rows)


def _describe_input(entry: dict[str, Any]) -> str:
    name = str(entry["uri"]).rstrip("/").rsplit("/", 1)[-1]
    return f"{name}@v{entry['version']}" if entry["kind"] == "delta" else name


def _describe_table(path: Path) -> tuple[Any, ...]:
    """Return version, rows, files, bytes and id of a table, or why they cannot be read."""
    try:
        table = open_table(str(path))
        facts = (table.version, table.n_rows, table.n_files, table.n_bytes, table.table_id)
    # A log can be damaged in any way; the other tables are listed all the same.
    except Exception as error:
        cause = error.__cause__ or error
        first = str(cause).strip().partition("\n")[0]
        return (None, None, None, None, None, first or type(cause).__name__)
    return (*facts, None)
