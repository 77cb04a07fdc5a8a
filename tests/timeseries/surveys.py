"""Light curves with the sampling of a survey from the ground: seasons, nights, bands."""

import numpy as np
from numpy.typing import NDArray

from ubspark.timeseries import LightCurves

SHARES = np.array([7, 10, 22, 22, 20, 19]) / 100
FloatArray = NDArray[np.float64]


def sample_times(
    rng: np.random.Generator, n: int, *, span: float = 3650.0, start: float = 60_000.0
) -> FloatArray:
    """Return n epochs in seasons of 240 days and nights of eight hours, MJD."""
    days = np.arange(span)
    days = days[np.mod(days, 365.25) < 240]
    return np.sort(start + rng.choice(days, n) + rng.uniform(0.0, 0.33, n))


def make_object(
    rng: np.random.Generator,
    n: int,
    *,
    n_bands: int = 6,
    period: float | None = 0.5432,
    amplitude: float = 0.3,
    span: float = 3650.0,
) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.int8]]:
    """Return t, y, dy, band of one object; noise alone where the period is None."""
    t = sample_times(rng, n, span=span)
    shares = SHARES[:n_bands] / SHARES[:n_bands].sum()
    band = rng.choice(n_bands, n, p=shares).astype(np.int8)
    dy = rng.uniform(0.05, 0.15, n)
    y = 18.0 + 0.4 * band + rng.normal(0.0, dy)
    if period is not None:
        phase = t / period
        y += amplitude * (np.sin(2 * np.pi * phase) + 0.4 * np.sin(4 * np.pi * phase + 0.7))
    return t, y, dy, band


def collect(
    objects: list[tuple[FloatArray, FloatArray, FloatArray, NDArray[np.int8]]],
    bands: tuple[str, ...] = tuple("ugrizy"),
) -> LightCurves:
    """Return objects as one set of light curves."""
    offsets = np.concatenate([[0], np.cumsum([len(one[0]) for one in objects])])
    columns = [np.concatenate([one[i] for one in objects]) for i in range(4)]
    t, y, dy = (np.asarray(column, dtype=np.float64) for column in columns[:3])
    return LightCurves(offsets.astype(np.int64), t, y, dy, columns[3].astype(np.int8), bands)
