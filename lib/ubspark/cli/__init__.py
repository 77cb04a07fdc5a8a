"""The ``ubspark`` command."""

from ubspark.cli.app import main

__all__ = ["main"]
