"""Submitting, as far as it goes without a cluster."""

import json
import re
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ubspark.errors import ConflictError, ParameterError, TransientError, UbsparkError
from ubspark.kubernetes import lifecycle
from ubspark.kubernetes.cluster import Cluster
from ubspark.kubernetes.lifecycle import submit
from ubspark.kubernetes.profile import Profile
from ubspark.runtime.config import JobConfig

_KUBECTL = """#!/bin/sh
case "$*" in
*" get pods -l "*) echo '{"items": []}' ;;
*" get "*) echo "Error from server (NotFound): none" >&2; exit 1 ;;
esac
"""


#: Answers from a file: objects by kind and name, logs by pod; every call is noted.
_ANSWERS = """#!{python}
import json, pathlib, sys
state = pathlib.Path("{folder}/state.json")
words = sys.argv[3:]
with open("{folder}/calls", "a") as calls:
    print(*words, file=calls)
known = json.loads(state.read_text())
if words[0] == "logs":
    if "-f" in words and known.get("refuse"):
        sys.exit(known["refuse"])
    sys.stdout.write(known["logs"].get(words[-1], ""))
elif words[0] == "delete":
    if known.pop("/".join(words[1:3]), None):
        print("deleted")
        state.write_text(json.dumps(known))
elif words[1] in ("events", "pods"):
    print(json.dumps({{"items": known.get(" ".join(words[1:4]), [])}}))
elif "/".join(words[1:3]) in known:
    print(json.dumps(known["/".join(words[1:3])]))
else:
    sys.exit("Error from server (NotFound): none")
"""
_APPLICATION = "sparkapplications.sparkoperator.k8s.io"
_SCHEDULE = "scheduledsparkapplications.sparkoperator.k8s.io"


class FakeCluster(Cluster):
    """A cluster that knows what a test tells it."""

    folder: Path

    def tell(self, **state: Any) -> None:
        (self.folder / "state.json").write_text(json.dumps({"logs": {}, **state}))

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(_ANSWERS.format(python=sys.executable, folder=tmp_path))
    kubectl.chmod(0o755)
    monkeypatch.setenv("KUBECTL", str(kubectl))
    monkeypatch.setattr(lifecycle, "_POLL_SECONDS", 0.05)
    made = FakeCluster("any")
    object.__setattr__(made, "folder", tmp_path)
    return made


def make_driver(name: str, phase: str = "Running", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": f"{name}-driver", "labels": labels}, "status": {"phase": phase}}


def make_schedule(**status: str) -> dict[str, Any]:
    return {"spec": {"schedule": "0 9 * * *"}, "status": status}


def test_a_schedule_is_where_its_newest_run_is(cluster: FakeCluster) -> None:
    run = "nightly-1763" * 4
    own = {"spark-app-selector": "spark-7"}
    executor = {"metadata": {"name": "e"}, "status": {"phase": "Running"}}
    objects = {
        f"{_SCHEDULE}/nightly": make_schedule(lastRunName=run),
        f"pod/{run}-driver": make_driver(run, **own),
        "pods -l spark-app-selector=spark-7,spark-role=executor": [executor],
        "logs": {f"{run}-driver": "line\n"},
    }
    cluster.tell(**objects)
    status = lifecycle.find_status(cluster, "nightly")
    assert (status.phase, status.n_executors) == ("EXECUTING", 1)
    assert status.reason == f"Newest run {run}."
    assert list(lifecycle.read_logs(cluster, "nightly")) == ["line\n"]
    assert lifecycle.find_status(cluster, run).n_executors == 1
    assert lifecycle.cancel(cluster, "nightly")
    assert f"delete {_SCHEDULE} nightly --ignore-not-found --wait=true" in cluster.calls


def test_a_schedule_that_has_not_run_says_when(cluster: FakeCluster) -> None:
    cluster.tell(**{f"{_SCHEDULE}/nightly": make_schedule()})
    status = lifecycle.find_status(cluster, "nightly")
    assert (status.phase, status.reason) == ("QUEUED", "Scheduled, '0 9 * * *'; not run yet.")


@pytest.mark.parametrize("way", ["sparkapplication", "spark-submit"])
def test_a_job_does_not_take_the_name_of_a_schedule(
    cluster: FakeCluster, job: JobConfig, profile: Profile, way: lifecycle.Way
) -> None:
    """Nor does it remove the schedule, as it removes what has ended under its name."""
    cluster.tell(**{f"{_SCHEDULE}/nightly": make_schedule()})
    with pytest.raises(ConflictError, match="`name` is 'nightly', by which a schedule goes"):
        submit(job, profile, name="nightly", way=way)
    assert not [call for call in cluster.calls if call.startswith(("delete", "apply"))]


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("", "QUEUED"),
        ("SUBMITTED", "QUEUED"),
        ("SUSPENDED", "QUEUED"),
        ("RUNNING", "UNKNOWN"),
        ("COMPLETED", "COMPLETED"),
        ("SUBMISSION_FAILED", "ERROR"),
    ],
)
def test_without_a_driver_the_operator_is_asked(
    cluster: FakeCluster, state: str, phase: str
) -> None:
    told = {"status": {"applicationState": {"state": state}}}
    cluster.tell(**{f"{_APPLICATION}/one": told})
    assert lifecycle.find_status(cluster, "one").phase == phase


def test_status_reads_the_end_of_the_log_of_the_driver(cluster: FakeCluster) -> None:
    cluster.tell(**{"pod/one-driver": make_driver("one")})
    lifecycle.find_status(cluster, "one")
    asked = [call for call in cluster.calls if call.startswith("logs")]
    assert asked
    for call in asked:
        assert call.startswith("logs -c spark-kubernetes-driver --tail=")


def test_a_log_that_is_followed_is_waited_for(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "no node has the memory"}
    waiting = make_driver("one", "Pending")
    waiting["status"]["conditions"] = [condition]
    cluster.tell(**{"pod/one-driver": waiting})
    running = {"pod/one-driver": make_driver("one"), "logs": {"one-driver": "a\nb\n"}}
    timer = threading.Timer(1.0, lambda: cluster.tell(**running))
    timer.start()
    assert list(lifecycle.read_logs(cluster, "one", follow=True)) == ["a\n", "b\n"]
    timer.join()
    assert capsys.readouterr().err.count("waits for a node: no node has the memory.") == 1
    cluster.tell(**running, refuse="Error from server (BadRequest): container is not there")
    with pytest.raises(ParameterError, match=r"refused `kubectl logs`: .*container is not there"):
        list(lifecycle.read_logs(cluster, "one", follow=True))


def test_configurations_of_this_machine_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "SPARK_CONF_DIR", "PYSPARK_PYTHON"):
        monkeypatch.setenv(name, "/etc/mine")
    assert "/etc/mine" not in lifecycle._clean_environment().values()


@pytest.mark.parametrize(
    ("said", "error", "sentence"),
    [
        (
            (
                'E1123 02:06:48.598038 30623 memcache.go:265] "Unhandled Error" err="x"\n'
                "The connection to the server localhost:8080 was refused - did you specify it?"
            ),
            TransientError,
            "No cluster answers `kubectl get`: The connection to the server localhost:8080 was",
        ),
        ("Unable to connect to the server: EOF", TransientError, "Is KUBECONFIG right"),
        (
            "Error from server (Forbidden): pods is forbidden",
            ParameterError,
            r"refused `kubectl get`: Error from server \(Forbidden\): pods",
        ),
    ],
)
def test_a_failure_of_kubectl_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    error: type[UbsparkError],
    sentence: str,
) -> None:
    (tmp_path / "said").write_text(said)
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f"#!/bin/sh\ncat {tmp_path}/said >&2\nexit 1\n")
    kubectl.chmod(0o755)
    monkeypatch.setenv("KUBECTL", str(kubectl))
    with pytest.raises(error, match=sentence) as caught:
        Cluster("any").select("pods", labels={})
    assert "E1123" not in str(caught.value)
    with pytest.raises(ParameterError, match=r"Name one in KUBECONFIG, or .*`k8s\.master`"):
        Cluster("any").find_master()


def test_spark_is_found_whatever_python_the_path_names(
    job: JobConfig, profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Called as `.venv/bin/ubspark`, its environment not activated; nobody answers at the port."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(_KUBECTL)
    kubectl.chmod(0o755)
    (tmp_path / "python3").symlink_to(shutil.which("false") or "/bin/false")
    monkeypatch.setenv("KUBECTL", str(kubectl))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("SPARK_HOME", raising=False)
    profile = profile.model_copy(update={"master": "https://127.0.0.1:9"})
    said = r"The API server https://127\.0\.0\.1:9 cannot be reached: Connection refused\. Is"
    with pytest.raises(TransientError, match=said) as caught:
        submit(job, profile, name="one", way="spark-submit")
    assert "spark-class" not in str(caught.value)


_TRACE = """26/12/01 WARN Utils: x
Exception in thread "main" io.fabric8.kubernetes.client.KubernetesClientException: {first}
\tat io.fabric8.kubernetes.client.KubernetesClientException.launderThrowable(x.java:109)
Caused by: java.io.IOException: middle
Caused by: {last}
\t... 20 more
"""


@pytest.mark.parametrize(
    ("first", "last", "error", "sentence"),
    [
        (
            "An error has occurred.",
            "java.net.ConnectException: Connection refused",
            TransientError,
            r"^The API server https://api cannot be reached: Connection refused\.",
        ),
        (
            "An error has occurred.",
            "java.net.UnknownHostException: api",
            TransientError,
            r"cannot be reached: no host is called api\.",
        ),
        (
            "An error has occurred.",
            "java.lang.IllegalStateException: the deepest reason",
            TransientError,
            r"refused the driver of one: the deepest reason\.$",
        ),
        (
            "Message: pods is forbidden: exceeded quota. Received status: Status(x)",
            "java.net.ConnectException: Connection refused",
            UbsparkError,
            r"refused the driver of one: pods is forbidden: exceeded quota\.$",
        ),
    ],
)
def test_a_stack_trace_comes_to_its_deepest_reason(
    first: str, last: str, error: type[UbsparkError], sentence: str
) -> None:
    said = _TRACE.format(first=first, last=last)
    found = lifecycle._describe_failure("one", "https://api", said)
    assert type(found) is error
    assert re.search(sentence, str(found))
