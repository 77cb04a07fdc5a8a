"""A namespace on a real cluster, with a shared volume and an MLflow server; needs KUBECONFIG.

The image is `UBSPARK_K8S_IMAGE` (default `localhost/ubspark:ci`), which the nodes must have or get.
A cluster without a default StorageClass gets volumes on its node, under `UBSPARK_K8S_FOLDER`. Where
the default one makes folders of a node, as in kind and minikube, all pods must run on that node.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ubspark.kubernetes.cluster import Cluster
from ubspark.kubernetes.diagnosis import Status
from ubspark.kubernetes.lifecycle import cancel, find_status, submit
from ubspark.kubernetes.profile import Profile, load_profile
from ubspark.runtime.config import parse_job

__all__ = [
    "IMAGE",
    "NAMESPACE",
    "ROOT",
    "Stand",
    "kubectl",
    "read_fact",
    "set_up",
    "tear_down",
    "wait_until",
]

ROOT = Path(__file__).parents[2]
NAMESPACE = "ubspark-ci"
IMAGE = os.environ.get("UBSPARK_K8S_IMAGE", "localhost/ubspark:ci")
FOLDER = os.environ.get("UBSPARK_K8S_FOLDER", "/var/tmp/ubspark-k8s")
#: Tells the namespace of these tests from one of that name that somebody needs.
_MARK = f"ubspark/tests={NAMESPACE}"
_ONE_NODE = ("rancher.io/local-path", "k8s.io/minikube-hostpath")
#: On two busy cores a job of seconds takes minutes.
PATIENCE = 900
END_PHASES = ("COMPLETED", "ERROR", "ABORTED")


def kubectl(*words: str, given: str | None = None, check: bool = True) -> str:
    """Call kubectl in the namespace of the tests."""
    program = os.environ.get("KUBECTL", "kubectl")
    done = subprocess.run(
        [program, "-n", NAMESPACE, *words], input=given, capture_output=True, text=True
    )
    assert not check or done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr


def wait_until(holds: Callable[[], Any], what: str, *, seconds: float = PATIENCE) -> Any:
    """Wait until something is true, and return it."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        found = holds()
        if found:
            return found
        time.sleep(1)
    pytest.fail(f"{what} did not happen in {seconds:.0f} s")


class Stand:
    """The cluster of the tests, as a user meets it."""

    def __init__(self, profile: Path) -> None:
        self.profile_file = profile
        self.cluster = Cluster(NAMESPACE)

    def load_profile(self, *settings: str) -> Profile:
        return load_profile(self.profile_file, settings)

    def submit(self, content: Mapping[str, Any], name: str, *settings: str) -> Any:
        config = parse_job(content)
        return submit(config, self.load_profile(*settings), name=name, way="spark-submit")

    def find_status(self, name: str) -> Status:
        return find_status(self.cluster, name)

    def wait(self, name: str, *, seconds: float = PATIENCE) -> Status:
        """Wait until a submission has ended."""

        def ended() -> Status | None:
            status = self.find_status(name)
            return status if status.phase in END_PHASES else None

        found: Status = wait_until(ended, f"the end of {name}", seconds=seconds)
        return found

    def run(self, content: Mapping[str, Any], name: str, *settings: str) -> str:
        """Submit a job, wait for its good end, and return the driver's log."""
        self.submit(content, name, *settings)
        status = self.wait(name)
        log = self.cluster.read_log(f"{name}-driver")
        assert status.phase == "COMPLETED", f"{status}\n{log[-4000:]}"
        cancel(self.cluster, name)
        return log

    def execute(self, *words: str) -> str:
        """Run a command in a pod that has the image and the volume."""
        return kubectl("exec", "desk", "--", "/opt/entrypoint.sh", *words)

    def read_image_digest(self) -> str:
        """Return the digest of the image that the pods run, as the node knows it."""
        where = "jsonpath={.status.containerStatuses[0].imageID}"
        return kubectl("get", "pod", "desk", "-o", where).rpartition("@")[2]

    def read_json(self, *words: str) -> Any:
        return json.loads(self.execute("ubspark", *words, "--json"))


def read_fact(log: str, name: str) -> str:
    """Return what a driver printed of its result, such as its digest."""
    lines = [line for line in log.splitlines() if line.startswith(f"{name}: ")]
    assert lines, log[-4000:]
    return lines[-1].partition(": ")[2]


def set_up(folder: Path) -> Stand:
    """Make the namespace with everything in it."""
    if not os.environ.get("KUBECONFIG"):
        pytest.fail("KUBECONFIG names no cluster; `make test-k8s` needs one.")
    _remove_namespace()
    manifests = kubectl("kustomize", str(ROOT / "k8s" / "overlays" / "ci"))
    if _has_one_node_class():
        manifests = manifests.replace("ReadWriteMany", "ReadWriteOnce")
    # Shared by all namespaces: they stay when this one goes.
    kubectl("apply", "-k", str(ROOT / "k8s" / "cluster"))
    kubectl("apply", "-f", "-", given=manifests)
    kubectl("label", "namespace", NAMESPACE, _MARK)
    if IMAGE != "localhost/ubspark:ci":
        kubectl("set", "image", "deployment/mlflow", f"mlflow={IMAGE}")
    if "(default)" not in kubectl("get", "storageclass"):
        _make_volumes()
    kubectl("apply", "-f", "-", given=_DESK)
    wait = ("wait", "--for=condition=Ready", f"--timeout={PATIENCE}s", "pod")
    kubectl(*wait, "desk")
    kubectl(*wait, "-l", "app.kubernetes.io/name=mlflow")
    stand = Stand(folder / "profile.yaml")
    # One that is named by its digest has it.
    digest = {} if "@" in IMAGE else {"digest": stand.read_image_digest()}
    profile = {**_PROFILE, **digest}
    stand.profile_file.write_text(yaml.safe_dump({"k8s": profile}), encoding="utf-8")
    return stand


def tear_down() -> None:
    """Remove it, unless somebody wants to look at it."""
    if not os.environ.get("UBSPARK_K8S_KEEP"):
        _remove_namespace()
        kubectl("delete", "pv", "-l", _MARK, "--ignore-not-found")


def _remove_namespace() -> None:
    """Remove the namespace of earlier tests; one of somebody else stays, and ends the tests."""
    there = kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "name")
    marked = kubectl("get", "namespace", "-l", _MARK, "-o", "name")
    if there.strip() not in ("", *marked.split()):
        pytest.fail(f"Namespace {NAMESPACE} is there and not of these tests; remove it first.")
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true")


def _has_one_node_class() -> bool:
    """Whether the volumes of the cluster are folders of one node, as those of kind and minikube."""
    found = json.loads(kubectl("get", "storageclass", "-o", "json"))["items"]
    mark = "storageclass.kubernetes.io/is-default-class"
    used = [c for c in found if c["metadata"].get("annotations", {}).get(mark) == "true"]
    return any(c["provisioner"] in _ONE_NODE for c in used)


def _make_volumes() -> None:
    """Make volumes on the node, and give them to the user of the image."""
    for claim in ("ubspark-data", "mlflow"):
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{NAMESPACE}-{claim}", "labels": {"ubspark/tests": NAMESPACE}},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": f"{FOLDER}/{claim}", "type": "DirectoryOrCreate"},
                "claimRef": {"namespace": NAMESPACE, "name": claim},
            },
        }
        name = str(volume["metadata"]["name"])  # type: ignore[index]
        kubectl("delete", "pv", name, "--ignore-not-found", "--wait=true")
        kubectl("apply", "-f", "-", given=json.dumps(volume))
    clean = "rm -rf /on/ubspark-data/* /on/mlflow/* && chown 185:0 /on/ubspark-data /on/mlflow"
    pod = {
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "owner",
                "image": IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", f"mkdir -p /on/ubspark-data /on/mlflow && {clean}"],
                "securityContext": {"runAsUser": 0},
                "volumeMounts": [{"name": "on", "mountPath": "/on"}],
            }
        ],
        "volumes": [{"name": "on", "hostPath": {"path": FOLDER, "type": "DirectoryOrCreate"}}],
    }
    name = f"{NAMESPACE}-owner"
    # Pod Security forbids it in the namespace of the tests.
    place = ("-n", "default")
    kubectl(*place, "delete", "pod", name, "--ignore-not-found", "--wait=true")
    content = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod}
    kubectl(*place, "apply", "-f", "-", given=json.dumps(content))
    phase = ("-n", "default", "get", "pod", name, "-o", "jsonpath={.status.phase}")
    wait_until(lambda: kubectl(*phase) == "Succeeded", "the change of owner")
    kubectl(*place, "delete", "pod", name)


#: Small pods: two cores may serve a driver and two executors at once.
_SIZE = {"request": "200m", "memory": "600m", "overhead": "700m"}
_PROFILE: dict[str, Any] = {
    "namespace": NAMESPACE,
    "image": IMAGE,
    "home": "/data/ubspark",
    "volumes": [{"claim": "ubspark-data", "path": "/data"}],
    "env": {"MLFLOW_TRACKING_URI": "http://mlflow:5000"},
    "driver": _SIZE,
    "executor": {**_SIZE, "instances": 2},
    "spark": {"spark.sql.shuffle.partitions": "4", "spark.ui.enabled": "false"},
}

#: A pod to work from: the image with the volume.
_DESK = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "desk"},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 185,
                "runAsGroup": 0,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "desk",
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "args": ["sleep", "86400"],
                    "env": [
                        {"name": "UBSPARK_HOME", "value": "/data/ubspark"},
                        {"name": "MLFLOW_TRACKING_URI", "value": "http://mlflow:5000"},
                    ],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "ubspark-data"}}],
        },
    }
)
