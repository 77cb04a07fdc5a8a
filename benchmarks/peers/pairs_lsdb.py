"""Print LSDB's pairs to a file: `python pairs_lsdb.py FOLDER RADIUS_ARCSEC NEIGHBOURS OUTPUT`."""

import sys
from pathlib import Path

import dask
import lsdb
import pandas as pd


def main() -> None:
    folder, radius, n = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    left, right = (lsdb.open_catalog(folder / name) for name in ("left", "right"))
    found = left.crossmatch(
        right, radius_arcsec=radius, n_neighbors=n, suffixes=("_left", "_right")
    )
    with dask.config.set(scheduler="threads", num_workers=2):
        pairs = found[["id_left", "id_right", "_dist_arcsec"]].compute()
    pd.DataFrame(pairs).to_parquet(sys.argv[4], index=False)


if __name__ == "__main__":
    main()
