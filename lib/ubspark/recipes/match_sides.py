"""From an opened input to one side of a match."""

from collections.abc import Mapping, Sequence

from ubspark.catalogs.selection import select_rows
from ubspark.crossmatch.match import Side
from ubspark.crossmatch.options import PositionColumns
from ubspark.recipes.base import JobInput
from ubspark.recipes.pair_table import get_table
from ubspark.recipes.positions import compute_motion_bound

__all__ = ["build_side"]


def build_side(
    given: JobInput,
    columns: PositionColumns,
    payload: Mapping[str, str],
    epoch: float | None,
    *,
    extra: Sequence[str] = (),
) -> Side:
    """Return the side of a match that an input makes.

    Parameters
    ----------
    columns
        Where position and motion stand.
    payload
        Columns that the output keeps, and their names there.
    epoch
        Julian year of the match; None leaves positions as they are.
    extra
        Further columns to read.
    """
    table = get_table(given)
    source = select_rows(
        table.read_layout(),
        region=given.region,
        condition=given.where,
        ra=columns.ra,
        dec=columns.dec,
    )
    motion = compute_motion_bound(table, columns, epoch)
    return Side(
        source.refine().remember(), columns, list(payload.items()), motion, extra=tuple(extra)
    )
