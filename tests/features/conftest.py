"""Light curves for the tests of features."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from ubspark.timeseries import LightCurves

FloatArray = NDArray[np.float64]
#: Time, value, error and band code of the epochs of one object.
Epochs = tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]
Join = Callable[..., LightCurves]
Simulate = Callable[..., LightCurves]


@pytest.fixture(scope="session")
def join() -> Join:
    """Return a function that makes light curves of the epochs of each object."""
    return _join


@pytest.fixture(scope="session")
def simulate() -> Simulate:
    """Return a function that makes seeded sawtooth variables with noise."""

    def make(n: int, n_epochs: int, bands: str = "ugrizy", seed: int = 1) -> LightCurves:
        rng = np.random.default_rng(seed)
        t = np.sort(rng.uniform(59_000.0, 60_000.0, (n, n_epochs)), axis=1).ravel()
        period = np.repeat(rng.uniform(0.3, 30.0, n), n_epochs)
        dy = rng.uniform(0.01, 0.05, t.size)
        y = 18.0 + 0.6 * ((t / period) % 1.0) + dy * rng.normal(size=t.size)
        band = rng.integers(0, len(bands), t.size).astype(np.int8)
        return LightCurves(np.arange(n + 1) * n_epochs, t, y, dy, band, tuple(bands))

    return make


def _join(objects: Sequence[Epochs], bands: str = "g") -> LightCurves:
    sizes = [len(np.atleast_1d(epochs[0])) for epochs in objects]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    parts = [
        np.concatenate([np.atleast_1d(epochs[k]) for epochs in objects] or [np.empty(0)])
        for k in range(4)
    ]
    t, y, dy = (np.asarray(part, dtype=np.float64) for part in parts[:3])
    return LightCurves(offsets, t, y, dy, parts[3].astype(np.int8), tuple(bands))
