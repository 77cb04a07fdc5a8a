"""What a profile lays over a pod adds to it, and takes nothing away."""

from typing import Any

import pytest
from pydantic import ValidationError

from ubspark.errors import ParameterError
from ubspark.kubernetes.manifest import build_application
from ubspark.kubernetes.profile import Profile
from ubspark.runtime.config import JobConfig

_NAME = "spark-kubernetes-executor"


def change(profile: Profile, **values: Any) -> Profile:
    return Profile.model_validate(profile.model_dump() | values)


def build_pod(job: JobConfig, profile: Profile, template: dict[str, Any]) -> dict[str, Any]:
    shared = change(profile, executor={"template": template})
    made = build_application(job, shared, name="one")["spec"]["executor"]["template"]["spec"]
    assert isinstance(made, dict)
    return made


def give(**container: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": _NAME, **container}]}}


def test_a_second_mount_of_a_claim_is_one_more(job: JobConfig, profile: Profile) -> None:
    second = {"name": "ubspark-data", "mountPath": "/ref", "subPath": "r"}
    pod = build_pod(job, profile, give(volumeMounts=[second]))
    mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert set(mounts) == {"/tmp", "/opt/ubspark/work", "/data", "/ref"}
    assert mounts["/data"] == {"name": "ubspark-data", "mountPath": "/data", "readOnly": False}
    assert mounts["/ref"] == second


def test_a_mount_at_the_same_place_is_changed(job: JobConfig, profile: Profile) -> None:
    other = {"name": "ubspark-data", "mountPath": "/data/", "subPath": "group"}
    pod = build_pod(job, profile, give(volumeMounts=[other]))
    (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "ubspark-data"]
    assert mount["subPath"] == "group"


def test_an_empty_list_takes_nothing_away(job: JobConfig, profile: Profile) -> None:
    plain = build_pod(job, profile, {})
    assert build_pod(job, profile, {"spec": {"volumes": [], "containers": []}}) == plain
    assert build_pod(job, profile, give(env=[], volumeMounts=[], envFrom=[])) == plain


def test_sources_of_variables_are_added(job: JobConfig, profile: Profile) -> None:
    more = {"configMapRef": {"name": "more"}}
    pod = build_pod(job, change(profile, secrets=["s3"]), give(envFrom=[more]))
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": "s3"}}, more]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ({"nodeSelector": {"disk": "nvme"}}, "must hold `metadata` or `spec`.*got nodeSelector"),
        ({"spec": None}, "must not hold null, got one at `spec`"),
        ({"spec": {"volumes": None}}, r"must not hold null, got one at `spec\.volumes`"),
        ({"spec": []}, "must hold `KEY: VALUE` pairs at `spec`"),
        (
            {"spec": {"containers": [{"tty": True}]}},
            r"list at `spec\.containers`, each with `name`",
        ),
        ({"spec": {"containers": {"name": "a"}}}, r"must hold a list at `spec\.containers`"),
        (give(envFrom={"secretRef": {"name": "a"}}), r"must hold a list at .*envFrom`"),
        (
            give(
                volumeMounts=[{"name": n, "mountPath": p} for n, p in (("a", "/d"), ("b", "/d/"))]
            ),
            "two things with one `mountPath` at .*got /d",
        ),
        (give(env=[{"name": "UBSPARK_HOME", "value": "/x"}]), "which follows from `k8s.home`"),
    ],
)
def test_a_piece_that_would_not_land_is_refused(
    profile: Profile, template: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValidationError, match=said):
        change(profile, executor={"template": template})


def test_a_piece_of_another_shape_is_refused(job: JobConfig, profile: Profile) -> None:
    said = r"`k8s\.executor\.template\.spec\.securityContext` must hold `KEY: VALUE` pairs"
    with pytest.raises(ParameterError, match=said):
        build_pod(job, profile, {"spec": {"securityContext": "none"}})


@pytest.mark.parametrize("claim", ["tmp", "work", "my.claim", "a" * 200])
def test_a_claim_of_any_name_is_a_volume_of_its_own(
    job: JobConfig, profile: Profile, claim: str
) -> None:
    shared = change(profile, volumes=[{"claim": claim, "path": "/data"}])
    pod = build_pod(job, shared, {})
    names = [volume["name"] for volume in pod["volumes"]]
    assert len(set(names)) == len(names) == 3
    assert all("." not in name and len(name) <= 63 for name in names)
    (source,) = [v for v in pod["volumes"] if "persistentVolumeClaim" in v]
    assert source["persistentVolumeClaim"]["claimName"] == claim
    (mount,) = [m for m in pod["containers"][0]["volumeMounts"] if m["mountPath"] == "/data"]
    assert mount["name"] == source["name"]
