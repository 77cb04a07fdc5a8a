"""Run the ingest job under spark-submit: `spark-submit jobs/ingest.py --config FILE`."""

from ubspark.cli.submit import main

main("ingest")
