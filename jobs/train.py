"""Run the train job under spark-submit: `spark-submit jobs/train.py --config FILE`."""

from ubspark.cli.submit import main

main("train")
