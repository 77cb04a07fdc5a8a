"""Submitting, as far as it goes without a cluster."""

import shutil
from pathlib import Path

import pytest

from ubspark.errors import TransientError
from ubspark.kubernetes.lifecycle import submit
from ubspark.kubernetes.profile import Profile
from ubspark.runtime.config import JobConfig

_KUBECTL = """#!/bin/sh
case "$*" in
*" get pods -l "*) echo '{"items": []}' ;;
*" get "*) echo "Error from server (NotFound): none" >&2; exit 1 ;;
esac
"""


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
    with pytest.raises(TransientError, match="The cluster refused the driver of one") as caught:
        submit(job, profile, name="one", way="spark-submit")
    assert "spark-class" not in str(caught.value)
