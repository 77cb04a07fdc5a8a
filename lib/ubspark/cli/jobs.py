"""Commands that run jobs: ``run``, ``plan``, ``ingest``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ubspark.catalogs.sources.frames import read_epoch
from ubspark.cli.output import STOPPED, print_error, print_json, print_table
from ubspark.errors import ParameterError
from ubspark.lineage.tracking import describe_place
from ubspark.runtime.config import JobConfig, load_job, parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.progress import tell
from ubspark.runtime.run_job import RunOutcome, plan_job, run_job

__all__ = ["Force", "JobFile", "Json", "Setting", "ingest", "plan", "run", "run_and_print"]

Setting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the job file; may be repeated."),
]
Force = Annotated[bool, typer.Option("--force", help="Compute even if the result is there.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JobFile = Annotated[Path, typer.Argument(metavar="FILE", help="Job file (YAML).")]


def run(file: JobFile, settings: Setting = None, force: Force = False, json: Json = False) -> None:
    """Run a job file.

    Example: ubspark run examples/hipparcos_gaia.yaml --set params.radius="2 arcsec"
    """
    run_and_print(load_job(file, settings or ()), force=force, json=json)


def plan(file: JobFile, settings: Setting = None, json: Json = False) -> None:
    """Show what a job would read and do, without running it.

    Example: ubspark plan examples/hipparcos_gaia.yaml
    """
    job, facts = plan_job(load_job(file, settings or ()))
    if json:
        listed = {fact.name: fact.value for fact in facts}
        print_json({"job": job.spec.job, "key": job.spec.key, "plan": listed})
        return
    print_table(("", "", ""), ((fact.name, _group(fact.value), fact.unit) for fact in facts))


def ingest(
    source: Annotated[
        str, typer.Argument(help="File or folder: HATS, Parquet, CSV, ECSV, FITS, VOTable.")
    ],
    table: Annotated[str, typer.Argument(help="Name or path of the table to make.")],
    id: Annotated[str | None, typer.Option(help="Column of the identifier.")] = None,  # noqa: A002
    ra: Annotated[str | None, typer.Option(help="Column of the right ascension.")] = None,
    dec: Annotated[str | None, typer.Option(help="Column of the declination.")] = None,
    epoch: Annotated[
        str | None, typer.Option(help="Epoch of the positions: 2016.0, J2000, B1950, or a column.")
    ] = None,
    pmra: Annotated[str | None, typer.Option(help="Column of the proper motion in ra.")] = None,
    pmdec: Annotated[str | None, typer.Option(help="Column of the proper motion in dec.")] = None,
    pm_cos_dec: Annotated[
        bool | None,
        typer.Option(help="Whether the proper motion in ra includes cos(dec)."),
    ] = None,
    parallax: Annotated[str | None, typer.Option(help="Column of the parallax.")] = None,
    rv: Annotated[str | None, typer.Option(help="Column of the radial velocity.")] = None,
    role: Annotated[
        list[str] | None, typer.Option(metavar="ROLE=COLUMN", help="Any other column role.")
    ] = None,
    unit: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=UNIT", help="Unit of a column.")
    ] = None,
    null: Annotated[
        list[str] | None,
        typer.Option(metavar="[COLUMN=]VALUE", help="A value that stands for no value."),
    ] = None,
    frame: Annotated[
        str | None, typer.Option(help="Frame: ICRS, FK5 J2000, FK4 B1950, GALACTIC.")
    ] = None,
    format: Annotated[  # noqa: A002
        str | None, typer.Option(help="Format, where the name of the file does not tell.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Option of the format: hdu=2.")
    ] = None,
    data_model: Annotated[
        str | None,
        typer.Option(metavar="FILE#TABLE", help="Table of a survey's schema in Felis to check by."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a file that contradicts the data model.")
    ] = False,
    mode: Annotated[str, typer.Option(help="error, append or overwrite.")] = "error",
    settings: Setting = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Turn a file into a catalog table.

    Example: ubspark ingest hip2.fits hipparcos2 --id hip --ra ra --dec dec --epoch 1991.25
    """
    named = {"id": id, "ra": ra, "dec": dec, "pmra": pmra, "pmdec": pmdec, "rv": rv}
    named |= {"parallax": parallax, **_pairs(role, "--role")}
    params: dict[str, Any] = {"roles": {key: value for key, value in named.items() if value}}
    params |= _read_epoch(epoch, params["roles"])
    params |= {"units": _pairs(unit, "--unit"), "nulls": list(null or ())}
    params |= {"frame": frame, "pm_includes_cos_dec": pm_cos_dec}
    params |= {"data_model": data_model, "strict": strict}
    content = {
        "job": "ingest",
        "inputs": {
            "source": {"path": source, "format": format, "options": _pairs(option, "--option")}
        },
        "params": params,
        "outputs": {"table": {"table": table, "mode": mode}},
    }
    run_and_print(parse_job(content, settings or ()), force=force, json=json)


def run_and_print(config: JobConfig, *, force: bool, json: bool) -> None:
    """Run a job and print what it made."""
    home = Home.find()
    try:
        outcome = run_job(config, home=home, force=force)
    except KeyboardInterrupt as error:
        # The sentence would not pass through typer, which knows the exit code only.
        print_error(str(error) or "Stopped.")
        raise typer.Exit(STOPPED) from error
    if json:
        print_json(_describe(outcome))
        return
    record = outcome.record
    for name, output in outcome.outputs.items():
        place = _shorten(describe_place(output), home)
        if outcome.already_made:
            tell(f"Already made by run {record.run_id} as {place}.")
        else:
            tell(f"{name}: {place}, {output['n_rows']:,} rows")
        tell(f"digest: {output['digest']}")
    for note in record.notes:
        tell(f"note: {note}")
    tell(f"run: {record.run_id}")
    tell(f"report: {record.folder / 'report.html'}")


def _describe(outcome: RunOutcome) -> dict[str, Any]:
    record = outcome.record
    return {
        "run": record.run_id,
        "already_made": outcome.already_made,
        "outputs": record.outputs,
        "metrics": record.metrics,
        "notes": record.notes,
        "report": str(record.folder / "report.html"),
    }


def _shorten(uri: str, home: Home) -> str:
    """Return the name of a table in the home's warehouse, or its URI."""
    prefix = f"{home.warehouse.absolute()}/"
    return uri.removeprefix(prefix)


def _group(value: float | str) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not equals:
            msg = f"`{option}` takes KEY=VALUE, got {text!r}."
            raise ParameterError(msg)
        pairs[key.strip()] = value.strip()
    return pairs


def _read_epoch(epoch: str | None, roles: dict[str, str]) -> dict[str, Any]:
    """Return the epoch parameter: a year, or the role of a column."""
    if epoch is None:
        return {}
    try:
        return {"epoch": float(epoch)}
    except ValueError:
        if read_epoch(epoch) is not None:
            return {"epoch": epoch}
        roles["epoch"] = epoch
        return {}
