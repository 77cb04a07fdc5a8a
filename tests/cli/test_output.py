"""What the commands print: JSON alone on stdout where it is asked for, help that reads well."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyspark.sql import SparkSession

from ubspark.catalogs.digests import ContentDigest
from ubspark.cli.output import print_json
from ubspark.runtime.home import Home

Call = Callable[..., Any]

_COMMANDS = (
    "ingest",
    "run",
    "plan",
    "tables",
    "show",
    "history",
    "doctor",
    "export",
    "verify-export",
    "lineage",
    "sync",
    "replay",
    "pin",
    "unpin",
    "pins",
    "gc",
    "archive",
    "restore",
    "k8s",
)
_OF_K8S = tuple(f"k8s {name}" for name in ("render", "submit", "status", "logs", "cancel"))


@pytest.fixture
def demo(demo_home: Home, monkeypatch: pytest.MonkeyPatch, spark: SparkSession) -> Home:
    monkeypatch.setenv("UBSPARK_HOME", str(demo_home.path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return demo_home


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    content = {
        "job": "crossmatch",
        "inputs": {"left": {"table": "hipparcos2"}, "right": {"table": "gaia_dr3"}},
        "params": {"radius": "1 arcsec", "epoch": 2016.0, "association_only": True},
        "outputs": {"matches": {"table": "printed"}},
    }
    path.write_text(yaml.safe_dump(content))
    return path


def read_json(call: Call, *words: Any) -> Any:
    answer = call(*words, "--json")
    assert answer.code == 0, answer.said
    assert answer.said == ""
    assert answer.out.count("\n") == 1
    return json.loads(answer.out)


@pytest.mark.spark
def test_run_plan_and_history_tell_one_story(call: Call, demo: Home, job_file: Path) -> None:
    planned = read_json(call, "plan", job_file)
    made = read_json(call, "run", job_file)
    assert made["already_made"] is False
    output = made["outputs"]["matches"]
    assert output["version"] == 0
    assert Path(made["report"]).is_file()

    told = read_json(call, "history", "printed")
    assert [entry["version"] for entry in told] == [0]
    assert told[0]["run"] == made["run"]
    assert told[0]["digest"] == output["digest"]
    assert told[0]["inputs"] == "hipparcos2@v0, gaia_dr3@v0"
    assert ContentDigest.parse(told[0]["digest"]).n_rows == output["n_rows"]

    spec = json.loads((demo.runs / made["run"] / "spec.json").read_text())
    assert spec["key"] == planned["key"]
    tables = {table["table"]: table for table in read_json(call, "tables")}
    assert tables["printed"]["rows"] == output["n_rows"]

    again = read_json(call, "run", job_file)
    assert again["already_made"] is True
    assert again["run"] == made["run"]
    assert len(read_json(call, "history", "printed")) == 1


@pytest.mark.spark
def test_show_prints_values_as_json(call: Call, demo: Home) -> None:
    words = ("show", "hipparcos2", "--columns", "hip,plx,_healpix_29", "--limit", "3")
    rows = read_json(call, *words, "--where", "hip < 100 and plx > 1")
    assert len(rows) == 3
    assert all(row["hip"] < 100 < row["_healpix_29"] and row["plx"] > 1 for row in rows)
    schema = {entry["column"]: entry for entry in read_json(call, "show", "hipparcos2", "--schema")}
    assert schema["pmra"]["unit"] == "mas/yr"
    assert read_json(call, "show", "hipparcos2", "--limit", "0") == []


def test_json_holds_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([{"mag": float("nan"), "flux": [1.5, float("-inf")], "hip": None}])
    assert capsys.readouterr().out == '[{"mag": null, "flux": [1.5, null], "hip": null}]\n'


def test_doctor_finds_this_machine_well(
    call: Call, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How much memory and disk a machine of a tester has is not ours to say.
    monkeypatch.setattr("ubspark.cli.doctor._MIN_MEMORY", 0)
    monkeypatch.setattr("ubspark.cli.doctor._MIN_DISK", 0)
    answer = call("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(answer.out)}
    assert {"Python", "Java", "JARs", "home folder", "tracking", "disk"} <= checks.keys()
    assert checks["home folder"]["finding"] == str(home.path)
    assert [check for check in checks.values() if not check["is_good"]] == []
    assert answer.code == 0


def test_doctor_names_what_is_missing(
    call: Call, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    answer = call("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(answer.out)}
    assert answer.code == 2
    assert not checks["JARs"]["is_good"]
    assert "ubspark doctor --fix" in checks["JARs"]["finding"]


def test_doctor_asks_mlflow(call: Call, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    checks = {check["name"]: check for check in json.loads(call("doctor", "--json").out)}
    assert not checks["tracking"]["is_good"]
    assert "MLflow at http://127.0.0.1:9 does not answer" in checks["tracking"]["finding"]


def test_doctor_asks_where_kernels_are_kept(
    call: Call, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    # Root may write everywhere, whatever the mode of the folder.
    monkeypatch.setattr("ubspark.cli.doctor.os.access", lambda *_: False)
    checks = {check["name"]: check for check in json.loads(call("doctor", "--json").out)}
    assert not checks["compiled kernels"]["is_good"]
    assert f"cannot write to `{tmp_path}`" in checks["compiled kernels"]["finding"]


@pytest.mark.parametrize(("name", "floor"), [("memory", "_MIN_MEMORY"), ("disk", "_MIN_DISK")])
def test_doctor_fails_where_a_check_fails(
    call: Call, home: Home, monkeypatch: pytest.MonkeyPatch, name: str, floor: str
) -> None:
    monkeypatch.setattr(f"ubspark.cli.doctor.{floor}", 1 << 60)
    answer = call("doctor", "--json")
    bad = [check["name"] for check in json.loads(answer.out) if not check["is_good"]]
    assert name in bad
    assert answer.code == 2


@pytest.mark.spark
def test_damaged_table_is_marked_beside_the_others(
    call: Call, demo: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = Home(tmp_path / "mixed")
    shutil.copytree(demo.warehouse / "hipparcos2", mixed.warehouse / "good")
    log = mixed.warehouse / "damaged" / "_delta_log" / "00000000000000000000.json"
    log.parent.mkdir(parents=True)
    log.write_text("{nonsense")
    monkeypatch.setenv("UBSPARK_HOME", str(mixed.path))
    damaged, good = read_json(call, "tables")
    assert (good["table"], good["version"], good["damage"]) == ("good", 0, None)
    assert (damaged["table"], damaged["version"]) == ("damaged", None)
    assert damaged["damage"]
    answer = call("tables")
    assert answer.code == 0
    assert damaged["damage"] in answer.out
    assert "57085" in answer.out


@pytest.mark.spark
def test_history_goes_up_to_the_version_asked_for(
    call: Call, home: Home, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(home.warehouse / "grown")
    for _ in range(3):
        spark.range(3).write.format("delta").mode("append").save(place)
    versions = [entry["version"] for entry in read_json(call, "history", "grown@v1")]
    assert versions == [1, 0]
    assert len(read_json(call, "history", "grown")) == 3


def test_empty_home_has_no_tables(call: Call, home: Home) -> None:
    assert read_json(call, "tables") == []


@pytest.mark.parametrize("command", ["", *_COMMANDS, *_OF_K8S])
def test_help_is_readable(call: Call, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    answer = call(*command.split(), "--help")
    assert answer.code == 0
    assert answer.said == ""
    assert f"Usage: ubspark {command}".strip() in answer.out
    assert all(len(line) <= 80 for line in answer.out.splitlines())
    assert ("Example: ubspark" in answer.out) == (command not in ("", "k8s"))
    if not command:
        assert all(name in answer.out for name in _COMMANDS)


def test_command_alone_shows_its_help(call: Call) -> None:
    assert call().out == call("--help").out
