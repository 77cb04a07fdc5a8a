"""Run the multimatch job under spark-submit: `spark-submit jobs/multimatch.py --config FILE`."""

from ubspark.cli.submit import main

main("multimatch")
