"""Run the command as ``python -m ubspark``."""

from ubspark.cli import main

main()
