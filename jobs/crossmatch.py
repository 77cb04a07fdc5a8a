"""Run the crossmatch job under spark-submit: `spark-submit jobs/crossmatch.py --config FILE`."""

from ubspark.cli.submit import main

main("crossmatch")
