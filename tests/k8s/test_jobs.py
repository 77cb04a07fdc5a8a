"""Each job gives the same rows in cluster mode, with two executors, as on this machine."""

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from family import list_jobs, write_light_curves
from pyspark.sql import SparkSession
from stand import NAMESPACE, Stand, kubectl, read_fact

from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(3600)]

_JOBS = tuple(list_jobs(""))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """The inputs as files."""
    folder = tmp_path_factory.mktemp("files")
    for name in ("hipparcos2", "gaia_dr3_g10"):
        shutil.copy(examples / "data" / f"{name}.parquet", folder)
    write_light_curves(folder / "curves.parquet")
    return folder


@pytest.fixture(scope="session")
def local_digests(
    tmp_path_factory: pytest.TempPathFactory, files: Path, spark: SparkSession
) -> dict[str, str]:
    """The digest of each job's output on this machine."""
    home = Home(tmp_path_factory.mktemp("home"))
    digests = {}
    for name, content in list_jobs(str(files)).items():
        outcome = run_job(parse_job(content), home=home, spark=spark)
        digests[name] = next(iter(outcome.outputs.values()))["digest"]
    return digests


@pytest.fixture(scope="session")
def on_cluster(stand: Stand, files: Path) -> dict[str, str]:
    """Put the files on the volume; the logs of the jobs that have run there, by name."""
    for path in sorted(files.glob("*.parquet")):
        kubectl("cp", str(path), f"{NAMESPACE}/desk:/data/{path.name}")
    return {}


@pytest.mark.parametrize("name", _JOBS)
def test_a_job_makes_the_same_rows_on_the_cluster(
    stand: Stand,
    on_cluster: dict[str, str],
    local_digests: dict[str, str],
    name: str,
    record_property: Any,
) -> None:
    started = time.monotonic()
    log = stand.run(list_jobs("/data")[name], f"t-{name}")
    record_property("seconds", time.monotonic() - started)
    on_cluster[name] = log
    assert read_fact(log, "digest") == local_digests[name]
