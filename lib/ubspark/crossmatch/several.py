"""Matching one catalog, the anchor, with several others at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ubspark.columns import (
    DIST_ARCSEC,
    FLAGS,
    HEALPIX_29,
    LEFT_ID,
    N_CANDIDATES,
    N_MATCHED,
    PA_DEG,
    RIGHT_ID,
)
from ubspark.crossmatch.match import Match, MatchedCell
from ubspark.crossmatch.plan import CellPlan
from ubspark.crossmatch.summary import MatchSummary, find_map_order

__all__ = ["PER_CATALOG", "SeveralTask", "name_column"]

#: What each catalog adds, beside its payload.
PER_CATALOG = (RIGHT_ID, DIST_ARCSEC, PA_DEG, N_CANDIDATES, FLAGS)


def name_column(column: str, catalog: str) -> str:
    """Return the name that a column of the association gets for one catalog."""
    return f"{catalog}_id" if column == RIGHT_ID.name else f"{catalog}_{column}"


@dataclass
class SeveralTask:
    """What a Spark task runs: cells of the anchor, each matched with every catalog.

    Attributes
    ----------
    matches
        The matches by the name of the catalog; each is ``nearest`` and ``left``, the first alone
        carries the payload of the anchor.
    least
        Catalogs that must have a match for a row of the anchor to be kept.
    """

    matches: Mapping[str, Match]
    least: int
    plan: CellPlan

    def __post_init__(self) -> None:
        """Start counting."""
        order = find_map_order(self.plan.cells)
        self.summary = {
            name: MatchSummary(match.options.radius_arcsec, order)
            for name, match in self.matches.items()
        }

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Yield the output rows of each cell."""
        for cell in self.plan.iterate_cells(batches):
            yield self._match_cell(*cell)

    def _match_cell(self, low: int, high: int) -> pa.Table:
        columns: dict[str, pa.ChunkedArray] = {}
        n_matched = None
        for name, match in self.matches.items():
            # A nearest match comes in one part, one row per row of the anchor, in one order.
            (cell,) = match.match_cell(low, high)
            self.summary[name].add_cell(cell)
            found = cell.rows[RIGHT_ID.name].is_valid().cast(pa.int32())
            n_matched = found if n_matched is None else pc.add(n_matched, found)
            columns |= _rename(cell, name, is_first=not columns)
        names = list(columns)
        # The count stands before the columns of the catalogs.
        columns[N_MATCHED.name] = n_matched
        table = pa.table(columns).select([*names[:2], N_MATCHED.name, *names[2:]])
        enough = table[N_MATCHED.name].to_numpy() >= self.least
        return table if np.all(enough) else table.filter(pa.array(enough))


def _rename(cell: MatchedCell, catalog: str, *, is_first: bool) -> dict[str, pa.ChunkedArray]:
    """Return the columns of one match under the names of the output."""
    own = {column.name for column in PER_CATALOG}
    shared = (HEALPIX_29.name, LEFT_ID.name)
    columns = {name: cell.rows[name] for name in shared} if is_first else {}
    for name in cell.rows.column_names:
        if name in own:
            columns[name_column(name, catalog)] = cell.rows[name]
        elif name not in shared and name != "rank":
            columns[name] = cell.rows[name]
    return columns
