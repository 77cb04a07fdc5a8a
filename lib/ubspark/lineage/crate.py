"""A run as a Process Run Crate: the RO-Crate metadata of a folder that holds what it needs."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CRATE_FILE", "CrateFile", "CrateRun", "to_crate"]

CRATE_FILE = "ro-crate-metadata.json"
_CRATE = "https://w3id.org/ro/crate/1.1"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_PAGES = "https://ubspark.readthedocs.io"


@dataclass(frozen=True)
class CrateFile:
    """A file of the crate: what it is, and its media type."""

    path: str
    name: str
    format: str
    n_bytes: int


@dataclass(frozen=True)
class CrateRun:
    """What a crate tells of a run.

    Attributes
    ----------
    inputs, outputs
        Role to a name, an identifier and a place.
    manifests
        Role of an input to the path of its manifest in the crate.
    started_ms, ended_ms
        None where nobody knows.
    """

    run_id: str
    spec: Mapping[str, Any]
    code: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, str]]
    outputs: Mapping[str, Mapping[str, str]]
    manifests: Mapping[str, str]
    ended_ms: int
    started_ms: int | None = None
    files: Sequence[CrateFile] = field(default=())


def to_crate(run: CrateRun) -> dict[str, Any]:
    """Return the JSON-LD document of a crate.

    Notes
    -----
    RO-Crate 1.1 with the profile Process Run Crate 0.5 [1]_: the run is a ``CreateAction`` whose
    instrument is the job, whose objects are the inputs and whose results are the outputs.

    References
    ----------
    .. [1] Leo et al. 2024, PLoS ONE 19, e0309210.
    """
    files = [_describe_file(file) for file in run.files]
    data = [
        *(_describe_data(role, "input", facts, run) for role, facts in run.inputs.items()),
        *(_describe_data(role, "output", facts, run) for role, facts in run.outputs.items()),
    ]
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Run {run.run_id} of the ubspark job {run.spec['job']}",
        "description": (
            "The frozen spec of a run, its environment, its code, and the manifests of its inputs: "
            "`sh replay.sh` runs it again and compares the result with the digests kept here."
        ),
        "datePublished": _to_iso(run.ended_ms),
        "author": {"@id": _name_user(run)},
        "license": {"@id": "https://spdx.org/licenses/BSD-3-Clause"},
        "conformsTo": {"@id": _PROFILE},
        "hasPart": _link(str(file["@id"]) for file in files),
        "mentions": {"@id": _name_action(run)},
    }
    graph = [
        {
            "@id": CRATE_FILE,
            "@type": "CreativeWork",
            "conformsTo": {"@id": _CRATE},
            "about": {"@id": "./"},
        },
        root,
        _describe_profile(),
        _describe_license(),
        _describe_action(run),
        _describe_job(run),
        _describe_user(run),
        *data,
        *files,
    ]
    return {"@context": f"{_CRATE}/context", "@graph": graph}


def _link(names: Iterable[str]) -> list[dict[str, str]] | dict[str, str]:
    """Return links to entities; one alone stands without a list, as the format recommends."""
    links = [{"@id": name} for name in names]
    return links[0] if len(links) == 1 else links


def _name_action(run: CrateRun) -> str:
    return f"#run-{run.run_id}"


def _name_user(run: CrateRun) -> str:
    return f"#user-{str(run.spec['run'].get('user')).encode().hex()}"


def _name_job(run: CrateRun) -> str:
    return f"{_PAGES}/jobs/{run.spec['job']}"


def _describe_profile() -> dict[str, Any]:
    name = "Process Run Crate"
    return {"@id": _PROFILE, "@type": "CreativeWork", "name": name, "version": "0.5"}


def _describe_license() -> dict[str, Any]:
    return {
        "@id": "https://spdx.org/licenses/BSD-3-Clause",
        "@type": "CreativeWork",
        "name": "BSD 3-Clause (of the code; the tables have those of their sources)",
        "description": "Licence of ubspark, which the crate holds.",
    }


def _describe_action(run: CrateRun) -> dict[str, Any]:
    spec = run.spec
    started = {} if run.started_ms is None else {"startTime": _to_iso(run.started_ms)}
    return {
        "@id": _name_action(run),
        "@type": "CreateAction",
        "name": f"{spec['job']} {run.run_id}",
        "description": f"The job {spec['job']}, version {spec['job_version']}, key {spec['key']}.",
        "instrument": {"@id": _name_job(run)},
        "agent": {"@id": _name_user(run)},
        "object": _link(_name_data(role, "input") for role in run.inputs),
        "result": _link(_name_data(role, "output") for role in run.outputs),
        **started,
        "endTime": _to_iso(run.ended_ms),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }


def _describe_job(run: CrateRun) -> dict[str, Any]:
    wheel = next((file.path for file in run.files if file.path.endswith(".whl")), None)
    needs = {} if wheel is None else {"softwareRequirements": {"@id": wheel}}
    revision = run.code.get("git") or run.code.get("sha256")
    return {
        "@id": _name_job(run),
        "@type": "SoftwareApplication",
        "name": f"ubspark {run.spec['job']}",
        "description": f"ubspark {run.code.get('version')} at revision {revision}.",
        "url": f"{_PAGES}/",
        "softwareVersion": f"{run.code.get('version')}+{str(revision)[:12]}",
        **needs,
    }


def _describe_user(run: CrateRun) -> dict[str, Any]:
    return {"@id": _name_user(run), "@type": "Person", "name": str(run.spec["run"].get("user"))}


def _name_data(role: str, kind: str) -> str:
    return f"#{kind}-{role}"


def _describe_data(role: str, kind: str, facts: Mapping[str, str], run: CrateRun) -> dict[str, Any]:
    manifest = run.manifests.get(role) if kind == "input" else None
    told = {} if manifest is None else {"subjectOf": {"@id": manifest}}
    return {"@id": _name_data(role, kind), "@type": "CreativeWork", **facts, **told}


def _describe_file(file: CrateFile) -> dict[str, Any]:
    return {
        "@id": file.path,
        "@type": "File",
        "name": file.name,
        "encodingFormat": file.format,
        "contentSize": str(file.n_bytes),
    }


def _to_iso(moment_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(moment_ms / 1000))
