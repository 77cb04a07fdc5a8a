"""One job, one result: whichever door it comes through, on whatever it runs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import ubspark
from ubspark.kubernetes import build_application, load_profile
from ubspark.lineage.audit import audit
from ubspark.runtime.config import load_job, parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.jars import find_jar_folder
from ubspark.runtime.places import open_ledger
from ubspark.runtime.replay import create_sandbox, find_original, prepare_replay, replay
from ubspark.runtime.run_job import run_job

pytestmark = pytest.mark.spark

_ROOT = Path(__file__).parent.parent
_BIN = Path(sys.executable).parent
_JOB = "examples/hipparcos_gaia.yaml"


def call(home: Home, *words: str) -> dict[str, Any]:
    """Run a job through a program; return its output table."""
    made: dict[str, Any] = json.loads(call_plain(home, *words, "--json"))
    assert not made["already_made"]
    output: dict[str, Any] = made["outputs"]["matches"]
    return output


def call_plain(home: Home, *words: str) -> str:
    """Call a program of the virtual environment from the project's folder."""
    environment = os.environ | {
        "PATH": f"{_BIN}:{os.environ['PATH']}",
        "UBSPARK_HOME": str(home.path),
    }
    done = subprocess.run(
        [_BIN / words[0], *words[1:]],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert " ERROR " not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def expected(demo_home: Home, spark: SparkSession) -> dict[str, Any]:
    """What the Python function makes of the example."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UBSPARK_HOME", str(demo_home.path))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        job = _ROOT / _JOB
        made = ubspark.run(job, set={"outputs.matches.table": "door_python"}, spark=spark)
    return dict(made.outputs["matches"])


def test_command_and_function_make_the_same_rows(demo_home: Home, expected: dict[str, Any]) -> None:
    settings = ("--set", "outputs.matches.table=door_run", "--set", "resources.master=local[1]")
    made = call(demo_home, "ubspark", "run", _JOB, *settings)
    assert made["digest"] == expected["digest"]
    assert made["table_id"] != expected["table_id"]


def submit(home: Home, master: str) -> dict[str, Any]:
    table = f"door_submit_{'cluster' if 'cluster' in master else 'local'}"
    return call(
        home,
        "spark-submit",
        *("--master", master, "--properties-file", "conf/spark-defaults.conf"),
        *("jobs/crossmatch.py", "--config", _JOB, "--set", f"outputs.matches.table={table}"),
    )


def test_spark_submit_and_function_make_the_same_rows(
    demo_home: Home, expected: dict[str, Any], spark: SparkSession
) -> None:
    assert submit(demo_home, "local[2]")["digest"] == expected["digest"]
    # What came through one door is replayed through the others.
    ledger = open_ledger(demo_home)
    original = find_original("door_submit_local@v0", demo_home, ledger)
    sandbox = create_sandbox(demo_home)
    config, changes = prepare_replay(original, demo_home, ledger, sandbox=sandbox)
    assert replay(original, config, changes, home=demo_home, spark=spark).verdict == "EXACT"


@pytest.mark.slow
def test_replay_through_spark_submit_is_exact(demo_home: Home, expected: dict[str, Any]) -> None:
    said = call_plain(
        demo_home,
        "spark-submit",
        *("--master", "local[2]", "--properties-file", "conf/spark-defaults.conf"),
        *("jobs/replay.py", "door_python@v0", "--set", "resources.cells=3", "--json"),
    )
    made = json.loads(said)
    assert made["verdict"] == "EXACT"
    n_rows = expected["n_rows"]
    assert made["outputs"]["matches"]["rows_replay"] == n_rows


def test_arguments_of_a_manifest_and_function_make_the_same_rows(
    demo_home: Home, expected: dict[str, Any]
) -> None:
    """What a driver pod is given, given to spark-submit here."""
    job = load_job(_ROOT / _JOB, ["outputs.matches.table=door_manifest"])
    profile = load_profile(_ROOT / "conf" / "k8s.yaml")
    spec = build_application(job, profile, name="door")["spec"]
    script = spec["mainApplicationFile"].replace("local:///opt/ubspark/", "")
    words = ("--master", "local[2]", "--properties-file", "conf/spark-defaults.conf", script)
    made = call(demo_home, "spark-submit", *words, *spec["arguments"])
    assert made["digest"] == expected["digest"]


@pytest.fixture
def cluster() -> Iterator[str]:
    """A cluster within one machine; its workers leave their files in Spark's own folder."""
    yield "local-cluster[2,1,1024]"
    shutil.rmtree(find_jar_folder().parent / "work", ignore_errors=True)


@pytest.mark.slow
def test_cluster_makes_the_same_rows(
    demo_home: Home, expected: dict[str, Any], cluster: str
) -> None:
    settings = ("--set", "outputs.matches.table=door_run_cluster")
    settings += ("--set", f"resources.master={cluster}")
    made = call(demo_home, "ubspark", "run", _JOB, *settings)
    assert made["digest"] == expected["digest"]
    assert submit(demo_home, cluster)["digest"] == expected["digest"]


def test_order_of_the_file_does_not_change_the_rows(
    demo_home: Home, spark: SparkSession, expected: dict[str, Any], tmp_path: Path
) -> None:
    rows = pq.read_table(_ROOT / "examples" / "data" / "hipparcos2.parquet")
    order = [(row * 7919) % rows.num_rows for row in range(rows.num_rows)]
    pq.write_table(rows.take(order), tmp_path / "shuffled.parquet")
    spec = json.loads(_find_spec(demo_home, "hipparcos2").read_text())
    params = {key: value for key, value in spec["params"].items() if key != "frame"}
    ingest = {
        "job": "ingest",
        "inputs": {"source": {"path": str(tmp_path / "shuffled.parquet")}},
        "params": params,
        "outputs": {"table": {"table": "other_order"}},
    }
    shuffled = run_job(parse_job(ingest), home=demo_home, spark=spark).outputs["table"]
    match = {
        "job": "crossmatch",
        "inputs": {"left": {"table": "other_order"}, "right": {"table": "gaia_dr3"}},
        "params": {
            "radius": "1 arcsec",
            "epoch": 2016.0,
            "suffixes": ["_hipparcos2", "_gaia_dr3"],
        },
        "outputs": {"matches": {"table": "door_other_order"}},
    }
    matches = run_job(parse_job(match), home=demo_home, spark=spark).outputs["matches"]
    assert matches["digest"] == expected["digest"]
    record = json.loads(_find_spec(demo_home, "hipparcos2").with_name("record.json").read_text())
    assert shuffled["digest"] == record["outputs"]["table"]["digest"]
    assert shuffled["table_id"] != record["outputs"]["table"]["table_id"]


def test_everything_that_the_demo_made_resolves(demo_home: Home, expected: dict[str, Any]) -> None:
    found = audit(open_ledger(demo_home))
    assert expected["version"] == 0
    assert found.n_outputs >= 3
    assert (found.closed_percent, found.open_ends, found.damaged) == (100.0, {}, {})


def test_file_of_another_job_is_refused(home: Home, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "jobs/ingest.py", "--config", _JOB],
        cwd=_ROOT,
        env=os.environ | {"UBSPARK_HOME": str(home.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"ubspark: `{_JOB}` is a file of the job crossmatch, not ingest.\n"
    assert done.stdout == ""


def _find_spec(home: Home, table: str) -> Path:
    """Return the spec of the run that ingested a table."""
    return next(
        path
        for path in home.runs.glob("*/spec.json")
        if str(json.loads(path.read_text())["outputs"].get("table", {}).get("uri")).endswith(
            f"/{table}"
        )
    )
