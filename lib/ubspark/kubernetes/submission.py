"""From a `SparkApplication` to the call of spark-submit that does the same."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ubspark.errors import ParameterError
from ubspark.kubernetes.queues import translate_scheduler
from ubspark.kubernetes.templates import CONTAINERS, Role

__all__ = ["Submission", "build_submission"]

#: What only the operator does: spark-submit starts once, and keeps what it made.
_OPERATOR_ONLY = {"restartPolicy", "timeToLiveSeconds", "sparkVersion", "pythonVersion"}
_TEMPLATE_FILE = "spark.kubernetes.{role}.podTemplateFile"
_APPLICATION = {
    "image": "spark.kubernetes.container.image",
    "imagePullPolicy": "spark.kubernetes.container.image.pullPolicy",
}
_POD = {
    "cores": "spark.{role}.cores",
    "coreRequest": "spark.kubernetes.{role}.request.cores",
    "coreLimit": "spark.kubernetes.{role}.limit.cores",
    "memory": "spark.{role}.memory",
    "memoryOverhead": "spark.{role}.memoryOverhead",
    "instances": "spark.{role}.instances",
    "serviceAccount": "spark.kubernetes.authenticate.{role}.serviceAccountName",
}


@dataclass(frozen=True)
class Submission:
    """A call of spark-submit, and the files it reads."""

    name: str
    settings: Mapping[str, str]
    #: File name to text of the pod templates.
    templates: Mapping[str, str]
    application: str
    arguments: tuple[str, ...]

    def to_command(self, master: str, folder: str) -> list[str]:
        """Return the words of the command; the templates lie in a folder."""
        files = {_TEMPLATE_FILE.format(role=role): f"{folder}/{role}.yaml" for role in CONTAINERS}
        words = ["spark-submit", "--master", f"k8s://{master}", "--deploy-mode", "cluster"]
        words += ["--name", self.name]
        for key, value in {**self.settings, **files}.items():
            words += ["--conf", f"{key}={value}"]
        return [*words, self.application, *self.arguments]

    def to_script(self, master: str) -> str:
        """Return a shell script that writes the templates and submits."""
        lines = ["#!/bin/sh", "set -eu", "folder=$(mktemp -d)"]
        for file, text in self.templates.items():
            lines += [f"cat > \"$folder/{file}\" <<'END'", text.rstrip("\n"), "END"]
        # The shell puts the folder in its place in these two words, and touches no other.
        ours = {f"{_TEMPLATE_FILE.format(role=role)}=$folder/{role}.yaml" for role in CONTAINERS}
        words = [
            f'"{word}"' if word in ours else shlex.quote(word)
            for word in self.to_command(master, "$folder")
        ]
        return "\n".join([*lines, _fold(words), ""])


def build_submission(application: Mapping[str, Any]) -> Submission:
    """Turn a `SparkApplication` into a call of spark-submit in cluster mode.

    Raises
    ------
    ParameterError
        If it holds a key that this cannot express: nothing is left out silently.
    """
    metadata, spec = dict(application["metadata"]), dict(application["spec"])
    name = str(metadata.pop("name"))
    settings = {
        "spark.kubernetes.namespace": str(metadata.pop("namespace")),
        # One name, one driver: the API server refuses a second one.
        "spark.kubernetes.driver.pod.name": f"{name}-driver",
        "spark.kubernetes.executor.podNamePrefix": name,
        "spark.kubernetes.submission.waitAppCompletion": "false",
    }
    for key, setting in _APPLICATION.items():
        settings[setting] = str(spec.pop(key))
    secrets = spec.pop("imagePullSecrets", [])
    if secrets:
        settings["spark.kubernetes.container.image.pullSecrets"] = ",".join(secrets)
    settings |= _translate_metadata(metadata, name) | translate_scheduler(spec, name)
    templates = {}
    for role in CONTAINERS:
        pod = dict(spec.pop(role))
        templates[f"{role}.yaml"] = _write_template(pod.pop("template"))
        settings[f"spark.kubernetes.{role}.podTemplateContainerName"] = CONTAINERS[role]
        settings |= _translate_pod(pod, role)
    settings |= spec.pop("sparkConf")
    main, arguments = str(spec.pop("mainApplicationFile")), tuple(spec.pop("arguments"))
    expected = {"type": "Python", "mode": "cluster"}
    given = {key: spec.pop(key, None) for key in expected}
    left = sorted(set(spec) - _OPERATOR_ONLY)
    if left or given != expected:
        what = ", ".join(left) or str(given)
        msg = f"spark-submit cannot express `spec` of the SparkApplication {name}: {what}."
        raise ParameterError(msg)
    return Submission(name, settings, templates, main, arguments)


def _translate_metadata(metadata: dict[str, Any], name: str) -> dict[str, str]:
    """Return what an application says of itself as labels and annotations of its pods."""
    settings: dict[str, str] = {}
    for key, word in {"labels": "label", "annotations": "annotation"}.items():
        for item, value in metadata.pop(key, {}).items():
            settings |= {
                f"spark.kubernetes.{role}.{word}.{item}": str(value) for role in CONTAINERS
            }
    if metadata:
        what = ", ".join(sorted(metadata))
        msg = f"spark-submit cannot express `metadata` of the SparkApplication {name}: {what}."
        raise ParameterError(msg)
    return settings


def _translate_pod(pod: dict[str, Any], role: Role) -> dict[str, str]:
    labels = pod.pop("labels", {})
    settings = {f"spark.kubernetes.{role}.label.{key}": str(v) for key, v in labels.items()}
    for key, value in pod.items():
        if key not in _POD:
            msg = f"spark-submit cannot express `spec.{role}.{key}` of a SparkApplication."
            raise ParameterError(msg)
        settings[_POD[key].format(role=role)] = str(value)
    return settings


def _write_template(template: Mapping[str, Any]) -> str:
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    return yaml.safe_dump(pod, sort_keys=False)


def _fold(words: list[str]) -> str:
    """Return the words on lines, each option with its value."""
    lines, i = [words[0]], 1
    while i < len(words):
        step = 2 if words[i].startswith("--") and i + 1 < len(words) else 1
        lines.append(" ".join(words[i : i + step]))
        i += step
    return " \\\n    ".join(lines)
