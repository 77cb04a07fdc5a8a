"""Errors and units of the bands, as the period search wants them."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["compute_band_amplitudes", "fill_errors", "floor_errors"]

FloatArray = NDArray[np.float64]
BandArray = NDArray[np.int8]

#: Makes the median absolute deviation of normal values their standard deviation.
_MAD_TO_SIGMA = 1.4826
#: A band of fewer epochs has no scatter of its own: it takes the median of the others'.
_MIN_SCATTER = 5


def fill_errors(y: FloatArray, dy: FloatArray, band: BandArray) -> FloatArray:
    """Give epochs whose error is unknown the median error of their band.

    An error is unknown where it is NaN, infinite, zero or negative. A band without any known
    error takes the median of the other bands, an object without any its own scatter.
    """
    is_known = np.isfinite(dy) & (dy > 0)
    if np.all(is_known):
        return dy
    if not np.any(is_known):
        return np.full(len(dy), _scatter(y) or 1.0)
    filled = np.where(is_known, dy, np.median(dy[is_known]))
    for code in np.unique(band[~is_known]):
        known = dy[is_known & (band == code)]
        if len(known):
            filled[~is_known & (band == code)] = np.median(known)
    return filled


def floor_errors(y: FloatArray, dy: FloatArray, band: BandArray, floor: float) -> FloatArray:
    """Add a share of each band's scatter to the errors, in quadrature.

    A sinusoid does not fit a star to a millimagnitude: without the floor a few epochs of small
    errors decide.

    Parameters
    ----------
    floor
        Share of the band's scatter, which is 1.4826 times the median absolute deviation.
    """
    codes = np.unique(band)
    scatter = np.array([_scatter(y[band == code]) for code in codes])
    enough = np.array([np.count_nonzero(band == code) >= _MIN_SCATTER for code in codes])
    scatter[~enough] = np.median(scatter[enough]) if np.any(enough) else _scatter(y)
    found: FloatArray = np.hypot(dy, floor * scatter[np.searchsorted(codes, band)])
    return found


def compute_band_amplitudes(
    y: FloatArray, dy: FloatArray, band: BandArray, *, prior: float
) -> FloatArray:
    """Estimate how much larger the variation is in each band than in all.

    The estimate is the standard deviation of the band, less its noise, drawn towards the common
    one by a log-normal prior, so that noise and few epochs give 1. Dividing values and errors
    by it lets one shape serve all bands. It knows no class of stars.

    Parameters
    ----------
    prior
        Standard deviation of the logarithm of the ratios; 0 for no difference.

    Returns
    -------
    FloatArray
        Ratio of the band of each epoch, shape (n,).
    """
    codes = np.unique(band)
    if prior <= 0 or len(codes) < 2:
        return np.ones(len(y))
    log_ratio = np.zeros(len(codes))
    error2 = np.full(len(codes), np.inf)
    for k, code in enumerate(codes):
        here = band == code
        n = np.count_nonzero(here)
        total = float(np.var(y[here], ddof=1)) if n > 1 else 0.0
        variance = total - float(np.median(dy[here] ** 2))
        if variance > 0:
            log_ratio[k] = 0.5 * np.log(variance)
            # Of a normal sample; where noise dominates its own error does.
            error2[k] = 0.5 / (n - 1) * (total / variance) ** 2
    weight = 1.0 / (error2 + prior**2)
    if not np.any(weight > 0):
        return np.ones(len(y))
    log_ratio -= np.sum(weight * log_ratio) / np.sum(weight)
    ratio: FloatArray = np.exp(log_ratio * prior**2 * weight)
    return ratio[np.searchsorted(codes, band)]


def _scatter(y: FloatArray) -> float:
    return _MAD_TO_SIGMA * float(np.median(np.abs(y - np.median(y))))
