"""The queue of a group: what Kueue and YuniKorn read of an application, and of its pods."""

import re
from collections.abc import Mapping
from typing import Any

from ubspark.errors import ParameterError
from ubspark.kubernetes.profile import Profile

__all__ = [
    "KUEUE_LABEL",
    "build_queue_labels",
    "build_queue_settings",
    "build_scheduler",
    "translate_scheduler",
    "validate_queue_settings",
]

#: On an application the operator lets Kueue hold it back; on a plain pod Kueue holds the pod.
KUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_DYNAMIC = "spark.dynamicAllocation.enabled"
_SCHEDULER = re.compile(r"spark\.kubernetes\.((driver|executor)\.)?scheduler\.name")


def build_queue_labels(profile: Profile) -> dict[str, str]:
    """Return the labels of an application."""
    queue = profile.queue
    return {KUEUE_LABEL: queue.name} if queue and queue.kind == "kueue" else {}


def build_queue_settings(profile: Profile) -> dict[str, str]:
    """Return the settings of Spark; Kueue admits whole applications.

    Raises
    ------
    ParameterError
        If executors are to come and go.
    """
    if not build_queue_labels(profile):
        return {}
    if profile.executor.max_instances is not None:
        msg = (
            "`k8s.executor.max_instances` must be left out with a `k8s.queue` of Kueue, which "
            f"admits an application whole, got {profile.executor.max_instances}."
        )
        raise ParameterError(msg)
    return {_DYNAMIC: "false"}


def validate_queue_settings(profile: Profile, settings: Mapping[str, str]) -> None:
    """Refuse further settings that would take pods out of their queue.

    Raises
    ------
    ParameterError
        Naming the setting.
    """
    if profile.queue is None:
        return
    ours = build_queue_settings(profile)
    for key, value in settings.items():
        if _SCHEDULER.fullmatch(key) or ours.get(key, value) != value:
            msg = f"Spark's settings cannot set `{key}` beside a `k8s.queue`, which decides it."
            raise ParameterError(msg)


def build_scheduler(profile: Profile) -> dict[str, Any]:
    """Return the keys of the specification by which the operator hands pods to YuniKorn."""
    queue = profile.queue
    if queue is None or queue.kind != "yunikorn":
        return {}
    return {"batchScheduler": "yunikorn", "batchSchedulerOptions": {"queue": queue.name}}


def translate_scheduler(spec: dict[str, Any], name: str) -> dict[str, str]:
    """Take the scheduler out of a specification, and return what spark-submit makes of it.

    Raises
    ------
    ParameterError
        If it is another one, or has further options.
    """
    scheduler = spec.pop("batchScheduler", None)
    options = dict(spec.pop("batchSchedulerOptions", {}))
    queue = options.pop("queue", None)
    if scheduler is None and queue is None and not options:
        return {}
    if scheduler != "yunikorn" or queue is None or options:
        what = ", ".join(f"batchSchedulerOptions.{key}" for key in options)
        msg = (
            f"spark-submit cannot express the `batchScheduler` {scheduler!r} of the "
            f"SparkApplication {name}{f' with {what}' if what else ''}; it knows yunikorn with a "
            f"queue."
        )
        raise ParameterError(msg)
    settings = {"spark.kubernetes.scheduler.name": "yunikorn"}
    for role in ("driver", "executor"):
        settings[f"spark.kubernetes.{role}.label.queue"] = str(queue)
        # Spark puts the id of the application in its place, the same in all pods.
        settings[f"spark.kubernetes.{role}.annotation.yunikorn.apache.org/app-id"] = "{{APP_ID}}"
    return settings
