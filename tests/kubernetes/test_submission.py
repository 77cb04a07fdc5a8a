"""The same manifest as a call of spark-submit."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ubspark.errors import ParameterError
from ubspark.kubernetes.manifest import build_application
from ubspark.kubernetes.profile import Profile
from ubspark.kubernetes.submission import build_submission
from ubspark.runtime.config import JobConfig

_MASTER = "https://10.0.0.1:6443"


@pytest.fixture
def application(job: JobConfig, profile: Profile) -> dict[str, Any]:
    return build_application(job, profile, name="one")


def read_settings(words: list[str]) -> dict[str, str]:
    pairs = [words[i + 1] for i, word in enumerate(words) if word == "--conf"]
    return dict(pair.split("=", 1) for pair in pairs)


def test_everything_of_the_manifest_arrives(application: dict[str, Any]) -> None:
    submission = build_submission(application)
    words = submission.to_command(_MASTER, "/folder")
    settings = read_settings(words)
    spec = application["spec"]
    assert words[:5] == ["spark-submit", "--master", f"k8s://{_MASTER}", "--deploy-mode", "cluster"]
    assert words[-3:] == [spec["mainApplicationFile"], *spec["arguments"]]
    assert settings.items() >= spec["sparkConf"].items()
    assert settings["spark.kubernetes.container.image"] == spec["image"]
    assert settings["spark.executor.instances"] == "2"
    assert settings["spark.kubernetes.driver.pod.name"] == "one-driver"
    assert settings["spark.kubernetes.driver.label.ubspark/name"] == "one"
    assert settings["spark.kubernetes.executor.podTemplateFile"] == "/folder/executor.yaml"
    for role in ("driver", "executor"):
        template = yaml.safe_load(submission.templates[f"{role}.yaml"])
        assert template["kind"] == "Pod"
        assert template["spec"] == spec[role]["template"]["spec"]


@pytest.mark.parametrize("place", ["spec", "driver"])
def test_what_cannot_be_said_is_refused(application: dict[str, Any], place: str) -> None:
    target = application["spec"] if place == "spec" else application["spec"]["driver"]
    target["hostNetwork" if place == "driver" else "monitoring"] = {}
    with pytest.raises(ParameterError, match="spark-submit cannot express"):
        build_submission(application)


def test_the_script_submits_the_same(application: dict[str, Any], tmp_path: Path) -> None:
    """A shell reads back the very words, templates and all."""
    submission = build_submission(application)
    fake = tmp_path / "spark-submit"
    fake.write_text('#!/bin/sh\nprintf "%s\\0" "$@" > words\ncp -r "$folder" seen\n')
    fake.chmod(0o755)
    script = submission.to_script(_MASTER).replace("folder=$(mktemp -d)", "export folder=made")
    (tmp_path / "made").mkdir()
    subprocess.run(
        ["sh", "-c", script], check=True, cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
    )
    words = (tmp_path / "words").read_text().split("\0")[:-1]
    assert ["spark-submit", *words] == submission.to_command(_MASTER, "made")
    for file, text in submission.templates.items():
        assert (tmp_path / "seen" / file).read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "see podTemplateFile= `touch made/PWNED` $(touch made/PWNED)",
        "podTemplateFile=$folder/driver.yaml",
        "it's spark.kubernetes.driver.podTemplateFile=x; touch made/PWNED",
        "costs $$x and $HOME",
    ],
)
def test_nothing_of_a_job_is_run_by_the_shell(
    job: JobConfig, profile: Profile, tmp_path: Path, text: str
) -> None:
    run = job.run.model_copy(update={"tags": {"note": text}})
    application = build_application(job.model_copy(update={"run": run}), profile, name="one")
    test_the_script_submits_the_same(application, tmp_path)
    assert not (tmp_path / "made" / "PWNED").exists()
    (_, argument) = application["spec"]["arguments"]
    # As Kubernetes reads it: two dollars are one.
    assert yaml.safe_load(argument.replace("$$", "$"))["run"]["tags"]["note"] == text


@pytest.mark.parametrize(
    "key",
    [
        "spark.kubernetes.driver.pod.name",
        "spark.kubernetes.namespace",
        "spark.kubernetes.container.image",
        "spark.kubernetes.driver.podTemplateFile",
        "spark.kubernetes.driver.label.ubspark/name",
        "spark.executor.instances",
    ],
)
@pytest.mark.parametrize("where", ["job", "profile"])
def test_a_setting_cannot_take_the_place_of_the_name(
    job: JobConfig, profile: Profile, key: str, where: str
) -> None:
    if where == "job":
        resources = job.resources.model_copy(update={"spark": {key: "7"}})
        job = job.model_copy(update={"resources": resources})
    else:
        profile = profile.model_copy(update={"spark": {key: "7"}})
    with pytest.raises(ParameterError, match=f"cannot set `{re.escape(key)}`"):
        build_application(job, profile, name="one")


def test_a_job_too_long_for_a_command_is_said(job: JobConfig, profile: Profile) -> None:
    run = job.run.model_copy(update={"tags": {"note": "x" * 120_000}})
    with pytest.raises(ParameterError, match="a command takes 100,000"):
        build_application(job.model_copy(update={"run": run}), profile, name="one")


def test_the_script_is_one_for_people(application: dict[str, Any]) -> None:
    script = build_submission(application).to_script(_MASTER)
    assert all(len(line) < 200 for line in script.splitlines())
    assert shlex.split(script.partition("spark-submit")[2])
