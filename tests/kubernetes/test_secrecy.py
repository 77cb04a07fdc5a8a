"""A credential in plain text is refused by its key, and its value is never told."""

import re
from typing import Any

import pytest

from ubspark.errors import ParameterError
from ubspark.kubernetes.manifest import build_application
from ubspark.kubernetes.profile import Profile
from ubspark.runtime.config import JobConfig, parse_job

#: Stands for every credential of these tests.
_HIDDEN = "Hu5h"
_VARIABLES = [
    "API_KEY",
    "PRIVATE_KEY",
    "STORE_KEY",
    "CREDENTIALS",
    "GITHUB_PAT",
    "TOKEN",
    "HF_TOKEN",
    "PASSWORD",
    "PGPASSWORD",
]
_URI = f"http://user:{_HIDDEN}@proxy:3128"


def change(profile: Profile, **values: Any) -> Profile:
    """Change a profile past the checks of its fields, which know some of the names already."""
    return profile.model_copy(update=values)


def give(job: JobConfig, section: str, name: str, **entry: Any) -> JobConfig:
    content = job.model_dump(exclude_defaults=True)
    content[section][name] = entry
    return parse_job(content)


def size(profile: Profile, role: str, container: dict[str, Any]) -> Profile:
    template = {"spec": {"containers": [{"name": f"spark-kubernetes-{role}", **container}]}}
    given = getattr(profile, role).model_copy(update={"template": template})
    return change(profile, **{role: given})


def refuse(job: JobConfig, profile: Profile, key: str) -> None:
    with pytest.raises(ParameterError) as caught:
        build_application(job, profile, name="one")
    said = str(caught.value)
    assert said.startswith(f"`{key}` would hold a credential")
    assert "a Secret that `k8s.secrets` names" in said
    assert _HIDDEN not in said


@pytest.mark.parametrize("name", _VARIABLES)
def test_a_variable_whose_name_says_so(job: JobConfig, profile: Profile, name: str) -> None:
    refuse(job, change(profile, env={name: _HIDDEN}), f"k8s.env.{name}")
    for role in ("driver", "executor"):
        shared = size(profile, role, {"env": [{"name": name, "value": _HIDDEN}]})
        refuse(job, shared, f"k8s.{role}.template.spec.containers[0].env.{name}")
    setting = f"spark.executorEnv.{name}"
    refuse(job, change(profile, spark={setting: _HIDDEN}), f"k8s.spark.{setting}")


def test_other_variables_are_taken(job: JobConfig, profile: Profile) -> None:
    env = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/token",
        "GOOGLE_APPLICATION_CREDENTIALS": "/mnt/key.json",
        "TOKENIZERS_PARALLELISM": "false",
        "KEYMAP": "de",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000/a@v3",
    }
    assert build_application(job, change(profile, env=env), name="one")
    by_secret = {"secretKeyRef": {"name": "store", "key": "token"}}
    shared = size(profile, "driver", {"env": [{"name": "TOKEN", "valueFrom": by_secret}]})
    assert build_application(job, shared, name="one")


def test_a_password_in_a_uri(job: JobConfig, profile: Profile) -> None:
    refuse(job, change(profile, env={"HTTP_PROXY": _URI}), "k8s.env.HTTP_PROXY")
    shared = size(profile, "executor", {"env": [{"name": "HTTP_PROXY", "value": _URI}]})
    refuse(job, shared, "k8s.executor.template.spec.containers[0].env[0].value")
    refuse(job, change(profile, event_log=f"s3a://k:{_HIDDEN}@b/x"), "k8s.event_log")


@pytest.mark.parametrize("secret", [_HIDDEN, f"{_HIDDEN}/x+y", f"{_HIDDEN}:z"])
def test_keys_of_a_store_in_a_place(job: JobConfig, profile: Profile, secret: str) -> None:
    place = f"s3a://KEY:{secret}@bucket/x"
    refuse(give(job, "inputs", "left", table=place), profile, "inputs.left.table")
    refuse(give(job, "inputs", "left", path=place), profile, "inputs.left.path")
    refuse(give(job, "outputs", "matches", table=place), profile, "outputs.matches.table")


@pytest.mark.parametrize(
    "key",
    [
        "spark.hadoop.fs.azure.account.key.store.blob.core.windows.net",
        "spark.hadoop.fs.s3a.encryption.key",
        "spark.hadoop.fs.azure.sas.survey.store",
        "spark.kubernetes.driverEnv.API_KEY",
    ],
)
def test_a_setting_whose_name_says_so(job: JobConfig, profile: Profile, key: str) -> None:
    refuse(job, change(profile, spark={key: _HIDDEN}), f"k8s.spark.{key}")
    resources = job.resources.model_copy(update={"spark": {key: _HIDDEN}})
    asked = job.model_copy(update={"resources": resources})
    refuse(asked, profile, f"resources.spark.{key}")


def test_a_property_of_java(job: JobConfig, profile: Profile) -> None:
    key = "spark.driver.extraJavaOptions"
    options = f"-Xss4m -Daws.secretKey={_HIDDEN}"
    refuse(job, change(profile, spark={key: options}), f"k8s.spark.{key}")
    assert build_application(job, change(profile, spark={key: "-Dx.y=1"}), name="one")


def test_containers_of_azure_are_no_users(job: JobConfig, profile: Profile) -> None:
    place = "abfss://survey@store.dfs.core.windows.net/x"
    assert build_application(give(job, "outputs", "matches", table=place), profile, name="one")
    for uri in ("s3a://b/x@v3", "http://host:8080/x@v3"):
        env = {"ADDRESS": uri}
        assert build_application(job, change(profile, env=env), name="one")


@pytest.mark.parametrize(
    "key", ["spark.redaction.regex", "spark.executorEnv.UBSPARK_HOME"], ids=["redaction", "home"]
)
def test_a_setting_that_others_rely_on_stays(job: JobConfig, profile: Profile, key: str) -> None:
    resources = job.resources.model_copy(update={"spark": {key: "nothing"}})
    asked = job.model_copy(update={"resources": resources})
    with pytest.raises(ParameterError, match=rf"`resources\.spark` cannot set `{re.escape(key)}`"):
        build_application(asked, profile, name="one")
