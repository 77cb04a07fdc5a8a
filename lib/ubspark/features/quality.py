"""What a feature table is worth: undefined values, ranges, and how two versions differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ubspark.features.compiled import compiled
from ubspark.features.segments import FloatArray

__all__ = ["ColumnQuality", "FeatureQuality", "compute_drift"]

K = TypeVar("K")

#: Octaves of the histogram of each column, beyond which values count with the last: 1e-12 to
#: 1e12, of either sign, and zero between; alike for all tables.
_OCTAVES = 40
#: A share below this counts as this, so that an empty bin does not make the drift infinite.
_LEAST_SHARE = 1e-4


@compiled("Tuple((int64, float64, float64))(float64[::1], int64[::1], int64[::1])")
def _count(
    values: FloatArray, bits: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[int, float, float]:
    """Count values by octave, from zero outwards by sign; return what is undefined, low, high."""
    n_undefined, low, high = 0, np.inf, -np.inf
    for i in range(len(values)):
        value = values[i]
        # The octave of a number is the exponent that its bits hold; subnormals are in the last.
        exponent = (bits[i] >> 52) & 0x7FF
        if exponent == 0x7FF:
            n_undefined += 1
            continue
        low, high = min(low, value), max(high, value)
        place = 0
        if value != 0.0:
            octave = min(max(exponent - 1022, -_OCTAVES), _OCTAVES) + _OCTAVES + 1
            place = octave if value > 0.0 else -octave
        counts[2 * _OCTAVES + 1 + place] += 1
    return n_undefined, low, high


@dataclass
class ColumnQuality:
    """Counts of one column; those of parts of a table add up.

    Attributes
    ----------
    n, n_undefined
        Rows, and rows without a value.
    low, high
        Smallest and largest value; inf and -inf where there is none.
    counts
        Values per octave, of either sign; zero in the middle.
    """

    n: int = 0
    n_undefined: int = 0
    low: float = np.inf
    high: float = -np.inf
    counts: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(4 * _OCTAVES + 3, dtype=np.int64)
    )

    def add(self, values: FloatArray) -> None:
        """Count some values."""
        n_undefined, low, high = _count(values, values.view(np.int64), self.counts)
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
    status
        Rows by value of the status.
    joined
        Rows that found their id in each joined table, by its name; kept rows do not count.
    n_kept
        Rows taken from an earlier table.
    """

    columns: dict[str, ColumnQuality] = field(default_factory=dict)
    status: dict[int, int] = field(default_factory=dict)
    joined: dict[str, int] = field(default_factory=dict)
    n_rows: int = 0
    n_kept: int = 0

    def add(self, values: Mapping[str, FloatArray], status: NDArray[np.int16]) -> None:
        """Count the rows of a batch."""
        self.n_rows += len(status)
        for name, column in values.items():
            if name not in self.columns:
                self.columns[name] = ColumnQuality()
            self.columns[name].add(column)
        for value, n in zip(*np.unique(status, return_counts=True), strict=True):
            self.status[int(value)] = self.status.get(int(value), 0) + int(n)

    def __iadd__(self, other: "FeatureQuality") -> Self:
        """Add the counts of other rows of the table."""
        self.n_rows += other.n_rows
        self.n_kept += other.n_kept
        for name, column in other.columns.items():
            self.columns.setdefault(name, ColumnQuality())
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
        Population stability index over octaves of the values, undefined values as one more bin:
        the sum of (q - p) ln(q / p). Below 0.1 is usually called stable, above 0.25 changed.
        NaN where either table has no rows.
    """
    names = [name for name in before.columns if name in after.columns]
    return {name: _compare(before.columns[name], after.columns[name]) for name in names}


def _compare(before: ColumnQuality, after: ColumnQuality) -> float:
    if before.n == 0 or after.n == 0:
        return float("nan")
    p, q = (
        np.maximum(np.append(part.counts, part.n_undefined) / part.n, _LEAST_SHARE)
        for part in (before, after)
    )
    return float(np.sum((q - p) * np.log(q / p)))
