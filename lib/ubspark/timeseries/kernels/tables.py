"""Trigonometric sums as products of tables (BLAS): best for up to some hundred epochs.

Write ``f = f_a +- (b + 1/2) df`` with few anchors f_a and few offsets b: then

    cos(a +- b) = cos a cos b -+ sin a sin b,   sin(a +- b) = sin a cos b +- cos a sin b

turn all sums over the epochs into products of one table of anchors, times strengths, and one of
offsets: two multiplications per epoch, frequency and strength. Phases are float64 whatever the
products are. Blocks have one shape and begin at fixed multiples of ``df``, so a power depends
neither on the extent of the grid nor on other objects.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ubspark.timeseries.kernels.compiled import compiled
from ubspark.timeseries.kernels.epochs import Epochs
from ubspark.timeseries.kernels.grids import FrequencyGrid
from ubspark.timeseries.kernels.models import (
    MAX_EXACT,
    N_FOLDED,
    SEPARATE,
    SHARED,
    PowerBlock,
    add_band,
)
from ubspark.timeseries.kernels.rescue import finish_block

__all__ = ["BLOCK", "iterate_table_blocks"]

FloatArray = NDArray[np.float64]
Array = NDArray[Any]
IntArray = NDArray[np.int64]

#: Anchors in a block, and offsets on each side of an anchor.
_N_ANCHORS = 64
_N_OFFSETS = 64
#: Frequencies in a block.
BLOCK = 2 * _N_ANCHORS * _N_OFFSETS
#: The epochs of a band are padded with zero weight to a multiple of this.
_PAD = 8
#: So many epochs stand in the tables at a time.
_MAX_COLUMNS = 4096
#: Sensitivity (`models.add_band`) above which a frequency is summed directly instead.
_LIMITS = {"single": 2.0, "double": 1e5}
_DTYPES: dict[str, np.dtype[Any]] = {
    "single": np.dtype(np.float32),
    "double": np.dtype(np.float64),
}
#: With fewer epochs in a band the tables are float64 at any precision: rounding does not
#: average out.
_MIN_SINGLE = 16


class _Piece(NamedTuple):
    """Some epochs of one band, as columns of the tables."""

    band: int
    columns: slice
    is_first: bool
    is_last: bool


class _Group(NamedTuple):
    """The pieces that stand in the tables together, with their padded epochs."""

    pieces: list[_Piece]
    t: FloatArray
    w: FloatArray
    yw: FloatArray


def iterate_table_blocks(
    epochs: Epochs, grid: FrequencyGrid, *, models: int, precision: str
) -> Iterator[PowerBlock]:
    """Yield the power at all frequencies of a grid, block after block.

    Parameters
    ----------
    models
        Bits of the models wanted, `SEPARATE` and `SHARED`.
    precision
        ``single`` for errors of the power below 1e-6, ``double`` for 1e-9.
    """
    counts = epochs.counts
    if np.any((counts > MAX_EXACT) & (counts < _MIN_SINGLE)):
        precision = "double"
    groups = _group_epochs(epochs)
    width = max(len(group.t) for group in groups)
    tables = _Tables(width, _DTYPES[precision])
    weight = np.add.reduceat(epochs.w, epochs.starts[:-1])
    chi2 = np.add.reduceat(epochs.w * epochs.y**2, epochs.starts[:-1])
    if len(groups) == 1:
        tables.fill_offsets(groups[0], grid.df)
    for block in range(grid.first // BLOCK, (grid.first + grid.n_freq - 1) // BLOCK + 1):
        tables.folded[:] = 0.0
        for group in groups:
            if len(groups) > 1:
                tables.fill_offsets(group, grid.df)
            tables.fill_anchors(group, grid.df, block)
            for piece in group.pieces:
                tables.multiply(piece)
                if piece.is_last:
                    use = models if counts[piece.band] > MAX_EXACT else models & SHARED
                    tables.fold(weight[piece.band], chi2[piece.band], use)
        yield finish_block(
            epochs,
            grid,
            block * BLOCK,
            tables.folded.reshape(N_FOLDED, -1),
            _ORDER,
            models=models,
            limit=_LIMITS[precision],
        )


class _Tables:
    """The tables of one object, the products of one band and what they fold into."""

    def __init__(self, width: int, dtype: np.dtype[Any]) -> None:
        n_a, n_b = _N_ANCHORS, _N_OFFSETS
        self.offsets = np.zeros((2 * n_b, width), dtype)
        self.offsets_twice = np.zeros((2 * n_b, width), dtype)
        self.anchors = np.zeros((4 * n_a, width), dtype)
        self.anchors_twice = np.zeros((2 * n_a, width), dtype)
        self.once = np.empty((4 * n_a, 2 * n_b), dtype)
        self.twice = np.empty((2 * n_a, 2 * n_b), dtype)
        self.folded = np.empty((N_FOLDED, n_a, 2, n_b), dtype)

    def fill_offsets(self, group: _Group, df: float) -> None:
        _fill_offsets(group.t, df, self.offsets, self.offsets_twice)

    def fill_anchors(self, group: _Group, df: float, block: int) -> None:
        middle = (block * BLOCK + _N_OFFSETS - 0.5) * df
        step = 2 * _N_OFFSETS * df
        _fill_anchors(group.t, group.w, group.yw, middle, step, self.anchors, self.anchors_twice)

    def multiply(self, piece: _Piece) -> None:
        pairs = (
            (self.anchors, self.offsets, self.once),
            (self.anchors_twice, self.offsets_twice, self.twice),
        )
        for anchors, offsets, product in pairs:
            left, right = anchors[:, piece.columns], offsets[:, piece.columns].T
            if piece.is_first:
                np.matmul(left, right, out=product)
            else:
                product += left @ right

    def fold(self, weight: float, chi2: float, models: int) -> None:
        _fold(self.once, self.twice, weight, chi2, models, self.folded)


def _group_epochs(epochs: Epochs) -> list[_Group]:
    """Pad the bands and cut them where they are too long for the tables."""
    pieces = [
        (band, low, min(low + _MAX_COLUMNS, end))
        for band, (start, end) in enumerate(zip(epochs.starts[:-1], epochs.starts[1:], strict=True))
        for low in range(start, end, _MAX_COLUMNS)
    ]
    groups: list[list[tuple[int, int, int]]] = []
    filled = _MAX_COLUMNS
    for band, low, high in pieces:
        padded = -(-(high - low) // _PAD) * _PAD
        if filled + padded > _MAX_COLUMNS:
            groups.append([])
            filled = 0
        groups[-1].append((band, low, high))
        filled += padded
    return [_pad_group(epochs, group) for group in groups]


def _pad_group(epochs: Epochs, group: list[tuple[int, int, int]]) -> _Group:
    widths = [-(-(high - low) // _PAD) * _PAD for _, low, high in group]
    t, w, yw = np.zeros((3, sum(widths)))
    pieces = []
    for (band, low, high), width, begin in zip(
        group, widths, np.cumsum([0, *widths[:-1]]), strict=True
    ):
        here = slice(begin, begin + high - low)
        t[here], w[here] = epochs.t[low:high], epochs.w[low:high]
        yw[here] = epochs.w[low:high] * epochs.y[low:high]
        is_first, is_last = low == epochs.starts[band], high == epochs.starts[band + 1]
        pieces.append(_Piece(band, slice(begin, begin + width), bool(is_first), bool(is_last)))
    return _Group(pieces, t, w, yw)


def _order_frequencies() -> IntArray:
    """Return where in a folded block each frequency stands: [anchor, side, offset]."""
    place = np.arange(BLOCK).reshape(_N_ANCHORS, 2, _N_OFFSETS)
    return np.concatenate((place[:, 1, ::-1], place[:, 0]), axis=1).ravel().astype(np.int64)


_ORDER = _order_frequencies()


@compiled
def _start(cycles: float) -> tuple[float, float]:
    angle = 2.0 * np.pi * (cycles - np.rint(cycles))
    return np.cos(angle), np.sin(angle)


@compiled
def _fill_offsets(t: Array, df: float, once: Array, twice: Array) -> None:
    n_b = once.shape[0] // 2
    cos, sin, turn_cos, turn_sin = np.empty((4, len(t)))
    for n in range(len(t)):
        cos[n], sin[n] = _start(0.5 * df * t[n])
        turn_cos[n], turn_sin[n] = _start(df * t[n])
    for b in range(n_b):
        for n in range(len(t)):
            c, s = cos[n], sin[n]
            once[b, n] = c
            once[n_b + b, n] = s
            twice[b, n] = c * c - s * s
            twice[n_b + b, n] = 2.0 * c * s
            cos[n] = c * turn_cos[n] - s * turn_sin[n]
            sin[n] = c * turn_sin[n] + s * turn_cos[n]


@compiled
def _fill_anchors(
    t: Array, w: Array, yw: Array, middle: float, step: float, once: Array, twice: Array
) -> None:
    n_a = twice.shape[0] // 2
    cos, sin, turn_cos, turn_sin = np.empty((4, len(t)))
    for n in range(len(t)):
        cos[n], sin[n] = _start(middle * t[n])
        turn_cos[n], turn_sin[n] = _start(step * t[n])
    for a in range(n_a):
        for n in range(len(t)):
            c, s = cos[n], sin[n]
            once[a, n] = yw[n] * c
            once[n_a + a, n] = yw[n] * s
            once[2 * n_a + a, n] = w[n] * c
            once[3 * n_a + a, n] = w[n] * s
            twice[a, n] = w[n] * (c * c - s * s)
            twice[n_a + a, n] = 2.0 * w[n] * c * s
            cos[n] = c * turn_cos[n] - s * turn_sin[n]
            sin[n] = c * turn_sin[n] + s * turn_cos[n]


@compiled
def _fold(
    once: Array, twice: Array, weight: float, chi2: float, models: int, folded: Array
) -> None:
    n_a, n_b = twice.shape[0] // 2, once.shape[1] // 2
    for a in range(n_a):
        y_cos, y_cross = once[a, :n_b], once[a, n_b:]
        y_turn, y_sin = once[n_a + a, :n_b], once[n_a + a, n_b:]
        w_cos, w_cross = once[2 * n_a + a, :n_b], once[2 * n_a + a, n_b:]
        w_turn, w_sin = once[3 * n_a + a, :n_b], once[3 * n_a + a, n_b:]
        v_cos, v_cross = twice[a, :n_b], twice[a, n_b:]
        v_turn, v_sin = twice[n_a + a, :n_b], twice[n_a + a, n_b:]
        for side in range(2):
            sign = 1.0 - 2.0 * side
            separate, sensitivity = folded[0, a, side], folded[1, a, side]
            all_cc, all_ss, all_cs = folded[2, a, side], folded[3, a, side], folded[4, a, side]
            all_yc, all_ys = folded[5, a, side], folded[6, a, side]
            for b in range(n_b):
                yc, ys = float(y_cos[b]) - sign * y_sin[b], float(y_turn[b]) + sign * y_cross[b]
                power, slack, cc, ss, cs = add_band(
                    yc,
                    ys,
                    float(w_cos[b]) - sign * w_sin[b],
                    float(w_turn[b]) + sign * w_cross[b],
                    float(v_cos[b]) - sign * v_sin[b],
                    float(v_turn[b]) + sign * v_cross[b],
                    weight,
                    chi2,
                )
                if models & SEPARATE:
                    separate[b] += power
                    sensitivity[b] += slack
                if models & SHARED:
                    all_cc[b] += cc
                    all_ss[b] += ss
                    all_cs[b] += cs
                    all_yc[b] += yc
                    all_ys[b] += ys
