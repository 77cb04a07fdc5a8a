"""How far two tables are from being the same: which columns and rows differ, and by how much."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ubspark.catalogs.digests import compute_digest, compute_row_hashes
from ubspark.errors import ParameterError

__all__ = [
    "ColumnDifference",
    "Comparison",
    "Tolerance",
    "Verdict",
    "compare_tables",
    "is_comparable",
]

Verdict = Literal["EXACT", "EQUIVALENT", "DIFFERENT"]
FloatArray = NDArray[np.float64]

#: Rows that are saved of each kind of difference.
_MAX_ROWS = 100


@dataclass(frozen=True)
class Tolerance:
    """How far two numbers may lie apart: absolute + relative * |original|."""

    absolute: float = 0.0
    relative: float = 0.0
    #: Of angles and phases: a number and one this much larger are the same.
    turn: float | None = None

    def __str__(self) -> str:
        """Return the parts."""
        turn = "" if self.turn is None else f", modulo {self.turn:g}"
        return f"{self.absolute:g} + {self.relative:g} x |value|{turn}"


@dataclass(frozen=True)
class ColumnDifference:
    """One column that is not the same in both tables.

    Attributes
    ----------
    n_rows
        Rows in which it differs; 0 for a column that only one table has.
    largest, relative
        Largest distance of two numbers, and that divided by the original; None where values are
        no numbers.
    is_within
        Whether all of them lie within the tolerance.
    """

    name: str
    reason: str
    n_rows: int = 0
    largest: float | None = None
    relative: float | None = None
    tolerance: str | None = None
    is_within: bool = False


@dataclass(frozen=True)
class Comparison:
    """What comparing two tables gave.

    Attributes
    ----------
    columns
        Those that differ, the worst first.
    rows
        Some of the rows that differ, with ``_side`` (original or replay); None for none.
    """

    verdict: Verdict
    columns: tuple[ColumnDifference, ...] = ()
    rows: pa.Table | None = field(default=None, repr=False)
    n_original: int = 0
    n_replay: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it without the rows."""
        return {
            "verdict": self.verdict,
            "rows_original": self.n_original,
            "rows_replay": self.n_replay,
            "columns": [vars(column) for column in self.columns],
        }


def compare_tables(
    original: pa.Table, replay: pa.Table, tolerances: Mapping[str, Tolerance]
) -> Comparison:
    """Compare two tables, whatever the order of their rows and columns.

    Rows are paired by all columns that hold no floating-point numbers; rows equal in those, by
    their numbers in order.

    Parameters
    ----------
    tolerances
        Column to tolerance; a column that is not named must be the same bit for bit, but for
        -0.0 and the kind of NaN.

    Raises
    ------
    ParameterError
        If a column with a tolerance holds no numbers, or integers that floating point cannot hold.
    """
    for column in original.schema:
        if column.name in tolerances and not is_comparable(column.type):
            msg = f"Column `{column.name}` is of type {column.type}, which takes no tolerance."
            raise ParameterError(msg)
    counts = {"n_original": original.num_rows, "n_replay": replay.num_rows}
    other_columns = _compare_schemas(original, replay)
    if other_columns:
        return Comparison("DIFFERENT", other_columns, **counts)
    replay = replay.select(original.column_names)
    if compute_digest(original) == compute_digest(replay):
        return Comparison("EXACT", **counts)
    exact = [f.name for f in original.schema if f.name not in tolerances]
    paired, only = _pair(original, replay, exact)
    if only is not None:
        differing = _find_exact(original, replay, exact)
        return Comparison("DIFFERENT", differing, only, **counts)
    first, second = paired
    columns, is_far = _compare_numbers(first, second, tolerances)
    verdict: Verdict = "EQUIVALENT" if all(c.is_within for c in columns) else "DIFFERENT"
    rows = np.flatnonzero(is_far)[:_MAX_ROWS]
    return Comparison(verdict, columns, _stack(first.take(rows), second.take(rows)), **counts)


def is_comparable(dtype: pa.DataType) -> bool:
    """Whether values of a type can have a tolerance: numbers, and lists of them."""
    if _is_list(dtype):
        dtype = dtype.value_type
    return bool(pa.types.is_floating(dtype) or pa.types.is_integer(dtype))


def _compare_schemas(original: pa.Table, replay: pa.Table) -> tuple[ColumnDifference, ...]:
    found = []
    for name in dict.fromkeys([*original.column_names, *replay.column_names]):
        if name not in replay.column_names:
            found.append(ColumnDifference(name, "only in the original"))
        elif name not in original.column_names:
            found.append(ColumnDifference(name, "only in the replay"))
        elif original[name].type != replay[name].type:
            types = f"{original[name].type} in the original, {replay[name].type} in the replay"
            found.append(ColumnDifference(name, types))
    return tuple(found)


def _pair(
    original: pa.Table, replay: pa.Table, exact: list[str]
) -> tuple[tuple[pa.Table, pa.Table], pa.Table | None]:
    """Return both tables in one order, and the rows that only one of them has."""
    hashes = [compute_row_hashes(table.select(exact)) for table in (original, replay)]
    known = [np.unique(found, return_counts=True) for found in hashes]
    if not all(np.array_equal(a, b) for a, b in zip(*known, strict=True)):
        lonely = [
            np.flatnonzero(~np.isin(mine, other))[:_MAX_ROWS]
            for mine, other in (hashes, hashes[::-1])
        ]
        return (original, replay), _stack(original.take(lonely[0]), replay.take(lonely[1]))
    numbers = [name for name in original.column_names if name not in exact]
    first, second = (
        table.take(_order(table, found, numbers))
        for table, found in zip((original, replay), hashes, strict=True)
    )
    return (first, second), None


def _order(table: pa.Table, hashes: NDArray[np.uint64], numbers: list[str]) -> NDArray[np.int64]:
    flat = [name for name in numbers if pa.types.is_floating(table[name].type)]
    keys = [_to_numbers(table[name]) for name in reversed(flat)]
    return np.lexsort([*keys, hashes]).astype(np.int64)


def _find_exact(
    original: pa.Table, replay: pa.Table, names: list[str]
) -> tuple[ColumnDifference, ...]:
    """Return the columns without tolerance whose values are not the same as a set."""
    found = []
    for name in names:
        one, other = (compute_row_hashes(table.select([name])) for table in (original, replay))
        n_rows = max(int((~np.isin(one, other)).sum()), int((~np.isin(other, one)).sum()))
        if n_rows:
            found.append(ColumnDifference(name, "values that only one of the two has", n_rows))
    if not found:
        found.append(ColumnDifference(", ".join(names), "the same values, in other rows"))
    return tuple(sorted(found, key=lambda column: -column.n_rows))


def _compare_numbers(
    first: pa.Table, second: pa.Table, tolerances: Mapping[str, Tolerance]
) -> tuple[tuple[ColumnDifference, ...], NDArray[np.bool_]]:
    found = []
    is_far = np.zeros(first.num_rows, dtype=bool)
    for name in (name for name in first.column_names if name in tolerances):
        difference, far = _compare_column(name, first[name], second[name], tolerances[name])
        if difference is not None:
            found.append(difference)
            is_far |= far
    found.sort(key=lambda column: (column.is_within, -(column.relative or 0.0)))
    return tuple(found), is_far


def _compare_column(
    name: str, first: pa.ChunkedArray, second: pa.ChunkedArray, tolerance: Tolerance
) -> tuple[ColumnDifference | None, NDArray[np.bool_]]:
    """Return how two columns in one order differ, and in which rows."""
    none = np.zeros(len(first), dtype=bool)
    one, other = first.combine_chunks(), second.combine_chunks()
    rows: NDArray[np.int64] = np.arange(len(first))
    if _is_list(first.type):
        lengths = [np.asarray(pc.fill_null(pc.list_value_length(a), -1)) for a in (one, other)]
        if not np.array_equal(lengths[0], lengths[1]):
            far = lengths[0] != lengths[1]
            return ColumnDifference(name, "lists of another length", int(far.sum())), far
        rows = np.asarray(pc.list_parent_indices(one))
        one, other = pc.list_flatten(one), pc.list_flatten(other)
    empty = [np.asarray(a.is_null()) for a in (one, other)]
    if not np.array_equal(empty[0], empty[1]):
        far = none.copy()
        far[rows[empty[0] != empty[1]]] = True
        return ColumnDifference(name, "null in one of the two only", int(far.sum())), far
    try:
        a, b = _to_numbers(one), _to_numbers(other)
    except pa.ArrowInvalid as error:
        msg = (
            f"Column `{name}` holds integers above 2^53, which cannot be compared with a "
            f"tolerance. Leave it out."
        )
        raise ParameterError(msg) from error
    is_same = (a == b) | (np.isnan(a) & np.isnan(b))
    if is_same.all():
        return None, none
    with np.errstate(all="ignore"):
        distance = np.where(is_same, 0.0, np.abs(a - b))
        if tolerance.turn is not None:
            distance = np.minimum(distance, np.abs(tolerance.turn - distance))
        relative = np.where(is_same, 0.0, distance / np.abs(a))
    # NaN against a number, and infinity against anything, is no small difference.
    distance[~is_same & ~np.isfinite(distance)] = np.inf
    allowed = tolerance.absolute + tolerance.relative * np.abs(np.where(is_same, 0.0, a))
    is_good = np.isfinite(distance) & (distance <= allowed)
    far = none.copy()
    far[rows[~is_same]] = True
    return (
        ColumnDifference(
            name,
            "other numbers",
            int(far.sum()),
            largest=float(distance.max()),
            relative=float(np.nanmax(relative)),
            tolerance=str(tolerance),
            is_within=bool((is_good | is_same).all()),
        ),
        far,
    )


def _is_list(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_list(dtype) or pa.types.is_large_list(dtype))


def _to_numbers(column: pa.ChunkedArray | pa.Array) -> FloatArray:
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)


def _stack(original: pa.Table, replay: pa.Table) -> pa.Table:
    """Return rows of both, marked with their side."""
    parts = []
    for side, table in (("original", original), ("replay", replay)):
        mark = pa.array([side] * table.num_rows, pa.string())
        parts.append(table.add_column(0, "_side", mark))
    return pa.concat_tables(parts)
