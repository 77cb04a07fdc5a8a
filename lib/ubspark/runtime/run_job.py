"""The one path every job takes: prepare, compute, commit, record."""

import logging
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ubspark.catalogs.commit import TableCommit, commit_files, prepare_folder
from ubspark.catalogs.delta import Commit, is_delta_table, open_table
from ubspark.catalogs.parquet_sink import ParquetSink
from ubspark.catalogs.writers import WrittenRows, write_rows
from ubspark.errors import ConflictError, UbsparkError
from ubspark.lineage.commits import build_commit_record, find_made, validate_commit
from ubspark.lineage.environment import describe_code
from ubspark.lineage.tracking import OutputRecord, Tracker
from ubspark.recipes.base import OutputTable, Summary, Workspace
from ubspark.reports import write_report
from ubspark.runtime.config import JobConfig
from ubspark.runtime.failures import describe_failure
from ubspark.runtime.freeze import PreparedJob, prepare_job
from ubspark.runtime.home import Home
from ubspark.runtime.logs import log_to
from ubspark.runtime.progress import show_tasks, tell
from ubspark.runtime.records import RunRecord, iterate_records
from ubspark.runtime.session import build_session

__all__ = ["RunOutcome", "plan_job", "run_job"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOutcome:
    """What a call of `run_job` came to."""

    record: RunRecord
    #: Whether the outputs were there already, made by an equal run.
    already_made: bool

    @property
    def outputs(self) -> Mapping[str, Mapping[str, Any]]:
        """The table versions, by output name."""
        return self.record.outputs


def run_job(
    config: JobConfig,
    *,
    home: Home | None = None,
    spark: SparkSession | None = None,
    force: bool = False,
) -> RunOutcome:
    """Run a job and record it.

    Parameters
    ----------
    config
        The job file.
    home
        Where tables and records live; the user's own by default.
    spark
        A session to use; by default the active one, or a new one.
    force
        Compute even where the outputs already hold this very result.

    Raises
    ------
    UbsparkError
        With one sentence; the record of the run, if it began, says the same.
    """
    home = home or Home.find()
    home.validate_writable()
    with _scratch_folder() as scratch:
        job = prepare_job(config, home, scratch=scratch)
        close_lost_runs(home)
        if not force:
            made = _find_finished(job, home)
            if made is not None:
                return RunOutcome(made, already_made=True)
        bases = {name: _find_base(job, name) for name in job.spec.outputs}
        record = RunRecord.create(home.runs, job.spec)
        with log_to(record.folder / "run.log"), _recorded(record, job, home) as tracker:
            session = spark or build_session(config.resources, app_name=f"ubspark {config.job}")
            _execute(job, record, session, scratch, bases)
            tracker.finish(
                "FINISHED",
                run_id=record.run_id,
                spec=job.spec,
                metrics=record.metrics,
                outputs=_to_outputs(record),
                artifacts=record.folder,
            )
        return RunOutcome(record, already_made=False)


def plan_job(config: JobConfig, *, home: Home | None = None) -> tuple[PreparedJob, list[Any]]:
    """Return what a job would do, from metadata alone; nothing is run and nothing written."""
    home = home or Home.find()
    with _scratch_folder() as scratch:
        job = prepare_job(config, home, scratch=scratch)
        n_cells = config.resources.cells
        return job, list(job.recipe.plan(job.inputs, job.params, n_cells=n_cells))


def close_lost_runs(home: Home) -> None:
    """Close the records of runs whose process was killed."""
    for record in iterate_records(home.runs):
        if not record.is_lost:
            continue
        made = _find_commits(record)
        if made is not None:
            record.outputs = made
            record.end("COMPLETED")
            record.notes.append("Killed after its commit; the record was completed later.")
        else:
            record.end("ERROR", error="The process of this run was killed; nothing was committed.")
        record.save()
        status = "FINISHED" if made is not None else "KILLED"
        _close_tracking(record, home, status)


def _execute(
    job: PreparedJob,
    record: RunRecord,
    spark: SparkSession,
    scratch: Path,
    bases: Mapping[str, int],
) -> None:
    """Compute, commit, and write the report."""
    started = time.monotonic()
    workspace = Workspace(spark, scratch, job.config.resources.cells)
    result = job.recipe.run(job.inputs, job.params, workspace)
    written = {
        name: _write(job, name, table, spark) for name, table in result.tables.items()
    }
    for name, table in result.tables.items():
        record.outputs[name] = _commit(job, name, table, written[name], record, spark, bases[name])
        record.save()
    summary = result.summarise(written)
    record.metrics = {
        **summary.metrics,
        "seconds": time.monotonic() - started,
        "output_rows": sum(rows.n_rows for rows in written.values()),
        "output_bytes": sum(rows.n_bytes for rows in written.values()),
    }
    record.notes = list(summary.notes)
    for note in summary.notes:
        _log.info("%s", note)
    _report(job, record, summary)
    record.end("COMPLETED")


def _write(
    job: PreparedJob, name: str, table: OutputTable, spark: SparkSession
) -> WrittenRows:
    uri = job.get_output_uri(name)
    prepare_folder(uri)
    sink = ParquetSink(uri, table.schema.to_arrow(), table.constraints)
    with show_tasks(spark, f"{job.spec.job}: {name}"):
        return write_rows(table.frame, sink, table.task)


def _commit(
    job: PreparedJob,
    name: str,
    table: OutputTable,
    rows: WrittenRows,
    record: RunRecord,
    spark: SparkSession,
    base: int,
) -> dict[str, Any]:
    spec = job.spec
    uri = job.get_output_uri(name)
    metadata = build_commit_record(spec, run_id=record.run_id, output=name, digest=rows.digest)
    commit = TableCommit(
        uri=uri,
        mode=spec.outputs[name]["mode"],
        base_version=base,
        schema=table.schema,
        properties={**table.properties, "ubspark.job": spec.job},
        constraints=table.constraints,
        files=rows.files,
        app_id=f"ubspark:{spec.key}:{name}",
        metadata=metadata,
    )
    version = commit_files(spark, commit)
    validate_commit(uri, version, metadata)
    return OutputRecord(
        uri=uri,
        table_id=open_table(uri, version=version).table_id,
        version=version,
        digest=str(rows.digest),
        n_rows=rows.n_rows,
        n_bytes=rows.n_bytes,
    ).to_json()


def _report(job: PreparedJob, record: RunRecord, summary: Summary) -> None:
    outputs = [f"{output['uri']}@v{output['version']}" for output in record.outputs.values()]
    write_report(
        record.folder,
        title=f"{job.spec.job} → {', '.join(job.spec.outputs)}",
        facts={
            "run": record.run_id,
            "started": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(record.started)),
            "user": str(job.spec.run.get("user")),
            "code": describe_code().get("git", describe_code()["version"]),
            "outputs": ", ".join(outputs),
        },
        inputs={name: entry.to_json() for name, entry in job.spec.inputs.items()},
        params=job.spec.params,
        metrics=record.metrics,
        figures=summary.figures,
        notes=summary.notes,
    )


def _find_finished(job: PreparedJob, home: Home) -> RunRecord | None:
    """Return the run that made every output as its newest data version, if one did."""
    commits: dict[str, Commit] = {}
    for name in job.spec.outputs:
        commit = find_made(job.get_output_uri(name), job.spec.key, name)
        if commit is None:
            return None
        commits[name] = commit
    run_id = next(iter(commits.values())).record["run"]  # type: ignore[index]
    folder = home.runs / str(run_id)
    if (folder / "record.json").is_file():
        return RunRecord.load(folder)
    outputs = {
        name: {"uri": job.get_output_uri(name), "version": commit.version}
        for name, commit in commits.items()
    }
    return RunRecord(run_id, folder, job.spec.job, job.spec.key, "COMPLETED", outputs=outputs)


def _find_base(job: PreparedJob, name: str) -> int:
    """Return the version an output has now, -1 for none; refuse to touch what is in the way."""
    uri, mode = job.get_output_uri(name), job.spec.outputs[name]["mode"]
    if not is_delta_table(uri):
        path = Path(uri)
        if "://" not in uri and path.exists() and any(_user_files(path)):
            msg = f"`{uri}` is not empty and not a Delta table; choose another output."
            raise ConflictError(msg)
        return -1
    table = open_table(uri)
    if mode == "error":
        msg = (
            f"Output table `{uri}` exists already (version {table.version}, made otherwise). "
            f"Choose another name, or set `outputs.{name}.mode` to overwrite or append."
        )
        raise ConflictError(msg)
    return table.version


def _user_files(path: Path) -> Iterator[Path]:
    """Yield what a killed run of ours cannot have left in a folder."""
    if path.is_file():
        yield path
        return
    for entry in path.iterdir():
        ours = entry.name.startswith(("part-", ".ubspark-")) or entry.name == "_delta_log"
        if not ours:
            yield entry


@contextmanager
def _recorded(record: RunRecord, job: PreparedJob, home: Home) -> Iterator[Tracker]:
    """Track the run; whatever ends it closes its record."""
    tracker = _create_tracker(home, None)
    tags = {
        "mlflow.user": str(job.spec.run.get("user")),
        "mlflow.source.name": f"ubspark {job.spec.job}",
        **{f"ubspark.{k}": str(v) for k, v in job.spec.run.items() if k != "tags"},
        **{str(k): str(v) for k, v in job.spec.run.get("tags", {}).items()},
    }
    if "git" in describe_code():
        tags["mlflow.source.git.commit"] = describe_code()["git"]
    with home.lock("tracking"):
        tracker.start(job.spec, run_id=record.run_id, tags=tags)
    record.mlflow_run = tracker.mlflow_run
    record.save()
    previous = signal.getsignal(signal.SIGTERM)
    _handle_sigterm(_raise_interrupt)
    try:
        yield tracker
    except KeyboardInterrupt:
        _fail(tracker, record, job, "ABORTED", "Stopped by the user.")
        raise
    except (UbsparkError, PySparkException, Exception) as error:
        failure = describe_failure(error)
        _fail(tracker, record, job, "ERROR", str(failure))
        if failure is error:
            raise
        raise failure from error
    finally:
        _handle_sigterm(previous)


def _fail(
    tracker: Tracker, record: RunRecord, job: PreparedJob, phase: Any, sentence: str
) -> None:
    record.end(phase, error=sentence)
    tracker.finish(
        "KILLED" if phase == "ABORTED" else "FAILED",
        run_id=record.run_id,
        spec=job.spec,
        metrics={},
        outputs=_to_outputs(record),
        artifacts=record.folder,
    )


def _find_commits(record: RunRecord) -> dict[str, dict[str, Any]] | None:
    """Return the outputs that a run committed, or None if any of them is missing."""
    import json

    from ubspark.catalogs.delta import read_history

    spec = json.loads((record.folder / "spec.json").read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = {}
    for name, output in spec["outputs"].items():
        uri = output["uri"]
        commits = read_history(uri) if is_delta_table(uri) else []
        mine = [c for c in commits if (c.record or {}).get("run") == record.run_id]
        if not mine:
            return None
        table = open_table(uri, version=mine[0].version)
        found[name] = OutputRecord(
            uri=uri,
            table_id=table.table_id,
            version=table.version,
            digest=str((mine[0].record or {}).get("digest")),
            n_rows=table.n_rows,
            n_bytes=table.n_bytes,
        ).to_json()
    return found


def _close_tracking(record: RunRecord, home: Home, status: Any) -> None:
    if record.mlflow_run is None:
        return
    tracker = _create_tracker(home, record.mlflow_run)
    spec = type("Spec", (), {"job": record.job})()
    tracker.finish(
        status,
        run_id=record.run_id,
        spec=spec,
        metrics=record.metrics,
        outputs=_to_outputs(record),
        artifacts=record.folder,
    )


def _create_tracker(home: Home, mlflow_run: str | None) -> Tracker:
    return Tracker(
        home.tracking_uri,
        artifact_root=home.artifact_root,
        spool=home.spool,
        mlflow_run=mlflow_run,
    )


def _to_outputs(record: RunRecord) -> dict[str, OutputRecord]:
    return {name: OutputRecord(**output) for name, output in record.outputs.items()}


def _raise_interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _handle_sigterm(handler: Any) -> None:
    try:
        signal.signal(signal.SIGTERM, handler)
    except ValueError:
        # Not the main thread: a notebook's or a server's worker.
        return


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ubspark-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_ = tell
