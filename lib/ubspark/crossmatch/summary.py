"""What is counted on the way of a match: everything that its report shows."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ubspark.columns import FLAGS, HEALPIX_ORDER
from ubspark.crossmatch.kernels.tally import (
    count_bits,
    count_candidates,
    count_offsets,
    count_pixels,
    count_separations,
)
from ubspark.crossmatch.match import MatchedCell

__all__ = ["MatchSummary", "find_map_order"]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

#: Pixels that a map should have, and its orders: from 3.7 degrees to 1.7 arcmin.
_MAP_PIXELS = 40_000
_MAP_ORDERS = 4, 11
_HISTOGRAM_BINS = 100
_CLOUD_BINS = 64
_MOST_CANDIDATES = 20
_FLAG_BITS = 10


_NUMBERS = (
    "n_unusable",
    "n_right_read",
    "n_left_repeated",
    "n_right_repeated",
    "n_shifted",
    "n_shifted_matched",
)


def _zeros(*shape: int) -> IntArray:
    return np.zeros(shape, dtype=np.int64)


@dataclass
class MatchSummary:
    """Counts of a match; summaries of parts add up.

    Attributes
    ----------
    radius_arcsec
        Radius of the match: the range of histogram and cloud.
    separations
        Pairs by separation in equal bins, shape (bins,).
    chance
        The same for left rows moved aside.
    cloud
        Pairs by offset to the east and to the north, from minus to plus the radius, shape (m, m).
    offset_sum
        Sum of the offsets of the pairs to the east and to the north, shape (2,), arcsec.
    candidates
        Placed left rows by number of candidates, 0, 1, ... and more, shape (c,).
    flags
        Output rows with each bit of ``flags`` set, shape (bits,).
    map_order
        HEALPix order of the maps.
    n_left, n_matched
        Left rows, and those with a match, per pixel of the map; sparse.
    n_unusable
        Left rows without a usable position.
    n_right_read
        Rows read of the right side, rings included.
    n_left_repeated, n_right_repeated
        Rows whose identifier and place are those of an earlier row.
    n_shifted
        Left rows that were moved aside.
    n_shifted_matched
        Of these, those that found a right row.
    """

    radius_arcsec: float
    map_order: int = 6
    separations: IntArray = field(default_factory=lambda: _zeros(_HISTOGRAM_BINS))
    chance: IntArray = field(default_factory=lambda: _zeros(_HISTOGRAM_BINS))
    cloud: IntArray = field(default_factory=lambda: _zeros(_CLOUD_BINS, _CLOUD_BINS))
    offset_sum: FloatArray = field(default_factory=lambda: np.zeros(2))
    candidates: IntArray = field(default_factory=lambda: _zeros(_MOST_CANDIDATES + 1))
    flags: IntArray = field(default_factory=lambda: _zeros(_FLAG_BITS))
    n_left: dict[int, int] = field(default_factory=dict)
    n_matched: dict[int, int] = field(default_factory=dict)
    n_unusable: int = 0
    n_right_read: int = 0
    n_left_repeated: int = 0
    n_right_repeated: int = 0
    n_shifted: int = 0
    n_shifted_matched: int = 0

    @property
    def edges_arcsec(self) -> FloatArray:
        """Edges of the bins of separation, shape (bins + 1,)."""
        return np.linspace(0.0, self.radius_arcsec, _HISTOGRAM_BINS + 1)

    @property
    def chance_scale(self) -> float:
        """Factor from counts of the moved rows to those expected of all placed left rows."""
        return sum(self.n_left.values()) / self.n_shifted if self.n_shifted else 0.0

    def add_cell(self, cell: MatchedCell) -> None:
        """Count the rows of one cell."""
        healpix = cell.left_healpix
        runs = count_pixels(healpix, cell.is_matched, 2 * (HEALPIX_ORDER - self.map_order))
        for pixel, n_left, n_matched in runs.tolist():
            self.n_left[pixel] = self.n_left.get(pixel, 0) + n_left
            if n_matched:
                self.n_matched[pixel] = self.n_matched.get(pixel, 0) + n_matched
        self.n_unusable += len(healpix) - int(runs[:, 1].sum())
        self.n_right_read += cell.n_right
        self.n_shifted += cell.n_shifted
        self.n_shifted_matched += cell.n_shifted_matched
        self.n_left_repeated += cell.n_repeated[0]
        self.n_right_repeated += cell.n_repeated[1]
        count_separations(cell.dist_arcsec, self.radius_arcsec, self.separations)
        count_separations(cell.chance_arcsec, self.radius_arcsec, self.chance)
        count_offsets(cell.east_arcsec, cell.north_arcsec, self.radius_arcsec, self.cloud)
        self.offset_sum += [cell.east_arcsec.sum(), cell.north_arcsec.sum()]
        count_candidates(cell.n_candidates, healpix, self.candidates)
        count_bits(np.require(cell.rows[FLAGS.name].to_numpy(), requirements="W"), self.flags)

    def __iadd__(self, other: "MatchSummary") -> Self:
        """Add the summary of other cells of the same match."""
        for name in ("separations", "chance", "cloud", "offset_sum", "candidates", "flags"):
            getattr(self, name).__iadd__(getattr(other, name))
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.n_left, other.n_left), (self.n_matched, other.n_matched)):
            for pixel, n in theirs.items():
                mine[pixel] = mine.get(pixel, 0) + n
        return self


def find_map_order(cells: IntArray) -> int:
    """Return the order at which cells, half-open ranges of shape (k, 2), make a good map."""
    width = np.diff(np.maximum(cells, 0), axis=1).astype(np.float64).sum()
    share = max(float(width) / (12 * 4**HEALPIX_ORDER), 1e-12)
    order = round(np.log(_MAP_PIXELS / (12 * share)) / np.log(4))
    return int(np.clip(order, *_MAP_ORDERS))
