"""Run the neighbors job under spark-submit: `spark-submit jobs/neighbors.py --config FILE`."""

from ubspark.cli.submit import main

main("neighbors")
