"""Run the features job under spark-submit: `spark-submit jobs/features.py --config FILE`."""

from ubspark.cli.submit import main

main("features")
