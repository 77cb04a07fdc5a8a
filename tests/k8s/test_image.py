"""The image is complete, whoever runs it, and without a network of its own."""

import json
from typing import Any

import pytest
from stand import IMAGE, Stand, kubectl, wait_until

pytestmark = [pytest.mark.k8s, pytest.mark.timeout(900)]


def make_pod(name: str, user: int) -> dict[str, Any]:
    """A pod under the rules of the jobs: nothing may be written but /tmp and the working folder."""
    mounts = {"tmp": "/tmp", "work": "/opt/ubspark/work"}
    container = {
        "name": "doctor",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": ["ubspark", "doctor", "--json"],
        "env": [{"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow:5000"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": k, "mountPath": path} for k, path in mounts.items()],
    }
    security = {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": security,
            "containers": [container],
            "volumes": [{"name": key, "emptyDir": {}} for key in mounts],
        },
    }


@pytest.mark.parametrize("user", [185, 1_000_710_000], ids=["185", "random"])
def test_the_doctor_finds_the_image_well(stand: Stand, user: int) -> None:
    name = f"doctor-{user}"
    kubectl("apply", "-f", "-", given=json.dumps(make_pod(name, user)))
    where = ("get", "pod", name, "-o", "jsonpath={.status.phase}")
    wait_until(lambda: kubectl(*where) in ("Succeeded", "Failed"), "the doctor's word")
    said = kubectl("logs", name)
    checks = {check["name"]: check for check in json.loads(said.strip().splitlines()[-1])}
    assert [check for check in checks.values() if not check["is_good"]] == []
    assert checks["tracking"]["finding"] == "http://mlflow:5000"
    # The kernels came compiled.
    assert int(checks["compiled kernels"]["finding"].split()[0]) > 50
    kubectl("delete", "pod", name)


def test_no_kernel_is_compiled_at_run_time(stand: Stand) -> None:
    """A kernel that the cache does not serve would be one more file in it."""
    count = "find /opt/ubspark/numba -name '*.nbc' | wc -l"
    before = stand.execute("sh", "-c", count)
    stand.execute("python", "/opt/ubspark/warm.py")
    assert int(before) > 50
    assert stand.execute("sh", "-c", count) == before
