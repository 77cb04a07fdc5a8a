"""The one path every job takes: prepare, compute, commit, record."""

import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import SparkSession

from ubspark.catalogs.export.written import WrittenFolder
from ubspark.catalogs.writers import WrittenRows
from ubspark.errors import ConflictError, TransientError
from ubspark.lineage.environment import describe_code
from ubspark.lineage.tracking import (
    FolderRecord,
    OutputRecord,
    Tracker,
    describe_place,
    load_output,
)
from ubspark.recipes.base import (
    Fact,
    OutputFolder,
    OutputTable,
    Workspace,
    count_pieces,
)
from ubspark.runtime.config import JobConfig
from ubspark.runtime.failures import describe_failure
from ubspark.runtime.foreign import describe_deadlines, describe_footers, save_manifests
from ubspark.runtime.freeze import PreparedJob, prepare_job
from ubspark.runtime.home import Home
from ubspark.runtime.interrupts import interruptible
from ubspark.runtime.leases import Leases, hold_leases, uses_object_store
from ubspark.runtime.logs import log_to
from ubspark.runtime.outputs import commit_output, find_base, prepare_place, write_output
from ubspark.runtime.records import RunRecord
from ubspark.runtime.recovery import (
    close_lost_runs,
    create_tracker,
    find_commits,
    find_finished,
    find_output,
)
from ubspark.runtime.scratch import make_scratch, make_staging
from ubspark.runtime.session import build_session, count_slots, find_master, validate_start
from ubspark.runtime.submissions import hold_submission
from ubspark.runtime.telling import describe_run, describe_surroundings, log_start, timed
from ubspark.runtime.usage import measured

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
    like: Mapping[str, Any] | None = None,
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
    like
        Of a replay: the frozen spec of the original, which may say less of its inputs.

    Raises
    ------
    UbsparkError
        With one sentence; the record of the run, if it began, says the same.
    """
    home = home or Home.find()
    home.validate_writable()
    with make_scratch(home, find_master(config.resources)) as scratch, ExitStack() as stack:
        job = prepare_job(config, home, scratch=scratch)
        if like is not None:
            job = replace(job, spec=job.spec.count_like(like))
        close_lost_runs(home)
        if job.spec.is_append:
            named = config.run.submission
            held = hold_submission(home.submissions, job.spec, resume=not force)
            submission = named or stack.enter_context(held)
            job = replace(job, spec=replace(job.spec, submission=submission))
        made = find_finished(job, home)
        if made is not None and not force:
            return RunOutcome(made, already_made=True)
        bases = {name: find_base(job, name) for name in job.spec.outputs}
        if spark is None:
            validate_start(s3=uses_object_store(job))
        for name in job.spec.outputs:
            prepare_place(job, name)
        record = RunRecord.create(home.runs, job.spec)
        record.notes.extend(describe_deadlines(job.spec))
        record.notes.extend(describe_footers(job.spec.to_json()["inputs"]))
        save_manifests(job.inputs, record.folder)
        with log_to(record.folder / "run.log"), _tracked(record, job, home):
            log_start(job, record)
            with timed("Spark is there"):
                session = spark or build_session(config.resources, app_name=f"ubspark {config.job}")
            with (
                interruptible(),
                hold_leases(job, record.run_id, session) as leases,
                make_staging(job, record.run_id, scratch, session) as staging,
            ):
                is_own = _execute(job, record, session, staging, bases, leases)
        made = None if is_own else find_finished(job, home)
        return RunOutcome(made or record, already_made=made is not None)


def plan_job(config: JobConfig, *, home: Home | None = None) -> tuple[PreparedJob, list[Fact]]:
    """Return what a job would do, from metadata alone; nothing is run and nothing written."""
    home = home or Home.find()
    with make_scratch(home, "local") as scratch:
        job = prepare_job(config, home, scratch=scratch)
        n_pieces = count_pieces(count_slots(config.resources))
        return job, job.recipe.plan(
            job.inputs, job.params, n_cells=config.resources.cells, parallelism=n_pieces
        )


def _execute(
    job: PreparedJob,
    record: RunRecord,
    spark: SparkSession,
    staging: str,
    bases: Mapping[str, int],
    leases: Leases,
) -> bool:
    """Compute, commit, and write the report; False if an equal run committed all of it first."""
    started = time.monotonic()
    _log.info("Spark %s on %s.", spark.version, spark.sparkContext.master)
    describe_surroundings(record, spark)
    asked = job.config.resources
    outputs = job.spec.outputs.items()
    updates = frozenset(name for name, output in outputs if output["mode"] == "update")
    workspace = Workspace(spark, staging, asked.cells, updates=updates, plan=asked.plan)
    written = {}
    with measured(record.metrics, spark):
        with timed("Prepared"):
            result = job.recipe.run(job.inputs, job.params, workspace)
        for name, table in result.tables.items():
            with timed(f"Written {name}"):
                written[name] = write_output(job, name, table, spark)
            _log.info("%s: %d rows, %d bytes.", name, written[name].n_rows, written[name].n_bytes)
    makers = set()
    for name, table in result.tables.items():
        with timed(f"Committed {name}"):
            leases.renew(name)
            maker, output = _commit(
                job, name, table, written[name], record=record, spark=spark, base=bases[name]
            )
        makers.add(maker)
        record.outputs[name] = output.to_json()
        record.save()
        _log.info("%s is %s, digest %s.", name, describe_place(output.to_json()), output.digest)
    record.metrics["seconds"] = time.monotonic() - started
    try:
        describe_run(job, record, spark, result.summarise(written), written)
    # The outputs are there: what goes wrong in telling of them is no reason to lose the run.
    except Exception as error:
        _log.exception("The report failed.")
        msg = (
            f"The outputs are committed, but their report is incomplete: {describe_failure(error)}"
        )
        record.notes.append(msg)
        warnings.warn(msg, stacklevel=2)
    return record.run_id in makers


def _commit(
    job: PreparedJob,
    name: str,
    table: OutputTable | OutputFolder,
    written: WrittenRows | WrittenFolder,
    *,
    record: RunRecord,
    spark: SparkSession,
    base: int,
) -> tuple[str, OutputRecord | FolderRecord]:
    """Commit an output, or take that of an equal run that was first; return whose it is."""
    try:
        output = commit_output(
            job, name, table, written, run_id=record.run_id, spark=spark, base=base
        )
    except (ConflictError, TransientError):
        made = find_output(job, name)
        if made is None:
            raise
        note = f"Output `{name}` was made by the equal run {made[0]} while this one was working."
        record.notes.append(note)
        _log.info("%s", note)
        return made
    return record.run_id, output


@contextmanager
def _tracked(record: RunRecord, job: PreparedJob, home: Home) -> Iterator[None]:
    """Record the run; whatever ends it closes its record and its MLflow run."""
    tracker = create_tracker(home)
    try:
        with interruptible(), record.keep_alive():
            with home.lock("tracking"):
                tags = {**_collect_tags(job), "ubspark.attempt": str(record.attempt)}
                tracker.start(job.spec, run_id=record.run_id, tags=tags)
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
