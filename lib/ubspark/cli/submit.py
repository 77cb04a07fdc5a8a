"""What the scripts in ``jobs/`` call under ``spark-submit``."""

import argparse
import sys

from ubspark.cli.jobs import run_and_print
from ubspark.cli.output import print_error
from ubspark.errors import ParameterError, UbsparkError
from ubspark.runtime.config import load_job

__all__ = ["main"]


def main(job: str) -> None:
    """Run one job from a file and leave with the exit code of the ``ubspark`` command."""
    parser = argparse.ArgumentParser(prog=f"jobs/{job}.py")
    parser.add_argument("--config", required=True, help="job file (YAML)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="set a key of the job file"
    )
    parser.add_argument("--force", action="store_true", help="compute even if the result is there")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    try:
        config = load_job(given.config, given.set)
        if config.job != job:
            msg = f"`{given.config}` is a file of the job {config.job}, not {job}."
            raise ParameterError(msg)
        run_and_print(config, force=given.force, json=given.json)
    except UbsparkError as error:
        print_error(str(error))
        sys.exit(error.exit_code)
