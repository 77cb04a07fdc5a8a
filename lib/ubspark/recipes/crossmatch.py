"""The crossmatch job: two catalog tables in, their pairs out."""

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import numpy as np

from ubspark.catalogs.catalog import Catalog, CatalogLayout
from ubspark.catalogs.parquet_sink import Constraint
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.catalogs.selection import select_rows
from ubspark.catalogs.writers import WrittenRows
from ubspark.columns import ASSOCIATION_COLUMNS, DIST_ARCSEC, HEALPIX_29, LEFT_ID, RIGHT_ID
from ubspark.crossmatch.match import Match, Side
from ubspark.crossmatch.options import MatchOptions, PositionColumns
from ubspark.crossmatch.plan import CellPlan, estimate_reads, plan_cells
from ubspark.crossmatch.spark import MAP_ORDER, MatchSummary, MatchTask, create_task_frame
from ubspark.errors import ParameterError, SchemaError
from ubspark.figures import Figure, Histogram, SkyMap
from ubspark.recipes.base import (
    Fact,
    JobInput,
    JobResult,
    OutputTable,
    Params,
    Summary,
    Workspace,
)
from ubspark.recipes.positions import compute_motion_bound, resolve_epoch, to_position_columns
from ubspark.recipes.quantities import AngleArcsec, MatchEpoch

__all__ = ["CROSSMATCH", "Crossmatch", "CrossmatchParams"]


class CrossmatchParams(Params):
    """Parameters of the crossmatch job."""

    #: Largest separation, inclusive; at most 1 degree.
    radius: AngleArcsec
    #: Which right row a left row gets.
    select: Literal["nearest"] = "nearest"
    #: ``inner`` keeps matched left rows, ``left`` all.
    how: Literal["inner", "left"] = "inner"
    #: Julian year to match at, ``left``, ``right`` or ``none``. ``auto``: where the epochs differ,
    #: that of the side without proper motions, else the right one's.
    epoch: MatchEpoch = "auto"
    #: Leave out the columns of the catalogs; keep identifiers, separation and flags.
    association_only: bool = False
    #: Suffixes of column names that both sides have; by default the names of the tables.
    suffixes: tuple[str, str] | None = None


class Crossmatch:
    """Match each left row to the right catalog."""

    name = "crossmatch"
    version = "1"
    inputs: Mapping[str, str] = {"left": "table", "right": "table"}
    outputs: Sequence[str] = ("matches",)
    params = CrossmatchParams

    def resolve(self, inputs: Mapping[str, JobInput], params: CrossmatchParams) -> CrossmatchParams:
        """Turn the epoch into a year, name the suffixes, and check columns and units."""
        left, right = (self._columns(inputs[name]) for name in ("left", "right"))
        epoch = resolve_epoch(params.epoch, left, right)
        MatchOptions(params.radius, params.how, None)
        suffixes = params.suffixes or self._suffixes(inputs)
        resolved = params.model_copy(
            update={"epoch": "none" if epoch is None else epoch, "suffixes": suffixes}
        )
        self._describe(inputs, resolved)
        return resolved

    def plan(
        self, inputs: Mapping[str, JobInput], params: CrossmatchParams, *, n_cells: int | None
    ) -> list[Fact]:
        """Estimate what the match reads, from the logs and footers alone."""
        match = self._match(inputs, params)
        cells = self._cut(match, params, n_cells, parallelism=1)
        sources = {"left": _layout(match.left), "right": _layout(match.right)}
        reads = estimate_reads(cells, *sources.values(), ring_arcsec=match.ring_arcsec)
        facts = []
        for name, side, n_bytes in zip(
            ("left", "right"), (match.left, match.right), reads[:2], strict=True
        ):
            table = _table(inputs[name])
            share = sources[name].estimate_share(side.names)
            chosen = {"region": inputs[name].region, "where": inputs[name].where}
            facts += [
                Fact(f"{name} table", str(table)),
                *(Fact(f"{name} {key}", str(value)) for key, value in chosen.items() if value),
                Fact(f"{name} rows", table.n_rows),
                Fact(f"{name} files", table.n_files),
                Fact(f"{name} bytes to read, of {table.n_bytes:,}", round(share * n_bytes), "B"),
            ]
        widest = float(np.max(cells.n_left, initial=0.0)) + reads.right_rows
        width = sum(_estimate_width(_table(i), self._payload(i, params)) for i in inputs.values())
        return [
            *facts,
            Fact("match epoch", str(params.epoch)),
            Fact("ring", match.ring_arcsec, "arcsec"),
            Fact("cells", len(cells.cells)),
            Fact("tasks", cells.n_tasks),
            Fact("rows of the largest cell, at most", round(widest)),
            Fact("memory of its task, about", round(widest * width), "B"),
        ]

    def run(
        self, inputs: Mapping[str, JobInput], params: CrossmatchParams, workspace: Workspace
    ) -> JobResult:
        """Return the matches, made cell by cell without a shuffle."""
        match = self._match(inputs, params)
        parallelism = workspace.spark.sparkContext.defaultParallelism
        plan = self._cut(match, params, workspace.n_cells, parallelism=2 * parallelism)
        matches = OutputTable(
            frame=create_task_frame(workspace.spark, plan),
            task=MatchTask(match, plan),
            schema=self._describe(inputs, params),
            properties=self._roles(inputs, params).to_properties(),
            constraints=(Constraint(HEALPIX_29.name, -1), Constraint(DIST_ARCSEC.name, 0)),
        )

        def summarise(written: Mapping[str, WrittenRows]) -> Summary:
            return _summarise(match, plan, written["matches"])

        return JobResult({"matches": matches}, summarise)

    def _match(self, inputs: Mapping[str, JobInput], params: CrossmatchParams) -> Match:
        epoch = None if params.epoch == "none" else float(params.epoch)
        sides = []
        for name in ("left", "right"):
            table = _table(inputs[name])
            columns = self._columns(inputs[name])
            motion = compute_motion_bound(table, columns, epoch)
            payload = self._payload(inputs[name], params)
            renamed = self._rename(inputs, params)[name]
            pairs = [(column, renamed.get(column, column)) for column in payload]
            source = select_rows(
                table.read_layout(),
                region=inputs[name].region,
                condition=inputs[name].where,
                ra=columns.ra,
                dec=columns.dec,
            )
            sides.append(Side(source.refine(), columns, pairs, motion))
        left, right = sides
        return Match(left, right, MatchOptions(params.radius, params.how, epoch))

    def _cut(
        self, match: Match, params: CrossmatchParams, n_cells: int | None, *, parallelism: int
    ) -> CellPlan:
        return plan_cells(
            match.left.source,
            match.right.source,
            keep_unplaced=params.how == "left",
            n_cells=n_cells,
            parallelism=parallelism,
        )

    def _columns(self, given: JobInput) -> PositionColumns:
        return to_position_columns(_table(given), given.roles)

    def _payload(self, given: JobInput, params: CrossmatchParams) -> tuple[str, ...]:
        """Return the columns that the output keeps of one side."""
        if params.association_only:
            return ()
        table = _table(given)
        if given.columns is not None:
            table.schema.validate_columns(given.columns, table=given.short_name)
            return given.columns
        skipped = (HEALPIX_29.name, self._columns(given).id)
        return tuple(name for name in table.schema.names if name not in skipped)

    def _suffixes(self, inputs: Mapping[str, JobInput]) -> tuple[str, str]:
        left, right = (inputs[name].short_name for name in ("left", "right"))
        return (f"_{left}", f"_{right}") if left != right else (f"_{left}_left", f"_{right}_right")

    def _rename(
        self, inputs: Mapping[str, JobInput], params: CrossmatchParams
    ) -> dict[str, dict[str, str]]:
        """Return the new names of payload columns that would collide."""
        payload = {name: self._payload(inputs[name], params) for name in ("left", "right")}
        own = {column.name.lower() for column in ASSOCIATION_COLUMNS}
        lower = {name: {column.lower() for column in payload[name]} for name in payload}
        suffixes = params.suffixes or self._suffixes(inputs)
        renamed: dict[str, dict[str, str]] = {}
        for (name, other), suffix in zip(
            (("left", "right"), ("right", "left")), suffixes, strict=True
        ):
            taken = own | lower[other]
            renamed[name] = {
                column: column + suffix for column in payload[name] if column.lower() in taken
            }
        return renamed

    def _describe(self, inputs: Mapping[str, JobInput], params: CrossmatchParams) -> TableSchema:
        """Return the schema of the matches."""
        ids = {
            LEFT_ID.name: _id_column(inputs["left"], self._columns(inputs["left"])),
            RIGHT_ID.name: _id_column(inputs["right"], self._columns(inputs["right"])),
        }
        columns = []
        for column in ASSOCIATION_COLUMNS:
            source = ids.get(column.name)
            nullable = column.nullable if source is None else column.name == RIGHT_ID.name
            columns.append(TableColumn.from_vocabulary(column, source=source, nullable=nullable))
        renamed = self._rename(inputs, params)
        for name in ("left", "right"):
            schema = _table(inputs[name]).schema
            for own in self._payload(inputs[name], params):
                columns.append(schema[own].rename(renamed[name].get(own, own)))
        names = [column.name.lower() for column in columns]
        for name in names:
            if names.count(name) > 1:
                msg = (
                    f"Two output columns would be named `{name}`. Set `params.suffixes` to two "
                    f"other endings, or choose columns with `inputs.*.columns`."
                )
                raise SchemaError(msg)
        return TableSchema(tuple(columns))

    def _roles(self, inputs: Mapping[str, JobInput], params: CrossmatchParams) -> CatalogRoles:
        """Return the roles of the output: those of the left catalog that the payload keeps."""
        left = _table(inputs["left"]).roles.override(inputs["left"].roles)
        renamed = self._rename(inputs, params)["left"]
        payload = self._payload(inputs["left"], params)
        kept = {
            role: renamed.get(column, column)
            for role, column in left.columns.items()
            if column in payload
        }
        kept["id"] = LEFT_ID.name
        return CatalogRoles(kept, left.epoch, left.pm_includes_cos_dec)


CROSSMATCH = Crossmatch()
#: A share of fewer rows is noise.
_ROWS_PER_MAP_PIXEL = 20


def _table(given: JobInput) -> Catalog:
    if given.table is None:
        msg = f"`inputs.{given.name}` must name a table."
        raise ParameterError(msg)
    return given.table


def _layout(side: Side) -> CatalogLayout:
    """Return the source of a side, which `_match` made a layout."""
    return cast("CatalogLayout", side.source)


def _id_column(given: JobInput, columns: PositionColumns) -> TableColumn:
    return _table(given).schema[columns.id]


def _estimate_width(table: Catalog, payload: tuple[str, ...]) -> float:
    """Return the bytes of a row in memory, text and lists guessed."""
    widths = (
        getattr(table.schema[name].type, "bit_width", 0) for name in payload if _flat(table, name)
    )
    texts = sum(not _flat(table, name) for name in payload)
    return 64 + sum(widths) / 8 + 40 * texts


def _flat(table: Catalog, name: str) -> bool:
    try:
        return bool(table.schema[name].type.bit_width)
    except ValueError:
        return False


def _map_fraction(total: MatchSummary) -> SkyMap:
    """Return the map of the match fraction, as fine as the rows allow."""
    n_left, n_matched = (np.zeros(12 * 4**MAP_ORDER, dtype=np.int64) for _ in range(2))
    for counts, pixels in ((n_left, total.n_left), (n_matched, total.n_matched)):
        counts[list(pixels)] = list(pixels.values())
    order = MAP_ORDER
    while order > 0 and n_left.sum() < _ROWS_PER_MAP_PIXEL * np.count_nonzero(n_left):
        n_left, n_matched = (counts.reshape(-1, 4).sum(axis=1) for counts in (n_left, n_matched))
        order -= 1
    share = np.full(len(n_left), np.nan)
    np.divide(n_matched, n_left, out=share, where=n_left > 0)
    title = "Share of left rows with a match"
    caption = f"HEALPix order {order}; {n_left.sum():,} left rows."
    return SkyMap(title, "matched / all", order, share, caption)


def _summarise(match: Match, plan: CellPlan, written: WrittenRows) -> Summary:
    total = MatchSummary.empty(match.options.radius_arcsec)
    for part in written.summaries:
        total += part
    n_left = sum(total.n_left.values()) + total.n_unusable
    n_matched = sum(total.n_matched.values())
    metrics = {
        "left_rows": n_left,
        "left_rows_without_position": total.n_unusable,
        "matched_rows": n_matched,
        "match_fraction": n_matched / n_left if n_left else 0.0,
        "right_rows_read": total.n_right_read,
        "cells": len(plan.cells),
        "tasks": plan.n_tasks,
        "ring_arcsec": match.ring_arcsec,
    }
    figures: dict[str, Figure] = {
        "separations": Histogram(
            "Separation of the matches", "separation [arcsec]", total.edges_arcsec, total.counts
        ),
        "match_fraction": _map_fraction(total),
    }
    ring = (
        f"Right rows were read to {match.ring_arcsec:.6g} arcsec around each left row: the radius "
        f"and the largest motion of the right catalog; the match is complete for this radius."
    )
    notes = [ring]
    if match.options.epoch is None and any(s.columns.pmra for s in (match.left, match.right)):
        notes.append("Positions were matched as they are: no epoch was given, or it is not known.")
    if total.n_unusable:
        notes.append(f"{total.n_unusable} left rows have no usable position; they match nothing.")
    return Summary(metrics, figures, notes)
