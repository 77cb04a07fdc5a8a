"""Run the idjoin job under spark-submit: `spark-submit jobs/idjoin.py --config FILE`."""

from ubspark.cli.submit import main

main("idjoin")
