"""The neighbors job: a catalog matched with itself, a row never with itself."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import model_validator

from ubspark.catalogs.writers import WrittenRows
from ubspark.crossmatch.match import Match
from ubspark.crossmatch.options import MatchOptions, Select
from ubspark.crossmatch.plan import plan_cells
from ubspark.crossmatch.spark import MatchTask, create_task_frame, separate_fast_rows
from ubspark.recipes.base import Fact, JobInput, JobResult, OutputTable, Summary, Workspace
from ubspark.recipes.match_params import PairLimits, to_chance_sample, to_options
from ubspark.recipes.match_report import describe_plan, summarise
from ubspark.recipes.match_sides import build_side
from ubspark.recipes.pair_table import PairTable
from ubspark.recipes.positions import resolve_epoch
from ubspark.recipes.quantities import MatchEpoch
from ubspark.recipes.unsorted import stage_inputs

__all__ = ["NEIGHBORS", "Neighbors", "NeighborsParams"]


class NeighborsParams(PairLimits):
    """Parameters of the neighbors job."""

    #: Which neighbours of a row are kept.
    select: Select = "all"
    #: ``inner`` keeps rows that have a neighbour, ``left`` all; ``anti`` gives those without.
    how: Literal["inner", "left", "semi", "anti"] = "inner"
    #: Julian year to which rows of different epochs move, or ``none``.
    epoch: MatchEpoch = "none"
    #: Suffixes of the columns of the row and of its neighbour.
    suffixes: tuple[str, str] = ("", "_neighbor")

    @model_validator(mode="after")
    def _refuse_one_to_one(self) -> "NeighborsParams":
        if self.select == "one_to_one":
            msg = "`select: one_to_one` has no meaning within one catalog; use `mutual`"
            raise ValueError(msg)
        return self


class Neighbors:
    """List the neighbours of each row; rows are told apart by their identifier alone."""

    name = "neighbors"
    version = "1"
    inputs: Mapping[str, str] = {"table": "catalog"}
    outputs: Sequence[str] = ("neighbors",)
    params = NeighborsParams

    def resolve(self, inputs: Mapping[str, JobInput], params: NeighborsParams) -> NeighborsParams:
        """Turn the epoch into a year, and check the columns."""
        table = _pair_table(inputs, params)
        epoch = resolve_epoch(params.epoch, *table.columns)
        resolved = params.model_copy(update={"epoch": "none" if epoch is None else epoch})
        table.describe(_to_options(resolved))
        return resolved

    def plan(
        self,
        inputs: Mapping[str, JobInput],
        params: NeighborsParams,
        *,
        n_cells: int | None,
        parallelism: int,
    ) -> list[Fact]:
        """Estimate what the job reads, from the log and footers alone."""
        match = _build_match(inputs, params)
        named = {"left": inputs["table"], "right": inputs["table"]}
        cells = plan_cells(
            match.left.source,
            match.right.source,
            keep_unplaced=True,
            n_cells=n_cells,
            parallelism=parallelism,
        )
        return describe_plan(match, cells, named)

    def run(
        self, inputs: Mapping[str, JobInput], params: NeighborsParams, workspace: Workspace
    ) -> JobResult:
        """Return pairs of neighbours, each seen from both of its rows."""
        inputs = stage_inputs(inputs, workspace)
        match = _build_match(inputs, params)
        plan = plan_cells(
            match.left.source,
            match.right.source,
            keep_unplaced=True,
            n_cells=workspace.n_cells,
            parallelism=workspace.parallelism,
        )
        match = separate_fast_rows(workspace.spark, match, plan)
        table = _pair_table(inputs, params)
        neighbors = OutputTable(
            frame=create_task_frame(workspace.spark, plan),
            task=MatchTask(match, plan),
            schema=table.describe(match.options),
            properties=table.find_roles(match.options).to_properties(),
            constraints=table.find_constraints(match.options),
        )

        def report(written: Mapping[str, WrittenRows]) -> Summary:
            return summarise(match, plan, written["neighbors"])

        return JobResult({"neighbors": neighbors}, report)


NEIGHBORS = Neighbors()


def _pair_table(inputs: Mapping[str, JobInput], params: NeighborsParams) -> PairTable:
    """Return the output: identifiers alone, unless columns are asked for."""
    given = inputs["table"]
    return PairTable(given, given, params.suffixes, association_only=given.columns is None)


def _build_match(inputs: Mapping[str, JobInput], params: NeighborsParams) -> Match:
    epoch = None if params.epoch == "none" else float(params.epoch)
    options = replace(_to_options(params), epoch=epoch)
    table = _pair_table(inputs, params)
    left, right = (
        build_side(inputs["table"], columns, payload, epoch)
        for columns, payload in zip(table.columns, table.find_payload(options), strict=True)
    )
    chance = to_chance_sample(params, int(left.source.n_rows.sum()))
    return Match(left, right, replace(options, chance=chance))


def _to_options(params: NeighborsParams) -> MatchOptions:
    return replace(to_options(params, how=params.how), excludes_same_id=True)
