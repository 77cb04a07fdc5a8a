"""Commands that write files for other tools: ``export``, ``verify-export``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ubspark.catalogs.export import verify_export
from ubspark.cli.jobs import Force, Json, Setting, run_and_print
from ubspark.cli.output import print_json
from ubspark.runtime.config import parse_job
from ubspark.runtime.progress import tell

__all__ = ["export", "verify"]

_DAMAGED = 6


def export(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE", help="Name, path or URI, may end in @vN; or a file to sort on the sky."
        ),
    ],
    to: Annotated[str, typer.Option(help="Folder to make.")],
    format: Annotated[str, typer.Option(help="hats, parquet, fits or votable.")],  # noqa: A002
    name: Annotated[str | None, typer.Option(help="Name of the catalog.")] = None,
    id: Annotated[  # noqa: A002
        str | None, typer.Option(metavar="COLUMN", help="Of a file: the column of identifiers.")
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Columns, separated by commas.")] = None,
    region: Annotated[
        str | None, typer.Option(help='Only rows in a part of the sky: "cone 56.75 24.1 2 deg".')
    ] = None,
    where: Annotated[
        str | None, typer.Option(help='Only rows for which this holds: "mag < 18".')
    ] = None,
    max_rows: Annotated[
        int | None, typer.Option(help="Largest number of rows of a partition or file.")
    ] = None,
    margin: Annotated[
        list[str] | None, typer.Option(metavar="ANGLE", help="HATS: a margin cache: 5 arcsec.")
    ] = None,
    index: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="HATS: an index catalog.")
    ] = None,
    bad_rows: Annotated[
        str | None, typer.Option(help="HATS: leave_out or error, for rows without a position.")
    ] = None,
    mode: Annotated[str, typer.Option(help="error or overwrite.")] = "error",
    settings: Setting = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write a table, or a file, as a HATS catalog, or as Parquet, FITS or VOTable files.

    Example: ubspark export gaia_dr3@v0 --format hats --to ./gaia --margin "5 arcsec"
    """
    asked: dict[str, Any] = {
        "format": format,
        "name": name,
        "max_rows": max_rows,
        "margins": margin,
        "indexes": index,
        "bad_rows": bad_rows,
    }
    chosen = None if columns is None else [column.strip() for column in columns.split(",")]
    rows: dict[str, Any] = {"region": region, "where": where, "columns": chosen}
    rows |= {"path" if Path(table).is_file() else "table": table}
    rows |= {} if id is None else {"roles": {"id": id}}
    content = {
        "job": "export",
        "inputs": {"table": rows},
        "params": {key: value for key, value in asked.items() if value is not None},
        "outputs": {"folder": {"path": to, "mode": mode}},
    }
    run_and_print(parse_job(content, settings or ()), force=force, json=json)


def verify(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder of the export.")],
    sizes_only: Annotated[
        bool, typer.Option("--sizes-only", help="Do not read the files; finds no altered ones.")
    ] = False,
    json: Json = False,
) -> None:
    """Compare the files of an export with its manifest; exit code 6 if they differ.

    Example: ubspark verify-export ./gaia
    """
    check = verify_export(path, sizes_only=sizes_only)
    manifest = check.manifest
    if json:
        print_json(
            {
                "path": str(path),
                "kind": manifest.kind,
                "is_good": check.is_good,
                "n_files": len(manifest.files),
                "n_rows": manifest.n_rows,
                "n_bytes": manifest.n_bytes,
                "digest": manifest.digest,
                "run": manifest.record.get("run"),
                "findings": [vars(finding) for finding in check.findings],
            }
        )
    else:
        for finding in check.findings:
            tell(finding.sentence)
        said = "as they were written" if check.is_good else f"{len(check.findings)} wrong"
        tell(f"{len(manifest.files):,} files, {manifest.n_bytes:,} bytes: {said}.")
    if not check.is_good:
        raise typer.Exit(_DAMAGED)
