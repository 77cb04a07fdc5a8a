"""What a feature table is worth: undefined values, ranges, and how two versions differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ubspark.features.compiled import compiled
from ubspark.features.segments import FloatArray

__all__ = ["ColumnQuality", "FeatureQuality", "compute_drift", "find_edges"]

K = TypeVar("K")

#: Bins of about equal numbers between the smallest and the largest value; one more on each side.
_N_BINS = 10
#: Values are outside only by more than this share: types of columns round.
_ROUNDING = 1e-6
#: Of a drift that chance makes on average, what it hardly ever exceeds.
_RARE = 2.0
#: A share below this counts as this, so that an empty bin does not make the drift infinite.
_LEAST_SHARE = 1e-4


@compiled("Tuple((int64, float64, float64))(float64[::1], float64[::1], int64[::1])")
def _count(
    values: FloatArray, edges: FloatArray, counts: NDArray[np.int64]
) -> tuple[int, float, float]:
    """Count values between edges, where there are any; return what is undefined, low, high."""
    n_undefined, low, high = 0, np.inf, -np.inf
    for value in values:
        if value != value:
            n_undefined += 1
            continue
        low, high = min(low, value), max(high, value)
        if len(edges):
            place = 0
            while place < len(edges) and value > edges[place]:
                place += 1
            counts[place] += 1
    return n_undefined, low, high


def find_edges(values: FloatArray) -> FloatArray:
    """Return edges between which a sample of values lies in about equal numbers.

    Each edge is midway between two values, so that none lies on it; the first and the last lie
    around all of them. Empty where no value is finite.
    """
    known = np.sort(values[np.isfinite(values)])
    if known.size == 0:
        return np.zeros(0)
    different = np.unique(known)
    wanted = known[np.arange(1, _N_BINS) * known.size // _N_BINS]
    places = np.unique(np.searchsorted(different, wanted))
    places = places[places > 0]
    inner = (different[places - 1] + different[places]) / 2
    low, high = known[0], known[-1]
    slack = _ROUNDING * np.maximum(np.abs([low, high]), np.finfo(np.float32).tiny)
    return np.concatenate([[low - slack[0]], inner, [high + slack[1]]])


@dataclass
class ColumnQuality:
    """Counts of one column; those of parts of a table add up.

    Attributes
    ----------
    n, n_undefined
        Rows, and rows without a value.
    low, high
        Smallest and largest value; inf and -inf where there is none.
    edges
        Of the bins in which values are counted, shape (k,); empty to count in none.
    counts
        Values per bin, those below all edges first, shape (k + 1,).
    """

    n: int = 0
    n_undefined: int = 0
    low: float = np.inf
    high: float = -np.inf
    edges: FloatArray = field(default_factory=lambda: np.zeros(0))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        """Begin to count, unless counts are given."""
        if len(self.counts) == 0:
            self.counts = np.zeros(len(self.edges) + 1, dtype=np.int64)

    def add(self, values: FloatArray) -> None:
        """Count some values."""
        n_undefined, low, high = _count(values, self.edges, self.counts)
        self.n += len(values)
        self.n_undefined += n_undefined
        self.low, self.high = min(self.low, low), max(self.high, high)

    def __iadd__(self, other: "ColumnQuality") -> Self:
        """Add the counts of other rows."""
        self.n += other.n
        self.n_undefined += other.n_undefined
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.counts = self.counts + other.counts
        return self


@dataclass
class FeatureQuality:
    """Counts of a feature table.

    Attributes
    ----------
    columns
        By column name.
    edges
        Of the bins of a column, by its name, where its values are to be compared with others.
    status
        Rows by value of the status.
    joined
        Rows that found their id in each joined table, by its name; kept rows do not count.
    n_kept
        Rows taken from an earlier table.
    """

    columns: dict[str, ColumnQuality] = field(default_factory=dict)
    edges: Mapping[str, FloatArray] = field(default_factory=dict)
    status: dict[int, int] = field(default_factory=dict)
    joined: dict[str, int] = field(default_factory=dict)
    n_rows: int = 0
    n_kept: int = 0

    def add(self, values: Mapping[str, FloatArray], status: NDArray[np.int16]) -> None:
        """Count the rows of a batch."""
        self.n_rows += len(status)
        for name, column in values.items():
            if name not in self.columns:
                self.columns[name] = ColumnQuality(edges=self.edges.get(name, np.zeros(0)))
            self.columns[name].add(column)
        for value, n in zip(*np.unique(status, return_counts=True), strict=True):
            self.status[int(value)] = self.status.get(int(value), 0) + int(n)

    def __iadd__(self, other: "FeatureQuality") -> Self:
        """Add the counts of other rows of the table."""
        self.n_rows += other.n_rows
        self.n_kept += other.n_kept
        for name, column in other.columns.items():
            self.columns.setdefault(name, ColumnQuality(edges=column.edges))
            self.columns[name] += column
        _add_counts(self.status, other.status)
        _add_counts(self.joined, other.joined)
        return self


def _add_counts(mine: dict[K, int], theirs: Mapping[K, int]) -> None:
    for key, n in theirs.items():
        mine[key] = mine.get(key, 0) + n


def compute_drift(before: FeatureQuality, after: FeatureQuality) -> dict[str, float]:
    """Return by how much each column of both tables has changed its distribution.

    Returns
    -------
    dict
        Population stability index over bins of about equal numbers of the earlier table,
        undefined values as one more: the sum of (q - p) ln(q / p), less what few rows make of it
        by chance. Below 0.1 is usually called stable, above 0.25 changed. NaN where either table
        has no rows.

    Raises
    ------
    ValueError
        If the columns were counted in other bins.
    """
    names = [name for name in before.columns if name in after.columns]
    for name in names:
        if not np.array_equal(before.columns[name].edges, after.columns[name].edges):
            msg = f"Column `{name}` was counted in other bins."
            raise ValueError(msg)
    return {name: _compare(before.columns[name], after.columns[name]) for name in names}


def _compare(before: ColumnQuality, after: ColumnQuality) -> float:
    if before.n == 0 or after.n == 0:
        return float("nan")
    p, q = (
        np.maximum(np.append(part.counts, part.n_undefined) / part.n, _LEAST_SHARE)
        for part in (before, after)
    )
    # Of two samples of one distribution it is chi squared, over their harmonic size.
    by_chance = max(int(np.count_nonzero(before.counts)) - 1, 0) * (1 / before.n + 1 / after.n)
    found = float(np.sum((q - p) * np.log(q / p)))
    return max(0.0, float(found - _RARE * by_chance))
