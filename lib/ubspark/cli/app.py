"""The command's groups, and how its errors look."""

import sys

import typer

from ubspark import __version__
from ubspark.cli import doctor, export, jobs, keeping, kubernetes, lineage, replay, tables
from ubspark.cli.exits import run_command

__all__ = ["app", "main"]

app = typer.Typer(
    name="ubspark",
    help="Spark jobs for full-sky astronomical catalogs, with versioned and replayable results.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(jobs.ingest)
app.command()(jobs.run)
app.command()(jobs.plan)
app.command()(tables.tables)
app.command()(tables.show)
app.command()(tables.history)
app.command()(export.export)
app.command("verify-export")(export.verify)
app.command()(lineage.lineage)
app.command()(lineage.sync)
app.command()(replay.replay)
app.command()(replay.bundle)
app.command()(keeping.pin)
app.command()(keeping.unpin)
app.command()(keeping.pins)
app.command()(keeping.gc)
app.command()(keeping.archive)
app.command()(keeping.restore)
app.command()(doctor.doctor)
app.add_typer(kubernetes.app, name="k8s")


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"ubspark {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    _ = version


def main() -> None:
    """Run the command; an error is one sentence on stderr and an exit code."""
    words = sys.argv[1:] or ["--help"]
    run_command(lambda: app(words, prog_name="ubspark", standalone_mode=False))
