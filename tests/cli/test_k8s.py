"""The commands on Kubernetes, as far as they need no cluster."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ubspark.runtime.config import load_job

Call = Callable[..., Any]

_ROOT = Path(__file__).parents[2]
_JOB = _ROOT / "k8s" / "jobs" / "files" / "crossmatch.yaml"
_PROFILE = ("--profile", _ROOT / "conf" / "k8s.yaml")

#: Answers as kubectl does, from files; what it is given lies beside it afterwards.
_KUBECTL = """#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/asked"
case "$*" in
    *"config view"*) printf https://10.0.0.1:6443 ;;
    *"get pod "*) cat "$here/pod.json" 2>/dev/null || { echo 'Error (NotFound): x' >&2; exit 1; } ;;
    *"get "*sparkapplications*) echo 'Error (NotFound): x' >&2; exit 1 ;;
    *"get pods"*|*"get events"*) echo '{"items": []}' ;;
    *logs*) cat "$here/log" ;;
    *apply*) cat > "$here/applied" ;;
    *delete*) [ ! -e "$here/pod.json" ] || echo deleted; rm -f "$here/pod.json" ;;
esac
"""


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a kubectl that tells what stands in files."""
    program = tmp_path / "kubectl"
    program.write_text(_KUBECTL)
    program.chmod(0o755)
    monkeypatch.setenv("KUBECTL", str(program))
    (tmp_path / "log").write_text("")
    return tmp_path


def put_pod(folder: Path, phase: str, **status: Any) -> None:
    pod = {"metadata": {"name": "one-driver"}, "status": {"phase": phase, **status}}
    (folder / "pod.json").write_text(json.dumps(pod))


def test_render_prints_the_manifest_with_settings_of_both(call: Call) -> None:
    settings = ("--set", "params.radius=2 arcsec", "--set", "k8s.executor.instances=9")
    answer = call("k8s", "render", _JOB, *_PROFILE, *settings)
    assert answer.code == 0, answer.said
    manifest = yaml.safe_load(answer.out)
    assert manifest["kind"] == "SparkApplication"
    assert manifest["metadata"]["name"].startswith("crossmatch-")
    assert manifest["spec"]["executor"]["instances"] == 9
    assert yaml.safe_load(manifest["spec"]["arguments"][1])["params"]["radius"] == "2 arcsec"


def test_render_prints_a_schedule(call: Call) -> None:
    answer = call("k8s", "render", _JOB, *_PROFILE, "--schedule", "0 14 * * *")
    assert yaml.safe_load(answer.out)["kind"] == "ScheduledSparkApplication"
    words = ("--schedule", "0 14 * * *", "--as", "spark-submit")
    answer = call("k8s", "render", _JOB, *_PROFILE, *words)
    assert (answer.code, answer.out) == (2, "")
    assert "`--schedule` needs the operator" in answer.said


@pytest.mark.parametrize("clock", ["", "99 99 99 99 99", "@every h"])
def test_a_clock_that_never_strikes_is_refused(call: Call, clock: str) -> None:
    answer = call("k8s", "render", _JOB, *_PROFILE, "--schedule", clock)
    assert (answer.code, answer.out) == (2, "")
    assert answer.said.startswith("ubspark: `--schedule` must be five fields of cron")


def test_render_prints_the_script(call: Call, kubectl: Path) -> None:
    answer = call("k8s", "render", _JOB, *_PROFILE, "--as", "spark-submit")
    assert answer.code == 0, answer.said
    assert "--master k8s://https://10.0.0.1:6443" in answer.out
    assert "cat > \"$folder/driver.yaml\" <<'END'" in answer.out


def test_a_profile_is_needed(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UBSPARK_K8S_PROFILE", raising=False)
    answer = call("k8s", "render", _JOB)
    assert answer.code == 2
    assert "--profile" in answer.said
    monkeypatch.setenv("UBSPARK_K8S_PROFILE", str(_PROFILE[1]))
    assert call("k8s", "render", _JOB).code == 0


def test_submit_gives_the_operator_the_manifest(call: Call, kubectl: Path) -> None:
    words = ("--as", "sparkapplication", "--name", "one")
    answer = call("k8s", "submit", _JOB, *_PROFILE, *words)
    assert (answer.code, answer.said) == (0, "Submitted: one\n")
    applied = yaml.safe_load((kubectl / "applied").read_text())
    sent = yaml.safe_load(applied["spec"]["arguments"][1])
    # Who asked is known here, not in the pod.
    assert sent.pop("run")["user"]
    assert sent == load_job(_JOB).model_dump(mode="json", exclude_defaults=True)


@pytest.mark.parametrize("phase", ["Pending", "Running"])
def test_submit_leaves_alone_what_is_on_its_way(call: Call, kubectl: Path, phase: str) -> None:
    put_pod(kubectl, phase)
    answer = call("k8s", "submit", _JOB, *_PROFILE, "--as", "sparkapplication", "--name", "one")
    assert answer.code == 0
    assert answer.said.startswith("On its way already (")
    assert not (kubectl / "applied").exists()


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_submit_replaces_what_has_ended(call: Call, kubectl: Path, phase: str) -> None:
    """A table that a good end had read may have changed since: the job itself knows."""
    put_pod(kubectl, phase)
    answer = call("k8s", "submit", _JOB, *_PROFILE, "--as", "sparkapplication", "--name", "one")
    assert answer.said == "Submitted: one\n"
    assert "delete pod one-driver" in (kubectl / "asked").read_text()


def test_status_logs_and_cancel_follow_one_submission(call: Call, kubectl: Path) -> None:
    put_pod(kubectl, "Running")
    (kubectl / "log").write_text("ubspark: warning: MLflow at http://m did not take it (x).\n")
    answer = call("k8s", "status", "one", *_PROFILE)
    assert answer.out.splitlines()[0] == "one: EXECUTING, executors 0"
    assert "`ubspark sync` delivers it." in answer.out
    assert call("k8s", "logs", "one", *_PROFILE).out == (kubectl / "log").read_text()
    assert call("k8s", "cancel", "one", *_PROFILE).code == 0
    gone = call("k8s", "cancel", "one", *_PROFILE)
    assert (gone.code, gone.said) == (
        4,
        "ubspark: There is no submission `one` in namespace ubspark.\n",
    )
    assert call("k8s", "logs", "one", *_PROFILE).code == 4
    assert "UNKNOWN" in call("k8s", "status", "one", *_PROFILE).out


def test_a_cluster_that_is_out_of_reach_is_temporary(
    call: Call, kubectl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "#!/bin/sh\necho 'The connection to the server 10.0.0.1:6443 was refused' >&2\nexit 1\n"
    (kubectl / "kubectl").write_text(text)
    answer = call("k8s", "status", "one", *_PROFILE)
    assert answer.code == 75
    assert "The connection to the server 10.0.0.1:6443 was refused." in answer.said
    monkeypatch.setenv("KUBECTL", str(kubectl / "none"))
    answer = call("k8s", "status", "one", *_PROFILE)
    assert (answer.code, answer.said.startswith("ubspark: kubectl is not on the PATH")) == (2, True)


def test_another_program_than_kubectl_is_told(
    call: Call, kubectl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECTL", "/bin/true")
    answer = call("k8s", "status", "one", *_PROFILE)
    assert (answer.code, answer.said.count("\n")) == (2, 1)
    assert answer.said.startswith("ubspark: /bin/true answers `get` with no JSON. Is it kubectl?")
    answer = call("k8s", "render", _JOB, *_PROFILE, "--as", "spark-submit")
    assert (answer.code, "kubectl has no context" in answer.said) == (2, True)
    program = kubectl / "plain"
    program.write_text("no program")
    monkeypatch.setenv("KUBECTL", str(program))
    answer = call("k8s", "status", "one", *_PROFILE)
    assert answer.code == 2
    assert answer.said.startswith(f"ubspark: {program} cannot be run: Permission denied.")
