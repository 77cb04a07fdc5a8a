"""What a report shows of a period search; summaries of parts add up."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ubspark.timeseries.lightcurves import LightCurves
from ubspark.timeseries.results import Periods

__all__ = ["MAP_ORDER", "FoldedExample", "PeriodSummary"]

#: HEALPix order of the map of aliases: 3,072 pixels of about 3.7 degrees.
MAP_ORDER: Final = 4
#: Edges of log10 of the period in days, and of the power.
LOG_PERIOD_EDGES: Final = np.linspace(-2.5, 4.0, 131)
POWER_EDGES: Final = np.linspace(0.0, 1.0, 51)
#: Light curves kept to be drawn, of the most significant and of any.
_N_EXAMPLES = 6
#: Spreads consecutive positions: the examples are the same however the work is cut.
_MIX = np.uint64(0x9E3779B97F4A7C15)


class FoldedExample(NamedTuple):
    """A light curve to be drawn."""

    rank: float
    """The lower the sooner it is drawn."""
    name: str
    """Its object."""
    period: float
    """Days."""
    phase: NDArray[np.float64]
    """Of each epoch, in periods since maximum light."""
    y: NDArray[np.float64]
    """Values."""
    band: NDArray[np.int8]
    """Codes of bands."""


@dataclass
class PeriodSummary:
    """Counts, and some light curves.

    Attributes
    ----------
    n_epochs
        Usable epochs of all objects.
    status
        Objects by `ubspark.timeseries.results.Status`.
    periods
        Objects over log10 of the period and power, shape (130, 50).
    n_significant
        Objects whose log10 of the false-alarm probability, shared, is below -3.
    n_objects, n_aliased
        Objects searched, and those of them with any alias flag of the sampling, per pixel of
        order ``MAP_ORDER``; sparse.
    best, random
        Examples.
    """

    n_epochs: int = 0
    n_freq: int = 0
    n_significant: int = 0
    seconds: float = 0.0
    status: dict[int, int] = field(default_factory=dict)
    periods: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(
            (len(LOG_PERIOD_EDGES) - 1, len(POWER_EDGES) - 1), dtype=np.int64
        )
    )
    n_objects: dict[int, int] = field(default_factory=dict)
    n_aliased: dict[int, int] = field(default_factory=dict)
    best: list[FoldedExample] = field(default_factory=list)
    random: list[FoldedExample] = field(default_factory=list)

    def add(
        self, periods: Periods, curves: LightCurves, healpix: NDArray[np.int64], names: list[str]
    ) -> None:
        """Count the objects of a batch."""
        searched = np.isfinite(periods["period"])
        self.n_epochs += int(np.sum(periods["n_obs"]))
        self.n_freq += int(np.sum(periods["n_freq"]))
        _count(self.status, periods["status"])
        self.n_significant += int(np.sum(periods["log10_fap_10"][searched] < -3))
        self.periods += np.histogram2d(
            np.log10(periods["period"][searched]),
            periods["power_10"][searched],
            (LOG_PERIOD_EDGES, POWER_EDGES),
        )[0].astype(np.int64)
        pixel = healpix >> 2 * (29 - MAP_ORDER)
        placed = searched & (healpix >= 0)
        _count(self.n_objects, pixel[placed])
        _count(self.n_aliased, pixel[placed & (periods["alias_flag"] & _SAMPLING > 0)])
        self._keep_examples(periods, curves, healpix, names, np.flatnonzero(searched))

    def __iadd__(self, other: "PeriodSummary") -> Self:
        """Add the summary of other objects."""
        self.n_epochs += other.n_epochs
        self.n_freq += other.n_freq
        self.n_significant += other.n_significant
        self.seconds += other.seconds
        self.periods += other.periods
        for mine, theirs in (
            (self.status, other.status),
            (self.n_objects, other.n_objects),
            (self.n_aliased, other.n_aliased),
        ):
            for key, n in theirs.items():
                mine[key] = mine.get(key, 0) + n
        self.best = _keep_lowest([*self.best, *other.best])
        self.random = _keep_lowest([*self.random, *other.random])
        return self

    def _keep_examples(
        self,
        periods: Periods,
        curves: LightCurves,
        healpix: NDArray[np.int64],
        names: list[str],
        rows: NDArray[np.int64],
    ) -> None:
        mixed = (healpix.astype(np.uint64) * _MIX).astype(np.float64)
        for kept, rank in ((self.best, periods["log10_fap_10"]), (self.random, mixed)):
            first = rows[np.argsort(rank[rows], kind="stable")][:_N_EXAMPLES]
            kept += [_fold(periods, curves, int(i), names[i], float(rank[i])) for i in first]
            kept[:] = _keep_lowest(kept)


#: Bits of `kernels.aliases.AliasFlag` that come from the sampling.
_SAMPLING = 1 | 2 | 4


def _fold(periods: Periods, curves: LightCurves, row: int, name: str, rank: float) -> FoldedExample:
    here = slice(curves.offsets[row], curves.offsets[row + 1])
    usable = np.isfinite(curves.t[here]) & np.isfinite(curves.y[here]) & (curves.band[here] >= 0)
    t, y = curves.t[here][usable], curves.y[here][usable]
    period = float(periods["period"][row])
    phase = np.mod((t - periods["epoch_max"][row]) / period, 1.0)
    return FoldedExample(rank, name, period, phase, y, curves.band[here][usable])


def _keep_lowest(examples: list[FoldedExample]) -> list[FoldedExample]:
    return sorted(examples, key=lambda one: (one.rank, one.name))[:_N_EXAMPLES]


def _count(counts: dict[int, int], keys: NDArray[np.generic]) -> None:
    for key, n in zip(*np.unique(keys, return_counts=True), strict=True):
        counts[int(key)] = counts.get(int(key), 0) + int(n)
