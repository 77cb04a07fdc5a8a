"""Components of k8s/ do what they say to every manifest of an overlay."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from overlays import ROOT, render

from ubspark.kubernetes.manifest import build_application
from ubspark.kubernetes.profile import Profile
from ubspark.runtime.config import JobConfig


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


def lay_over(folder: Path, component: str, *objects: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a component makes of objects, by their kind."""
    shutil.copytree(ROOT / "k8s/components" / component, folder / "component")
    names = []
    for content in objects:
        names.append(f"{content['kind']}.yaml")
        (folder / names[-1]).write_text(yaml.safe_dump(content))
    listed = {"resources": names, "components": ["component"]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(listed))
    return {found["kind"]: found for found in render(folder)}


def read_job() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "k8s/jobs/crossmatch.yaml").read_text())
    return content


def make_schedule(job: dict[str, Any]) -> dict[str, Any]:
    spec = {"schedule": "0 9 * * *", "template": job["spec"]}
    metadata = {**job["metadata"], "name": "nightly"}
    return {**job, "kind": "ScheduledSparkApplication", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    "component", ["yunikorn", "kueue", "dynamic-allocation", "pvc-local-dirs", "s3"]
)
def test_components_reach_schedules_as_they_reach_jobs(tmp_path: Path, component: str) -> None:
    """What a component makes of a job, it makes of the same job by the clock."""
    job = read_job()
    made = lay_over(tmp_path, component, job, make_schedule(job))
    plain, clocked = made["SparkApplication"], made["ScheduledSparkApplication"]
    assert (plain["spec"], plain["metadata"]["labels"]) != (job["spec"], job["metadata"]["labels"])
    assert clocked["spec"]["template"] == plain["spec"]
    assert clocked["metadata"]["labels"] == plain["metadata"]["labels"]


def test_the_store_adds_to_what_a_profile_names(tmp_path: Path) -> None:
    job = read_job()
    own = {"secretRef": {"name": "own"}}
    for role in ("driver", "executor"):
        job["spec"][role]["template"]["spec"]["containers"][0]["envFrom"] = [own]
    made = lay_over(tmp_path, "s3", job)["SparkApplication"]["spec"]
    added = [{"configMapRef": {"name": "ubspark-s3"}}, {"secretRef": {"name": "ubspark-s3"}}]
    for role in ("driver", "executor"):
        assert made[role]["template"]["spec"]["containers"][0]["envFrom"] == [own, *added]


def test_executors_come_and_go_as_by_the_profile(
    tmp_path: Path, job: JobConfig, profile: Profile
) -> None:
    """One meaning of the words, whether a profile says it or the component; within the quota."""
    made = lay_over(tmp_path, "dynamic-allocation", read_job())["SparkApplication"]["spec"]
    most = int(made["sparkConf"]["spark.dynamicAllocation.maxExecutors"])
    least = int(made["sparkConf"]["spark.dynamicAllocation.minExecutors"])
    sizes = {"instances": least, "max_instances": most}
    shared = Profile.model_validate(profile.model_dump() | {"executor": sizes})
    ours = build_application(job, shared, name="one")["spec"]["sparkConf"]
    prefix = "spark.dynamicAllocation."
    assert {k: v for k, v in made["sparkConf"].items() if k.startswith(prefix)} == {
        k: v for k, v in ours.items() if k.startswith(prefix)
    }
    limits = yaml.safe_load_all((ROOT / "k8s/base/limits.yaml").read_text())
    hard = next(d["spec"]["hard"] for d in limits if d["kind"] == "ResourceQuota")
    driver, executor = made["driver"], made["executor"]
    cores = int(driver["coreRequest"]) + most * int(executor["coreRequest"])
    assert cores <= int(hard["requests.cpu"])
    memory = sum_memory(driver) + most * sum_memory(executor)
    assert memory <= int(hard["requests.memory"].removesuffix("Gi"))


def sum_memory(pod: dict[str, Any]) -> int:
    """Return what a pod asks for, GiB."""
    return sum(int(pod[key].removesuffix("g")) for key in ("memory", "memoryOverhead"))


def test_every_component_is_in_an_overlay() -> None:
    """There the API server judges it."""
    texts = [path.read_text() for path in (ROOT / "k8s/overlays").rglob("kustomization.yaml")]
    used = {
        Path(name).name for text in texts for name in yaml.safe_load(text).get("components", [])
    }
    assert used == {path.name for path in (ROOT / "k8s/components").iterdir()}


@pytest.mark.parametrize("overlay", ["ci", "dev", "prod", "tenants/lmc", "tenants/smc"])
def test_an_overlay_is_removed_without_harm_to_others(overlay: str) -> None:
    """All of it lies in its namespace: no priority classes, no cluster roles."""
    found = render(overlay)
    (own,) = [d["metadata"]["name"] for d in found if d["kind"] == "Namespace"]
    others = [d for d in found if d["kind"] != "Namespace"]
    assert {d["metadata"].get("namespace") for d in others} == {own}
    assert not [d for d in others if d["kind"].startswith(("Cluster", "Priority"))]


def test_priorities_of_profiles_are_there() -> None:
    classes = {d["metadata"]["name"] for d in render(ROOT / "k8s" / "cluster")}
    shipped = yaml.safe_load((ROOT / "conf" / "k8s.yaml").read_text())["k8s"]
    assert shipped["priority_class"] in classes
    assert len(classes) == 3
