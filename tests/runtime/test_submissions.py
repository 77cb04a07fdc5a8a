"""Which appends are one and which are two."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ubspark.lineage.spec import FrozenSpec
from ubspark.runtime.submissions import hold_submission


def build_spec(**changes: Any) -> FrozenSpec:
    content: dict[str, Any] = {
        "job": "crossmatch",
        "job_version": "1",
        "inputs": {},
        "params": {"radius": "1 arcsec"},
        "outputs": {"matches": {"uri": "/a", "mode": "append"}},
    }
    return FrozenSpec(**{**content, **changes})


def hold(folder: Path, *, resume: bool = True, fails: bool = False, **changes: Any) -> str:
    with hold_submission(folder, build_spec(**changes), resume=resume) as found:
        if fails:
            raise InterruptedError(found)
        return found


def fail(folder: Path, **changes: Any) -> str:
    with pytest.raises(InterruptedError) as failure:
        hold(folder, fails=True, **changes)
    return str(failure.value)


def test_two_appends_that_end_well_are_two(tmp_path: Path) -> None:
    assert hold(tmp_path) != hold(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_append_that_failed_is_resumed_once(tmp_path: Path) -> None:
    failed = fail(tmp_path)
    assert fail(tmp_path) == failed
    assert hold(tmp_path) == failed
    assert hold(tmp_path) != failed


def test_append_that_works_is_not_resumed(tmp_path: Path) -> None:
    with hold_submission(tmp_path, build_spec(), resume=True) as first:
        assert hold(tmp_path) != first


def test_append_of_another_process_that_died_is_resumed(tmp_path: Path) -> None:
    dies = (
        "import json, os, pathlib, sys\n"
        "from ubspark.lineage.spec import FrozenSpec\n"
        "from ubspark.runtime.submissions import hold_submission\n"
        "spec = FrozenSpec(**json.loads(sys.argv[2]))\n"
        "with hold_submission(pathlib.Path(sys.argv[1]), spec, resume=True):\n"
        "    os._exit(9)\n"
    )
    spec = json.dumps(vars(build_spec()))
    done = subprocess.run([sys.executable, "-c", dies, tmp_path, spec], check=False)
    assert done.returncode == 9
    (left,) = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert hold(tmp_path) == left


def test_other_parameters_or_places_are_other_appends(tmp_path: Path) -> None:
    failed = fail(tmp_path)
    assert hold(tmp_path, params={"radius": "2 arcsec"}) != failed
    assert hold(tmp_path, outputs={"matches": {"uri": "/b", "mode": "append"}}) != failed
    assert hold(tmp_path, resume=False) != failed
    assert hold(tmp_path) == failed


def test_key_of_an_append_holds_its_submission() -> None:
    keys = {build_spec(submission=name).key for name in (None, "a", "b")}
    assert len(keys) == 3
    assert build_spec().is_append
