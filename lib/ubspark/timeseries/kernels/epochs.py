"""The epochs of one object, ready for the sums: sorted by band, weighted, centred, normalised."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ubspark.timeseries.kernels.compiled import compiled

__all__ = ["Epochs", "prepare_epochs"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Epochs(NamedTuple):
    """The epochs of one object, band after band, by time within a band.

    The weights sum to 1 and the weighted sum of the squared ``y`` is 1 (unless it is 0), so that
    what a model takes away from it is its power in the standard normalization.
    """

    t: FloatArray
    """Time since ``t_ref``, days, shape (n,)."""
    y: FloatArray
    """Value less the weighted mean of its band, scaled, shape (n,)."""
    w: FloatArray
    """Weight, shape (n,)."""
    starts: IntArray
    """Band ``k`` owns the epochs ``starts[k]:starts[k + 1]``, shape (bands + 1,)."""
    codes: IntArray
    """Code of each band, shape (bands,)."""
    t_ref: float
    """An epoch in the middle, days."""
    mean: FloatArray
    """Weighted mean of each band, in the unit of the values, shape (bands,)."""
    scale: float
    """What ``y`` was divided by: the weighted standard deviation around the means."""
    chi2_ref: float
    """Chi squared of the model that is constant in each band."""

    @property
    def n_bands(self) -> int:
        """Number of bands."""
        return len(self.codes)

    @property
    def counts(self) -> IntArray:
        """Epochs of each band."""
        return np.diff(self.starts)


def prepare_epochs(t: FloatArray, y: FloatArray, dy: FloatArray, band: NDArray[np.int8]) -> Epochs:
    """Sort, weight, centre and normalise the epochs of one object.

    The result does not depend on the order of the epochs.

    Parameters
    ----------
    t, y, dy
        Time in days, value and its standard error, all finite, errors positive, shape (n,),
        n >= 1.
    band
        Codes of bands, shape (n,).

    Notes
    -----
    Times count from an epoch in the middle of the list, which keeps phases exact where most of
    the epochs are (a cluster of epochs and one far away, astropy issue 20449).
    """
    order = np.lexsort((dy, y, t, band))
    t, y, dy, band = t[order], y[order], dy[order], band[order]
    t_ref = float(np.partition(t, len(t) // 2)[len(t) // 2])
    first = np.flatnonzero(np.r_[True, band[1:] != band[:-1]])
    starts = np.append(first, len(t)).astype(np.int64)
    raw = (np.min(dy) / dy) ** 2
    total = float(np.sum(raw))
    mean = np.empty(len(first))
    centred = np.empty(len(t))
    _centre(y, raw, starts, mean, centred)
    # As where all values are equal: what rounding leaves over is not a signal.
    centred[np.abs(centred) < 1e-13 * np.abs(y)] = 0.0
    square = float(np.sum(raw * centred**2))
    scale = float(np.sqrt(square / total)) or 1.0
    return Epochs(
        t=t - t_ref,
        y=centred / scale,
        w=raw / total,
        starts=starts,
        codes=band[first].astype(np.int64),
        t_ref=t_ref,
        mean=mean,
        scale=scale,
        chi2_ref=square / float(np.min(dy)) ** 2,
    )


@compiled
def _centre(
    y: FloatArray, w: FloatArray, starts: IntArray, mean: FloatArray, centred: FloatArray
) -> None:
    for k in range(len(starts) - 1):
        low, high = starts[k], starts[k + 1]
        anchor = y[low]
        total = weight = 0.0
        for n in range(low, high):
            total += w[n] * (y[n] - anchor)
            weight += w[n]
        mean[k] = anchor + total / weight
        for n in range(low, high):
            centred[n] = (y[n] - anchor) - total / weight
