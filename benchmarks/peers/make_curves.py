"""Write objects and their sources as HATS with LSDB: `python make_curves.py FOLDER ROWS`.

An object has a hundred sources on the mean, some thousands, some none, within 0.3 arcsec. The rows
are sorted as the format asks, and the sources have the margin that LSDB needs.
"""

import sys
from pathlib import Path

import lsdb
import numpy as np
import pandas as pd
from hats.pixel_math.spatial_index import compute_spatial_index

MARGIN_ARCSEC = 5.0
ROWS_PER_PARTITION = 1_000_000


def write(frame: pd.DataFrame, folder: Path, name: str, margin: float | None) -> None:
    index = compute_spatial_index(frame["ra"].to_numpy(), frame["dec"].to_numpy())
    catalog = lsdb.from_dataframe(
        frame.iloc[np.argsort(index, kind="stable")],
        ra_column="ra",
        dec_column="dec",
        partition_rows=ROWS_PER_PARTITION,
        margin_threshold=margin,
    )
    catalog.write_catalog(folder / name, catalog_name=name, overwrite=True, progress_bar=False)


def main() -> None:
    folder, n = Path(sys.argv[1]), int(sys.argv[2])
    rng = np.random.default_rng(3)
    n_objects = n // 100
    ids = rng.permutation(n_objects) + 10**12
    ra = rng.uniform(0, 360, n_objects)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, n_objects)))
    objects = {"objectId": ids, "ra": ra, "dec": dec}
    objects["mag"] = rng.normal(20, 2, n_objects).astype(np.float32)
    write(pd.DataFrame(objects), folder, "objects", None)
    weight = rng.lognormal(0, 0.7, n_objects)
    owner = rng.choice(n_objects, n, p=weight / weight.sum())
    step = rng.normal(0, 0.1 / 3600, (2, n)).clip(-0.3 / 3600, 0.3 / 3600)
    sources = {"sourceId": np.arange(n), "objectId": ids[owner]}
    sources["dec"] = np.clip(dec[owner] + step[1], -90, 90)
    sources["ra"] = (ra[owner] + step[0] / np.cos(np.radians(sources["dec"]))) % 360
    sources["midpointMjdTai"] = rng.uniform(60_000, 63_650, n)
    sources["psfFlux"] = rng.normal(1e3, 100, n).astype(np.float32)
    sources["psfFluxErr"] = rng.uniform(5, 20, n).astype(np.float32)
    sources["band"] = np.array(list("ugrizy"))[rng.integers(0, 6, n)]
    write(pd.DataFrame(sources), folder, "sources", MARGIN_ARCSEC)


if __name__ == "__main__":
    main()
