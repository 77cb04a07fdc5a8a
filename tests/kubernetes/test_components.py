"""Components of k8s/ do what they say to every manifest of an overlay."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def prod() -> list[dict[str, Any]]:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which renders overlays, is not there")
    done = subprocess.run(
        ["kubectl", "kustomize", _ROOT / "k8s/overlays/prod"], capture_output=True, check=True
    )
    return list(yaml.safe_load_all(done.stdout))


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
