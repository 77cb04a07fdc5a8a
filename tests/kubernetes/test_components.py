"""Components of k8s/ do what they say to every manifest of an overlay."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from overlays import ROOT, render


@pytest.fixture(scope="module")
def prod() -> list[dict[str, Any]]:
    return render("prod")


def test_the_store_reaches_all_pods_and_its_secret_stays_outside(prod: list[Any]) -> None:
    kinds = [(found["kind"], found["metadata"]["name"]) for found in prod]
    assert ("ConfigMap", "ubspark-s3") in kinds
    assert not any(kind == "Secret" for kind, _ in kinds)
    jobs = [d["spec"]["template"] for d in prod if d["kind"] == "ScheduledSparkApplication"]
    assert jobs
    for job in jobs:
        assert job["image"].endswith("-s3")
        assert "ubspark-s3" not in str(job["sparkConf"])
        for role in ("driver", "executor"):
            container = job[role]["template"]["spec"]["containers"][0]
            assert {"secretRef": {"name": "ubspark-s3"}} in container["envFrom"]


def test_kueue_takes_every_application_whole() -> None:
    found = [d for d in render("tenants/smc") if d["kind"] == "SparkApplication"]
    assert len(found) == len(list((ROOT / "k8s/jobs").glob("*.yaml"))) - 1
    for application in found:
        assert application["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "ubspark"
        assert application["metadata"]["namespace"] == "ubspark-smc"
        assert application["spec"]["sparkConf"]["spark.dynamicAllocation.enabled"] == "false"


@pytest.mark.parametrize("component", ["yunikorn", "kueue", "dynamic-allocation", "pvc-local-dirs"])
def test_components_reach_schedules_as_they_reach_jobs(tmp_path: Path, component: str) -> None:
    """What a component makes of a job, it makes of the same job by the clock."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which renders overlays, is not there")
    shutil.copytree(ROOT / "k8s/components" / component, tmp_path / "component")
    job = yaml.safe_load((ROOT / "k8s/jobs/crossmatch.yaml").read_text())
    spec = {"schedule": "0 9 * * *", "template": job["spec"]}
    metadata = {**job["metadata"], "name": "nightly"}
    schedule = {**job, "kind": "ScheduledSparkApplication", "metadata": metadata, "spec": spec}
    for name, content in (("job", job), ("schedule", schedule)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    listed = {"resources": ["job.yaml", "schedule.yaml"], "components": ["component"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(listed))
    done = subprocess.run(["kubectl", "kustomize", tmp_path], capture_output=True, check=True)
    made = {found["kind"]: found for found in yaml.safe_load_all(done.stdout)}
    plain, clocked = made["SparkApplication"], made["ScheduledSparkApplication"]
    assert (plain["spec"], plain["metadata"]["labels"]) != (job["spec"], job["metadata"]["labels"])
    assert clocked["spec"]["template"] == plain["spec"]
    assert clocked["metadata"]["labels"] == plain["metadata"]["labels"]
