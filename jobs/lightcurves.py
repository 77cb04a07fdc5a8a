"""Run the lightcurves job: `spark-submit jobs/periodograms.py --config FILE`."""

from ubspark.cli.submit import main

main("lightcurves")
