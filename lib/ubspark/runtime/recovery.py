"""After a kill: closing the records of dead runs, and finding results that are there already."""

import json
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from ubspark.catalogs.delta import Commit, is_delta_table, read_history
from ubspark.errors import TransientError
from ubspark.lineage.commits import find_made
from ubspark.lineage.tracking import FolderRecord, OutputRecord, Tracker
from ubspark.runtime.folders import find_folder
from ubspark.runtime.freeze import PreparedJob
from ubspark.runtime.home import Home
from ubspark.runtime.outputs import describe_output
from ubspark.runtime.records import RunRecord, iterate_records

__all__ = ["close_lost_runs", "create_tracker", "find_commits", "find_finished", "find_output"]

_KILLED = "The process of this run was killed"
_OPEN = f"{_KILLED}; what it committed is not known yet"


def close_lost_runs(home: Home) -> None:
    """Close the records of runs whose process is gone.

    A run that had committed all its outputs counts as completed: the commit is what matters. A
    run whose outputs cannot be read now stays open, and is looked at again by the next command.
    """
    with home.lock("recovery"):
        for record in iterate_records(home.runs):
            if record.is_lost:
                try:
                    _close(record, home)
                # Whatever one output has come to, the other runs of the home go on.
                except Exception as error:
                    _leave_open(record, error)


def find_finished(job: PreparedJob, home: Home) -> RunRecord | None:
    """Return the run that made every output as its newest data version, if one did."""
    made: dict[str, OutputRecord | FolderRecord] = {}
    runs = set()
    for name in job.spec.outputs:
        found = find_output(job, name)
        if found is None:
            return None
        run, made[name] = found
        runs.add(run)
    folder = home.runs / min(runs)
    outputs = {name: record.to_json() for name, record in made.items()}
    if (folder / "record.json").is_file():
        record = RunRecord.load(folder)
        record.outputs = outputs
        return record
    return RunRecord(min(runs), folder, job.spec.job, job.spec.key, "COMPLETED", outputs=outputs)


def find_output(job: PreparedJob, name: str) -> tuple[str, OutputRecord | FolderRecord] | None:
    """Return an output that an equal run made as the newest data, and that run; None if none."""
    uri = job.get_output_uri(name)
    if job.spec.outputs[name].get("kind") == "folder":
        return find_folder(uri, keys=job.spec.keys, output=name)
    commit = find_made(uri, job.spec, name)
    if commit is None:
        return None
    return str((commit.record or {}).get("run")), _describe(uri, commit)


def create_tracker(home: Home, mlflow_run: str | None = None) -> Tracker:
    """Return a tracker on the store of a home."""
    return Tracker(
        home.tracking_uri,
        artifact_root=home.artifact_root,
        spool=home.spool,
        mlflow_run=mlflow_run,
    )


def find_commits(record: RunRecord) -> dict[str, OutputRecord | FolderRecord]:
    """Return the outputs that a run committed, as the histories of its tables tell.

    Raises
    ------
    TransientError
        If a place is out of reach, so that nobody knows.
    """
    found: dict[str, OutputRecord | FolderRecord] = {}
    for name, output in _read_outputs(record).items():
        uri = output["uri"]
        is_folder = output.get("kind") == "folder"
        _validate_reach(uri, Path(uri).parent if is_folder else Path(uri))
        if is_folder:
            own = find_folder(uri, run=record.run_id, output=name)
            found |= {name: own[1]} if own else {}
            continue
        commits = read_history(uri) if is_delta_table(uri) else []
        mine = [commit for commit in commits if (commit.record or {}).get("run") == record.run_id]
        if mine:
            found[name] = _describe(uri, mine[0])
    return found


def _read_outputs(record: RunRecord) -> dict[str, dict[str, Any]]:
    spec = json.loads((record.folder / "spec.json").read_text(encoding="utf-8"))
    outputs: dict[str, dict[str, Any]] = spec["outputs"]
    return outputs


def _validate_reach(uri: str, folder: Path) -> None:
    """Refuse a place whose folder, which a run made before it was recorded, is not there."""
    if "://" not in uri and not folder.is_dir():
        msg = f"`{folder}` is not there"
        raise TransientError(msg)


def _leave_open(record: RunRecord, error: Exception) -> None:
    """Say once, and note in the record, that it stays open."""
    if any(note.startswith(_OPEN) for note in record.notes):
        return
    first = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    record.notes.append(f"{_OPEN}: {first}.")
    with suppress(OSError):
        record.save()
    msg = (
        f"Run {record.run_id} was killed, and what it committed is not known: {first}. Its record "
        f"stays open until its output can be read."
    )
    warnings.warn(msg, stacklevel=3)


def _close(record: RunRecord, home: Home) -> None:
    found: dict[str, OutputRecord | FolderRecord] = {}
    is_complete = False
    try:
        outputs = _read_outputs(record)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Nobody can ever say where to look.
        record.end("ERROR", error=f"{_KILLED}, and its spec.json cannot be read.")
    else:
        found = find_commits(record)
        record.outputs = {name: output.to_json() for name, output in found.items()}
        record.notes = [note for note in record.notes if not note.startswith(_OPEN)]
        is_complete = found.keys() == outputs.keys()
        _end(record, is_complete=is_complete)
    if record.mlflow_run is not None:
        create_tracker(home, record.mlflow_run).finish(
            "FINISHED" if is_complete else "KILLED",
            run_id=record.run_id,
            metrics=record.metrics,
            outputs=found,
            artifacts=record.folder,
        )


def _end(record: RunRecord, *, is_complete: bool) -> None:
    if is_complete:
        record.notes.append("Killed after its commit; this record was completed afterwards.")
        record.end("COMPLETED")
    else:
        what = f"only {', '.join(record.outputs)} was" if record.outputs else "nothing was"
        record.end("ERROR", error=f"{_KILLED}; {what} committed.")


def _describe(uri: str, commit: Commit) -> OutputRecord:
    digest = str((commit.record or {}).get("digest"))
    return describe_output(uri, commit.version, rows_digest=digest)
