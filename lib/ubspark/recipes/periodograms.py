"""The periodograms job: light curves become one row per object with its period."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ubspark.catalogs.catalog import CatalogLayout
from ubspark.catalogs.parquet_sink import Constraint
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.selection import select_rows
from ubspark.catalogs.writers import WrittenRows
from ubspark.columns import HEALPIX_29, NO_POSITION
from ubspark.crossmatch.plan import plan_cells
from ubspark.figures import Curve, Figure, FoldedCurves, Histogram, Image, SkyMap
from ubspark.recipes.base import (
    Fact,
    JobInput,
    JobResult,
    OutputTable,
    Summary,
    Workspace,
)
from ubspark.recipes.period_job import PeriodJob, PeriodogramsParams
from ubspark.timeseries.cost import estimate_seconds
from ubspark.timeseries.kernels.gpu import validate_gpu
from ubspark.timeseries.kernels.grids import plan_grid
from ubspark.timeseries.results import POWER_COLUMNS, Status
from ubspark.timeseries.spark import PeriodTask, create_task_frame
from ubspark.timeseries.summary import (
    LOG_PERIOD_EDGES,
    MAP_ORDER,
    POWER_EDGES,
    FoldedExample,
    PeriodSummary,
)

__all__ = ["PERIODOGRAMS", "Periodograms", "PeriodogramsParams"]

#: Seconds that a cell should take: a person sees progress, and little is lost with a task.
_CELL_SECONDS = 20.0
#: Compressed bytes of an epoch, for a guess of how many there are before anything is read.
_BYTES_PER_EPOCH = 12.0
#: Time span that a plan assumes, days.
_PLANNED_SPAN = 3650.0


class Periodograms:
    """Find the period of each light curve."""

    name = "periodograms"
    version = "1"
    inputs: Mapping[str, str] = {"lightcurves": "table"}
    outputs: Sequence[str] = ("periods",)
    params = PeriodogramsParams

    def resolve(
        self, inputs: Mapping[str, JobInput], params: PeriodogramsParams
    ) -> PeriodogramsParams:
        """Check columns and ranges, and write the range of frequencies out."""
        job = PeriodJob(inputs, params)
        resolved = params.model_copy(
            update={
                "fmin": job.options.fmin or 0.0,
                "fmax": job.options.fmax,
                "is_magnitude": job.is_magnitude,
            }
        )
        job.describe()
        return resolved

    def plan(
        self,
        inputs: Mapping[str, JobInput],
        params: PeriodogramsParams,
        *,
        n_cells: int | None,
        parallelism: int,
    ) -> list[Fact]:
        """Say what would be read, and about how long it would take."""
        job = PeriodJob(inputs, params)
        source = _open_source(job)
        share = source.estimate_share([*job.carried, *job.curves.names])
        n_bytes = share * job.table.n_bytes
        seconds, per_object = _estimate(job, n_bytes)
        return [
            Fact("light curves", str(job.table)),
            Fact("rows", job.table.n_rows),
            Fact(f"bytes to read, of {job.table.n_bytes:,}", round(n_bytes), "B"),
            Fact("frequencies", f"{job.options.fmin or '1/T'} to {job.options.fmax} 1/d"),
            Fact("epochs per object, about", round(per_object)),
            Fact("core-hours, about", float(f"{seconds / 3600:.2g}"), "h"),
            *_describe_kept(job),
            Fact("tasks", len(_cut(source, job, n_cells, parallelism))),
        ]

    def run(
        self, inputs: Mapping[str, JobInput], params: PeriodogramsParams, workspace: Workspace
    ) -> JobResult:
        """Return the periods, found cell by cell without a shuffle."""
        job = PeriodJob(inputs, params)
        # On a cluster only the executors need a GPU.
        if params.device == "gpu" and workspace.is_local:
            validate_gpu()
        source = _open_source(job).refine()
        cells = _cut(source, job, workspace.n_cells, workspace.parallelism)
        task = PeriodTask(
            source=source,
            cells=cells,
            columns=job.curves,
            carried=job.carried,
            bands=params.bands,
            options=job.options,
            is_long=params.layout == "long",
        )
        roles = {role: job.roles[role] for role in ("id", "ra", "dec") if job.roles.get(role)}
        periods = OutputTable(
            frame=create_task_frame(workspace.spark, len(cells)),
            task=task,
            schema=job.describe(),
            properties=CatalogRoles(roles, job.roles.epoch).to_properties(),
            constraints=(Constraint(HEALPIX_29.name, NO_POSITION),),
        )

        def summarise(written: Mapping[str, Any]) -> Summary:
            return _summarise(job, written["periods"])

        return JobResult({"periods": periods}, summarise)


PERIODOGRAMS = Periodograms()


def _describe_kept(job: PeriodJob) -> list[Fact]:
    """Say how much the periodograms take, where they are kept."""
    if not job.options.keep_periodogram:
        return []
    options = job.options
    grid = plan_grid(
        _PLANNED_SPAN, fmin=options.fmin, fmax=options.fmax, oversampling=options.oversampling
    )
    n_bytes = 4 * len(POWER_COLUMNS) * grid.n_freq
    return [Fact("bytes of the periodogram of an object, about", n_bytes, "B")]


def _open_source(job: PeriodJob) -> CatalogLayout:
    return select_rows(
        job.table.read_layout(),
        region=job.given.region,
        condition=job.given.where,
        ra=job.roles.get("ra"),
        dec=job.roles.get("dec"),
    )


def _estimate(job: PeriodJob, n_bytes: float) -> tuple[float, float]:
    """Return seconds of one core for all objects, and epochs per object."""
    n_objects = job.table.n_rows
    n_epochs = n_bytes / _BYTES_PER_EPOCH
    if job.params.layout == "long":
        n_epochs, n_objects = n_objects, max(1, round(n_objects / 100))
    per_object = n_epochs / max(n_objects, 1)
    seconds = estimate_seconds(
        per_object, len(job.params.bands), span_days=_PLANNED_SPAN, options=job.options
    )
    return n_objects * seconds, per_object


def _cut(
    source: CatalogLayout, job: PeriodJob, n_cells: int | None, parallelism: int
) -> NDArray[np.int64]:
    """Return cells of about equal rows, each of some seconds of work."""
    seconds, _ = _estimate(job, float(np.sum(source.n_bytes)))
    wanted = n_cells or max(parallelism, round(seconds / _CELL_SECONDS))
    return plan_cells(source, source, keep_unplaced=True, n_cells=wanted).cells


def _summarise(job: PeriodJob, written: WrittenRows) -> Summary:
    total = PeriodSummary()
    for part in written.summaries:
        total += part
    n = sum(total.status.values())
    searched = total.status.get(int(Status.OK), 0)
    metrics: dict[str, float] = {
        "objects": n,
        "searched": searched,
        "epochs": total.n_epochs,
        "frequencies": total.n_freq,
        "significant": total.n_significant,
        "kernel_seconds": total.seconds,
        **{f"status_{status.name.lower()}": total.status.get(int(status), 0) for status in Status},
    }
    notes = [
        (
            f"{searched:,} of {n:,} objects were searched, {total.n_significant:,} of them have a "
            f"false-alarm probability below 0.001 (white noise only)."
        )
    ]
    for status in Status:
        count = total.status.get(int(status), 0)
        if status is not Status.OK and count:
            notes.append(f"{count:,} objects: {status.name.lower().replace('_', ' ')}.")
    return Summary(metrics, _draw(job, total), notes)


def _draw(job: PeriodJob, total: PeriodSummary) -> dict[str, Figure]:
    edges = LOG_PERIOD_EDGES
    pixels = np.array(sorted(total.n_objects), dtype=np.int64)
    shares = [total.n_aliased.get(int(p), 0) / total.n_objects[int(p)] for p in pixels]
    plane = (edges[0], edges[-1], POWER_EDGES[0], POWER_EDGES[-1])
    return {
        "periods": Histogram("Periods", "log10 period (d)", edges, total.periods.sum(axis=1)),
        "power": Image(
            "Power against period",
            "log10 period (d)",
            "power, shared",
            (float(plane[0]), float(plane[1]), float(plane[2]), float(plane[3])),
            np.ascontiguousarray(total.periods.T),
        ),
        "best": _fold(job, total.best, "The most significant"),
        "random": _fold(job, total.random, "Any objects"),
        "aliases": SkyMap(
            "Objects whose period may be an alias",
            "share",
            MAP_ORDER,
            pixels,
            np.array(shares, dtype=np.float64),
        ),
    }


def _fold(job: PeriodJob, examples: Sequence[FoldedExample], title: str) -> FoldedCurves:
    panels = {}
    for one in examples:
        curves = tuple(
            Curve(name, one.phase[one.band == code], one.y[one.band == code])
            for code, name in enumerate(job.params.bands)
            if np.any(one.band == code)
        )
        panels[f"{one.name}, P = {one.period:.6g} d"] = curves
    return FoldedCurves(title, job.curves.flux, panels, is_magnitude=job.is_magnitude)
