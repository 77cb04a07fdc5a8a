"""The lightcurves job: epochs become one row per object, grow night by night, and come apart."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ubspark.catalogs.writers import RowTask, WrittenRows
from ubspark.recipes.base import (
    Fact,
    JobInput,
    JobResult,
    OutputTable,
    Summary,
    Workspace,
)
from ubspark.recipes.lightcurve_job import CONSTRAINTS, LightCurveJob, LightCurvesParams
from ubspark.recipes.lightcurve_merge import MergeCounts, merge_night
from ubspark.recipes.lightcurve_rows import nest_rows, plan_nesting, regroup_rows
from ubspark.recipes.pair_table import get_table
from ubspark.timeseries.nesting import BAD_EPOCHS, NestCounts

__all__ = ["LIGHTCURVES", "LightCurves"]


class LightCurves:
    """Gather the epochs of each object into lists, or undo it."""

    name = "lightcurves"
    version = "1"
    inputs: Mapping[str, str] = {"sources": "rows?", "objects": "rows?", "lightcurves": "table?"}
    outputs: Sequence[str] = ("lightcurves",)
    #: Outputs that may be updated in place, and the input that is the table before.
    updates: Mapping[str, str] = {"lightcurves": "lightcurves"}
    params = LightCurvesParams

    def resolve(
        self, inputs: Mapping[str, JobInput], params: LightCurvesParams
    ) -> LightCurvesParams:
        """Check columns and rules, and write out the bands and where positions come from."""
        job = LightCurveJob(inputs, params)
        bands = job.bands or None
        job = LightCurveJob(inputs, params.model_copy(update={"bands": bands}))
        position = job.curve.position if job.has_sources else None
        resolved = job.params.model_copy(update={"position": position})
        LightCurveJob(inputs, resolved).describe()
        return resolved

    def plan(
        self,
        inputs: Mapping[str, JobInput],
        params: LightCurvesParams,
        *,
        n_cells: int | None,
        parallelism: int,
    ) -> list[Fact]:
        """Say what would be read, and how the epochs come together."""
        job = LightCurveJob(inputs, params)
        facts = []
        for name, given in inputs.items():
            place = given.source.path if given.source is not None else str(given.table)
            n_rows = given.source.n_rows if given.source else get_table(given).n_rows
            facts += [Fact(name, place), Fact(f"rows of {name}", n_rows or "not known")]
        if not job.has_sources:
            return [*facts, Fact("plan", "row by row, no shuffle")]
        cells = plan_nesting(job, n_cells=n_cells, parallelism=parallelism)
        how = "by object, then on the sky: two shuffles"
        return [*facts, Fact("plan", how if cells is None else "cells, no shuffle")]

    def run(
        self, inputs: Mapping[str, JobInput], params: LightCurvesParams, workspace: Workspace
    ) -> JobResult:
        """Return the light curves, or a row per epoch."""
        job = LightCurveJob(inputs, params)
        staged: NestCounts | None = None
        if job.base is not None:
            is_update = "lightcurves" in workspace.updates
            table, staged = merge_night(job, job.base, workspace, is_update=is_update)
        else:
            nest = nest_rows if job.has_sources else regroup_rows
            table = _to_table(job, *nest(job, workspace))

        def summarise(written: Mapping[str, Any]) -> Summary:
            return _summarise(job, written["lightcurves"], staged)

        return JobResult({"lightcurves": table}, summarise)


LIGHTCURVES = LightCurves()


def _to_table(job: LightCurveJob, frame: Any, task: RowTask) -> OutputTable:
    return OutputTable(frame, job.describe(), job.properties, CONSTRAINTS, task)


def _summarise(job: LightCurveJob, written: WrittenRows, staged: NestCounts | None) -> Summary:
    counts = staged or NestCounts()
    merged = MergeCounts()
    for part in written.summaries:
        if isinstance(part, MergeCounts):
            merged.objects += part.objects
            merged.epochs += part.epochs
            merged.rewritten += part.rewritten
        else:
            counts.add(part)
    metrics: dict[str, float] = {
        "objects": counts.objects["written"],
        "objects_without_epochs": counts.objects["without_epochs"],
        "epochs": counts.epochs["good"],
        "epochs_repeated": counts.epochs["repeated"],
        "epochs_without_object": counts.epochs["without_object"],
        **{f"epochs_bad_{rule}": counts.epochs[f"bad_{rule}"] for rule in BAD_EPOCHS},
    }
    notes = list(_tell_bad(counts.epochs, is_kept=job.params.keep_bad))
    if counts.objects["uneven"]:
        n = counts.objects["uneven"]
        notes.append(f"{n:,} objects were left out: their lists have different lengths.")
    if job.base is not None:
        told, note = _tell_merge(job, merged, written)
        metrics |= told
        notes.append(note)
    return Summary(metrics, notes=notes)


def _tell_bad(epochs: Counter[str], *, is_kept: bool) -> list[str]:
    """Return a sentence for each rule that found epochs bad, and for those of no object."""
    what = "were counted and kept" if is_kept else "were left out"
    notes = [
        f"{epochs[f'bad_{rule}']:,} epochs {what}: {reason}."
        for rule, reason in BAD_EPOCHS.items()
        if epochs[f"bad_{rule}"]
    ]
    if epochs["without_object"]:
        notes.append(f"{epochs['without_object']:,} epochs belong to no object and were left out.")
    if epochs["repeated"]:
        notes.append(f"{epochs['repeated']:,} epochs equal another one of their object; kept once.")
    return notes


def _tell_merge(
    job: LightCurveJob, merged: MergeCounts, written: WrittenRows
) -> tuple[dict[str, float], str]:
    """Return the figures of a merge, and a sentence."""
    n_files = job.base.n_files if job.base is not None else 0
    metrics: dict[str, float] = {
        "objects_touched": merged.objects["touched"],
        "objects_new": merged.objects["new"],
        "epochs_added": merged.epochs["added"],
        "epochs_already_there": merged.epochs["already_there"],
        "files_rewritten": len(merged.rewritten),
        "files_written": len(written.files),
        "files_kept": n_files - len(merged.rewritten),
    }
    if not merged.objects["touched"] + merged.objects["new"]:
        if merged.epochs["already_there"]:
            return metrics, f"Nothing is new: every epoch is in `{job.base}` already."
        return metrics, "Nothing is new: no epoch of the sources is that of an object."
    note = (
        f"{merged.epochs['added']:,} epochs were added to {merged.objects['touched']:,} objects "
        f"and {merged.objects['new']:,} new ones; {len(merged.rewritten):,} of {n_files:,} files "
        f"were rewritten."
    )
    return metrics, note
