"""A run as a folder that replays it elsewhere."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table
from ubspark.cli.replay import bundle as bundle_command
from ubspark.errors import ConflictError, InputMissingError, SourceError
from ubspark.lineage.environment import describe_code
from ubspark.runtime import bundle as bundles
from ubspark.runtime.bundle import read_bundle, write_bundle
from ubspark.runtime.home import Home
from ubspark.runtime.places import open_ledger
from ubspark.runtime.replay import create_sandbox, find_original, prepare_replay, replay

pytestmark = pytest.mark.spark

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle(chain_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(chain_home, "pairs@v0", tmp_path_factory.mktemp("bundle") / "run")


def make_bundle(home: Home, what: str, folder: Path) -> Path:
    original = find_original(what, home, open_ledger(home))
    write_bundle(original.run_id, original.outputs, original.folder, folder)
    return folder


def read(bundle: Path, name: str) -> Any:
    return json.loads((bundle / name).read_text())


def test_bundle_holds_what_a_replay_needs(bundle: Path, chain_home: Home) -> None:
    original = find_original("pairs@v0", chain_home, open_ledger(chain_home))
    assert read(bundle, "spec.json") == original.spec
    known = read(bundle, "environment.json")["packages"]
    lock = (bundle / "requirements.lock").read_text().splitlines()
    assert f"pyspark=={known['pyspark']}" in lock
    assert not any(line.startswith("ubspark==") for line in lock)
    left = read(bundle, "inputs/left.json")
    assert (left["version"], left["table_id"]) == (0, original.spec["inputs"]["left"]["table_id"])
    assert left["digest"] == str(open_table(left["uri"], version=0).read_digest())
    ((name, n_bytes),) = left["files"]
    assert (chain_home.warehouse / "stars" / name).stat().st_size == n_bytes


def test_crate_lists_every_file_and_links_the_run(bundle: Path) -> None:
    graph = {entity["@id"]: entity for entity in read(bundle, "ro-crate-metadata.json")["@graph"]}
    parts = {part["@id"] for part in graph["./"]["hasPart"]}
    there = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()}
    assert parts == there - {"ro-crate-metadata.json"}
    (action,) = (entity for entity in graph.values() if entity["@type"] == "CreateAction")
    for role in ("instrument", "agent"):
        assert action[role]["@id"] in graph
    named = {graph[link["@id"]]["name"] for link in (*action["object"], action["result"])}
    assert named == {"stars", "moved", "pairs@v0"}
    assert action["startTime"] < action["endTime"]


def test_wheel_is_the_running_code(bundle: Path, tmp_path: Path) -> None:
    (wheel,) = bundle.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path)
    said = subprocess.run(
        [sys.executable, "-c", "import ubspark.lineage.environment as e; print(e.describe_code())"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    code = describe_code()
    assert f"'sha256': '{code['sha256']}'" in said
    assert str(code.get("git", "")) in said


def test_bundle_replays_in_an_empty_home(bundle: Path, spark: SparkSession, tmp_path: Path) -> None:
    home = Home(tmp_path / "elsewhere")
    ledger = open_ledger(home)
    original = find_original(str(bundle), home, ledger)
    config, changes = prepare_replay(original, home, ledger, sandbox=create_sandbox(home))
    assert changes == []
    assert replay(original, config, changes, home=home, spark=spark).verdict == "EXACT"


def test_bundle_of_an_export_is_compared_by_its_manifest(
    chain_home: Home, spark: SparkSession, tmp_path: Path
) -> None:
    made = make_bundle(
        chain_home, str(chain_home.path.parent / "outside" / "pairs"), tmp_path / "b"
    )
    home = Home(tmp_path / "elsewhere")
    ledger = open_ledger(home)
    original = find_original(str(made), home, ledger)
    config, changes = prepare_replay(original, home, ledger, sandbox=create_sandbox(home))
    done = replay(original, config, changes, home=home, spark=spark)
    assert (done.verdict, done.outputs["folder"].n_original) == ("EXACT", 60)


def test_other_code_and_full_folders_are_refused(
    chain_home: Home, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConflictError, match="is not empty"):
        make_bundle(chain_home, "pairs@v0", bundle)
    with monkeypatch.context() as patch:
        patch.setattr(bundles, "describe_code", lambda: {"sha256": "0" * 64})
        with pytest.raises(ConflictError, match="was made by other code"):
            make_bundle(chain_home, "pairs@v0", tmp_path / "other")
    original = find_original("pairs@v0", chain_home, open_ledger(chain_home))
    with pytest.raises(InputMissingError, match="environment of the run is not known"):
        write_bundle(original.run_id, original.outputs, tmp_path / "gone", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_damaged_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "damaged")
    (tmp_path / "damaged" / "spec.json").write_text("{}")
    with pytest.raises(SourceError, match="is no whole bundle"):
        read_bundle(tmp_path / "damaged")


def test_command_says_what_it_wrote(
    chain_home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("UBSPARK_HOME", str(chain_home.path))
    bundle_command("pairs@v0", tmp_path / "b", json=True)
    said = json.loads(capsys.readouterr().out)
    assert {"replay.sh", "inputs/left.json", "spec.json"} <= set(said["files"])


@pytest.mark.peer
def test_bundle_is_a_process_run_crate_to_the_validator(bundle: Path, tmp_path: Path) -> None:
    python = ROOT / ".peers" / "rocrate" / "bin" / "python"
    if not python.exists():
        pytest.skip("There is no `.peers/rocrate`; `make peer-rocrate` makes it.")
    script = Path(__file__).with_name("validate_crate.py")
    done = subprocess.run(
        [python, script, bundle, tmp_path / "cache"], capture_output=True, text=True, check=False
    )
    said = json.loads(done.stdout[done.stdout.index("{") :])
    assert said["validation_settings"]["offline"] is True
    # Organisations, of the author and as a publisher, are recommended; a run knows of none.
    found = {(i["severity"], i["violatingProperty"].rsplit("/", 1)[-1]) for i in said["issues"]}
    assert found <= {("RECOMMENDED", "publisher"), ("RECOMMENDED", "affiliation")}


@pytest.mark.slow
def test_runner_replays_in_an_environment_of_its_own(bundle: Path, tmp_path: Path) -> None:
    """The wheel alone beside the packages of this environment, which are those of the lock."""
    venv.create(tmp_path / "env")
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    # Without the editable install of this checkout, which is a path file there.
    (site / "packages.pth").write_text(next(p for p in sys.path if p.endswith("site-packages")))
    (wheel,) = bundle.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "UBSPARK_HOME")}
    done = subprocess.run(
        [tmp_path / "env" / "bin" / "python", "-m", "ubspark", "replay", bundle],
        env=environment | {"UBSPARK_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, "EXACT\n"), done.stderr
    assert "code has changed" not in done.stderr
