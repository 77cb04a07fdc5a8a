"""Light curves cut by band: the shape that every feature kernel takes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ubspark.features.compiled import compiled
from ubspark.timeseries import LightCurves

__all__ = [
    "LARGEST_TIME_DAYS",
    "LARGEST_VALUE",
    "NO_EPOCH",
    "STATUS_BITS",
    "UNEVEN",
    "BandCurves",
    "FloatArray",
    "IntArray",
    "split_bands",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: What `BandCurves.status` says, by bit.
STATUS_BITS = {
    1: "no usable epoch in any band",
    2: "epochs left out: time or value not finite or too large, or a band that was not asked for",
    4: "epochs without a usable error (not positive, or out of range): left out of what needs one",
    8: "two epochs of one band at the same time: left out of slopes and intervals between them",
    16: "times did not rise: sorted first",
    32: "lists of times, values, errors or bands of different lengths: no epoch counts",
}
NO_EPOCH = 1
#: Set where lists are read, not by `split_bands`.
UNEVEN = 32

#: Times and values up to here count, of either sign; errors from the inverse of the latter. Damaged
#: numbers lie outside, and the fourth powers of all others are finite.
LARGEST_TIME_DAYS = 1e12
LARGEST_VALUE = 1e30
_LEAST_ERROR = 1.0 / LARGEST_VALUE

# Up to here an insertion sort beats the general one.
_SHORT = 96


@dataclass(frozen=True, eq=False)
class BandCurves:
    """Usable epochs of n objects in b bands, one segment per object and band.

    Segment ``i * b + k`` is object ``i`` in band ``k`` and owns the epochs
    ``offsets[s]:offsets[s + 1]``.

    Attributes
    ----------
    offsets
        Shape (n * b + 1,).
    t
        Times, days, up to `LARGEST_TIME_DAYS`, never falling within a segment. Equal times are in
        order of ``y``, then ``dy``, so that the order in which epochs came does not matter.
    y
        Values, up to `LARGEST_VALUE`.
    dy
        Standard errors, positive; NaN where there is no usable one.
    y_sorted
        The values of each segment in rising order.
    bands
        Names of the bands, length b.
    status
        Bits of `STATUS_BITS`, shape (n,).
    """

    offsets: IntArray
    t: FloatArray
    y: FloatArray
    dy: FloatArray
    y_sorted: FloatArray
    bands: tuple[str, ...]
    status: NDArray[np.int16]

    @property
    def n_objects(self) -> int:
        """Number of objects."""
        return len(self.status)

    @property
    def counts(self) -> IntArray:
        """Epochs of each object and band, shape (n, b)."""
        return np.diff(self.offsets).reshape(self.n_objects, len(self.bands))


def split_bands(curves: LightCurves, bands: tuple[str, ...] | None = None) -> BandCurves:
    """Cut light curves by band and put each segment in order.

    Parameters
    ----------
    curves
        Light curves. An epoch whose time or value is not finite, or is beyond
        `LARGEST_TIME_DAYS` or `LARGEST_VALUE`, is left out; an error that is not positive, or
        out of the same range, counts as unknown.
    bands
        Bands to keep, in this order; None for all of ``curves``. A band that ``curves`` does
        not have is empty.

    Returns
    -------
    BandCurves
        Arrays of their own; ``curves`` is not changed.
    """
    kept = curves.bands if bands is None else bands
    places = {name: place for place, name in enumerate(kept)}
    to_place = np.array([places.get(name, -1) for name in curves.bands], dtype=np.int64)
    n, m = len(curves), int(curves.offsets[-1] - curves.offsets[0])
    offsets = np.zeros(n * len(kept) + 1, dtype=np.int64)
    status = np.zeros(n, dtype=np.int16)
    t, y, dy, y_sorted = np.empty((4, m))
    _split(
        np.require(curves.offsets, np.int64, ["C", "W"]),
        np.require(curves.t, np.float64, ["C", "W"]),
        np.require(curves.y, np.float64, ["C", "W"]),
        np.require(curves.dy, np.float64, ["C", "W"]),
        np.require(curves.band, np.int8, ["C", "W"]),
        to_place,
        len(kept),
        offsets,
        t,
        y,
        dy,
        y_sorted,
        status,
    )
    end = offsets[-1]
    return BandCurves(offsets, t[:end], y[:end], dy[:end], y_sorted[:end], tuple(kept), status)


@compiled("boolean(float64, float64)")
def _is_usable(t: float, y: float) -> bool:
    """Whether time and value of an epoch count; NaN does not."""
    return abs(t) <= LARGEST_TIME_DAYS and abs(y) <= LARGEST_VALUE


@compiled("void(float64[::1])")
def _sort(values: FloatArray) -> None:
    if len(values) > _SHORT:
        values.sort()
        return
    for i in range(1, len(values)):
        value = values[i]
        j = i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value


@compiled("boolean(float64[::1], float64[::1], float64[::1])")
def _order(t: FloatArray, y: FloatArray, dy: FloatArray) -> bool:
    """Sort epochs by time, then value, then error (NaN last); tell whether two share a time."""
    order = np.argsort(t, kind="mergesort")
    t[:], y[:], dy[:] = t[order], y[order], dy[order]
    has_ties = False
    for i in range(1, len(t)):
        j = i
        while j > 0 and t[j - 1] == t[j]:
            has_ties = True
            is_behind = y[j - 1] > y[j] or (
                y[j - 1] == y[j] and (dy[j - 1] > dy[j] or (dy[j - 1] != dy[j - 1] and dy[j] > 0))
            )
            if not is_behind:
                break
            y[j - 1], y[j] = y[j], y[j - 1]
            dy[j - 1], dy[j] = dy[j], dy[j - 1]
            j -= 1
    return has_ties


@compiled(
    "void(int64[::1], float64[::1], float64[::1], float64[::1], int8[::1], int64[::1], int64,"
    " int64[::1], float64[::1], float64[::1], float64[::1], float64[::1], int16[::1])"
)
def _split(
    starts: IntArray,
    t: FloatArray,
    y: FloatArray,
    dy: FloatArray,
    band: NDArray[np.int8],
    to_place: IntArray,
    n_bands: int,
    offsets: IntArray,
    t_out: FloatArray,
    y_out: FloatArray,
    dy_out: FloatArray,
    y_sorted: FloatArray,
    status: NDArray[np.int16],
) -> None:
    ends = np.empty(n_bands, dtype=np.int64)
    last = np.empty(n_bands)
    must_sort = np.empty(n_bands, dtype=np.bool_)
    for i in range(len(status)):
        first, bits = i * n_bands, 0
        ends[:] = 0
        for j in range(starts[i], starts[i + 1]):
            place = to_place[band[j]] if 0 <= band[j] < len(to_place) else -1
            if place >= 0 and _is_usable(t[j], y[j]):
                ends[place] += 1
        for place in range(n_bands):
            offsets[first + place + 1] = offsets[first + place] + ends[place]
            ends[place] = offsets[first + place]
            must_sort[place] = False
        for j in range(starts[i], starts[i + 1]):
            place = to_place[band[j]] if 0 <= band[j] < len(to_place) else -1
            if not (place >= 0 and _is_usable(t[j], y[j])):
                bits |= 2
                continue
            k = ends[place]
            if k > offsets[first + place] and t[j] <= last[place]:
                must_sort[place] = True
                if t[j] < last[place]:
                    bits |= 16
            ends[place], last[place] = k + 1, t[j]
            t_out[k], y_out[k], y_sorted[k], dy_out[k] = t[j], y[j], y[j], dy[j]
            if not _LEAST_ERROR <= dy[j] <= LARGEST_VALUE:
                dy_out[k] = np.nan
                bits |= 4
        for place in range(n_bands):
            a, b = offsets[first + place], offsets[first + place + 1]
            if must_sort[place] and _order(t_out[a:b], y_out[a:b], dy_out[a:b]):
                bits |= 8
            _sort(y_sorted[a:b])
        if offsets[first] == offsets[first + n_bands]:
            bits |= 1
        status[i] = bits
