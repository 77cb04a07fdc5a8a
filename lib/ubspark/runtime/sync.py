"""Bringing the tracking store up to date: what waits in the spool, and what it has lost."""

import json
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ubspark.errors import TransientError
from ubspark.lineage.entities import Made
from ubspark.lineage.rebuild import collect_tags, rebuild_messages
from ubspark.lineage.tracking import is_refusal
from ubspark.runtime.home import Home
from ubspark.runtime.places import open_ledger
from ubspark.runtime.records import RunRecord, iterate_records
from ubspark.runtime.recovery import create_tracker

__all__ = ["rebuild_tracking", "sync_spool"]

_STATUS = {"COMPLETED": "FINISHED", "ABORTED": "KILLED"}


def sync_spool(home: Home) -> dict[str, int]:
    """Deliver the records in the spool; return how many were delivered and how many are broken.

    A record that is delivered leaves the spool; one that cannot be read, or that the store refuses
    for what is in it, stays and is counted.
    Delivering twice is harmless: a run that the store knows is added to, not repeated.

    Raises
    ------
    TransientError
        If the store does not answer; the record stays, with those after it.
    """
    delivered = broken = 0
    home.validate_writable()
    with home.lock("tracking"):
        for path in sorted(home.spool.glob("*.json")):
            try:
                messages: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
                run_id = str(messages[0]["run"])
            except (OSError, ValueError, LookupError, TypeError):
                warnings.warn(f"`{path}` stays: it is no record of a run.", stacklevel=2)
                broken += 1
                continue
            record = _load_record(home, run_id)
            if record is not None and record.phase == "EXECUTING":
                # Its own end will deliver it, or the next run that finds it dead.
                continue
            tracker = create_tracker(home, None if record is None else record.mlflow_run)
            if record is not None and messages[-1]["event"] == "start":
                messages.append(_describe_end(record))
            try:
                tracker.redeliver(run_id, messages)
            except Exception as error:
                if not is_refusal(error):
                    raise _refuse(home, error) from error
                warnings.warn(f"`{path}` stays: {_refuse(home, error)}", stacklevel=2)
                broken += 1
                continue
            if record is not None and record.mlflow_run is None:
                record.mlflow_run = tracker.mlflow_run
                record.save()
            path.unlink()
            delivered += 1
    return {"delivered": delivered, "broken": broken}


def rebuild_tracking(home: Home) -> dict[str, int]:
    """Make anew the runs that the store lacks, from the commits; return how many.

    Runs that failed left no commit, and of others the outputs may be gone; of those whose folder is
    in the home, the record is used. One that cannot be told is warned of, counted as broken.

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
        ended = {r.run_id: r for r in _list_ended(home) if r.run_id not in by_run}
        missing = [run for run in sorted({*by_run, *ended}) if run not in known]
        broken = 0
        for run_id in missing:
            record = ended.get(run_id) or _load_record(home, run_id)
            tracker = create_tracker(home)
            try:
                if record is not None and run_id in ended:
                    messages = _describe_ended(record)
                else:
                    messages = rebuild_messages(
                        run_id,
                        by_run[run_id],
                        started_ms=None if record is None else int(record.started * 1000),
                        metrics=record.metrics if record else {},
                        artifacts=home.runs / run_id,
                    )
                tracker.redeliver(run_id, messages)
            # MLflow's stores raise whatever their back end raises.
            except Exception as error:
                if not is_refusal(error):
                    raise _refuse(home, error) from error
                warnings.warn(f"Run {run_id} cannot be told: {error}", stacklevel=2)
                broken += 1
                continue
            if record is not None:
                record.mlflow_run = tracker.mlflow_run
                record.save()
    n_known = len(by_run) + len(ended) - len(missing)
    counts = {"rebuilt": len(missing) - broken, "known": n_known}
    return counts | ({"broken": broken} if broken else {})


def _list_ended(home: Home) -> Iterator[RunRecord]:
    """Yield the runs of the home that have ended."""
    for record in iterate_records(home.runs):
        is_over = record.phase in ("COMPLETED", "ERROR", "ABORTED")
        if is_over and (record.folder / "spec.json").is_file():
            yield record


def _describe_ended(record: RunRecord) -> list[dict[str, Any]]:
    """Return what a run would have told of which no commit is left."""
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


def _refuse(home: Home, error: Exception) -> TransientError:
    first = str(error).strip().partition("\n")[0].rstrip(".")
    msg = f"MLflow at {home.tracking_uri} does not take records: {type(error).__name__}: {first}."
    return TransientError(msg)


def _load_record(home: Home, run_id: str) -> RunRecord | None:
    folder: Path = home.runs / run_id
    with suppress(OSError, ValueError, TypeError):
        return RunRecord.load(folder)
    return None
