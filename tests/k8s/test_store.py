"""Tables in an object store: its server runs in the cluster, and pods know its keys by a Secret."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from family import list_jobs
from pyspark.sql import SparkSession
from stand import IMAGE, NAMESPACE, ROOT, Stand, kubectl, read_fact

from ubspark.kubernetes.lifecycle import cancel
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(3600)]

_BUCKET = "survey"
_KEY, _SECRET = f"key{secrets.token_hex(8)}", f"hidden{secrets.token_hex(16)}"
_SETTINGS = (
    "k8s.secrets=[ubspark-s3]",
    "k8s.env.AWS_ENDPOINT_URL=http://store:7070",
    "k8s.env.AWS_REGION=us-east-1",
    # Nobody asks the network of a cloud who we are.
    "k8s.env.AWS_EC2_METADATA_DISABLED=true",
)
_HAS_JARS = (
    "from ubspark.runtime.jars import S3_JARS, find_missing_jars as f; print(len(f(S3_JARS)))"
)


@pytest.fixture(scope="module")
def store(stand: Stand, on_cluster: dict[str, str]) -> Iterator[Stand]:
    """The stand with an S3-compatible server that has one bucket."""
    given = os.environ.get("UBSPARK_VERSITYGW") or str(ROOT / ".peers/versitygw/versitygw")
    program = shutil.which(given)
    if program is None:
        pytest.skip("versitygw is not there; `make test-s3` builds it, where there is Go")
    if stand.execute("python", "-c", _HAS_JARS).strip() != "0":
        pytest.skip("the image knows no object stores; `make image S3=1` makes one that does")
    kubectl("cp", program, f"{NAMESPACE}/desk:/data/versitygw")
    made = f"chmod +x /data/versitygw && mkdir -p /data/store/objects/{_BUCKET} /data/store/marks"
    kubectl("exec", "desk", "--", "sh", "-c", made)
    kubectl("apply", "-f", "-", given=json.dumps(_describe_store()))
    kubectl("wait", "--for=condition=Ready", "--timeout=120s", "pod", "store")
    yield stand
    kubectl("delete", "pod,service,secret", "-l", "ubspark/tests=store", "--wait=true")


def _describe_store() -> dict[str, Any]:
    """Return the server as a pod, with a service and the secret."""
    labels = {"ubspark/tests": "store"}
    keys = {"AWS_ACCESS_KEY_ID": _KEY, "AWS_SECRET_ACCESS_KEY": _SECRET}
    named = {"ROOT_ACCESS_KEY": "AWS_ACCESS_KEY_ID", "ROOT_SECRET_KEY": "AWS_SECRET_ACCESS_KEY"}
    args = "--port :7070 --quiet posix --sidecar /data/store/marks /data/store/objects"
    container = {
        "name": "store",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/data/versitygw", *args.split()],
        "env": [
            {"name": name, "valueFrom": {"secretKeyRef": {"name": "ubspark-s3", "key": key}}}
            for name, key in named.items()
        ],
        "readinessProbe": {"tcpSocket": {"port": 7070}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    pod = {
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 185,
            "runAsGroup": 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "ubspark-data"}}],
    }
    service = {"selector": labels, "ports": [{"port": 7070}]}
    core = {"apiVersion": "v1"}
    about = {"metadata": {"name": "store", "labels": labels}}
    hidden = {"metadata": {"name": "ubspark-s3", "labels": labels}, "stringData": keys}
    items = [
        {**core, "kind": "Secret", **hidden},
        {**core, "kind": "Service", **about, "spec": service},
        {**core, "kind": "Pod", **about, "spec": pod},
    ]
    return {**core, "kind": "List", "items": items}


def test_a_match_of_tables_in_a_bucket_makes_the_same_rows(
    store: Stand, demo_home: Home, spark: SparkSession
) -> None:
    """Read there and written there; the keys are in no pod's description and in no record."""
    for name in ("ingest", "ingest-gaia"):
        job = list_jobs("/data")[name]
        table = {"table": f"s3a://{_BUCKET}/{job['outputs']['table']['table']}"}
        store.run(job | {"outputs": {"table": table}}, f"s-{name}", *_SETTINGS)
    job = list_jobs("/data")["crossmatch"]
    inputs = {
        side: {"table": f"s3a://{_BUCKET}/{given['table']}"}
        for side, given in job["inputs"].items()
    }
    output = {"matches": {"table": f"s3a://{_BUCKET}/hip_x_gaia"}}
    store.submit(job | {"inputs": inputs, "outputs": output}, "s-match", *_SETTINGS)
    status = store.wait("s-match")
    log = store.cluster.read_log("s-match-driver")
    assert status.phase == "COMPLETED", f"{status}\n{log[-4000:]}"
    described = kubectl("get", "pods", "-o", "yaml")
    cancel(store.cluster, "s-match")
    expected = run_job(parse_job(job), home=demo_home, spark=spark, force=True)
    assert read_fact(log, "digest") == expected.outputs["matches"]["digest"]
    assert _SECRET not in described + log
    # `grep` that finds nothing ends with 1, and one that cannot read with 2.
    search = f"grep -rl {_SECRET} /data/ubspark || test $? = 1"
    assert kubectl("exec", "desk", "--", "sh", "-c", search) == ""
    files = kubectl("exec", "desk", "--", "find", f"/data/store/objects/{_BUCKET}/hip_x_gaia")
    assert "part-" in files
    assert "_delta_log/00000000000000000000.json" in files
