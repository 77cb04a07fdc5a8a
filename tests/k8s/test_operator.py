"""The same manifests by the operator: `make test-operator`, on a cluster that has it."""

import pytest
from family import list_jobs
from pyspark.sql import SparkSession
from stand import Stand, kubectl, read_fact, wait_until

from ubspark.kubernetes.lifecycle import cancel, submit
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job

pytestmark = [pytest.mark.operator, pytest.mark.timeout(3600)]


def test_the_operator_runs_an_application_and_restarts_it(
    stand: Stand, on_cluster: dict[str, str], home: Home, spark: SparkSession, files: str
) -> None:
    """Its driver is deleted once, and started again by the restart policy."""
    expected = run_job(parse_job(list_jobs(str(files))["ingest"]), home=home, spark=spark)
    job = parse_job(list_jobs("/data")["ingest"])
    profile = stand.load_profile("k8s.restart.interval_seconds=5")
    submit(job, profile, name="t-operated", way="sparkapplication")
    running = ("get", "pod", "t-operated-driver", "-o", "jsonpath={.status.phase}")
    wait_until(lambda: kubectl(*running, check=False) == "Running", "the driver")
    kubectl("delete", "pod", "t-operated-driver", "--grace-period=0", "--force")
    state = ("get", "sparkapplication", "t-operated", "-o")
    where = "jsonpath={.status.applicationState.state}"
    wait_until(lambda: kubectl(*state, where) == "COMPLETED", "the end of the application")
    log = stand.cluster.read_log("t-operated-driver")
    assert read_fact(log, "digest") == expected.outputs["table"]["digest"]
    assert cancel(stand.cluster, "t-operated")
