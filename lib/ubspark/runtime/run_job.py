"""The one path every job takes: prepare, compute, commit, record."""

import logging
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from ubspark.catalogs.export.written import WrittenFolder
from ubspark.catalogs.writers import WrittenRows
from ubspark.lineage.environment import describe_code, describe_environment
from ubspark.lineage.spec import to_canonical_json
from ubspark.lineage.tracking import Tracker, describe_place, load_output
from ubspark.recipes.base import Fact, Summary, Workspace
from ubspark.reports import write_report
from ubspark.runtime.config import JobConfig
from ubspark.runtime.failures import describe_failure
from ubspark.runtime.freeze import PreparedJob, prepare_job
from ubspark.runtime.home import Home
from ubspark.runtime.logs import log_to
from ubspark.runtime.outputs import commit_output, find_base, write_output
from ubspark.runtime.records import RunRecord
from ubspark.runtime.recovery import (
    close_lost_runs,
    create_tracker,
    find_commits,
    find_finished,
)
from ubspark.runtime.session import build_session
from ubspark.runtime.submissions import hold_submission

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
    with _scratch_folder() as scratch, ExitStack() as stack:
        job = prepare_job(config, home, scratch=scratch)
        close_lost_runs(home)
        if job.spec.is_append:
            held = hold_submission(home.submissions, job.spec, resume=not force)
            job = replace(job, spec=replace(job.spec, submission=stack.enter_context(held)))
        made = find_finished(job, home)
        if made is not None and not force:
            return RunOutcome(made, already_made=True)
        bases = {name: find_base(job, name) for name in job.spec.outputs}
        record = RunRecord.create(home.runs, job.spec)
        with log_to(record.folder / "run.log"), _tracked(record, job, home):
            session = spark or build_session(config.resources, app_name=f"ubspark {config.job}")
            _execute(job, record, session, scratch, bases)
        return RunOutcome(record, already_made=False)


def plan_job(config: JobConfig, *, home: Home | None = None) -> tuple[PreparedJob, list[Fact]]:
    """Return what a job would do, from metadata alone; nothing is run and nothing written."""
    home = home or Home.find()
    with _scratch_folder() as scratch:
        job = prepare_job(config, home, scratch=scratch)
        return job, job.recipe.plan(job.inputs, job.params, n_cells=config.resources.cells)


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
    written = {name: write_output(job, name, table, spark) for name, table in result.tables.items()}
    for name, table in result.tables.items():
        output = commit_output(
            job,
            name,
            table,
            written[name],
            run_id=record.run_id,
            spark=spark,
            base=bases[name],
        )
        record.outputs[name] = output.to_json()
        record.save()
        _log.info("Committed %s, digest %s.", describe_place(output.to_json()), output.digest)
    try:
        _describe_run(job, record, spark, result.summarise(written), written)
    # The outputs are there: what goes wrong in telling of them is no reason to lose the run.
    except Exception as error:
        _log.exception("The report failed.")
        msg = (
            f"The outputs are committed, but their report is incomplete: {describe_failure(error)}"
        )
        record.notes.append(msg)
        warnings.warn(msg, stacklevel=2)
    record.metrics["seconds"] = time.monotonic() - started


def _describe_run(
    job: PreparedJob,
    record: RunRecord,
    spark: SparkSession,
    summary: Summary,
    written: Mapping[str, WrittenRows | WrittenFolder],
) -> None:
    """Put metrics, notes, surroundings and the report beside the record."""
    record.metrics = {
        **summary.metrics,
        "output_rows": sum(rows.n_rows for rows in written.values()),
        "output_bytes": sum(rows.n_bytes for rows in written.values()),
    }
    record.notes = list(summary.notes)
    for note in summary.notes:
        _log.info("%s", note)
    _describe_surroundings(record, spark)
    _report(job, record, summary)


def _describe_surroundings(record: RunRecord, spark: SparkSession) -> None:
    """Write code, packages and Spark settings beside the record, without secrets."""
    hidden = ("secret", "password", "token", "access.key", "credential")
    settings = {
        key: value
        for key, value in sorted(spark.sparkContext.getConf().getAll())
        if not any(word in key.lower() for word in hidden)
    }
    content = {"code": describe_code(), **describe_environment(), "spark": settings}
    path = record.folder / "environment.json"
    path.write_text(to_canonical_json(content), encoding="utf-8")


def _report(job: PreparedJob, record: RunRecord, summary: Summary) -> None:
    code = describe_code()
    outputs = [describe_place(output) for output in record.outputs.values()]
    write_report(
        record.folder,
        title=f"{job.spec.job} → {', '.join(job.spec.outputs)}",
        facts={
            "run": record.run_id,
            "started": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(record.started)),
            "user": str(job.spec.run.get("user")),
            "code": str(code.get("git", code["version"])),
            "outputs": ", ".join(outputs),
        },
        inputs={name: entry.to_json() for name, entry in job.spec.inputs.items()},
        params=job.spec.params,
        metrics=record.metrics,
        figures=summary.figures,
        notes=summary.notes,
    )


@contextmanager
def _tracked(record: RunRecord, job: PreparedJob, home: Home) -> Iterator[None]:
    """Record the run; whatever ends it closes its record and its MLflow run."""
    tracker = create_tracker(home)
    try:
        with _interrupted_by_sigterm():
            with home.lock("tracking"):
                tracker.start(job.spec, run_id=record.run_id, tags=_collect_tags(job))
            record.mlflow_run = tracker.mlflow_run
            record.save()
            yield
    except KeyboardInterrupt as error:
        made = _find_committed(record)
        sentence = f"Stopped by the user; {made or 'nothing'} was committed."
        _close(tracker, record, "ABORTED", sentence)
        raise KeyboardInterrupt(sentence) from error
    except Exception as error:
        failure = describe_failure(error)
        if failure is not error:
            _log.exception("The run failed.")
        _find_committed(record)
        _close(tracker, record, "ERROR", str(failure))
        if failure is error:
            raise
        raise failure from error
    else:
        _close(tracker, record, "COMPLETED", None)


def _find_committed(record: RunRecord) -> str:
    """Put into the record what is committed: a run may end while Delta commits for it."""
    # A store that does not answer now is no reason to leave the record open.
    with suppress(Exception):
        record.outputs = {name: made.to_json() for name, made in find_commits(record).items()}
    return ", ".join(describe_place(made) for made in record.outputs.values())


def _close(tracker: Tracker, record: RunRecord, phase: Any, error: str | None) -> None:
    record.end(phase, error=error)
    statuses: dict[str, Any] = {"COMPLETED": "FINISHED", "ABORTED": "KILLED", "ERROR": "FAILED"}
    tracker.finish(
        statuses[phase],
        run_id=record.run_id,
        metrics=record.metrics,
        outputs={name: load_output(output) for name, output in record.outputs.items()},
        artifacts=record.folder,
    )


def _collect_tags(job: PreparedJob) -> dict[str, str]:
    run, code = job.spec.run, describe_code()
    tags = {str(key): str(value) for key, value in run.get("tags", {}).items()}
    tags |= {f"ubspark.{key}": str(value) for key, value in run.items() if key != "tags"}
    tags |= {"mlflow.user": str(run["user"]), "mlflow.source.name": f"ubspark {job.spec.job}"}
    tags["ubspark.code.sha256"] = code["sha256"]
    if "git" in code:
        tags["mlflow.source.git.commit"] = code["git"]
    return tags


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the run as Ctrl-C does, where this is the main thread."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    try:
        previous = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ubspark-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
