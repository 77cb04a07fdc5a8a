"""Executors die during the match and during the write: the rows are the same, and come once."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.jars import find_jar_folder
from ubspark.runtime.run_job import run_job

pytestmark = [pytest.mark.slow, pytest.mark.spark]

_ROOT = Path(__file__).parent.parent.parent
_SCRIPT = Path(__file__).with_name("lose_executor.py")


@pytest.fixture
def cluster() -> Iterator[str]:
    yield "local-cluster[2,1,1024]"
    shutil.rmtree(find_jar_folder().parent / "work", ignore_errors=True)


def describe(output: str) -> dict[str, Any]:
    return {
        "job": "crossmatch",
        "inputs": {"left": {"table": "hipparcos2"}, "right": {"table": "gaia_dr3"}},
        "params": {"radius": "1 arcsec", "epoch": 2016.0, "select": "mutual", "how": "outer"},
        "outputs": {"matches": {"table": output}},
        "resources": {"cells": 12},
    }


@pytest.mark.parametrize("moment", ["match", "write"])
def test_lost_executors_change_nothing(
    demo_home: Home, spark: SparkSession, cluster: str, tmp_path: Path, moment: str
) -> None:
    expected = run_job(parse_job(describe("kept")), home=demo_home, spark=spark)
    file = tmp_path / "job.yaml"
    file.write_text(json.dumps(describe(f"lost_{moment}")))
    settings = ("--set", f"resources.master={cluster}")
    done = subprocess.run(
        [sys.executable, _SCRIPT, moment, "run", file, "--json", *settings],
        env=os.environ | {"UBSPARK_HOME": str(demo_home.path)},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    table = open_table(str(demo_home.warehouse / f"lost_{moment}"))
    made = expected.outputs["matches"]
    made_digest = json.loads(done.stdout)["outputs"]["matches"]["digest"]
    assert made_digest == made["digest"]
    assert table.to_dataset().count_rows() == expected.record.metrics["output_rows"]
    record = json.loads(sorted(demo_home.runs.glob("*/record.json"))[-1].read_text())
    assert record["metrics"]["task_retries"] >= 2
