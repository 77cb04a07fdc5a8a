"""An export that is killed looks like none; the same command takes it up and ends it well."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from ubspark.catalogs.export import verify_export
from ubspark.catalogs.hats import is_hats_folder, open_hats
from ubspark.catalogs.sources import open_source
from ubspark.errors import UbsparkError
from ubspark.runtime.config import parse_job
from ubspark.runtime.records import iterate_records
from ubspark.runtime.run_job import run_job

pytestmark = pytest.mark.spark

Place = Any
_SCRIPT = Path(__file__).with_name("stop_export.py")
_PATIENCE_S = 180
_ALL = ("write", "seal", "manifest", "rename", "clear")


@contextmanager
def stopped_export(
    moment: str, job: dict[str, Any], place: Place, folder: Path
) -> Iterator[subprocess.Popen[str]]:
    """Run a job up to a moment, in processes of its own."""
    folder.mkdir()
    file = folder / "job.yaml"
    file.write_text(yaml.safe_dump(job))
    process = subprocess.Popen(
        [sys.executable, _SCRIPT, moment, folder, "run", file],
        env={**os.environ, "UBSPARK_HOME": str(place.home.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + _PATIENCE_S
        while not (folder / "ready").exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end, "The run did not come to the moment."
            time.sleep(0.1)
        yield process
    finally:
        # The run leads a session of its own; no process of it may outlive the test.
        for left in psutil.process_iter():
            if has_session(left, process.pid):
                left.kill()
        process.communicate()


def has_session(process: psutil.Process, leader: int) -> bool:
    try:
        return os.getsid(process.pid) == leader
    except ProcessLookupError:
        return False


def looks_complete(target: Path) -> bool:
    """Whether any of our readers, or a tool that looks for properties, would take it for one."""
    if target.exists() and any(target.iterdir()):
        return True
    try:
        open_source(str(target), scratch=target.parent)
    except UbsparkError:
        return is_hats_folder(str(target))
    return True


@pytest.mark.parametrize(
    ("moment", "kind"),
    [
        ("write", "hats"),
        ("manifest", "hats"),
        *(
            pytest.param(moment, kind, marks=pytest.mark.slow)
            for moment in _ALL
            for kind in ("hats", "parquet", "fits")
            if (moment, kind) not in {("write", "hats"), ("manifest", "hats")}
        ),
    ],
)
def test_killed_export_is_taken_up(
    workplace: Place, tmp_path: Path, moment: str, kind: str
) -> None:
    target = tmp_path / "out"
    job = {
        "job": "export",
        "inputs": {"table": {"table": "stars"}},
        "params": {"format": kind, "max_rows": 200},
        "outputs": {"folder": {"path": str(target)}},
        "resources": {"master": "local[2]", "memory": "1g"},
    }
    with stopped_export(moment, job, workplace, tmp_path / "stop") as run:
        assert looks_complete(target) == (moment == "clear")
        kept = {path.stat().st_ino for path in find_data(tmp_path)}
        os.killpg(run.pid, signal.SIGKILL)
    assert looks_complete(target) == (moment == "clear")
    outcome = run_job(parse_job(job), home=workplace.home, spark=workplace.spark)
    assert outcome.already_made == (moment == "clear")
    assert verify_export(target).is_good
    assert outcome.outputs["folder"]["n_rows"] == (2995 if kind == "hats" else 3000)
    # What was written before the kill is still the same file.
    assert len(kept) >= 3
    assert kept <= {path.stat().st_ino for path in find_data(tmp_path)}
    if kind == "hats":
        assert open_hats(str(target)).footers.n_rows == 2995
    phases = {"COMPLETED"} if moment == "clear" else {"ERROR", "COMPLETED"}
    assert find_phases(workplace, target) == phases


def find_phases(place: Place, target: Path) -> set[str]:
    """Return how the runs ended that were to make an export."""
    return {
        record.phase
        for record in iterate_records(place.home.runs)
        if f'"{target}"' in (record.folder / "spec.json").read_text()
    }


def find_data(folder: Path) -> list[Path]:
    """Return the data files of an export that grows or is complete."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [
        path
        for path in files
        if path.name.startswith(("Npix=", "stars-")) and "stop" not in path.parts
    ]


def test_worker_that_dies_is_replaced_or_the_run_says_so(workplace: Place, tmp_path: Path) -> None:
    target = tmp_path / "out"
    job = {
        "job": "export",
        "inputs": {"table": {"table": "stars"}},
        "params": {"format": "hats", "max_rows": 300},
        "outputs": {"folder": {"path": str(target)}},
        "resources": {"master": "local[2]", "memory": "1g"},
    }
    with stopped_export("write", job, workplace, tmp_path / "stop") as run:
        os.kill(int((tmp_path / "stop" / "ready").read_text()), signal.SIGKILL)
        _, said = run.communicate(timeout=_PATIENCE_S)
    assert run.returncode == 75, said
    assert "A Python worker was killed" in said
    assert not target.exists()
    assert not run_job(parse_job(job), home=workplace.home, spark=workplace.spark).already_made
    assert verify_export(target).is_good
