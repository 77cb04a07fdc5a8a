"""The features job: light curves, and what is joined to them, become one row per object."""

from collections.abc import Mapping, Sequence
from typing import Any

from ubspark.catalogs.catalog import CatalogLayout
from ubspark.catalogs.parquet_sink import Constraint
from ubspark.catalogs.parts import PartReader
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.selection import select_rows
from ubspark.columns import HEALPIX_29, NO_POSITION
from ubspark.errors import ParameterError
from ubspark.features.arrow import CurveScale
from ubspark.features.segments import IntArray
from ubspark.features.spark import FeatureTask, JoinedTable, create_task_frame, cut_cells
from ubspark.recipes.base import (
    Fact,
    JobInput,
    JobResult,
    OutputTable,
    Summary,
    Workspace,
)
from ubspark.recipes.feature_job import (
    CARRIED_PROPERTY,
    PREVIOUS,
    FeatureJob,
    FeaturesParams,
    validate_names,
)
from ubspark.recipes.feature_meaning import to_properties
from ubspark.recipes.feature_report import find_bins, summarise_features
from ubspark.recipes.feature_reuse import find_reuse
from ubspark.recipes.pair_table import get_table

__all__ = ["FEATURES", "Features", "FeaturesParams"]

#: Compressed bytes of light curves that a task should read.
_CELL_BYTES = 48 << 20
#: What Delta allows in no name.
_NOT_IN_NAMES = frozenset(" ,;{}()\n\t=")


class Features:
    """Compute the feature table of light curves."""

    name = "features"
    version = "2"
    inputs: Mapping[str, str] = {
        "lightcurves": "table",
        "periods": "table?",
        "matches": "table?",
        "objects": "table?",
        PREVIOUS: "table?",
    }
    outputs: Sequence[str] = ("features",)
    params = FeaturesParams

    def resolve(self, inputs: Mapping[str, JobInput], params: FeaturesParams) -> FeaturesParams:
        """Find columns and sets, check them, and write them out."""
        job = FeatureJob(inputs, params)
        validate_names(params.bands)
        _validate_previous(inputs)
        for name in job.others:
            job.find_id(name)
        # Units that cannot be converted are refused on the way.
        job.list_conversions()
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
        _validate_characters([column.name for column in job.describe().columns])
        return resolved

    def plan(
        self,
        inputs: Mapping[str, JobInput],
        params: FeaturesParams,
        *,
        n_cells: int | None,
        parallelism: int,
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
            *(Fact("converted", text) for text in job.list_conversions()),
            Fact("tasks", len(_cut(source, n_cells, parallelism))),
        ]

    def run(
        self, inputs: Mapping[str, JobInput], params: FeaturesParams, workspace: Workspace
    ) -> JobResult:
        """Return the feature table, made cell by cell without a shuffle."""
        job = FeatureJob(inputs, params)
        source = _open_source(job.inputs["lightcurves"], job.roles).refine()
        parallelism = workspace.spark.sparkContext.defaultParallelism
        cells = _cut(source, workspace.n_cells, parallelism)
        reuse = find_reuse(job, version=self.version)
        task = FeatureTask(
            source=PartReader(source),
            cells=cells,
            columns=job.curves,
            carried=job.carried,
            joined={name: _join(job, name) for name in job.others},
            registry=job.registry,
            bands=params.bands,
            quantity=job.quantity,
            is_magnitude=job.find_is_magnitude(),
            scale=None if job.scale == CurveScale() else job.scale,
            kept=None if reuse is None else reuse.kept,
            edges=find_bins(job),
        )
        roles = {role: job.roles[role] for role in ("id", "ra", "dec") if job.roles.get(role)}
        properties = {
            **CatalogRoles(roles, job.roles.epoch).to_properties(),
            "ubspark.features.registry": job.registry.version,
            "ubspark.features.sets": ",".join(part.name for part in job.registry),
            **to_properties(job),
            CARRIED_PROPERTY: ",".join(job.list_carried()),
        }
        features = OutputTable(
            frame=create_task_frame(workspace.spark, len(cells)),
            task=task,
            schema=job.describe(),
            properties=properties,
            constraints=(Constraint(HEALPIX_29.name, NO_POSITION),),
        )

        def summarise(written: Mapping[str, Any]) -> Summary:
            return summarise_features(job, written["features"].summaries, reuse)

        return JobResult({"features": features}, summarise)


FEATURES = Features()


def _validate_previous(inputs: Mapping[str, JobInput]) -> None:
    """Refuse a choice of rows or columns of the earlier table, which is taken as it is."""
    given = inputs.get(PREVIOUS)
    chosen = given is not None and (given.where, given.region, given.columns)
    if chosen and any(part is not None for part in chosen):
        msg = f"`inputs.{PREVIOUS}` takes no `where`, `region` or `columns`: it is taken whole."
        raise ParameterError(msg)


def _validate_characters(names: Sequence[str]) -> None:
    """Refuse names of columns that a Delta table cannot have."""
    for name in names:
        wrong = sorted(_NOT_IN_NAMES & set(name))
        if wrong:
            msg = (
                f"Column `{name}` would hold {wrong[0]!r}, which no name of a table's column may. "
                f"Rename the band, the quantity or the feature."
            )
            raise ParameterError(msg)


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
    factors = {value: job.factors[value] for value in values if value in job.factors}
    return JoinedTable(source, job.find_id(name), values, factors, job.find_payload(name))


def _cut(source: CatalogLayout, n_cells: int | None, parallelism: int) -> IntArray:
    return cut_cells(source, cell_bytes=_CELL_BYTES, n_cells=n_cells, parallelism=parallelism)
