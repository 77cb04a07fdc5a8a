"""The command's groups, and how its errors look."""

import signal
import sys
import warnings
from typing import Any

import typer

from ubspark import __version__
from ubspark.cli import doctor, jobs, tables
from ubspark.cli.output import print_error
from ubspark.errors import UbsparkError

__all__ = ["app", "main"]

app = typer.Typer(
    name="ubspark",
    help="Spark jobs for full-sky astronomical catalogs, with versioned and replayable results.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(jobs.ingest)
app.command()(jobs.run)
app.command()(jobs.plan)
app.command()(tables.tables)
app.command()(tables.show)
app.command()(tables.history)
app.command()(doctor.doctor)


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
    warnings.showwarning = _print_warning
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        app()
    except UbsparkError as error:
        print_error(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print_error("Stopped. The record of the run says ABORTED; nothing was committed.")
        sys.exit(130)


def _print_warning(message: Any, *_: Any, **__: Any) -> None:
    sys.stderr.write(f"ubspark: warning: {message}\n")
