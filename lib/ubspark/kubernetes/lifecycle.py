"""Submitting a job, asking after it, reading its log, stopping it."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ubspark.errors import ConflictError, InputMissingError, TransientError, UbsparkError
from ubspark.kubernetes.cluster import Cluster
from ubspark.kubernetes.diagnosis import MEMORY_SECONDS, Status, diagnose, find_waiting
from ubspark.kubernetes.manifest import NAME_LABEL, build_application
from ubspark.kubernetes.profile import Profile
from ubspark.kubernetes.submission import build_submission
from ubspark.kubernetes.templates import CONTAINERS
from ubspark.runtime.config import JobConfig
from ubspark.runtime.jars import find_jar_folder
from ubspark.runtime.progress import tell
from ubspark.runtime.user import find_user

__all__ = ["Submitted", "Way", "cancel", "find_status", "read_logs", "submit"]

#: With the operator, or without.
Way = Literal["sparkapplication", "spark-submit"]
_KIND = "sparkapplications.sparkoperator.k8s.io"
_SCHEDULE = "scheduledsparkapplications.sparkoperator.k8s.io"
#: Label that Spark gives to all pods of one application.
_SELECTOR = "spark-app-selector"
#: What Java says of a server that it has not come to speak with.
_UNREACHABLE = re.compile(
    r"Connection (?:refused|reset|timed out)|ConnectException|UnknownHostException|No route to host"
    r"|Network is unreachable|UnresolvedAddressException|SSLHandshakeException|connect timed out"
    r"|Failed to resolve|HttpConnectTimeoutException"
)
#: Lines of a log in which a driver's last words are; a quota that refuses pods writes thousands.
_LINES = 20_000
_POLL_SECONDS = 2.0
_PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Submitted:
    """What a submission came to."""

    name: str
    #: Whether it was on its way already.
    already: bool
    phase: str


def submit(config: JobConfig, profile: Profile, *, name: str, way: Way) -> Submitted:
    """Submit a job under a name, unless it is on its way already.

    One that has ended is submitted again: whether its inputs have changed since, only the job
    itself can tell, and it computes nothing where they have not.

    Raises
    ------
    ConflictError
        If a schedule has the name: its runs would go with it.
    UbsparkError
        With the reason why the cluster refused it.
    """
    run = config.run.model_copy(update={"user": config.run.user or find_user()})
    application = build_application(config.model_copy(update={"run": run}), profile, name=name)
    cluster = Cluster(profile.namespace)
    if cluster.find(_SCHEDULE, name) is not None:
        msg = (
            f"`name` is {name!r}, by which a schedule goes in namespace {profile.namespace}. "
            f"Choose another one, or remove the schedule first: `ubspark k8s cancel {name}`."
        )
        raise ConflictError(msg)
    status = find_status(cluster, name)
    if status.phase in ("QUEUED", "EXECUTING"):
        return Submitted(name, already=True, phase=status.phase)
    _remove(cluster, name, kinds=(_KIND,))
    if way == "sparkapplication":
        cluster.apply(application)
    else:
        _call_spark_submit(application, profile.master or cluster.find_master())
    return Submitted(name, already=False, phase="QUEUED")


def find_status(cluster: Cluster, name: str) -> Status:
    """Return where a submission is, or the newest run of a schedule, with a reason where due."""
    driver = cluster.find("pod", f"{name}-driver")
    if driver is None:
        return _find_application(cluster, name) or diagnose(name, None, [])
    # A run of a schedule has the labels of the schedule, and this one of its own.
    own = driver["metadata"].get("labels", {}).get(_SELECTOR)
    label = {_SELECTOR: own} if own else {NAME_LABEL: name}
    executors = cluster.select("pods", labels={**label, "spark-role": "executor"})
    waiting = find_waiting(executors)
    pod, container = f"{name}-driver", CONTAINERS["driver"]
    return diagnose(
        name,
        driver,
        executors,
        events=cluster.list_events("Pod", pod),
        log=cluster.read_log(pod, container=container, tail=_LINES),
        lately=_read_lately(cluster, driver),
        executor_events=cluster.list_events("Pod", waiting) if waiting else (),
    )


def _read_lately(cluster: Cluster, driver: Mapping[str, Any]) -> str:
    """Return what a driver that runs has said in the last minutes."""
    if driver.get("status", {}).get("phase") != "Running":
        return ""
    return cluster.read_log(
        str(driver["metadata"]["name"]),
        container=CONTAINERS["driver"],
        tail=_LINES,
        since=f"{MEMORY_SECONDS}s",
        stamps=True,
    )


def read_logs(cluster: Cluster, name: str, *, follow: bool = False) -> Iterator[str]:
    """Yield the lines of a driver's log, of a schedule that of its newest run.

    Raises
    ------
    InputMissingError
        If there is no such driver.
    """
    name = _find_run(cluster, name)
    if cluster.find("pod", f"{name}-driver") is None:
        msg = f"There is no driver pod `{name}-driver` in namespace {cluster.namespace}."
        raise InputMissingError(msg)
    if follow:
        _wait_for_start(cluster, name)
        yield from cluster.follow_log(f"{name}-driver", container=CONTAINERS["driver"])
    else:
        log = cluster.read_log(f"{name}-driver", container=CONTAINERS["driver"])
        yield from log.splitlines(keepends=True)


def _wait_for_start(cluster: Cluster, name: str) -> None:
    """Wait until a driver has a log, telling once what it waits for."""
    told = ""
    while (status := find_status(cluster, name)).phase == "QUEUED":
        if status.reason and status.reason != told:
            told = status.reason
            tell(told)
        time.sleep(_POLL_SECONDS)


def cancel(cluster: Cluster, name: str) -> bool:
    """Stop a submission and remove its pods; False where there was none. Its outputs stay.

    A schedule goes with its runs.
    """
    return _remove(cluster, name, kinds=(_SCHEDULE, _KIND))


def _remove(cluster: Cluster, name: str, *, kinds: tuple[str, ...]) -> bool:
    found = False
    for kind in kinds:
        if cluster.find(kind, name) is not None:
            found = cluster.delete(kind, name) or found
    # Executors, services and settings belong to the driver pod and go with it.
    return cluster.delete("pod", f"{name}-driver") or found


def _find_run(cluster: Cluster, name: str) -> str:
    """Return the name of the newest run of a schedule; that of anything else is its own."""
    schedule = cluster.find(_SCHEDULE, name)
    return str((schedule or {}).get("status", {}).get("lastRunName") or name)


def _find_application(cluster: Cluster, name: str) -> Status | None:
    """Return what the operator says of an application that has no driver (yet)."""
    application = cluster.find(_KIND, name)
    if application is None:
        return _find_schedule(cluster, name)
    state = application.get("status", {}).get("applicationState", {})
    word, reason = str(state.get("state", "")), str(state.get("errorMessage", ""))
    if word == "COMPLETED":
        return Status(name, "COMPLETED", "", 0, "")
    if "FAILED" in word or word == "FAILING":
        return Status(name, "ERROR", reason or f"The operator says {word}.", 0, "")
    if word in ("RUNNING", "UNKNOWN", "INVALIDATING", "SUCCEEDING"):
        gone = f"The operator says {word}, but there is no driver pod."
        return Status(name, "UNKNOWN", reason or gone, 0, "")
    if word.startswith(("SUSPEND", "RESUM")):
        return Status(name, "QUEUED", reason or f"The operator says {word}.", 0, "")
    return Status(name, "QUEUED", reason or "The operator has not started a driver yet.", 0, "")


def _find_schedule(cluster: Cluster, name: str) -> Status | None:
    """Return where the newest run of a schedule is."""
    schedule = cluster.find(_SCHEDULE, name)
    if schedule is None:
        return None
    told = schedule.get("status", {})
    run = told.get("lastRunName")
    if not run:
        reason = told.get("reason") or f"Scheduled, {schedule['spec']['schedule']!r}; not run yet."
        return Status(name, "QUEUED", str(reason), 0, "")
    found = find_status(cluster, str(run))
    return replace(found, reason=f"Newest run {run}. {found.reason}".strip())


def _call_spark_submit(application: Mapping[str, Any], master: str) -> None:
    submission = build_submission(application)
    with tempfile.TemporaryDirectory() as folder:
        for file, text in submission.templates.items():
            (Path(folder) / file).write_text(text, encoding="utf-8")
        words = submission.to_command(master, folder)
        # The one that belongs to this Python.
        words[0] = str(Path(sys.executable).with_name("spark-submit"))
        try:
            done = subprocess.run(
                words,
                env=_clean_environment(),
                capture_output=True,
                text=True,
                timeout=_PATIENCE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            msg = f"spark-submit got no answer from {master} in {_PATIENCE_SECONDS} s."
            raise TransientError(msg) from error
    if done.returncode:
        raise _describe_failure(submission.name, master, done.stderr)


def _clean_environment() -> dict[str, str]:
    """Return the environment without what tells Spark of this machine or of a running session.

    The script would ask the first ``python3`` of the path where Spark is, which need not know, and
    would send the configuration of a Hadoop here to the pods.
    """
    foreign = ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "SPARK_CONF_DIR")
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("PYSPARK_") and key not in foreign
    }
    return kept | {"SPARK_HOME": str(find_jar_folder().parent)}


def _describe_failure(name: str, master: str, said: str) -> UbsparkError:
    """Return what spark-submit's stack trace comes to."""
    if "already exists" in said:
        msg = f"The submission {name} is being made by somebody else; see `ubspark k8s status`."
        return ConflictError(msg)
    refused = re.search(r"Message: (.+?)\.? Received status", said)
    if refused:
        return _refuse(name, refused[1], said)
    # The cause of all others stands last.
    causes = re.findall(r"^Caused by: ([\w.$]+: )?(.+)", said, re.MULTILINE)
    unreachable = _UNREACHABLE.search(said)
    if unreachable:
        kind, why = causes[-1] if causes else ("", unreachable[0])
        why = f"no host is called {why}" if "UnknownHost" in kind else why
        msg = (
            f"The API server {master} cannot be reached: {why.strip().rstrip('.')}. Is "
            f"`k8s.master` or KUBECONFIG right?"
        )
        return TransientError(msg)
    thrown = re.search(r"Exception: (.+)", said)
    last = (said.strip().splitlines() or ["no reason given"])[-1]
    return _refuse(name, causes[-1][1] if causes else thrown[1] if thrown else last, said)


def _refuse(name: str, why: str, said: str) -> UbsparkError:
    kind = UbsparkError if "orbidden" in said or "nvalid" in said else TransientError
    return kind(f"The cluster refused the driver of {name}: {why.strip().rstrip('.')}.")
