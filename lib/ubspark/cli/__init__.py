"""The ``ubspark`` command."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command; what it needs is imported here, where Ctrl-C already ends in a sentence."""
    try:
        from ubspark.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("ubspark: Stopped.\n")
        sys.exit(130)
