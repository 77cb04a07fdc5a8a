"""What is pod-shaped of a job: security, volumes, environment.

All of it stands in pod templates, which Spark itself reads: it holds with and without the
operator's webhook.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

from ubspark.kubernetes.overlay import overlay
from ubspark.kubernetes.profile import PodSize, Profile

__all__ = ["CONTAINERS", "Role", "build_template"]

Role = Literal["driver", "executor"]

#: Names by which Spark knows its container in a template.
CONTAINERS: Mapping[Role, str] = {
    "driver": "spark-kubernetes-driver",
    "executor": "spark-kubernetes-executor",
}
#: Seconds an executor has to hand over its blocks, and a driver to close its record.
_GRACE_SECONDS = 60
_MAX_VOLUME_NAME = 63
#: What the processes write to, under a root that is read-only.
_WRITABLE = {"tmp": "/tmp", "work": "/opt/ubspark/work"}  # noqa: S108 - of the container


def build_template(profile: Profile, role: Role, env: Mapping[str, str]) -> dict[str, Any]:
    """Return the pod template of a role, with the profile's own pieces laid over it."""
    volumes: list[dict[str, Any]] = [{"name": name, "emptyDir": {}} for name in _WRITABLE]
    mounts: list[dict[str, Any]] = [
        {"name": name, "mountPath": path} for name, path in _WRITABLE.items()
    ]
    for volume in profile.volumes:
        name = _name_volume(volume.claim)
        source = {"claimName": volume.claim, "readOnly": volume.read_only}
        volumes.append({"name": name, "persistentVolumeClaim": source})
        mount = {"name": name, "mountPath": volume.path, "readOnly": volume.read_only}
        mounts.append(mount)
    container: dict[str, Any] = {
        "name": CONTAINERS[role],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        # The end of a failed driver's log is where `ubspark k8s status` finds its sentence.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "env": [{"name": name, "value": value} for name, value in env.items()],
        # There even if it is empty: so a patch of kustomize can add to it whatever is in it.
        "envFrom": [{"secretRef": {"name": name}} for name in profile.secrets],
        "volumeMounts": mounts,
    }
    pod: dict[str, Any] = {
        "securityContext": _build_security(profile),
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "volumes": volumes,
        "containers": [container],
    }
    if profile.priority_class:
        pod["priorityClassName"] = profile.priority_class
    size: PodSize = profile.driver if role == "driver" else profile.executor
    return dict(overlay({"spec": pod}, size.template, key=f"k8s.{role}.template"))


def _name_volume(claim: str) -> str:
    """Return the name of a claim as one of a volume, which has no dots and is not one of ours."""
    name = claim.replace(".", "-")
    if name == claim and name not in _WRITABLE and len(name) <= _MAX_VOLUME_NAME:
        return name
    return f"{name[:40]}-{hashlib.sha256(claim.encode()).hexdigest()[:10]}"


def _build_security(profile: Profile) -> dict[str, Any]:
    """Return what Pod Security `restricted` asks for; group 0 owns what the image lets write."""
    security: dict[str, Any] = {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if profile.user_id is not None:
        user = {"runAsUser": profile.user_id, "runAsGroup": 0, "fsGroup": profile.user_id}
        # Without it every start walks through all files of a volume to change their group.
        security |= {**user, "fsGroupChangePolicy": "OnRootMismatch"}
    return security
