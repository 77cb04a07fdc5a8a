"""The crossmatch job: two catalog tables in, their pairs out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import field_validator

from ubspark.catalogs.sources.names import is_table_name
from ubspark.catalogs.writers import WrittenRows
from ubspark.crossmatch.broadcast import choose_plan, hold_smaller
from ubspark.crossmatch.match import Match
from ubspark.crossmatch.options import How, MatchOptions, PositionColumns
from ubspark.crossmatch.plan import CellPlan, plan_cells
from ubspark.crossmatch.sample import compute_prior, plan_sample
from ubspark.crossmatch.spark import (
    MatchTask,
    create_task_frame,
    separate_fast_rows,
    summarise_match,
)
from ubspark.errors import ParameterError
from ubspark.recipes.base import Fact, JobInput, JobResult, OutputTable, Summary, Workspace
from ubspark.recipes.match_params import (
    Ellipse,
    PairLimits,
    ProbabilityParams,
    RowRadius,
    ScorerParams,
    add_row_columns,
    read_scorer,
    resolve_probability,
    to_chance_sample,
    to_options,
    to_probability,
)
from ubspark.recipes.match_report import describe_plan, summarise
from ubspark.recipes.match_sides import build_side
from ubspark.recipes.pair_table import PairTable, get_table
from ubspark.recipes.positions import resolve_epoch
from ubspark.recipes.quantities import MatchEpoch
from ubspark.recipes.unsorted import stage_inputs

__all__ = ["CROSSMATCH", "Crossmatch", "CrossmatchParams"]

#: Left rows that measure the prior, and the least that do where there are more.
_PRIOR_ROWS = 300_000
_LEAST_PRIOR_ROWS = 50_000


class CrossmatchParams(PairLimits):
    """Parameters of the crossmatch job."""

    #: ``inner`` keeps pairs; ``left``, ``right`` and ``outer`` also the rows without a pair;
    #: ``semi`` and ``anti`` give the left rows with and without one.
    how: How = "inner"
    #: Julian year to match at, ``left``, ``right`` or ``none``. ``auto``: where the epochs differ,
    #: that of the side without proper motions, else the right one's.
    epoch: MatchEpoch = "auto"
    #: Radii that differ from row to row.
    row_radius: RowRadius | None = None
    #: A limit in units of the error of the separation.
    ellipse: Ellipse | None = None
    #: A function of your own that keeps, drops or ranks candidate pairs.
    scorer: ScorerParams | None = None
    #: Adds ``p_match`` and ``p_any``.
    probability: ProbabilityParams | None = None
    #: Leave out the columns of the catalogs; keep identifiers, separation and flags.
    association_only: bool = False
    #: Suffixes of column names that both sides have; by default the names of the tables.
    suffixes: tuple[str, str] | None = None

    @field_validator("suffixes")
    @classmethod
    def _fit_names(cls, given: tuple[str, str] | None) -> tuple[str, str] | None:
        for suffix in given or ():
            if suffix and not is_table_name(suffix):
                msg = f"must hold no space, none of ,;{{}}()=.` and no line end, got {suffix!r}"
                raise ValueError(msg)
        return given


class Crossmatch:
    """Match each left row to the right catalog."""

    name = "crossmatch"
    version = "3"
    inputs: Mapping[str, str] = {"left": "catalog", "right": "catalog"}
    outputs: Sequence[str] = ("matches",)
    params = CrossmatchParams

    def resolve(self, inputs: Mapping[str, JobInput], params: CrossmatchParams) -> CrossmatchParams:
        """Turn the epoch into a year, name the suffixes, and check columns and units."""
        _validate_probability(params)
        table = _pair_table(inputs, params)
        epoch = resolve_epoch(params.epoch, *table.columns)
        resolved = params.model_copy(
            update={
                "epoch": "none" if epoch is None else epoch,
                "suffixes": params.suffixes or table.default_suffixes,
                "scorer": read_scorer(params.scorer),
                "probability": resolve_probability(
                    params.probability, params, table.columns, inputs["right"]
                ),
            }
        )
        _pair_table(inputs, resolved).describe(_to_options(resolved, None))
        _find_columns(inputs, resolved)
        return resolved

    def plan(
        self,
        inputs: Mapping[str, JobInput],
        params: CrossmatchParams,
        *,
        n_cells: int | None,
        parallelism: int,
    ) -> list[Fact]:
        """Estimate what the match reads, from the logs and footers alone."""
        match = build_match(inputs, params)
        cells = _cut(match, n_cells, parallelism=parallelism)
        return [*describe_plan(match, cells, inputs), Fact("match epoch", str(params.epoch))]

    def run(
        self, inputs: Mapping[str, JobInput], params: CrossmatchParams, workspace: Workspace
    ) -> JobResult:
        """Return the matches, made cell by cell; only files that are not sorted are shuffled."""
        inputs = stage_inputs(inputs, workspace)
        match = build_match(inputs, params)
        plan = _cut(match, workspace.n_cells, parallelism=workspace.parallelism)
        match = separate_fast_rows(workspace.spark, match, plan)
        if params.probability is not None:
            prior = _measure_prior(params, match, workspace)
            chosen = to_probability(params.probability, prior)
            match = replace(match, options=replace(match.options, probability=chosen))
        if choose_plan(match, workspace.plan) == "broadcast":
            match = hold_smaller(match)
            plan = _cut(match, workspace.n_cells, parallelism=workspace.parallelism)
        table = _pair_table(inputs, params)
        matches = OutputTable(
            frame=create_task_frame(workspace.spark, plan),
            task=MatchTask(match, plan),
            schema=table.describe(match.options),
            properties=table.find_roles(match.options).to_properties(),
            constraints=table.find_constraints(match.options),
        )

        def report(written: Mapping[str, WrittenRows]) -> Summary:
            return summarise(match, plan, written["matches"])

        return JobResult({"matches": matches}, report)


CROSSMATCH = Crossmatch()


def build_match(inputs: Mapping[str, JobInput], params: CrossmatchParams) -> Match:
    """Return the match of two opened inputs, without probabilities."""
    epoch = None if params.epoch == "none" else float(params.epoch)
    options = replace(_to_options(params, epoch), probability=None)
    payload = _pair_table(inputs, params).find_payload(options)
    columns = _find_columns(inputs, params)
    wanted = ((), ()) if params.scorer is None else (params.scorer.left, params.scorer.right)
    left, right = (
        build_side(inputs[name], columns[i], payload[i], epoch, extra=wanted[i])
        for i, name in enumerate(("left", "right"))
    )
    # Places aside know no errors and no columns: they are of use where the radius alone decides.
    is_plain = params.scorer is None and params.row_radius is None and params.ellipse is None
    if is_plain:
        n_left = int(left.source.n_rows.sum())
        options = replace(options, chance=to_chance_sample(params, n_left))
    return Match(left, right, options)


def _validate_probability(params: CrossmatchParams) -> None:
    """Refuse what would change which candidates a probability knows of."""
    if params.probability is None:
        return
    if params.ellipse is not None or params.row_radius is not None:
        msg = (
            "`probability` needs all candidates within the radius; leave `ellipse` and "
            "`row_radius` out."
        )
        raise ParameterError(msg)
    if params.how in ("semi", "anti"):
        msg = f"`probability` is one of pairs, of which `how: {params.how}` gives none."
        raise ParameterError(msg)


def _to_options(params: CrossmatchParams, epoch: float | None) -> MatchOptions:
    """Return the options; a prior to be measured is a half until then."""
    options = to_options(
        params,
        how=params.how,
        epoch=epoch,
        row_radius=params.row_radius,
        ellipse=params.ellipse,
        scorer=params.scorer,
    )
    if params.probability is None:
        return options
    return replace(options, probability=to_probability(params.probability, 0.5))


def _pair_table(inputs: Mapping[str, JobInput], params: CrossmatchParams) -> PairTable:
    return PairTable(inputs["left"], inputs["right"], params.suffixes, params.association_only)


def _find_columns(
    inputs: Mapping[str, JobInput], params: CrossmatchParams
) -> tuple[PositionColumns, PositionColumns]:
    """Return the columns of either side that positions, radii and errors need."""
    left, right = _pair_table(inputs, params).columns
    needs_errors = params.ellipse is not None or params.probability is not None
    if params.ellipse is not None and not any(s.ra_error and s.dec_error for s in (left, right)):
        msg = (
            "`params.ellipse` needs positional errors, but neither catalog has the roles "
            "`ra_error` and `dec_error`. Name them in `inputs.*.roles`."
        )
        raise ParameterError(msg)
    if params.scorer is not None:
        for name, wanted in (("left", params.scorer.left), ("right", params.scorer.right)):
            given = inputs[name]
            get_table(given).schema.validate_columns(wanted, table=given.short_name)
    return (
        add_row_columns(
            left,
            inputs["left"],
            side="left",
            row_radius=params.row_radius,
            needs_errors=needs_errors,
        ),
        add_row_columns(
            right,
            inputs["right"],
            side="right",
            row_radius=params.row_radius,
            needs_errors=needs_errors,
        ),
    )


def _cut(match: Match, n_cells: int | None, *, parallelism: int) -> CellPlan:
    options = match.options
    return plan_cells(
        match.left.source,
        match.right.source,
        keep_unplaced=True,
        covers_right=options.keeps_right,
        n_cells=n_cells,
        parallelism=parallelism,
    )


def _measure_prior(params: CrossmatchParams, match: Match, workspace: Workspace) -> float:
    """Return the prior: as given, or measured on a sample of the sky."""
    if params.probability is not None and params.probability.prior != "auto":
        return params.probability.prior
    every = max(1, round(int(match.left.source.n_rows.sum()) / _PRIOR_ROWS))
    parallelism = workspace.spark.sparkContext.defaultParallelism
    while True:
        sample = plan_sample(match, every=every, parallelism=parallelism)
        total = summarise_match(workspace.spark, *sample)
        if every == 1 or sum(total.n_left.values()) >= _LEAST_PRIOR_ROWS:
            return compute_prior(total)
        # A region or condition kept few of the rows that the files hold.
        every = max(1, every // 16)
