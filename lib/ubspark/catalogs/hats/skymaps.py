"""Maps of how many rows lie where, as HATS catalogs carry them."""

from pathlib import Path

import numpy as np
from cdshealpix.skymap import SkymapExplicit, SkymapImplicit

from ubspark.catalogs.hats.counts import SparseCounts

__all__ = ["write_skymap"]


def write_skymap(path: Path, counts: SparseCounts) -> None:
    """Write a FITS map of the counts, NESTED; only the pixels with rows where they are few.

    Parameters
    ----------
    path
        File to write.
    counts
        In the order of the map.
    """
    n_pixels = 12 * 4**counts.order
    if 2 * len(counts.pixel) < n_pixels:
        keys = counts.pixel.astype(np.uint64)
        SkymapExplicit(keys, counts.n_rows, counts.order).to_fits(str(path))
        return
    values = np.zeros(n_pixels, dtype=np.int64)
    values[counts.pixel] = counts.n_rows
    SkymapImplicit(values, null_value=0).to_fits(str(path))
