"""Run the export job under spark-submit: `spark-submit jobs/export.py --config FILE`."""

from ubspark.cli.submit import main

main("export")
