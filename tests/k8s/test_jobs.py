"""Each job gives the same rows in cluster mode, with two executors, as on this machine."""

import json
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from family import list_jobs
from pyspark.sql import SparkSession
from stand import IMAGE, Stand, read_fact

from ubspark.catalogs.digests import compute_digest
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def expected(
    tmp_path_factory: pytest.TempPathFactory, files: Path, spark: SparkSession
) -> dict[str, str]:
    """The digest of each job's rows on this machine."""
    home = Home(tmp_path_factory.mktemp("home"))
    digests = {}
    for name, content in list_jobs(str(files)).items():
        outcome = run_job(parse_job(content), home=home, spark=spark)
        digests[name] = next(iter(outcome.outputs.values()))["digest"]
    # The files of an export say which table they are of; their rows do not.
    exported = [str(path) for path in sorted((files / "exported").glob("*.parquet"))]
    digests["export"] = str(compute_digest(pq.read_table(exported)))
    return digests


@pytest.mark.parametrize("name", list_jobs(""))
def test_a_job_makes_the_same_rows_on_the_cluster(
    stand: Stand,
    on_cluster: dict[str, str],
    expected: dict[str, str],
    name: str,
    record_property: Any,
) -> None:
    started = time.monotonic()
    log = on_cluster[name] = stand.run(list_jobs("/data")[name], f"t-{name}")
    record_property("seconds", time.monotonic() - started)
    made = _hash_export(stand) if name == "export" else read_fact(log, "digest")
    assert made == expected[name]


def _hash_export(stand: Stand) -> str:
    words = (
        "from glob import glob; import pyarrow.parquet as pq;"
        "from ubspark.catalogs.digests import compute_digest;"
        "print(compute_digest(pq.read_table(sorted(glob('/data/exported/*.parquet')))))"
    )
    return stand.execute("python", "-c", words).strip()


def test_two_executors_were_asked_for(stand: Stand, on_cluster: dict[str, str]) -> None:
    run = read_fact(on_cluster["crossmatch"], "run")
    environment = json.loads(stand.execute("cat", f"/data/ubspark/runs/{run}/environment.json"))
    assert environment["spark"]["spark.executor.instances"] == "2"
    assert environment["spark"]["spark.master"].startswith("k8s://")


def test_the_record_knows_the_image_by_its_digest(stand: Stand, on_cluster: dict[str, str]) -> None:
    run = read_fact(on_cluster["crossmatch"], "run")
    environment = json.loads(stand.execute("cat", f"/data/ubspark/runs/{run}/environment.json"))
    assert environment["image"] == f"{IMAGE}@{stand.read_image_digest()}"
    assert len(environment["code"]["git"]) == 40


def test_mlflow_in_the_cluster_has_the_runs(stand: Stand, on_cluster: dict[str, str]) -> None:
    words = (
        "from ubspark.runtime.home import Home;"
        "from ubspark.runtime.recovery import create_tracker;"
        "print(*create_tracker(Home.find()).list_runs())"
    )
    known = stand.execute("python", "-c", words).split()
    assert set(known) >= {read_fact(log, "run") for log in on_cluster.values()}
