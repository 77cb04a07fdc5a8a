"""What the scripts in ``jobs/`` call under ``spark-submit``."""

from pathlib import Path
from typing import Annotated

import typer

from ubspark.cli.exits import run_command
from ubspark.cli.jobs import Force, Json, Setting, run_and_print
from ubspark.cli.replay import replay
from ubspark.errors import ParameterError
from ubspark.runtime.config import load_job, read_job

__all__ = ["main", "replay_main"]


def main(job: str) -> None:
    """Run one job from a file and leave with the exit code of the ``ubspark`` command."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command(help=f"Run a file of the job {job}.")
    def submit(
        config: Annotated[
            Path | None, typer.Option(metavar="FILE", help="Job file (YAML).")
        ] = None,
        text: Annotated[
            str | None, typer.Option("--job", metavar="YAML", help="Its content, in its place.")
        ] = None,
        settings: Setting = None,
        force: Force = False,
        json: Json = False,
    ) -> None:
        if (config is None) == (text is None):
            msg = "Give either `--config` FILE or `--job` YAML."
            raise ParameterError(msg)
        asked = read_job(text, settings or ()) if text else load_job(config or "", settings or ())
        if asked.job != job:
            given = f"`{config}` is a file" if config else "`--job` is"
            msg = f"{given} of the job {asked.job}, not {job}."
            raise ParameterError(msg)
        run_and_print(asked, force=force, json=json)

    run_command(lambda: app(prog_name=f"jobs/{job}.py", standalone_mode=False))


def replay_main() -> None:
    """Replay a run on the cluster of ``spark-submit``, as ``ubspark replay`` does."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(replay)
    run_command(lambda: app(prog_name="jobs/replay.py", standalone_mode=False))
