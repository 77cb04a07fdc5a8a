"""Replay table versions and folders in one session, and write down the verdicts.

``python replay_all.py MASTER ANSWER WHAT...``, or the same under ``spark-submit``.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import test_replay_jobs

from ubspark.runtime.config import ResourceConfig
from ubspark.runtime.home import Home
from ubspark.runtime.places import open_ledger
from ubspark.runtime.replay import create_sandbox, find_original, prepare_replay, replay
from ubspark.runtime.session import build_session


def main(master: str, answer: Path, *names: str) -> None:
    sys.modules["replay_estimator"] = test_replay_jobs
    home = Home.find()
    spark = build_session(ResourceConfig(master=master, memory="1g"), app_name="replays")
    assert spark.sparkContext.master == master
    verdicts = {}
    for name in names:
        ledger = open_ledger(home)
        original = find_original(name, home, ledger)
        sandbox = create_sandbox(home)
        config, changes = prepare_replay(
            original, home, ledger, sandbox=sandbox, resources={"cells": 2}
        )
        done = replay(original, config, changes, home=home, spark=spark)
        verdicts[name] = done.verdict
    answer.write_text(json.dumps(verdicts))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
