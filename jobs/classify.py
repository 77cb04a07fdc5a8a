"""Run the classify job under spark-submit: `spark-submit jobs/classify.py --config FILE`."""

from ubspark.cli.submit import main

main("classify")
