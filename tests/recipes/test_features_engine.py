"""The features job with light-curve as its engine, in Spark's workers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.peer
def test_light_curve_computes_in_spark_what_both_have(tmp_path: Path) -> None:
    """Its extractors cannot be pickled, so each task must build its own."""
    places = sorted((HERE.parents[1] / ".peers" / "light-curve" / "lib").glob("python*"))
    if not places:
        pytest.skip("There is no `.peers/light-curve`; `make peer-light-curve` makes it.")
    # The package alone: all that it needs is here already.
    folder = tmp_path / "site"
    folder.mkdir()
    for package in (places[0] / "site-packages").glob("light_curve*"):
        (folder / package.name).symlink_to(package)
    known = [path for path in [os.environ.get("PYTHONPATH")] if path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*known, str(folder)])}
    done = subprocess.run(
        [sys.executable, str(HERE / "engine_job.py"), str(tmp_path / "home")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["worst"] < 1e-5
    assert 0 < found["replaced"] <= found["columns"]
