"""Every overlay passes the strict judgement of the API server, with the operator's schemas."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from stand import ROOT

pytestmark = pytest.mark.k8s

_OVERLAYS = {
    "ci": "ubspark-ci",
    "dev": "ubspark-dev",
    "prod": "ubspark",
    "tenants/lmc": "ubspark-lmc",
    "tenants/smc": "ubspark-smc",
}
_APPLICATIONS = "sparkapplications.sparkoperator.k8s.io"
_ESTABLISHED = ("wait", "--for=condition=Established", "--timeout=30s", "crd", _APPLICATIONS)
_PATIENCE_S = 60


def call(*words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    program = os.environ.get("KUBECTL", "kubectl")
    return subprocess.run([program, *words], input=given, capture_output=True, text=True)


def judge(manifest: str) -> subprocess.CompletedProcess[str]:
    """Let the API server check a manifest as if it were applied."""
    words = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts")
    return call(*words, "-f", "-", given=manifest)


@pytest.fixture(scope="module")
def schemas() -> None:
    """The operator's schemas, which the cluster has or the folder UBSPARK_K8S_CRDS holds."""
    if call("get", "crd", _APPLICATIONS).returncode == 0:
        return
    folder = os.environ.get("UBSPARK_K8S_CRDS")
    if not folder:
        pytest.skip("the cluster has no SparkApplication, and UBSPARK_K8S_CRDS names no schemas")
    assert call("apply", "--server-side", "-f", folder).returncode == 0
    # Right after `apply` there are no conditions yet, which `kubectl wait` takes for a mistake.
    end = time.monotonic() + _PATIENCE_S
    while call(*_ESTABLISHED).returncode:
        assert time.monotonic() < end, call(*_ESTABLISHED).stderr
        time.sleep(1)


@pytest.fixture(params=_OVERLAYS)
def overlay(request: pytest.FixtureRequest, schemas: None) -> Iterator[str]:
    """A rendered overlay whose namespace is there: without it nothing in it can be checked."""
    rendered = call("kustomize", str(ROOT / "k8s" / "overlays" / request.param))
    assert rendered.returncode == 0, rendered.stderr
    namespace = _OVERLAYS[request.param]
    was_there = call("get", "namespace", namespace).returncode == 0
    if not was_there:
        made = [d for d in yaml.safe_load_all(rendered.stdout) if d["kind"] == "Namespace"]
        assert call("apply", "-f", "-", given=json.dumps(made[0])).returncode == 0
    yield rendered.stdout
    if not was_there:
        call("delete", "namespace", namespace, "--wait=true")


def test_an_overlay_passes(overlay: str) -> None:
    done = judge(overlay)
    assert done.returncode == 0, done.stderr
    assert "would violate PodSecurity" not in done.stderr
    assert len(done.stdout.splitlines()) == len(list(yaml.safe_load_all(overlay)))


def test_what_all_groups_share_passes() -> None:
    rendered = call("kustomize", str(ROOT / "k8s" / "cluster"))
    assert rendered.returncode == 0, rendered.stderr
    done = judge(rendered.stdout)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_pod_templates_pass_pod_security(overlay: str) -> None:
    """The operator's schema lets a template hold anything; as a pod it is judged in full."""
    judged: set[str] = set()
    for document in yaml.safe_load_all(overlay):
        kind, spec = document["kind"], document.get("spec", {})
        if kind not in ("SparkApplication", "ScheduledSparkApplication"):
            continue
        application = spec["template"] if kind == "ScheduledSparkApplication" else spec
        for role in ("driver", "executor"):
            pod = json.dumps(make_pod(application, role, document["metadata"]["namespace"]))
            if pod in judged:
                continue
            judged.add(pod)
            done = judge(pod)
            assert done.returncode == 0, done.stderr
    has_applications = "kind: SparkApplication\n" in overlay or "kind: Scheduled" in overlay
    assert len(judged) >= (2 if has_applications else 0)


def make_pod(application: dict[str, Any], role: str, namespace: str) -> dict[str, Any]:
    """Return a pod of an application as Spark would make it of its template."""
    spec = application[role]["template"]["spec"]
    containers = [{**c, "image": application["image"]} for c in spec["containers"]]
    # The classes are those of the cluster, which need not be there yet.
    spec = {key: value for key, value in spec.items() if key != "priorityClassName"}
    metadata = {"name": f"judged-{role}", "namespace": namespace}
    pod = {**spec, "containers": containers}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("serviceAccount:", "serviceAcount:", "serviceAcount"),
        ("type: OnFailure", "type: Sometimes", "Sometimes"),
        ("timeToLiveSeconds: 86400", "timeToLiveSeconds: soon", "timeToLiveSeconds"),
    ],
)
def test_a_mistake_is_refused(schemas: None, right: str, wrong: str, said: str) -> None:
    manifest = (ROOT / "k8s" / "jobs" / "crossmatch.yaml").read_text(encoding="utf-8")
    manifest = manifest.replace("namespace: ubspark\n", "namespace: default\n")
    assert judge(manifest).returncode == 0
    done = judge(manifest.replace(right, wrong, 1))
    assert done.returncode != 0
    assert said in done.stderr
