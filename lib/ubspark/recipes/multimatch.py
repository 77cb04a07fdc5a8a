"""The multimatch job: one catalog, the anchor, matched with several others in one pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from ubspark.catalogs.parquet_sink import Constraint
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.catalogs.writers import WrittenRows
from ubspark.columns import HEALPIX_29, LEFT_ID, N_MATCHED, RIGHT_ID
from ubspark.crossmatch.match import Match
from ubspark.crossmatch.options import MatchOptions, PositionColumns
from ubspark.crossmatch.plan import CatalogSource, CellPlan, plan_cells
from ubspark.crossmatch.several import PER_CATALOG, SeveralTask, name_column
from ubspark.crossmatch.spark import create_task_frame, separate_fast_rows
from ubspark.errors import ParameterError
from ubspark.figures import Figure
from ubspark.recipes.base import (
    ANY_NAME,
    Fact,
    JobInput,
    JobResult,
    OutputTable,
    Params,
    Summary,
    Workspace,
)
from ubspark.recipes.match_report import describe_plan, draw_match
from ubspark.recipes.match_sides import build_side
from ubspark.recipes.pair_table import find_kept, get_table, validate_names
from ubspark.recipes.positions import resolve_epoch, to_position_columns
from ubspark.recipes.quantities import AngleArcsec, MatchEpoch
from ubspark.recipes.unsorted import stage_inputs

__all__ = ["MULTIMATCH", "Multimatch", "MultimatchParams"]

_ANCHOR = "anchor"


class MultimatchParams(Params):
    """Parameters of the multimatch job."""

    #: Largest separation from the anchor, inclusive.
    radius: AngleArcsec
    #: Radii of catalogs that have their own, by the name of the input.
    radii: dict[str, AngleArcsec] = Field(default_factory=dict)
    #: ``left`` keeps all rows of the anchor, ``any`` those with a match, ``inner`` those that
    #: every catalog matches.
    how: Literal["left", "any", "inner"] = "left"
    #: Julian year to which all catalogs move, or ``none``.
    epoch: MatchEpoch = "none"
    #: Leave out the columns of the catalogs.
    association_only: bool = False


class Multimatch:
    """Match the anchor with each of several catalogs: the nearest row of each."""

    name = "multimatch"
    version = "1"
    inputs: Mapping[str, str] = {_ANCHOR: "catalog", ANY_NAME: "catalog"}
    outputs: Sequence[str] = ("matches",)
    params = MultimatchParams

    def resolve(self, inputs: Mapping[str, JobInput], params: MultimatchParams) -> MultimatchParams:
        """Turn the epoch into a year, write out all radii, and check the columns."""
        for name in params.radii:
            if name not in inputs or name == _ANCHOR:
                others = ", ".join(other for other in inputs if other != _ANCHOR)
                msg = f"`params.radii.{name}` names no input; those to match are: {others}."
                raise ParameterError(msg)
        epoch: float | str = "none"
        if params.epoch in ("left", "right", "auto"):
            msg = f"`params.epoch` must be a Julian year or `none` here, got `{params.epoch}`."
            raise ParameterError(msg)
        anchor = _find_columns(inputs[_ANCHOR])
        for name in _list_catalogs(inputs):
            found = resolve_epoch(params.epoch, anchor, _find_columns(inputs[name]))
            epoch = "none" if found is None else found
        radii = {name: params.radii.get(name, params.radius) for name in _list_catalogs(inputs)}
        resolved = params.model_copy(update={"epoch": epoch, "radii": radii})
        for radius in radii.values():
            MatchOptions(radius)
        _describe(inputs, resolved)
        return resolved

    def plan(
        self,
        inputs: Mapping[str, JobInput],
        params: MultimatchParams,
        *,
        n_cells: int | None,
        parallelism: int,
    ) -> list[Fact]:
        """Estimate what the job reads, from logs and footers alone."""
        facts: list[Fact] = []
        matches = _build_matches(inputs, params)
        plan = _cut(matches, n_cells, parallelism=parallelism)
        for name, match in matches.items():
            sides = {"left": inputs[_ANCHOR], "right": inputs[name]}
            given = describe_plan(match, plan, sides)
            facts += [Fact(f"{name}: {fact.name}", fact.value, fact.unit) for fact in given]
        return facts

    def run(
        self, inputs: Mapping[str, JobInput], params: MultimatchParams, workspace: Workspace
    ) -> JobResult:
        """Return a row for each row of the anchor that is kept."""
        inputs = stage_inputs(inputs, workspace)
        matches = _build_matches(inputs, params)
        plan = _cut(matches, workspace.n_cells, parallelism=workspace.parallelism)
        matches = {
            name: separate_fast_rows(workspace.spark, match, plan)
            for name, match in matches.items()
        }
        least = {"left": 0, "any": 1, "inner": len(matches)}[params.how]
        task = SeveralTask(matches, least, plan)
        table = OutputTable(
            frame=create_task_frame(workspace.spark, plan),
            task=task,
            schema=_describe(inputs, params),
            properties=_find_roles(inputs, params).to_properties(),
            constraints=(Constraint(HEALPIX_29.name, -1),),
        )

        def report(written: Mapping[str, WrittenRows]) -> Summary:
            return _summarise(SeveralTask(matches, least, plan), written["matches"])

        return JobResult({"matches": table}, report)


MULTIMATCH = Multimatch()


@dataclass(frozen=True)
class _Entries:
    """Entries of several sources, for the planner alone."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    n_rows: NDArray[np.int64]
    n_bytes: NDArray[np.int64]

    def read(self, ranges: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """Refuse: there are no rows."""
        raise NotImplementedError


def _list_catalogs(inputs: Mapping[str, JobInput]) -> list[str]:
    return [name for name in inputs if name != _ANCHOR]


def _find_columns(given: JobInput) -> PositionColumns:
    return to_position_columns(get_table(given), given.roles)


def _find_payload(
    inputs: Mapping[str, JobInput], params: MultimatchParams, name: str
) -> dict[str, str]:
    """Return the columns that the output keeps of an input, and their names there."""
    given = inputs[name]
    kept = find_kept(given, _find_columns(given), association_only=params.association_only)
    return {column: column if name == _ANCHOR else f"{name}_{column}" for column in kept}


def _build_matches(inputs: Mapping[str, JobInput], params: MultimatchParams) -> dict[str, Match]:
    epoch = None if params.epoch == "none" else float(params.epoch)
    matches: dict[str, Match] = {}
    for name in _list_catalogs(inputs):
        # The payload of the anchor comes with the first match.
        own = {} if matches else _find_payload(inputs, params, _ANCHOR)
        payload = _find_payload(inputs, params, name)
        left = build_side(inputs[_ANCHOR], _find_columns(inputs[_ANCHOR]), own, epoch)
        right = build_side(inputs[name], _find_columns(inputs[name]), payload, epoch)
        matches[name] = Match(left, right, MatchOptions(params.radii[name], "left", epoch))
    return matches


def _cut(matches: Mapping[str, Match], n_cells: int | None, *, parallelism: int) -> CellPlan:
    sources: list[CatalogSource] = [match.right.source for match in matches.values()]
    joined = reduce(_join, sources[1:], sources[0])
    anchor = next(iter(matches.values())).left.source
    return plan_cells(anchor, joined, keep_unplaced=True, n_cells=n_cells, parallelism=parallelism)


def _join(a: CatalogSource, b: CatalogSource) -> CatalogSource:
    pairs = ((a.low, b.low), (a.high, b.high), (a.n_rows, b.n_rows), (a.n_bytes, b.n_bytes))
    return _Entries(*(np.concatenate(pair) for pair in pairs))


def _describe(inputs: Mapping[str, JobInput], params: MultimatchParams) -> TableSchema:
    anchor = get_table(inputs[_ANCHOR]).schema
    own_id = anchor[_find_columns(inputs[_ANCHOR]).id]
    columns = [
        TableColumn.from_vocabulary(HEALPIX_29),
        TableColumn.from_vocabulary(LEFT_ID, source=own_id, nullable=False),
        TableColumn.from_vocabulary(N_MATCHED),
    ]
    first = True
    for name in _list_catalogs(inputs):
        schema = get_table(inputs[name]).schema
        source = schema[_find_columns(inputs[name]).id]
        for column in PER_CATALOG:
            kind = source if column is RIGHT_ID else None
            entry = TableColumn.from_vocabulary(column, source=kind)
            columns.append(entry.rename(name_column(column.name, name)))
        if first:
            payload = _find_payload(inputs, params, _ANCHOR)
            columns += [anchor[own].rename(shown) for own, shown in payload.items()]
        first = False
        payload = _find_payload(inputs, params, name)
        columns += [schema[own].rename(shown) for own, shown in payload.items()]
    validate_names(columns)
    return TableSchema(tuple(columns))


def _find_roles(inputs: Mapping[str, JobInput], params: MultimatchParams) -> CatalogRoles:
    anchor = get_table(inputs[_ANCHOR]).roles.override(inputs[_ANCHOR].roles)
    payload = _find_payload(inputs, params, _ANCHOR)
    kept = {role: payload[name] for role, name in anchor.columns.items() if name in payload}
    kept["id"] = LEFT_ID.name
    return CatalogRoles(kept, anchor.epoch, anchor.pm_includes_cos_dec)


def _summarise(task: SeveralTask, written: WrittenRows) -> Summary:
    metrics: dict[str, float] = {}
    figures: dict[str, Figure] = {}
    for part in written.summaries:
        for name in task.summary:
            task.summary[name] += part[name]
    for name, total in task.summary.items():
        n_left = sum(total.n_left.values()) + total.n_unusable
        metrics["anchor_rows"] = n_left
        metrics[f"{name}_matched_rows"] = sum(total.n_matched.values())
        metrics[f"{name}_match_fraction"] = metrics[f"{name}_matched_rows"] / max(n_left, 1)
        drawn = draw_match(total)
        for key in ("separations", "match_fraction"):
            figures[f"{name}_{key}"] = replace(drawn[key], title=f"{name}: {drawn[key].title}")
    return Summary(metrics, figures)
