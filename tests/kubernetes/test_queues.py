"""One key of the profile puts applications and pods into the queue of a group."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ubspark.errors import ParameterError
from ubspark.kubernetes.manifest import build_application
from ubspark.kubernetes.profile import Profile, load_profile
from ubspark.kubernetes.queues import KUEUE_LABEL
from ubspark.kubernetes.submission import build_submission
from ubspark.runtime.config import JobConfig

_COMPONENTS = Path(__file__).parents[2] / "k8s" / "components"
_ROLES = ("driver", "executor")


def queue(profile: Profile, kind: str, name: str, **values: Any) -> Profile:
    changed = {"queue": {"kind": kind, "name": name}, **values}
    return Profile.model_validate(profile.model_dump() | changed)


def read_patch(component: str) -> dict[str, Any]:
    """Return what a component lays over an application."""
    text = (_COMPONENTS / component / "kustomization.yaml").read_text()
    patches = yaml.safe_load(text)["patches"]
    found = next(p for p in patches if p["target"]["kind"] == "SparkApplication")
    made: dict[str, Any] = yaml.safe_load(found["patch"])
    return made


def test_kueue_holds_the_application(job: JobConfig, profile: Profile) -> None:
    """Its pods have no label: they would be held a second time."""
    made = build_application(job, queue(profile, "kueue", "ubspark"), name="one")
    patch = read_patch("kueue")
    assert made["metadata"]["labels"].items() >= patch["metadata"]["labels"].items()
    assert made["spec"]["sparkConf"].items() >= patch["spec"]["sparkConf"].items()
    for role in _ROLES:
        assert KUEUE_LABEL not in str(made["spec"][role])
    assert "batchScheduler" not in made["spec"]


def test_kueue_holds_each_pod_of_spark_submit(job: JobConfig, profile: Profile) -> None:
    made = build_application(job, queue(profile, "kueue", "lmc"), name="one")
    settings = build_submission(made).settings
    for role in _ROLES:
        assert settings[f"spark.kubernetes.{role}.label.{KUEUE_LABEL}"] == "lmc"


def test_kueue_admits_no_executors_that_come_and_go(job: JobConfig, profile: Profile) -> None:
    shared = queue(profile, "kueue", "lmc", executor={"instances": 1, "max_instances": 4})
    with pytest.raises(ParameterError, match=r"max_instances` must be left out .* got 4"):
        build_application(job, shared, name="one")
    shared = queue(profile, "kueue", "lmc", spark={"spark.dynamicAllocation.enabled": "true"})
    with pytest.raises(ParameterError, match=r"cannot set `spark\.dynamicAllocation\.enabled`"):
        build_application(job, shared, name="one")


def test_yunikorn_schedules_both_ways(job: JobConfig, profile: Profile) -> None:
    made = build_application(job, queue(profile, "yunikorn", "root.ubspark"), name="one")
    patch = read_patch("yunikorn")
    assert made["spec"].items() >= patch["spec"].items()
    settings = build_submission(made).settings
    assert settings["spark.kubernetes.scheduler.name"] == "yunikorn"
    for role in _ROLES:
        assert settings[f"spark.kubernetes.{role}.label.queue"] == "root.ubspark"
        key = f"spark.kubernetes.{role}.annotation.yunikorn.apache.org/app-id"
        assert settings[key] == "{{APP_ID}}"


def test_without_a_queue_there_is_none(job: JobConfig, profile: Profile) -> None:
    made = build_application(job, profile, name="one")
    assert "queue" not in str(made) + str(build_submission(made))
    assert "scheduler" not in str(made) + str(build_submission(made))


@pytest.mark.parametrize("key", ["scheduler.name", "executor.scheduler.name"])
def test_pods_do_not_leave_the_queue(job: JobConfig, profile: Profile, key: str) -> None:
    setting = {f"spark.kubernetes.{key}": "volcano"}
    shared = queue(profile, "yunikorn", "root.lmc", spark=setting)
    with pytest.raises(ParameterError, match=r"scheduler\.name` beside a `k8s\.queue`"):
        build_application(job, shared, name="one")


@pytest.mark.parametrize(
    ("scheduler", "options"),
    [("volcano", {"queue": "a"}), ("yunikorn", {"queue": "a", "priorityClassName": "b"})],
)
def test_another_scheduler_is_not_left_out(
    job: JobConfig, profile: Profile, scheduler: str, options: dict[str, str]
) -> None:
    made = build_application(job, profile, name="one")
    made["spec"] |= {"batchScheduler": scheduler, "batchSchedulerOptions": options}
    with pytest.raises(ParameterError, match=f"cannot express the `batchScheduler` '{scheduler}'"):
        build_submission(made)


def test_metadata_reaches_the_pods_or_is_refused(job: JobConfig, profile: Profile) -> None:
    made = build_application(job, profile, name="one")
    made["metadata"]["labels"]["team"] = "sky"
    made["metadata"]["annotations"] = {"example.org/cost": "42"}
    settings = build_submission(made).settings
    for role in _ROLES:
        assert settings[f"spark.kubernetes.{role}.label.team"] == "sky"
        assert settings[f"spark.kubernetes.{role}.annotation.example.org/cost"] == "42"
    made["metadata"]["finalizers"] = ["a/b"]
    with pytest.raises(ParameterError, match=r"cannot express `metadata` .* one: finalizers"):
        build_submission(made)


@pytest.mark.parametrize("given", ["{kind: slurm, name: a}", "{kind: kueue, name: 'a b'}"])
def test_other_queues_are_refused(tmp_path: Path, given: str) -> None:
    path = tmp_path / "profile.yaml"
    path.write_text(
        f"k8s: {{image: a, home: /x, volumes: [{{claim: d, path: /x}}], queue: {given}}}"
    )
    with pytest.raises(ParameterError, match=r"`k8s\.queue\.(kind|name)`"):
        load_profile(path)
