"""What became of a submission, in one sentence: read from its pods, their events and its log."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ubspark.kubernetes.templates import CONTAINERS

__all__ = ["MEMORY_SECONDS", "Phase", "Status", "diagnose", "find_waiting"]

#: How long it is told of that an executor ran out of memory.
MEMORY_SECONDS = 600
#: A refused executor is asked for again, and refused again, within seconds.
_QUOTA_SECONDS = 60

#: The phases of IVOA's Universal Worker Service.
Phase = Literal["QUEUED", "EXECUTING", "COMPLETED", "ERROR", "ABORTED", "UNKNOWN"]

_IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName")
_START_REASONS = (
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
)
#: As a command leaves after SIGTERM, by the convention of shells and by ours.
_STOPPED_CODES = (130, 143)
_OUR_LINE = re.compile(r"^ubspark: (?!warning: )(.+)$", re.MULTILINE)
_TRACKING_LINE = re.compile(r"^ubspark: warning: (MLflow at \S+ did not take .+)$", re.MULTILINE)
#: Spark makes a driver's settings after the pod that mounts them.
_LATE_SETTINGS = re.compile(r'configmap "[^"]*-conf-map" not found')
_THROWN_LINE = re.compile(r'^Exception in thread "main" (.+)$', re.MULTILINE)
#: In Spark's words: an executor that the kernel killed for its memory.
_MEMORY_LINE = re.compile(r"executor with id (\d+) exited with exit code 137")
_QUOTA_LINE = re.compile(r"exceeded quota: ([^,\n]+), (requested: [^\n]*?limited: [\w.=]*[\w=])")


@dataclass(frozen=True)
class Status:
    """Where a submission is."""

    name: str
    phase: Phase
    #: Why it waits, failed, or what it lacks; empty where all is well.
    reason: str
    #: Executors that run.
    n_executors: int
    driver: str


def diagnose(
    name: str,
    driver: Mapping[str, Any] | None,
    executors: Sequence[Mapping[str, Any]],
    *,
    events: Sequence[Mapping[str, Any]] = (),
    log: str = "",
    lately: str = "",
    executor_events: Sequence[Mapping[str, Any]] = (),
) -> Status:
    """Judge a submission.

    Parameters
    ----------
    driver
        The driver pod as the API server gives it, None where there is none.
    executors
        The executor pods.
    events
        Events of the driver pod, the oldest first.
    log
        The end of the driver's log.
    lately
        Its lines of the last `MEMORY_SECONDS`, each after its time.
    executor_events
        Events of an executor pod that waits.
    """
    running = sum(_get_phase(pod) == "Running" for pod in executors)
    if driver is None:
        reason = f"There is no driver pod of {name}; submit it (again)."
        return Status(name, "UNKNOWN", reason, running, "")
    pod_name = str(driver["metadata"]["name"])
    phase, reason = _judge(driver, executors, (events, executor_events), log, lately)
    return Status(name, phase, reason, running, pod_name)


def _judge(
    driver: Mapping[str, Any],
    executors: Sequence[Mapping[str, Any]],
    events: tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]],
    log: str,
    lately: str,
) -> tuple[Phase, str]:
    found, ended = _get_phase(driver), _find_end(driver)
    # With another container beside it a pod goes on when the driver has ended.
    if found == "Succeeded" or (ended and ended["exitCode"] == 0):
        return "COMPLETED", _find_tracking(log)
    if found == "Failed" or ended:
        return _explain_end(driver, ended, log)
    if found == "Unknown" or driver.get("status", {}).get("reason") == "NodeLost":
        node = driver.get("spec", {}).get("nodeName", "of the driver")
        return "UNKNOWN", f"The node {node} does not answer; whether the driver runs is not known."
    if found == "Running":
        reasons = (_explain_executors(executors, lately, events[1]), _find_tracking(log))
        return "EXECUTING", " ".join(filter(None, reasons))
    return "QUEUED", _explain_waiting(driver) or _explain_events(events[0])


def _get_phase(pod: Mapping[str, Any]) -> str:
    return str(pod.get("status", {}).get("phase", "Pending"))


def _explain_waiting(pod: Mapping[str, Any]) -> str:
    """Say why a pod has not started: no node for it, or no image."""
    status = pod.get("status", {})
    name = pod["metadata"]["name"]
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            if condition.get("reason") == "SchedulingGated":
                return f"Pod {name} waits in its queue."
            return f"Pod {name} waits for a node: {_end(condition.get('message', ''))}"
    for container in _iterate_containers(pod):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") in _IMAGE_REASONS:
            why = _end(waiting.get("message") or waiting["reason"])
            return f"The image {container['image']} of pod {name} cannot be had: {why}"
        if waiting.get("reason") in _START_REASONS:
            why = _end(waiting.get("message") or waiting["reason"])
            return f"The container of pod {name} does not start ({waiting['reason']}): {why}"
    return ""


def _explain_events(events: Sequence[Mapping[str, Any]]) -> str:
    """Say what the newest warning says; settings that come a second later are none."""
    told = [event for event in events if event.get("type") == "Warning"]
    told = [event for event in told if not _LATE_SETTINGS.search(str(event.get("message")))]
    return f"{told[-1]['reason']}: {_end(told[-1]['message'])}" if told else ""


def find_waiting(executors: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the name of an executor pod that waits without saying why; its events may."""
    waiting = [pod for pod in executors if _get_phase(pod) == "Pending"]
    silent = (str(pod["metadata"]["name"]) for pod in waiting if not _explain_waiting(pod))
    return next(silent, None)


def _explain_executors(
    executors: Sequence[Mapping[str, Any]], lately: str, events: Sequence[Mapping[str, Any]]
) -> str:
    """Say what keeps executors away: an image, no node, a volume, their memory, a quota."""
    waiting = [pod for pod in executors if _get_phase(pod) == "Pending"]
    for reason in filter(None, map(_explain_waiting, waiting)):
        return reason
    if waiting and _explain_events(events):
        return f"Executors wait. {_explain_events(events)}"
    killed = len(set(_MEMORY_LINE.findall(lately)))
    if killed:
        return (
            f"{killed} executors ran out of memory; raise `k8s.executor.overhead`, where Python "
            f"works."
        )
    refused = list(_QUOTA_LINE.finditer(lately))
    if refused and _measure_age(lately, refused[-1].start()) < _QUOTA_SECONDS:
        quota, numbers = refused[-1].groups()
        return f"The quota {quota} refuses further executors ({numbers}); it goes on with fewer."
    return ""


def _measure_age(lines: str, position: int) -> float:
    """Return how many seconds ago a line was written that begins with its time; 0 without one."""
    stamp = lines[lines.rfind("\n", 0, position) + 1 : position].partition(" ")[0]
    try:
        # Python 3.11 reads no nanoseconds.
        then = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", stamp))
    except ValueError:
        return 0.0
    return (datetime.now(UTC) - then).total_seconds() if then.tzinfo else 0.0


def _find_end(driver: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the end of the container that Spark runs in, None while it is to come."""
    containers = driver.get("status", {}).get("containerStatuses", [])
    own = [found for found in containers if found.get("name") == CONTAINERS["driver"]]
    container: Mapping[str, Any] = next(iter(own or containers), {})
    ended: Mapping[str, Any] | None = container.get("state", {}).get("terminated")
    return ended


def _explain_end(
    driver: Mapping[str, Any], ended: Mapping[str, Any] | None, log: str
) -> tuple[Phase, str]:
    """Say why a driver failed, in its own words where it had time for them."""
    if ended:
        text = log or str(ended.get("message", ""))
        said = _OUR_LINE.findall(text)
        phase: Phase = "ABORTED" if ended["exitCode"] in _STOPPED_CODES else "ERROR"
        if ended.get("reason") == "OOMKilled":
            return "ERROR", "The driver ran out of memory; raise `k8s.driver.overhead` or `memory`."
        if said:
            return phase, said[-1]
        thrown = _THROWN_LINE.search(text)
        why = f" ({thrown[1].rstrip('.')})" if thrown else ""
        return phase, f"The driver ended with exit code {ended['exitCode']}{why}; see its log."
    for container in driver.get("status", {}).get("initContainerStatuses", []):
        code = container.get("state", {}).get("terminated", {}).get("exitCode")
        if code:
            name = container.get("name", container["image"])
            return "ERROR", f"The container {name}, which runs first, ended with exit code {code}."
    reason = driver.get("status", {}).get("reason", "Failed")
    message = driver.get("status", {}).get("message", "no reason given")
    return "ERROR", f"The driver pod was stopped ({reason}): {_end(message)}"


def _find_tracking(log: str) -> str:
    found = _TRACKING_LINE.search(log)
    return f"{_end(found[1])} `ubspark sync` delivers it." if found else ""


def _iterate_containers(pod: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key in ("initContainerStatuses", "containerStatuses"):
        yield from pod.get("status", {}).get(key, [])


def _end(text: str) -> str:
    """Return the first line of a text as the end of a sentence."""
    return text.strip().partition("\n")[0].rstrip(".") + "."
