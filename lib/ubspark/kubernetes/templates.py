"""What is pod-shaped of a job: security, volumes, environment.

All of it stands in pod templates, which Spark itself reads: it holds with and without the
operator's webhook.
"""

from collections.abc import Mapping
from typing import Any, Literal

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
#: What the processes write to, under a root that is read-only.
_WRITABLE = {"tmp": "/tmp", "work": "/opt/ubspark/work"}  # noqa: S108 - of the container


def build_template(profile: Profile, role: Role, env: Mapping[str, str]) -> dict[str, Any]:
    """Return the pod template of a role, with the profile's own pieces laid over it."""
    volumes: list[dict[str, Any]] = [{"name": name, "emptyDir": {}} for name in _WRITABLE]
    mounts: list[dict[str, Any]] = [
        {"name": name, "mountPath": path} for name, path in _WRITABLE.items()
    ]
    for volume in profile.volumes:
        source = {"claimName": volume.claim, "readOnly": volume.read_only}
        volumes.append({"name": volume.claim, "persistentVolumeClaim": source})
        mount = {"name": volume.claim, "mountPath": volume.path, "readOnly": volume.read_only}
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
        "volumeMounts": mounts,
    }
    if profile.secrets:
        container["envFrom"] = [{"secretRef": {"name": name}} for name in profile.secrets]
    pod: dict[str, Any] = {
        "securityContext": _build_security(profile),
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "volumes": volumes,
        "containers": [container],
    }
    if profile.priority_class:
        pod["priorityClassName"] = profile.priority_class
    size: PodSize = profile.driver if role == "driver" else profile.executor
    return dict(_overlay({"spec": pod}, size.template))


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


def _overlay(base: Any, over: Any) -> Any:
    """Lay one piece of a manifest over another: mappings by key, named things by their name."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        merged = dict(base)
        for key, value in over.items():
            merged[key] = _overlay(merged[key], value) if key in merged else value
        return merged
    if _is_named(base) and _is_named(over):
        by_name = {item["name"]: item for item in base}
        for item in over:
            name = item["name"]
            by_name[name] = _overlay(by_name[name], item) if name in by_name else item
        return list(by_name.values())
    return over


def _is_named(value: Any) -> bool:
    """Whether a list holds things with names; two mounts may share one."""
    if not isinstance(value, list) or not value:
        return False
    names = [item.get("name") for item in value if isinstance(item, Mapping)]
    return len(names) == len(value) == len(set(names)) and None not in names
