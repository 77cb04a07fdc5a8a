"""Replay a run under spark-submit: `spark-submit jobs/replay.py RUN|TABLE@vN`."""

from ubspark.cli.submit import replay_main

replay_main()
