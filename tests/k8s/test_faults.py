"""What goes wrong on a cluster costs time, never rows; and is told of in a sentence."""

import json
import re
from typing import Any

import pytest
from family import list_jobs
from pyspark.sql import SparkSession
from stand import Stand, kubectl, read_fact, wait_until

from ubspark.errors import UbsparkError
from ubspark.kubernetes.lifecycle import cancel
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(3600)]

#: Scores by distance, and on the cluster takes its time and leaves a mark.
_SCORER = """
import pathlib
import time

def score(left, right, dist_arcsec):
    {slowly}
    return -dist_arcsec
"""
_SLOWLY = "pathlib.Path('/data/marks/{name}').touch(); time.sleep(4)"


def make_match(name: str, slowly: str = "") -> dict[str, Any]:
    content = list_jobs("")["crossmatch"]
    source = _SCORER.format(slowly=slowly or "pass")
    return content | {
        "params": {**content["params"], "scorer": {"source": source, "function": "score"}},
        "outputs": {"matches": {"table": name}},
    }


@pytest.fixture(scope="module")
def tables(stand: Stand, on_cluster: dict[str, str]) -> Stand:
    """The stand with both catalogs ingested; nothing is done where they are."""
    kubectl("exec", "desk", "--", "mkdir", "-p", "/data/marks")
    for name in ("ingest", "ingest-gaia"):
        if name not in on_cluster:
            on_cluster[name] = stand.run(list_jobs("/data")[name], f"f-{name}")
    return stand


@pytest.fixture(scope="module")
def digest(demo_home: Home, spark: SparkSession) -> str:
    """The digest of the match on this machine."""
    made = run_job(parse_job(make_match("expected")), home=demo_home, spark=spark, force=True)
    return str(made.outputs["matches"]["digest"])


def list_files(folder: str) -> list[str]:
    return kubectl("exec", "desk", "--", "find", folder, "-type", "f", check=False).splitlines()


def list_parts(table: str) -> list[str]:
    return [path for path in list_files(f"/data/ubspark/warehouse/{table}") if "/part-" in path]


def kill_executor(name: str) -> str:
    """Delete the oldest executor pod at once, as a lost node would."""
    chosen = f"ubspark/name={name},spark-role=executor"
    words = ("--sort-by", ".metadata.creationTimestamp", "-o", "name")
    pods = kubectl("get", "pods", "-l", chosen, *words).split()
    assert pods
    kubectl("delete", pods[0], "--grace-period=0", "--force")
    return pods[0]


def count_versions(stand: Stand, table: str) -> int:
    return len(stand.read_json("history", table))


def test_executors_lost_in_match_and_in_write_change_nothing(tables: Stand, digest: str) -> None:
    name = "t-lost-executors"
    tables.submit(make_match("lost_executors", _SLOWLY.format(name=name)), name)
    wait_until(lambda: f"/data/marks/{name}" in list_files("/data/marks"), "the match")
    first = kill_executor(name)
    wait_until(lambda: list_parts("lost_executors"), "the first file")
    assert tables.find_status(name).phase == "EXECUTING"
    second = kill_executor(name)
    assert first != second
    status = tables.wait(name)
    assert status.phase == "COMPLETED", status
    log = tables.cluster.read_log(f"{name}-driver")
    assert read_fact(log, "digest") == digest
    assert count_versions(tables, "lost_executors") == 1


def test_a_lost_driver_is_submitted_again_and_makes_one_version(tables: Stand, digest: str) -> None:
    name = "t-lost-driver"
    job = make_match("lost_driver", _SLOWLY.format(name=name))
    assert not tables.submit(job, name).already
    assert tables.submit(job, name).already
    wait_until(lambda: list_parts("lost_driver"), "the first file")
    kubectl("delete", "pod", f"{name}-driver", "--grace-period=0", "--force")
    status = tables.find_status(name)
    assert status.phase == "UNKNOWN"
    assert "submit it (again)" in status.reason
    assert not tables.submit(job, name).already
    assert tables.wait(name).phase == "COMPLETED"
    log = tables.cluster.read_log(f"{name}-driver")
    assert read_fact(log, "digest") == digest
    assert count_versions(tables, "lost_driver") == 1
    # Once more: the job finds its own result, and computes nothing.
    assert "Already made by run" in tables.run(job, name)
    assert count_versions(tables, "lost_driver") == 1


def test_a_cancelled_job_closes_its_record_and_keeps_nothing_half(tables: Stand) -> None:
    name = "t-cancelled"
    tables.submit(make_match("cancelled", _SLOWLY.format(name=name)), name)
    wait_until(lambda: f"/data/marks/{name}" in list_files("/data/marks"), "the match")
    find = "grep -l /cancelled /data/ubspark/runs/*/spec.json"
    (spec,) = kubectl("exec", "desk", "--", "sh", "-c", find).split()
    assert cancel(tables.cluster, name)

    def read_phase() -> str:
        record = spec.replace("spec.json", "record.json")
        return str(json.loads(kubectl("exec", "desk", "--", "cat", record))["phase"])

    wait_until(lambda: read_phase() != "EXECUTING", "the end of the record", seconds=120)
    assert read_phase() == "ABORTED"
    assert not any(
        path.endswith(".json")
        for path in list_files("/data/ubspark/warehouse/cancelled/_delta_log")
    )


def test_a_small_quota_and_mlflow_down_cost_neither_rows_nor_the_record(
    tables: Stand, digest: str
) -> None:
    """Three executors are asked for; the quota has room for one beside the driver and the desk."""
    name = "t-small-quota"
    kubectl("scale", "deployment/mlflow", "--replicas=0")
    gone = ("get", "pods", "-l", "app.kubernetes.io/name=mlflow", "-o", "name")
    wait_until(lambda: not kubectl(*gone), "the end of MLflow")
    kubectl("patch", "resourcequota/ubspark", "-p", '{"spec": {"hard": {"pods": "3"}}}')
    try:
        tables.submit(
            make_match("small_quota", _SLOWLY.format(name=name)), name, "k8s.executor.instances=3"
        )

        def told_of_quota() -> bool:
            status = tables.find_status(name)
            assert status.phase in ("QUEUED", "EXECUTING"), status
            return "The quota ubspark refuses further executors" in status.reason

        wait_until(told_of_quota, "the sentence on the quota")
        assert tables.find_status(name).n_executors <= 1
        status = tables.wait(name)
        assert status.phase == "COMPLETED", status
        assert status.reason.startswith("MLflow at http://mlflow:5000 did not take the record")
        assert read_fact(tables.cluster.read_log(f"{name}-driver"), "digest") == digest
    finally:
        kubectl("patch", "resourcequota/ubspark", "-p", '{"spec": {"hard": {"pods": "100"}}}')
        kubectl("scale", "deployment/mlflow", "--replicas=1")
    kubectl("rollout", "status", "deployment/mlflow", "--timeout=300s")
    cancel(tables.cluster, name)
    # What waited is delivered, once MLflow is there again.
    assert tables.read_json("sync") == {"delivered": 1, "broken": 0}


def test_a_quota_without_room_for_the_driver_is_the_reason(tables: Stand) -> None:
    kubectl("patch", "resourcequota/ubspark", "-p", '{"spec": {"hard": {"pods": "1"}}}')
    try:
        with pytest.raises(UbsparkError, match=r"refused the driver of t-refused: .*quota"):
            tables.submit(make_match("refused"), "t-refused")
    finally:
        kubectl("patch", "resourcequota/ubspark", "-p", '{"spec": {"hard": {"pods": "100"}}}')


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            ("k8s.image=localhost/ubspark:none", "k8s.pull_policy=Never"),
            "The image localhost/ubspark:none of pod t-missing-driver cannot be had",
        ),
        (
            ("k8s.volumes=[{claim: gone, path: /data}]",),
            'Pod t-missing-driver waits for a node: .*persistentvolumeclaim "gone" not found',
        ),
    ],
    ids=["image", "volume"],
)
def test_what_is_missing_is_named(tables: Stand, settings: tuple[str, ...], said: str) -> None:
    name = "t-missing"
    tables.submit(make_match("missing"), name, *settings)
    try:
        reason = wait_until(
            lambda: re.search(said, tables.find_status(name).reason), said, seconds=180
        )
        assert reason
        assert tables.find_status(name).phase == "QUEUED"
    finally:
        assert cancel(tables.cluster, name)
