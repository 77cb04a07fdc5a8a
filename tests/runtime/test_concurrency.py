"""Runs at the same moment in one home do not disturb each other."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from ubspark.catalogs.delta import open_table, read_history
from ubspark.runtime.home import Home
from ubspark.runtime.records import iterate_records

pytestmark = pytest.mark.spark

Job = dict[str, Any]


def run_together(home: Home, folder: Path, *jobs: Job) -> list[tuple[int, str]]:
    """Run jobs in processes started at the same moment; return exit codes and what was said."""
    started = []
    for i, job in enumerate(jobs):
        file = folder / f"job{i}.yaml"
        file.write_text(yaml.safe_dump(job))
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "ubspark", "run", file],
                env={**os.environ, "UBSPARK_HOME": str(home.path)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    said = [process.communicate()[1] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


@pytest.fixture
def fresh_home(small_home: Home, tmp_path: Path) -> Home:
    """A home with the two catalogs, and no run yet."""
    shutil.copytree(small_home.warehouse / "stars", tmp_path / "home" / "warehouse" / "stars")
    shutil.copytree(small_home.warehouse / "moved", tmp_path / "home" / "warehouse" / "moved")
    return Home(tmp_path / "home")


def test_two_runs_at_once_in_a_fresh_home_both_succeed(
    fresh_home: Home, tmp_path: Path, match_job: Callable[..., Job]
) -> None:
    ended = run_together(fresh_home, tmp_path, match_job("one"), match_job("two"))
    assert [code for code, _ in ended] == [0, 0], ended
    digests = {
        str(commit.record["digest"])
        for name in ("one", "two")
        for commit in read_history(str(fresh_home.warehouse / name))
        if commit.record
    }
    assert len(digests) == 1
    records = list(iterate_records(fresh_home.runs))
    assert [record.phase for record in records] == ["COMPLETED", "COMPLETED"]
    client = MlflowClient(fresh_home.tracking_uri)
    experiments = client.search_experiments(filter_string="name = 'crossmatch'")
    assert len(experiments) == 1
    runs = client.search_runs([experiments[0].experiment_id])
    assert {run.info.run_id for run in runs} == {record.mlflow_run for record in records}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert not any(fresh_home.spool.iterdir())


@pytest.mark.slow
def test_same_run_twice_at_once_makes_the_table_once(
    small_home: Home, tmp_path: Path, match_job: Callable[..., Job]
) -> None:
    job = match_job("twice")
    ended = run_together(small_home, tmp_path, job, job)
    assert [code for code, _ in ended] == [0, 0], ended
    assert sum("Already made by run" in said for _, said in ended) == 1, ended
    place = str(small_home.warehouse / "twice")
    assert [commit.version for commit in read_history(place)] == [0]
    assert open_table(place).to_dataset().count_rows() == open_table(place).n_rows
