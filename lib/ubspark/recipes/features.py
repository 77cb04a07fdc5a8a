"""The features job: light curves, and what is joined to them, become one row per object."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ubspark.catalogs.catalog import CatalogLayout
from ubspark.catalogs.parquet_sink import Constraint
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.selection import select_rows
from ubspark.catalogs.writers import WrittenRows
from ubspark.columns import HEALPIX_29, NO_POSITION
from ubspark.crossmatch.plan import plan_cells
from ubspark.errors import ParameterError
from ubspark.features.quality import FeatureQuality
from ubspark.features.segments import STATUS_BITS
from ubspark.features.spark import FeatureTask, JoinedTable, create_task_frame
from ubspark.figures import Figure, Histogram
from ubspark.recipes.base import (
    Fact,
    JobInput,
    JobResult,
    OutputTable,
    Summary,
    Workspace,
)
from ubspark.recipes.feature_job import FeatureJob, FeaturesParams, validate_names
from ubspark.recipes.pair_table import get_table

__all__ = ["FEATURES", "Features", "FeaturesParams"]

#: Compressed bytes of light curves that a task should read.
_CELL_BYTES = 48 << 20


class Features:
    """Compute the feature table of light curves."""

    name = "features"
    version = "1"
    inputs: Mapping[str, str] = {
        "lightcurves": "table",
        "periods": "table?",
        "matches": "table?",
        "objects": "table?",
    }
    outputs: Sequence[str] = ("features",)
    params = FeaturesParams

    def resolve(self, inputs: Mapping[str, JobInput], params: FeaturesParams) -> FeaturesParams:
        """Find columns and sets, check them, and write them out."""
        job = FeatureJob(inputs, params)
        validate_names(params.bands)
        for name in job.others:
            job.find_id(name)
        resolved = params.model_copy(
            update={
                "sets": tuple(part.name for part in job.registry),
                "quantity": job.quantity,
                "is_magnitude": job.find_is_magnitude(),
                "values": {value: ".".join(place) for value, place in job.values.items()},
                "registry": job.registry.version,
            }
        )
        if params.registry not in (None, resolved.registry):
            msg = (
                f"`params.registry` is {params.registry}, but this version of the package has "
                f"{resolved.registry}: the features are declared otherwise."
            )
            raise ParameterError(msg)
        job.describe()
        return resolved

    def plan(
        self, inputs: Mapping[str, JobInput], params: FeaturesParams, *, n_cells: int | None
    ) -> list[Fact]:
        """Say what would be read and computed."""
        job = FeatureJob(inputs, params)
        source = _open_source(job.inputs["lightcurves"], job.roles)
        share = source.estimate_share([*job.carried, *job.curves.names])
        return [
            Fact("light curves", str(job.table)),
            *(Fact(f"joined {name}", str(table)) for name, table in job.others.items()),
            Fact("objects", job.table.n_rows),
            Fact(f"bytes to read, of {job.table.n_bytes:,}", round(share * job.table.n_bytes), "B"),
            Fact("feature columns", len(job.registry.to_columns(params.bands))),
            Fact("feature sets", ", ".join(part.name for part in job.registry)),
            Fact("registry", job.registry.version),
            Fact("tasks", len(_cut(source, n_cells))),
        ]

    def run(
        self, inputs: Mapping[str, JobInput], params: FeaturesParams, workspace: Workspace
    ) -> JobResult:
        """Return the feature table, made cell by cell without a shuffle."""
        job = FeatureJob(inputs, params)
        source = _open_source(job.inputs["lightcurves"], job.roles).refine()
        cells = _cut(source, workspace.n_cells)
        task = FeatureTask(
            source=source,
            cells=cells,
            columns=job.curves,
            carried=job.carried,
            joined={name: _join(job, name) for name in job.others},
            registry=job.registry,
            bands=params.bands,
            quantity=job.quantity,
            is_magnitude=job.find_is_magnitude(),
        )
        roles = {role: job.roles[role] for role in ("id", "ra", "dec") if job.roles.get(role)}
        properties = {
            **CatalogRoles(roles, job.roles.epoch).to_properties(),
            "ubspark.features.registry": job.registry.version,
            "ubspark.features.sets": ",".join(part.name for part in job.registry),
            "ubspark.features.bands": ",".join(params.bands),
        }
        features = OutputTable(
            frame=create_task_frame(workspace.spark, len(cells)),
            task=task,
            schema=job.describe(),
            properties=properties,
            constraints=(Constraint(HEALPIX_29.name, NO_POSITION),),
        )

        def summarise(written: Mapping[str, Any]) -> Summary:
            return _summarise(job, written["features"])

        return JobResult({"features": features}, summarise)


FEATURES = Features()


def _open_source(given: JobInput, roles: CatalogRoles) -> CatalogLayout:
    return select_rows(
        get_table(given).read_layout(),
        region=given.region,
        condition=given.where,
        ra=roles.get("ra"),
        dec=roles.get("dec"),
    )


def _join(job: FeatureJob, name: str) -> JoinedTable:
    roles = job.others[name].roles.override(job.inputs[name].roles)
    values = {value: column for value, (other, column) in job.values.items() if other == name}
    source = _open_source(job.inputs[name], roles).refine()
    return JoinedTable(source, job.find_id(name), values, job.find_payload(name))


def _cut(source: CatalogLayout, n_cells: int | None) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Return cells of about equal rows: light curves are large, so bytes decide their number."""
    wanted = n_cells or max(1, -(-int(np.sum(source.n_bytes)) // _CELL_BYTES))
    return plan_cells(source, source, keep_unplaced=True, n_cells=wanted).cells


def _summarise(job: FeatureJob, written: WrittenRows) -> Summary:
    total = FeatureQuality()
    for part in written.summaries:
        total += part
    shares = {
        name: column.n_undefined / column.n for name, column in total.columns.items() if column.n
    }
    metrics: dict[str, float] = {
        "objects": total.n_rows,
        "feature_columns": len(total.columns),
        "share_undefined": float(np.mean(list(shares.values()))) if shares else 0.0,
        **{f"joined_{name}": n for name, n in total.joined.items()},
    }
    for bit in STATUS_BITS:
        metrics[f"status_{bit}"] = sum(n for value, n in total.status.items() if value & bit)
    return Summary(metrics, _draw(shares), _note(job, total, shares))


def _draw(shares: Mapping[str, float]) -> dict[str, Figure]:
    edges = np.linspace(0.0, 1.0, 21)
    counts = np.histogram(list(shares.values()), edges)[0]
    title = "Undefined values of the feature columns"
    return {"undefined": Histogram(title, "share of objects without a value", edges, counts)}


def _note(job: FeatureJob, total: FeatureQuality, shares: Mapping[str, float]) -> list[str]:
    notes = [f"Feature registry {job.registry.version}: {len(total.columns)} feature columns."]
    for name, n in total.joined.items():
        notes.append(f"{n:,} of {total.n_rows:,} objects were found in `inputs.{name}`.")
        if n < min(total.n_rows, job.others[name].n_rows):
            notes.append(
                f"`inputs.{name}` has {job.others[name].n_rows:,} rows: those of other objects, or "
                f"with another `_healpix_29` than their light curve, were not joined."
            )
    for bit, meaning in STATUS_BITS.items():
        n = sum(count for value, count in total.status.items() if value & bit)
        if n:
            notes.append(f"{n:,} objects have status bit {bit}: {meaning}.")
    empty = [name for name, share in shares.items() if share == 1.0]
    if empty and total.n_rows:
        shown = ", ".join(empty[:8]) + (", …" if len(empty) > 8 else "")
        notes.append(f"{len(empty)} feature columns have no value at all: {shown}.")
    return notes
