"""What a run tells of itself: in its log, in its record, in its report."""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark.sql import SparkSession

from ubspark.catalogs.export.written import WrittenFolder
from ubspark.catalogs.writers import WrittenRows
from ubspark.lineage.environment import describe_code, describe_environment, to_lock
from ubspark.lineage.spec import to_canonical_json
from ubspark.lineage.tracking import describe_place
from ubspark.recipes.base import Summary, count_pieces
from ubspark.reports import write_report
from ubspark.runtime.freeze import PreparedJob
from ubspark.runtime.records import RunRecord
from ubspark.runtime.usage import count_inputs

__all__ = ["describe_run", "describe_surroundings", "log_start", "timed"]

_log = logging.getLogger(__name__)


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Log how long a step took, once it is done."""
    started = time.monotonic()
    yield
    _log.info("%s after %.1f s.", step, time.monotonic() - started)


def log_start(job: PreparedJob, record: RunRecord) -> None:
    """Log who runs what on which inputs."""
    code = describe_code()
    revision = code.get("git", code["sha256"])
    _log.info("Run %s of the job %s, key %s.", record.run_id, job.spec.job, job.spec.key)
    _log.info("ubspark %s (%s), user %s.", code["version"], revision, job.spec.run.get("user"))
    for name, entry in job.spec.inputs.items():
        known = entry.to_json()
        _log.info("Input %s: %s (%s).", name, describe_place(known), known.get("table_id", "files"))
    for name, output in job.spec.outputs.items():
        _log.info("Output %s: %s, mode %s.", name, output["uri"], output["mode"])
    _log.info("Parameters: %s", to_canonical_json(job.spec.params))


def describe_run(
    job: PreparedJob,
    record: RunRecord,
    spark: SparkSession,
    summary: Summary,
    written: Mapping[str, WrittenRows | WrittenFolder],
) -> None:
    """Put metrics, notes, the plan and the report beside the record."""
    record.metrics |= {
        **summary.metrics,
        **count_inputs(job.inputs, job.spec),
        "output_rows": sum(rows.n_rows for rows in written.values()),
        "output_bytes": sum(rows.n_bytes for rows in written.values()),
    }
    retries = sum(getattr(rows, "n_retries", 0) for rows in written.values())
    if retries:
        record.metrics["task_retries"] = retries
    record.notes.extend(summary.notes)
    for note in summary.notes:
        _log.info("%s", note)
    listed = (f"{name} {value:.10g}" for name, value in record.metrics.items())
    _log.info("Counts: %s.", ", ".join(listed))
    _describe_plan(job, record, spark)
    _report(job, record, summary)


def describe_surroundings(record: RunRecord, spark: SparkSession) -> None:
    """Write code, packages and Spark settings beside the record, without secrets.

    To be called before the commit: of a run that is killed after it, nobody could say them later.
    """
    hidden = ("secret", "password", "token", "access.key", "credential")
    settings = {
        key: value
        for key, value in sorted(spark.sparkContext.getConf().getAll())
        if not any(word in key.lower() for word in hidden)
    }
    known = describe_environment()
    content = {"code": describe_code(), **known, "spark": settings}
    path = record.folder / "environment.json"
    path.write_text(to_canonical_json(content), encoding="utf-8")
    lock = record.folder / "requirements.lock"
    lock.write_text(to_lock(known["packages"]), encoding="utf-8")


def _describe_plan(job: PreparedJob, record: RunRecord, spark: SparkSession) -> None:
    """Write what `ubspark plan` would have said beside the record."""
    n_pieces = count_pieces(spark.sparkContext.defaultParallelism)
    n_cells = job.config.resources.cells
    facts = job.recipe.plan(job.inputs, job.params, n_cells=n_cells, parallelism=n_pieces)
    content = [{"name": fact.name, "value": fact.value, "unit": fact.unit} for fact in facts]
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (record.folder / "plan.json").write_text(text, encoding="utf-8")


def _report(job: PreparedJob, record: RunRecord, summary: Summary) -> None:
    code = describe_code()
    facts = {
        "run": record.run_id,
        "run key": job.spec.key,
        "started": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(record.started)),
        "duration": f"{record.metrics['seconds']:.1f} s",
        "user": str(job.spec.run.get("user")),
        "code": str(code.get("git", code["version"])),
    }
    for name, output in record.outputs.items():
        facts[f"output {name}"] = describe_place(output)
        facts[f"digest of {name}"] = str(output["digest"])
    write_report(
        record.folder,
        title=_make_title(job),
        facts=facts,
        inputs={name: entry.to_json() for name, entry in job.spec.inputs.items()},
        params=job.spec.params,
        metrics=record.metrics,
        figures=summary.figures,
        notes=summary.notes,
        tables=summary.tables,
    )


def _make_title(job: PreparedJob) -> str:
    """Return the job with the last parts of the places it reads and makes."""
    spec = job.spec
    names = [
        [place.rstrip("/").rsplit("/", 1)[-1] for place in places]
        for places in (
            [entry.uri for entry in spec.inputs.values()],
            [str(output["uri"]) for output in spec.outputs.values()],
        )
    ]
    return f"{spec.job}: {' x '.join(names[0])} → {', '.join(names[1])}"
