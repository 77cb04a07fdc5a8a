"""Places that pods would not find, or whose content would go with them, are refused here."""

import re
from typing import Any

import pytest

from ubspark.errors import ParameterError
from ubspark.kubernetes.manifest import build_application
from ubspark.kubernetes.profile import Profile
from ubspark.runtime.config import JobConfig, parse_job

_EXPORT = {"job": "export", "inputs": {"table": {"table": "a"}}, "params": {"format": "parquet"}}


def place(job: JobConfig, section: str, name: str, **entry: Any) -> JobConfig:
    content = job.model_dump(exclude_defaults=True)
    content[section][name] = entry
    return parse_job(content)


def change(profile: Profile, **values: Any) -> Profile:
    return Profile.model_validate(profile.model_dump(exclude_defaults=True) | values)


@pytest.mark.parametrize("table", ["/tmp/result", "/home/me/x", "file:///x", "/data/../tmp/x"])
def test_an_output_does_not_vanish_with_its_pod(
    job: JobConfig, profile: Profile, table: str
) -> None:
    said = r"`outputs\.matches\.table` is .*outlives the pods; give a place under /data, or a URI"
    with pytest.raises(ParameterError, match=said):
        build_application(place(job, "outputs", "matches", table=table), profile, name="one")


@pytest.mark.parametrize("table", ["/data/out/x", "file:///data/x", "s3a://bucket/x", "a/b"])
def test_other_outputs_are_taken(job: JobConfig, profile: Profile, table: str) -> None:
    assert build_application(place(job, "outputs", "matches", table=table), profile, name="one")


def test_exported_files_stay(profile: Profile) -> None:
    for path, said in {
        "/home/me/exported": "outlives the pods",
        "s3a://bucket/exported": "must be a folder on a volume of the profile",
    }.items():
        job = parse_job(_EXPORT | {"outputs": {"folder": {"path": path}}})
        with pytest.raises(ParameterError, match=rf"`outputs\.folder\.path` .*{said}"):
            build_application(job, profile, name="one")
    good = parse_job(_EXPORT | {"outputs": {"folder": {"path": "/data/exported"}}})
    assert build_application(good, profile, name="one")


def test_event_logs_stay(job: JobConfig, profile: Profile) -> None:
    for wrong in ("/nowhere/x", "file:///tmp/logs"):
        with pytest.raises(ParameterError, match=r"`k8s\.event_log` is .*outlives the pods"):
            build_application(job, change(profile, event_log=wrong), name="one")
    for good in ("/data/logs", "file:///data/logs", "s3a://bucket/logs"):
        assert build_application(job, change(profile, event_log=good), name="one")


def test_a_volume_that_is_only_read_takes_inputs_but_no_outputs(
    job: JobConfig, profile: Profile
) -> None:
    volumes = [*profile.model_dump()["volumes"], {"claim": "r", "path": "/ref", "read_only": True}]
    shared = change(profile, volumes=volumes)
    assert build_application(place(job, "inputs", "right", table="/ref/gaia"), shared, name="one")
    with pytest.raises(ParameterError, match="that can be written to"):
        build_application(place(job, "outputs", "matches", table="/ref/x"), shared, name="one")


@pytest.mark.parametrize("key", ["path", "table"])
def test_an_input_lies_on_a_volume(job: JobConfig, profile: Profile, key: str) -> None:
    asked = place(job, "inputs", "right", **{key: "/home/me/gaia"})
    said = rf"`inputs\.right\.{key}` is '/home/me/gaia', .* the profile mounts /data\."
    with pytest.raises(ParameterError, match=said):
        build_application(asked, profile, name="one")


def test_volumes_of_templates_count(job: JobConfig, profile: Profile) -> None:
    def mount(container: str, volume: dict[str, Any]) -> dict[str, Any]:
        mounts = [{"name": "survey", "mountPath": "/survey"}]
        containers = [{"name": container, "volumeMounts": mounts}]
        return {"spec": {"volumes": [{"name": "survey", **volume}], "containers": containers}}

    asked = place(job, "outputs", "matches", table="/survey/x")
    nfs = {"nfs": {"server": "s", "path": "/"}}
    driver = {"template": mount("spark-kubernetes-driver", nfs)}
    with pytest.raises(ParameterError, match="outlives the pods"):
        build_application(asked, change(profile, driver=driver), name="one")
    for volume in (nfs, {"emptyDir": {}}):
        executor = {"template": mount("spark-kubernetes-executor", volume)}
        shared = change(profile, driver=driver, executor=executor)
        if volume is nfs:
            assert build_application(asked, shared, name="one")
        else:
            with pytest.raises(ParameterError, match="outlives the pods"):
                build_application(asked, shared, name="one")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("Bad Name", "A table must be a name such as `gaia_dr3`"),
        ("UPPER", "A table must be a name such as `gaia_dr3`"),
        ("s3a://", "must be a URI such as s3a://bucket/folder"),
        ("s3a:///x", "must be a URI such as s3a://bucket/folder"),
        ("S3A://bucket/x", "must be a URI such as s3a://bucket/folder"),
        ("a@v3", "must not name a version, got a@v3"),
    ],
)
def test_a_table_without_a_good_name_is_refused(
    job: JobConfig, profile: Profile, table: str, said: str
) -> None:
    with pytest.raises(ParameterError, match=rf"`outputs\.matches\.table`.*{re.escape(said)}"):
        build_application(place(job, "outputs", "matches", table=table), profile, name="one")
    if "version" not in said:
        with pytest.raises(ParameterError, match=rf"`inputs\.left\.table`.*{re.escape(said)}"):
            build_application(place(job, "inputs", "left", table=table), profile, name="one")


def test_an_output_table_is_needed(job: JobConfig, profile: Profile) -> None:
    with pytest.raises(ParameterError, match=r"`outputs\.matches\.table` is missing"):
        build_application(place(job, "outputs", "matches", mode="error"), profile, name="one")
