"""One sentence for what a submission waits for, lacks or ended with."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ubspark.kubernetes.diagnosis import diagnose, find_waiting


def make_pod(phase: str, *, name: str = "one-driver", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"phase": phase, **status}}


def make_container(**state: Any) -> list[dict[str, Any]]:
    return [{"image": "localhost/ubspark:no", "state": state}]


def stamp(age_seconds: float) -> str:
    """The time of a line of that age, as kubectl writes it."""
    then = datetime.now(UTC) - timedelta(seconds=age_seconds)
    return f"{then:%Y-%m-%dT%H:%M:%S.%f}789Z"


def end(code: int, **more: Any) -> dict[str, Any]:
    ended = {"exitCode": code, **more}
    return make_pod("Failed", containerStatuses=make_container(terminated=ended))


def test_no_driver_is_unknown() -> None:
    status = diagnose("one", None, [])
    assert (status.phase, status.n_executors) == ("UNKNOWN", 0)
    assert "submit it" in status.reason


def test_a_good_end_needs_no_reason() -> None:
    assert diagnose("one", make_pod("Succeeded"), []).reason == ""


def test_a_missing_image_is_named() -> None:
    waiting = {"reason": "ErrImageNeverPull", "message": "Container image is not present"}
    pod = make_pod("Pending", containerStatuses=make_container(waiting=waiting))
    status = diagnose("one", pod, [])
    assert status.phase == "QUEUED"
    assert status.reason == (
        "The image localhost/ubspark:no of pod one-driver cannot be had: "
        "Container image is not present."
    )


def test_a_missing_volume_is_named() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "message": 'No node: persistentvolumeclaim "gone" not found.',
    }
    status = diagnose("one", make_pod("Pending", conditions=[condition]), [])
    assert 'persistentvolumeclaim "gone" not found' in status.reason


@pytest.mark.parametrize("settings", ["spark-drv-193a95-conf-map", "one-1-driver-podspec-conf-map"])
def test_the_settings_that_come_a_second_later_are_no_reason(settings: str) -> None:
    late = {
        "type": "Warning",
        "reason": "FailedMount",
        "message": f'MountVolume.SetUp failed for volume "v" : configmap "{settings}" not found',
    }
    other = {"type": "Warning", "reason": "FailedMount", "message": "nfs: no route to host"}
    pod = make_pod("Pending")
    assert diagnose("one", pod, [], events=[late]).reason == ""
    found = diagnose("one", pod, [], events=[other, late])
    assert found.reason == "FailedMount: nfs: no route to host."


def test_a_quota_that_refuses_executors_is_named() -> None:
    log = (
        "26/11/22 WARN ExecutorPodsSnapshotsStoreImpl: Message: pods one-exec-3 is forbidden: "
        "exceeded quota: ubspark, requested: requests.cpu=200m, used: requests.cpu=1, "
        "limited: requests.cpu=1. Received status: Status(apiVersion=v1)\n"
    )
    log = f"{stamp(5)} {log}"
    running = [make_pod("Running", name="one-exec-1")]
    status = diagnose("one", make_pod("Running"), running, lately=log)
    assert (status.phase, status.n_executors) == ("EXECUTING", 1)
    assert status.reason.startswith("The quota ubspark refuses further executors (requested: ")
    assert "limited: requests.cpu=1)" in status.reason
    # Spark asks again within seconds: what was refused minutes ago is granted now.
    old = log.replace(log.split()[0], stamp(120)) + f"{stamp(1)} 26/11/22 WARN Other: x\n"
    assert diagnose("one", make_pod("Running"), running, lately=old).reason == ""


def test_an_executor_without_an_image_is_told_of() -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    executor = make_pod(
        "Pending", name="one-exec-1", containerStatuses=make_container(waiting=waiting)
    )
    status = diagnose("one", make_pod("Running"), [executor])
    assert "of pod one-exec-1 cannot be had" in status.reason


@pytest.mark.parametrize("phase", ["Running", "Succeeded"])
def test_mlflow_that_does_not_answer_is_told_of(phase: str) -> None:
    log = "ubspark: warning: MLflow at http://mlflow:5000 did not take the record of run 7 (x).\n"
    status = diagnose("one", make_pod(phase), [], log=log)
    assert status.reason == (
        "MLflow at http://mlflow:5000 did not take the record of run 7 (x). "
        "`ubspark sync` delivers it."
    )


def test_a_failed_driver_speaks_for_itself() -> None:
    log = "ubspark: warning: x\nubspark: Table `a` is not there.\n26/11/22 INFO Bye\n"
    status = diagnose("one", end(4), [], log=log)
    assert (status.phase, status.reason) == ("ERROR", "Table `a` is not there.")
    kept = diagnose("one", end(4, message=log), [])
    assert kept.reason == status.reason


def test_a_driver_without_last_words_has_a_code() -> None:
    thrown = 'Exception in thread "main" java.io.IOException: Cannot run program "python"\n'
    assert (
        "exit code 1 (java.io.IOException: Cannot" in diagnose("one", end(1), [], log=thrown).reason
    )
    assert diagnose("one", end(7), []).reason == "The driver ended with exit code 7; see its log."


def test_lack_of_memory_is_named() -> None:
    status = diagnose("one", end(137, reason="OOMKilled"), [])
    assert status.phase == "ERROR"
    assert "ran out of memory" in status.reason


def test_a_stopped_driver_is_aborted() -> None:
    log = "ubspark: Stopped by the user; nothing was committed.\n"
    assert diagnose("one", end(130), [], log=log).phase == "ABORTED"


def test_an_evicted_driver_has_no_container() -> None:
    pod = make_pod("Failed", reason="Evicted", message="The node was low on resource: memory.")
    status = diagnose("one", pod, [])
    assert status.reason == (
        "The driver pod was stopped (Evicted): The node was low on resource: memory."
    )


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CrashLoopBackOff"])
def test_a_container_that_does_not_start_is_told_of(reason: str) -> None:
    waiting = {"reason": reason, "message": 'secret "store" not found'}
    pod = make_pod("Pending", containerStatuses=make_container(waiting=waiting))
    status = diagnose("one", pod, [])
    assert status.reason == (
        f'The container of pod one-driver does not start ({reason}): secret "store" not found.'
    )
    executor = {**pod, "metadata": {"name": "one-exec-1"}}
    assert "of pod one-exec-1 does not" in diagnose("one", make_pod("Running"), [executor]).reason


def test_a_volume_that_executors_wait_for_is_named() -> None:
    executor = make_pod("Pending", name="one-exec-1")
    assert find_waiting([make_pod("Running"), executor]) == "one-exec-1"
    assert find_waiting([make_pod("Running")]) is None
    failed = {"type": "Warning", "reason": "FailedMount", "message": "nfs: no route to host"}
    status = diagnose("one", make_pod("Running"), [executor], executor_events=[failed])
    assert status.reason == "Executors wait. FailedMount: nfs: no route to host."


def test_executors_without_memory_are_told_of() -> None:
    line = "The executor with id {} exited with exit code 137(SIGKILL, possible container OOM).\n"
    log = line.format(1) + line.format(1) + line.format(4)
    # The log of the whole run tells of the past too.
    assert diagnose("one", make_pod("Running"), [], log=log).reason == ""
    status = diagnose("one", make_pod("Running"), [], lately=log)
    assert status.phase == "EXECUTING"
    assert status.reason.startswith("2 executors ran out of memory; raise `k8s.executor.overhead`")


@pytest.mark.parametrize(
    "pod", [make_pod("Unknown"), make_pod("Running", reason="NodeLost")], ids=["phase", "reason"]
)
def test_a_lost_node_is_not_known(pod: dict[str, Any]) -> None:
    status = diagnose("one", {**pod, "spec": {"nodeName": "n7"}}, [])
    assert (status.phase, status.reason) == (
        "UNKNOWN",
        "The node n7 does not answer; whether the driver runs is not known.",
    )


@pytest.mark.parametrize("phase", ["Failed", "Running"])
def test_the_end_is_that_of_the_driver_among_other_containers(phase: str) -> None:
    """A sidecar may come first, end otherwise, or keep the pod running."""
    sidecar = {"name": "proxy", "image": "p", "state": {"terminated": {"exitCode": 143}}}
    own = {"name": "spark-kubernetes-driver", "image": "u", "state": {}}
    pod = make_pod(phase, containerStatuses=[sidecar, own])
    own["state"] = {"terminated": {"exitCode": 4}}
    status = diagnose("one", pod, [], log="ubspark: Table `a` is not there.\n")
    assert (status.phase, status.reason) == ("ERROR", "Table `a` is not there.")
    own["state"] = {"terminated": {"exitCode": 0}}
    assert diagnose("one", pod, []).phase == "COMPLETED"


def test_containers_that_run_first_are_told_of() -> None:
    waiting = {"reason": "ErrImagePull", "message": "not found"}
    first = [{"name": "fetch", "image": "r/fetch:1", "state": {"waiting": waiting}}]
    main = make_container(waiting={"reason": "PodInitializing"})
    pod = make_pod("Pending", initContainerStatuses=first, containerStatuses=main)
    status = diagnose("one", pod, [])
    assert status.phase == "QUEUED"
    assert status.reason == "The image r/fetch:1 of pod one-driver cannot be had: not found."
    first[0]["state"] = {"terminated": {"exitCode": 3}}
    pod = make_pod("Failed", initContainerStatuses=first, containerStatuses=main)
    status = diagnose("one", pod, [])
    assert status.reason == "The container fetch, which runs first, ended with exit code 3."


def test_a_pod_that_its_queue_holds_says_so() -> None:
    gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    pod = make_pod("Pending", conditions=[gated])
    assert diagnose("one", pod, []).reason == "Pod one-driver waits in its queue."
