"""After a kill: closing the records of dead runs, and finding results that are there already."""

import json
from typing import Any

from ubspark.catalogs.delta import Commit, is_delta_table, read_history
from ubspark.lineage.commits import find_made
from ubspark.lineage.tracking import FolderRecord, OutputRecord, Tracker
from ubspark.runtime.folders import find_folder
from ubspark.runtime.freeze import PreparedJob
from ubspark.runtime.home import Home
from ubspark.runtime.outputs import describe_output
from ubspark.runtime.records import RunRecord, iterate_records

__all__ = ["close_lost_runs", "create_tracker", "find_commits", "find_finished"]


def close_lost_runs(home: Home) -> None:
    """Close the records of runs whose process is gone.

    A run that had committed all its outputs counts as completed: the commit is what matters.
    """
    with home.lock("recovery"):
        for record in iterate_records(home.runs):
            if record.is_lost:
                _close(record, home)


def find_finished(job: PreparedJob, home: Home) -> RunRecord | None:
    """Return the run that made every output as its newest data version, if one did."""
    made: dict[str, OutputRecord | FolderRecord] = {}
    runs = set()
    for name, output in job.spec.outputs.items():
        uri = job.get_output_uri(name)
        if output.get("kind") == "folder":
            found = find_folder(uri, key=job.spec.key, output=name)
            if found is None:
                return None
            run, made[name] = found
        else:
            commit = find_made(uri, job.spec, name)
            if commit is None:
                return None
            run, made[name] = str((commit.record or {}).get("run")), _describe(uri, commit)
        runs.add(run)
    folder = home.runs / min(runs)
    outputs = {name: record.to_json() for name, record in made.items()}
    if (folder / "record.json").is_file():
        record = RunRecord.load(folder)
        record.outputs = outputs
        return record
    return RunRecord(min(runs), folder, job.spec.job, job.spec.key, "COMPLETED", outputs=outputs)


def create_tracker(home: Home, mlflow_run: str | None = None) -> Tracker:
    """Return a tracker on the store of a home."""
    return Tracker(
        home.tracking_uri,
        artifact_root=home.artifact_root,
        spool=home.spool,
        mlflow_run=mlflow_run,
    )


def find_commits(record: RunRecord) -> dict[str, OutputRecord | FolderRecord]:
    """Return the outputs that a run committed, as the histories of its tables tell."""
    spec: dict[str, Any] = json.loads((record.folder / "spec.json").read_text(encoding="utf-8"))
    found: dict[str, OutputRecord | FolderRecord] = {}
    for name, output in spec["outputs"].items():
        uri = output["uri"]
        if output.get("kind") == "folder":
            own = find_folder(uri, run=record.run_id, output=name)
            found |= {name: own[1]} if own else {}
            continue
        commits = read_history(uri) if is_delta_table(uri) else []
        mine = [commit for commit in commits if (commit.record or {}).get("run") == record.run_id]
        if mine:
            found[name] = _describe(uri, mine[0])
    return found


def _close(record: RunRecord, home: Home) -> None:
    found = find_commits(record)
    record.outputs = {name: output.to_json() for name, output in found.items()}
    spec: dict[str, Any] = json.loads((record.folder / "spec.json").read_text(encoding="utf-8"))
    is_complete = found.keys() == spec["outputs"].keys()
    if is_complete:
        record.notes.append("Killed after its commit; this record was completed afterwards.")
        record.end("COMPLETED")
    else:
        what = f"only {', '.join(found)} was" if found else "nothing was"
        record.end("ERROR", error=f"The process of this run was killed; {what} committed.")
    if record.mlflow_run is not None:
        create_tracker(home, record.mlflow_run).finish(
            "FINISHED" if is_complete else "KILLED",
            run_id=record.run_id,
            metrics=record.metrics,
            outputs=found,
            artifacts=record.folder,
        )


def _describe(uri: str, commit: Commit) -> OutputRecord:
    digest = str((commit.record or {}).get("digest"))
    return describe_output(uri, commit.version, rows_digest=digest)
