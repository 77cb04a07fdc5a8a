"""A cluster whose machines share neither disk nor host names gives the rows of one process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from bucket import BUCKET, Store, describe_ingest, describe_match, run
from hosts import Host, Wire, find_obstacle, wait_for
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import read_history
from ubspark.runtime.home import Home
from ubspark.runtime.jars import find_jar_folder

pytestmark = [pytest.mark.s3, pytest.mark.spark]

_ROOT = Path(__file__).parents[2]
_SPARK = "org.apache.spark.deploy"


@dataclass(frozen=True)
class Cluster:
    """A master, two workers, and the machine from which jobs are started."""

    driver: Host
    master: str
    folder: Path
    store: str

    def run(self, content: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        """Run a job on the cluster, as `ubspark run` does."""
        resources = {
            "master": self.master,
            "memory": "1g",
            "cells": 4,
            "spark": {
                "spark.executor.memory": "600m",
                "spark.executor.cores": "1",
                "spark.driver.host": self.driver.address,
            },
        }
        file = self.folder / "job.yaml"
        file.write_text(yaml.safe_dump({**content, "resources": resources}), encoding="utf-8")
        words = [sys.executable, "-m", "ubspark", "run", file, "--json"]
        return self.driver.run(words)

    def make(self, content: dict[str, Any]) -> str:
        """Run a job that must end well, and return the digest of its output."""
        done = self.run(content)
        assert done.returncode == 0, done.stderr
        (output,) = json.loads(done.stdout)["outputs"].values()
        return str(output["digest"])


@pytest.fixture(scope="module")
def cluster(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    obstacle = find_obstacle()
    if obstacle is not None:
        pytest.skip(obstacle)
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "objects" / BUCKET).mkdir(parents=True)
    (folder / "marks").mkdir()
    spark_home = find_jar_folder().resolve().parent
    given = os.environ.get("UBSPARK_VERSITYGW") or str(_ROOT / ".peers/versitygw/versitygw")
    key, secret = store.secrets
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        **store.environment,
        "AWS_ENDPOINT_URL": "http://10.177.0.1:7070",
        "UBSPARK_HOME": "/tmp/own/home",
        "SPARK_WORKER_DIR": "/tmp/own/work",
        "SPARK_HOME": str(spark_home),
    }
    kept = [_ROOT, Path(sys.prefix), spark_home, Path(given).parent, folder]
    wire = Wire(folder, kept, environment)
    try:
        keeper = wire.add("keeper", ROOT_ACCESS_KEY=key, ROOT_SECRET_KEY=secret)
        options = f"--port {keeper.address}:7070 --quiet posix --sidecar {folder}/marks"
        started = [
            keeper.start([given, *options.split(), folder / "objects"], log=folder / "store.log")
        ]
        chief = wire.add("chief")
        program = spark_home / "bin" / "spark-class"
        words = [program, f"{_SPARK}.master.Master", "--host", chief.address, "--port", "7077"]
        started.append(chief.start(words, log=folder / "master.log"))
        wait_for(chief, chief.address, 7077)
        master = f"spark://{chief.address}:7077"
        for i in (1, 2):
            worker = wire.add(f"worker{i}")
            options = f"--host {worker.address} --cores 1 --memory 1g {master}"
            words = [program, f"{_SPARK}.worker.Worker", *options.split()]
            started.append(worker.start(words, log=folder / f"worker{i}.log"))
        driver = wire.add("driver")
        wait_for(driver, keeper.address, 7070)
        yield Cluster(driver, master, folder, f"s3a://{BUCKET}")
    finally:
        wire.close()
        for process in started:
            process.wait(20)


@pytest.fixture(scope="module")
def pairs(home_with_tables: Home, spark: SparkSession) -> str:
    """The digest of the match that one process makes."""
    run(describe_match("stars", "moved", "alone"), home_with_tables, spark)
    record = read_history(str(home_with_tables.warehouse / "alone"))[0].record
    assert record is not None
    return str(record["digest"])


@pytest.fixture(scope="module")
def shared(cluster: Cluster, files: Path) -> Path:
    """The files of the stars where every machine sees them."""
    for file in files.glob("*.csv"):
        (cluster.folder / file.name).write_bytes(file.read_bytes())
    return cluster.folder


@pytest.fixture(scope="module")
def tables(cluster: Cluster, shared: Path) -> str:
    """Where the stars are in the bucket, ingested by the cluster."""
    for name in ("stars", "moved"):
        cluster.make(describe_ingest(shared / f"{name}.csv", f"{cluster.store}/{name}"))
    return cluster.store


@pytest.mark.parametrize("place", ["bucket", "folder"])
def test_a_cluster_without_a_common_disk_matches_as_one_process(
    cluster: Cluster, shared: Path, tables: str, pairs: str, place: str
) -> None:
    output = f"{tables}/pairs" if place == "bucket" else str(shared / "tables" / "pairs")
    assert cluster.make(describe_match(f"{tables}/stars", f"{tables}/moved", output)) == pairs


def test_both_workers_had_work(cluster: Cluster) -> None:
    """Otherwise nothing is told of rows that pass from one machine to another."""
    for i in (1, 2):
        log = (cluster.folder / f"worker{i}.log").read_text()
        assert log.count("Asked to launch executor") >= 3


def test_files_that_are_sorted_for_a_run_reach_all_machines(
    cluster: Cluster, shared: Path, pairs: str
) -> None:
    job = describe_match("", "", f"{cluster.store}/pairs_of_files")
    for side, name in (("left", "stars"), ("right", "moved")):
        job["inputs"][side] = {"path": str(shared / f"{name}.csv"), "roles": {"id": "id"}}
    assert cluster.make(job) == pairs


def test_a_file_that_only_the_driver_sees_is_named(cluster: Cluster, shared: Path) -> None:
    cluster.driver.run(["cp", shared / "stars.csv", "/tmp/own/stars.csv"])
    done = cluster.run(describe_ingest(Path("/tmp/own/stars.csv"), f"{cluster.store}/own"))
    assert done.returncode == 4, done.stderr
    assert "A task does not find the file `/tmp/own/stars.csv`. On a cluster" in done.stderr
