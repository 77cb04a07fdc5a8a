"""Running the frozen spec of a run again, and saying whether the same comes out."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from ubspark.errors import InputMissingError
from ubspark.lineage.comparison import Comparison, Tolerance, Verdict
from ubspark.lineage.entities import Made
from ubspark.lineage.environment import describe_code, describe_environment
from ubspark.lineage.ledger import Ledger
from ubspark.runtime.bundle import is_bundle, read_bundle
from ubspark.runtime.config import JobConfig, TableRef
from ubspark.runtime.content import compute_content, find_stated
from ubspark.runtime.foreign import describe_footers
from ubspark.runtime.freeze import prepare_job
from ubspark.runtime.home import Home
from ubspark.runtime.places import find_entity, list_written
from ubspark.runtime.records import RunRecord, create_run_id
from ubspark.runtime.recovery import create_tracker
from ubspark.runtime.run_job import run_job
from ubspark.runtime.thaw import thaw, validate_catalogs, validate_files, validate_tables
from ubspark.runtime.verdicts import compare_outputs, find_worst
from ubspark.runtime.verification import check_outputs

__all__ = [
    "Original",
    "Replay",
    "create_sandbox",
    "find_original",
    "prepare_replay",
    "replay",
]

#: What a replay says of both machines.
_MACHINE = ("cpu", "blas", "numba_cpu", "platform", "python")
#: Packages that decide numbers; others are counted.
_DECISIVE = ("numpy", "numba", "scipy", "pyarrow", "pyspark", "delta-spark", "scikit-learn")


@dataclass(frozen=True)
class Original:
    """A run to be replayed: what it made, and the spec in its commits.

    Attributes
    ----------
    folder
        That of the run, or of its bundle; it may be gone.
    """

    run_id: str
    outputs: Mapping[str, Made]
    spec: Mapping[str, Any]
    code: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True)
class Replay:
    """A run that was run again.

    Attributes
    ----------
    outputs
        Name to comparison.
    changes
        Sentences about what is not as it was: code, environment.
    remarks
        Sentences about inputs of which not every byte was compared, and, where outputs differ,
        about tables whose rows are not those that were committed.
    differences
        Files with rows that differ.
    altered
        Where it was asked for: which stored outputs of the original are not what was committed.
    """

    original: Original
    record: RunRecord
    verdict: Verdict
    outputs: Mapping[str, Comparison]
    changes: Sequence[str]
    differences: Sequence[Path]
    remarks: Sequence[str] = ()
    altered: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it for records."""
        return {
            "replay_of": self.original.run_id,
            "run": self.record.run_id,
            "verdict": self.verdict,
            "outputs": {name: found.to_json() for name, found in self.outputs.items()},
            "changes": list(self.changes),
            "remarks": list(self.remarks),
            "altered": list(self.altered),
            "differences": [str(path) for path in self.differences],
        }


def find_original(what: str, home: Home, ledger: Ledger) -> Original:
    """Return the run that a user names: by its id, its bundle, or something it made.

    Raises
    ------
    InputMissingError
        If no commit is known of it.
    """
    folder = Path(what)
    if is_bundle(folder):
        run_id, outputs = read_bundle(folder.absolute())
    else:
        made = ledger.find_runs(what) or _find_makers(what, home, ledger)
        outputs = {part.output: part for part in made}
        run_id = str(made[0].run)
        folder = home.runs / run_id
    first = next(iter(outputs.values()))
    return Original(run_id, outputs, first.spec, (first.record or {}).get("code", {}), folder)


def prepare_replay(
    original: Original,
    home: Home,
    ledger: Ledger,
    *,
    sandbox: Path,
    resources: Mapping[str, Any] | None = None,
) -> tuple[JobConfig, list[str]]:
    """Return the job to run, and what has changed since the run.

    Raises
    ------
    InputMissingError
        If an input is not there as the run read it.
    """
    spec = original.spec
    validate_tables(spec, ledger)
    tags = {"ubspark.replay_of": original.run_id}
    config = thaw(spec, ledger=ledger, sandbox=sandbox, resources=resources or {}, tags=tags)
    with tempfile.TemporaryDirectory(prefix="ubspark-") as scratch:
        job = prepare_job(config, home, scratch=Path(scratch))
        now = job.spec.to_json()
        validate_files(spec, now)
        validate_catalogs(spec, now, job.inputs, original.folder)
    return config, [*_list_code(original, now), *_list_environment(original)]


def replay(
    original: Original,
    config: JobConfig,
    changes: Sequence[str],
    *,
    home: Home,
    spark: SparkSession | None = None,
    tolerances: Mapping[str, Tolerance] | None = None,
    verify: bool = False,
) -> Replay:
    """Run a prepared replay and compare what comes out.

    The replay is a run of its own, with a record that holds ``replay.json`` and, where rows
    differ, some of them.

    Parameters
    ----------
    tolerances
        Column to tolerance, which win over those of the job.
    verify
        Read the stored outputs of the original too, and compare them with its commits.
    """
    record = run_job(config, home=home, spark=spark, force=True, like=original.spec).record
    outputs = compare_outputs(original.outputs, record.outputs, tolerances or {})
    paths = []
    for name, found in outputs.items():
        if found.rows is not None and found.rows.num_rows:
            paths.append(record.folder / f"differences-{name}.parquet")
            pq.write_table(found.rows, paths[-1])
    remarks = list(describe_footers(original.spec["inputs"]))
    findings = list(check_outputs(original.outputs, whole=verify))
    remarks += [finding.sentence for finding in findings]
    altered = [finding.sentence for finding in findings if verify and finding.is_altered]
    verdict = find_worst(outputs)
    if verdict == "DIFFERENT":
        remarks += _find_altered_inputs(config)
    done = Replay(original, record, verdict, outputs, changes, paths, remarks, altered)
    here = _describe_machine(describe_environment())
    known = _read_environment(original)
    there = _describe_machine(known) if known else None
    content = {**done.to_json(), "machine": here, "machine_of_original": there}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (record.folder / "replay.json").write_text(text, encoding="utf-8")
    create_tracker(home, record.mlflow_run).set_tag("ubspark.replay_verdict", done.verdict)
    return done


def create_sandbox(home: Home) -> Path:
    """Return a folder for the outputs of one replay; nothing is made yet."""
    return home.path / "replays" / create_run_id()


def _find_makers(what: str, home: Home, ledger: Ledger) -> list[Made]:
    """Return everything made by the run behind a table version or folder."""
    if "/" not in what and (home.runs / what).is_dir():
        for place in list_written(home.runs / what):
            if str(place) in ledger.damaged:
                raise InputMissingError(ledger.damaged[str(place)])
        msg = f"Run {what} committed nothing that is still there, so there is nothing to compare."
        raise InputMissingError(msg)
    made: Made | None = ledger.find(find_entity(what, home, ledger))
    while made is not None and not made.changed_data:
        made = ledger.find_before(made)
    if made is None or made.run is None:
        msg = f"`{what}` was not made by a run of ubspark, so it cannot be replayed."
        raise InputMissingError(msg)
    run = made.run
    beside = [other for other in ledger.find_runs(run) if other.output != made.output]
    return [made, *beside]


def _find_altered_inputs(config: JobConfig) -> Iterator[str]:
    """Yield which input tables do not hold the rows any more that their commits state."""
    for name, given in config.inputs.items():
        place = given.table
        if not isinstance(place, TableRef) or place.version is None:
            continue
        stated = find_stated(place.path, place.version)
        if stated not in (None, compute_content(place.path, place.version)):
            yield (
                f"`inputs.{name}`: `{place.path}@v{place.version}` was altered; its rows do not "
                f"have the digest of their commit, {stated}."
            )


def _list_code(original: Original, now: Mapping[str, Any]) -> list[str]:
    """Return what of the code and of the spec it freezes is not as it was."""
    spec, code, found = original.spec, original.code, describe_code()
    if code.get("sha256") == found["sha256"]:
        return []
    was, new = (str(c.get("git") or c.get("version"))[:12] for c in (code, found))
    changes = [f"The code has changed: {new} (sha256 {found['sha256'][:12]}) instead of {was}."]
    if spec["job_version"] != now["job_version"]:
        versions = f"{now['job_version']} instead of {spec['job_version']}"
        changes.append(f"The job {spec['job']} has version {versions}: other results are expected.")
    if spec["params"] != now["params"]:
        names = [k for k in now["params"] if now["params"][k] != spec["params"].get(k)]
        changes.append(f"Parameters that the run did not have: {', '.join(names)}.")
    return changes


def _list_environment(original: Original) -> list[str]:
    """Return what of the surroundings is not as it was."""
    was, now = _read_environment(original), describe_environment()
    if was is None:
        is_there = original.folder.is_dir()
        what = "has no whole `environment.json`" if is_there else "is not in this home"
        return [f"The environment of the run is not known: its folder {what}."]
    names = ("python", "cpu", "blas", "numba_cpu", "image")
    pairs = [(name, was[name], now.get(name)) for name in names if name in was]
    packages = was.get("packages", {})
    pairs += [(name, packages.get(name), now["packages"].get(name)) for name in _DECISIVE]
    changes = [f"{name} is {b}, and was {a}." for name, a, b in pairs if a != b]
    others = {k for k in {*packages, *now["packages"]} if packages.get(k) != now["packages"].get(k)}
    others -= set(_DECISIVE)
    return [*changes, f"{len(others)} other packages differ."] if others else changes


def _read_environment(original: Original) -> dict[str, Any] | None:
    path = original.folder / "environment.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("packages"), dict) else None


def _describe_machine(environment: Mapping[str, Any]) -> dict[str, Any]:
    return {name: environment.get(name) for name in _MACHINE}
