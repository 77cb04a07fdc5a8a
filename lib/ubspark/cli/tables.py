"""Commands that look at tables: ``tables``, ``show``, ``history``. None of them starts Spark."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ubspark.catalogs.addresses import parse_address
from ubspark.catalogs.delta import is_delta_table, open_table, read_history
from ubspark.catalogs.filters import parse_condition
from ubspark.catalogs.selection import read_rows
from ubspark.cli.output import print_json, print_table
from ubspark.errors import ParameterError
from ubspark.runtime.home import Home
from ubspark.sky.regions import parse_region

__all__ = ["history", "show", "tables"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Table = Annotated[str, typer.Argument(metavar="TABLE", help="Name, path or URI; may end in @vN.")]


def tables(json: Json = False) -> None:
    """List the tables of the home folder.

    Example: ubspark tables
    """
    home = Home.find()
    found = [open_table(str(path)) for path in _find_tables(home.warehouse)]
    names = [str(Path(table.uri).relative_to(home.warehouse)) for table in found]
    rows = [
        (name, table.version, table.n_rows, table.n_files, table.n_bytes, table.table_id)
        for name, table in zip(names, found, strict=True)
    ]
    header = ("table", "version", "rows", "files", "bytes", "id")
    if json:
        print_json([dict(zip(header, row, strict=True)) for row in rows])
        return
    print_table(header, rows)


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
    opened = open_table(
        address.to_uri(Home.find().warehouse), version=address.version, name=address.place
    )
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
    """Print the versions of a table with the runs that made them.

    Example: ubspark history hip_x_gaia
    """
    address = parse_address(table)
    uri = address.to_uri(Home.find().warehouse)
    open_table(uri, name=address.place)
    rows = []
    for commit in read_history(uri):
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


def _find_tables(warehouse: Path) -> list[Path]:
    """Return the folders of the warehouse that hold a table, in the order of their names."""
    logs = sorted(warehouse.rglob("_delta_log")) if warehouse.is_dir() else []
    return [log.parent for log in logs if is_delta_table(str(log.parent))]
