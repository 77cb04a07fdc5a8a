"""A run as a folder that replays it elsewhere, and reading such a folder back."""

import json
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ubspark.catalogs.export.manifest import MANIFEST_FILE
from ubspark.catalogs.log_files import list_version_files, read_log
from ubspark.errors import ConflictError, InputMissingError, SourceError, UbsparkError
from ubspark.features.out_of_fold import OUT_OF_FOLD_FILE
from ubspark.lineage.crate import CRATE_FILE, CrateFile, CrateRun, to_crate
from ubspark.lineage.entities import Entity, Made, is_whole
from ubspark.lineage.environment import describe_code, to_lock
from ubspark.runtime.content import find_stated
from ubspark.runtime.folders import create_folder
from ubspark.runtime.wheel import pack_wheel

__all__ = ["is_bundle", "read_bundle", "write_bundle"]

_BUNDLE_FILE = "bundle.json"
_RUNNER = """#!/bin/sh
# Make an environment of its own, and replay the run in a home of its own:
# EXACT or EQUIVALENT end with 0, DIFFERENT with 6. The inputs must be where they were, and Java
# 17 or 21 on the PATH. PYTHON names another Python; further words go to `ubspark replay`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"${PYTHON:-python3}" -m venv "$here/.venv"
"$here/.venv/bin/python" -m pip install --quiet --no-deps -r "$here/requirements.lock"
"$here/.venv/bin/python" -m pip install --quiet --no-deps "$here"/ubspark-*.whl
export UBSPARK_HOME="${UBSPARK_HOME:-$here/home}"
"$here/.venv/bin/ubspark" doctor --fix
"$here/.venv/bin/ubspark" replay "$here" "$@"
"""
#: File of a bundle to what it is, and its media type.
_NAMES: Mapping[str, tuple[str, str]] = {
    "spec.json": ("The frozen spec of the run", "application/json"),
    _BUNDLE_FILE: ("The run, its code and the digests of its outputs", "application/json"),
    "environment.json": ("Packages, processor and Spark settings of the run", "application/json"),
    "requirements.lock": ("Every package of the environment of the run", "text/plain"),
    "replay.sh": ("Replays the run in an environment of its own", "text/x-shellscript"),
    "report.html": ("The report of the run", "text/html"),
    "run.log": ("The log of the run", "text/plain"),
}
_OF_THE_RUN = ("environment.json", "report.html", "run.log")


def write_bundle(run_id: str, made: Mapping[str, Made], run: Path, folder: Path) -> list[str]:
    """Write the bundle of a run; return its files.

    Parameters
    ----------
    made
        What the run made, by output.
    run
        Folder of the run.

    Raises
    ------
    ConflictError
        If the folder is not empty, or the running code is not that of the run.
    InputMissingError
        If the environment of the run is not known.
    """
    first = next(iter(made.values()))
    spec, code = first.spec, (first.record or {}).get("code", {})
    _validate_code(code)
    packages = _read_packages(run)
    create_folder(folder, "the bundle")
    _write(folder / "spec.json", spec)
    outputs = {name: _describe_made(part) for name, part in made.items()}
    _write(folder / _BUNDLE_FILE, {"run": run_id, "code": code, "outputs": outputs})
    (folder / "requirements.lock").write_text(to_lock(packages), encoding="utf-8")
    (folder / "replay.sh").write_text(_RUNNER, encoding="utf-8")
    for name in _OF_THE_RUN:
        if (run / name).is_file():
            shutil.copyfile(run / name, folder / name)
    for name, part in made.items():
        _copy_small(part, folder / "outputs" / name)
    manifests = {}
    for name, entry in spec["inputs"].items():
        manifests[name] = f"inputs/{name}.json"
        _write(folder / manifests[name], _list_input(name, entry, run))
    pack_wheel(folder)
    described = _describe_run(run_id, made, manifests, run, folder)
    _write(folder / CRATE_FILE, to_crate(described))
    return [file.path for file in described.files]


def is_bundle(folder: Path) -> bool:
    """Whether a folder is a bundle."""
    return (folder / _BUNDLE_FILE).is_file()


def read_bundle(folder: Path) -> tuple[str, dict[str, Made]]:
    """Return the run of a bundle, and what it made.

    Raises
    ------
    SourceError
        If the bundle is damaged.
    """
    try:
        content = json.loads((folder / _BUNDLE_FILE).read_text(encoding="utf-8"))
        spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
        run_id = str(content["run"])
        known = {"ubspark": 1, "run": run_id, "key": spec["key"], "spec": spec}
        known["code"] = content["code"]
        made = {}
        for name, output in content["outputs"].items():
            record = {**known, "output": name, "digest": output["digest"]}
            if not is_whole(record):
                msg = f"the record of the output {name} is damaged, or of a newer ubspark"
                raise ValueError(msg)
            place = folder / "outputs" / name
            uri = str(place) if place.is_dir() else output["uri"]
            entity = Entity(output["kind"], uri, output["identity"], output["version"])
            made[name] = Made(entity, None, "BUNDLE", changed_data=True, record=record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"`{folder}` is no whole bundle: {type(error).__name__} {error}."
        raise SourceError(msg) from error
    return run_id, made


def _validate_code(code: Mapping[str, Any]) -> None:
    """Refuse to bundle other code than that of the run: it would not be the same run."""
    if code.get("sha256") != describe_code()["sha256"]:
        was = code.get("git") or code.get("version")
        msg = f"The run was made by other code ({was}). Check that out, and bundle it there."
        raise ConflictError(msg)


def _read_packages(run: Path) -> dict[str, str]:
    try:
        content = json.loads((run / "environment.json").read_text(encoding="utf-8"))
        packages: dict[str, str] = content["packages"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = "is not in this home"
        if run.is_dir():
            what = "has no whole `environment.json`, perhaps since the run was killed"
        msg = f"The environment of the run is not known: its folder `{run}` {what}."
        raise InputMissingError(msg) from error
    return packages


def _describe_made(made: Made) -> dict[str, Any]:
    entity = made.entity
    return {
        "kind": entity.kind,
        "uri": entity.uri,
        "identity": entity.identity,
        "version": entity.version,
        "digest": (made.record or {}).get("digest"),
        "committed_ms": made.timestamp_ms,
    }


def _copy_small(made: Made, target: Path) -> None:
    """Copy what a replay compares with: of an export its manifest, of a model its predictions."""
    if made.entity.kind == "delta":
        return
    target.mkdir(parents=True)
    for name in (MANIFEST_FILE, "model.json", OUT_OF_FOLD_FILE):
        if (Path(made.entity.uri) / name).is_file():
            shutil.copyfile(Path(made.entity.uri) / name, target / name)


def _list_input(name: str, entry: Mapping[str, Any], run: Path) -> dict[str, Any]:
    """Return what identifies an input, and its files as far as they are known."""
    known = {key: value for key, value in entry.items() if key != "options"}
    if entry["kind"] == "delta":
        uri, version = str(entry["uri"]), int(entry["version"])
        known["files"] = _list_table(Path(uri), version)
        with suppress(UbsparkError):
            known["digest"] = find_stated(uri, version)
    if entry["kind"] == "hats" and (run / f"manifest-{name}.json").is_file():
        listed = json.loads((run / f"manifest-{name}.json").read_text(encoding="utf-8"))
        known["files"] = [[path, *facts] for path, facts in listed.items()]
    return known


def _list_table(table: Path, version: int) -> list[list[Any]]:
    """Return path and bytes of the files of a version; nothing where its log does not reach."""
    try:
        names = sorted(list_version_files(read_log(table))[version])
        return [[name, (table / name).stat().st_size] for name in names]
    except (SourceError, OSError, KeyError):
        return []


def _describe_run(
    run_id: str, made: Mapping[str, Made], manifests: Mapping[str, str], run: Path, folder: Path
) -> CrateRun:
    first = next(iter(made.values()))
    started, ended = _read_times(run, first.timestamp_ms)
    inputs = {
        name: {
            "name": str(entry["uri"]).rstrip("/").rsplit("/", 1)[-1],
            "identifier": _identify(entry),
            "description": f"Input {name} at {entry['uri']}",
        }
        for name, entry in first.spec["inputs"].items()
    }
    outputs = {
        name: {
            "name": part.entity.name,
            "identifier": part.entity.key,
            "description": f"Output {name}, digest {(part.record or {}).get('digest')}",
        }
        for name, part in made.items()
    }
    return CrateRun(
        run_id=run_id,
        spec=first.spec,
        code=(first.record or {}).get("code", {}),
        inputs=inputs,
        outputs=outputs,
        manifests=manifests,
        started_ms=started,
        ended_ms=ended,
        files=[
            _describe_file(path, folder) for path in sorted(folder.rglob("*")) if path.is_file()
        ],
    )


def _identify(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "delta":
        return f"{entry['table_id']}@v{entry['version']}"
    return str(entry["digest"])


def _read_times(run: Path, committed_ms: int | None) -> tuple[int | None, int]:
    try:
        content = json.loads((run / "record.json").read_text(encoding="utf-8"))
        return int(content["started"] * 1000), int(content["ended"] * 1000)
    except (OSError, ValueError, KeyError, TypeError):
        return None, committed_ms or int(time.time() * 1000)


def _describe_file(path: Path, folder: Path) -> CrateFile:
    inside = path.relative_to(folder).as_posix()
    name, form = _NAMES.get(inside, (inside, "application/octet-stream"))
    if inside.startswith("inputs/"):
        name, form = f"Manifest of the input {path.stem}", "application/json"
    elif path.suffix == ".whl":
        name, form = "The code of the run as a Python wheel", "application/zip"
    elif path.suffix == ".json":
        form = "application/json"
    return CrateFile(inside, name, form, path.stat().st_size)


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
