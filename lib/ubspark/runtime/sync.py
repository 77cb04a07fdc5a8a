"""Bringing the tracking store up to date: what waits in the spool, and what it has lost."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ubspark.errors import TransientError
from ubspark.lineage.entities import Made
from ubspark.lineage.rebuild import collect_tags, rebuild_messages
from ubspark.lineage.tracking import Tracker
from ubspark.runtime.home import Home
from ubspark.runtime.places import open_ledger
from ubspark.runtime.records import RunRecord, iterate_records
from ubspark.runtime.recovery import create_tracker

__all__ = ["rebuild_tracking", "sync_spool"]

_STATUS = {"COMPLETED": "FINISHED", "ABORTED": "KILLED"}


def sync_spool(home: Home) -> dict[str, int]:
    """Deliver the records in the spool; return how many were delivered and how many are broken.

    A record that is delivered leaves the spool; one that cannot be read stays and is counted.
    Delivering twice is harmless: a run that the store knows is added to, not repeated.

    Raises
    ------
    TransientError
        If the store does not take one; it stays, with those after it.
    """
    delivered = broken = 0
    home.validate_writable()
    with home.lock("tracking"):
        for path in sorted(home.spool.glob("*.json")):
            try:
                messages: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
                run_id = str(messages[0]["run"])
            except (ValueError, LookupError, TypeError):
                broken += 1
                continue
            record = _load_record(home, run_id)
            if record is not None and record.phase == "EXECUTING":
                # Its own end will deliver it, or the next run that finds it dead.
                continue
            tracker = create_tracker(home, None if record is None else record.mlflow_run)
            if record is not None and messages[-1]["event"] == "start":
                messages.append(_describe_end(record))
            _deliver(tracker, run_id, messages, home)
            if record is not None and record.mlflow_run is None:
                record.mlflow_run = tracker.mlflow_run
                record.save()
            path.unlink()
            delivered += 1
    return {"delivered": delivered, "broken": broken}


def rebuild_tracking(home: Home) -> dict[str, int]:
    """Make anew the runs that the store lacks, from the commits; return how many.

    Runs that failed left no commit; of those whose folder is in the home, the record is used.

    Raises
    ------
    TransientError
        If the store does not answer.
    """
    home.validate_writable()
    by_run: dict[str, list[Made]] = {}
    for made in open_ledger(home).all:
        if made.run is not None:
            by_run.setdefault(made.run, []).append(made)
    with home.lock("tracking"):
        known = _list_known(home)
        failed = {r.run_id: r for r in _list_failed(home) if r.run_id not in by_run}
        missing = [run for run in sorted({*by_run, *failed}) if run not in known]
        for run_id in missing:
            record = _load_record(home, run_id)
            if run_id in failed:
                messages = _describe_failed(failed[run_id])
            else:
                messages = rebuild_messages(
                    run_id,
                    by_run[run_id],
                    started_ms=None if record is None else int(record.started * 1000),
                    metrics=record.metrics if record else {},
                    artifacts=home.runs / run_id,
                )
            tracker = create_tracker(home)
            _deliver(tracker, run_id, messages, home)
            if record is not None:
                record.mlflow_run = tracker.mlflow_run
                record.save()
    return {"rebuilt": len(missing), "known": len(by_run) + len(failed) - len(missing)}


def _list_failed(home: Home) -> Iterator[RunRecord]:
    """Yield the runs of the home that ended without all their outputs."""
    for record in iterate_records(home.runs):
        if record.phase in ("ERROR", "ABORTED") and (record.folder / "spec.json").is_file():
            yield record


def _describe_failed(record: RunRecord) -> list[dict[str, Any]]:
    """Return what a run that committed nothing would have told."""
    spec = json.loads((record.folder / "spec.json").read_text(encoding="utf-8"))
    start = {"event": "start", "run": record.run_id, "spec": spec}
    moment = int(record.started * 1000)
    return [
        {**start, "tags": collect_tags(spec, {}), "time_ms": moment},
        _describe_end(record),
    ]


def _describe_end(record: RunRecord) -> dict[str, Any]:
    """Return the end of a run that was killed before it could tell."""
    return {
        "event": "finish",
        "run": record.run_id,
        "status": _STATUS.get(record.phase, "FAILED"),
        "time_ms": int((record.ended or record.started) * 1000),
        "metrics": record.metrics,
        "outputs": record.outputs,
        "artifacts": str(record.folder),
    }


def _list_known(home: Home) -> set[str]:
    try:
        return create_tracker(home).list_runs()
    # MLflow's stores raise whatever their back end raises.
    except Exception as error:
        raise _refuse(home, error) from error


def _deliver(tracker: Tracker, run_id: str, messages: Any, home: Home) -> None:
    try:
        tracker.redeliver(run_id, messages)
    except Exception as error:
        raise _refuse(home, error) from error


def _refuse(home: Home, error: Exception) -> TransientError:
    first = str(error).strip().partition("\n")[0].rstrip(".")
    msg = f"MLflow at {home.tracking_uri} does not take records: {type(error).__name__}: {first}."
    return TransientError(msg)


def _load_record(home: Home, run_id: str) -> RunRecord | None:
    folder: Path = home.runs / run_id
    with suppress(OSError, ValueError, TypeError):
        return RunRecord.load(folder)
    return None
