"""Print ACID's pairs to a file: `python pairs_acid.py FOLDER RADIUS_ARCSEC NEIGHBOURS OUTPUT`."""

import sys
from pathlib import Path

import acid
import astropy.units as u
import pyarrow.parquet as pq


def main() -> None:
    folder, radius, n = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    acid.init(workers=2)
    acid.configure(progress=False)
    left, right = (acid.open(str(folder / name), alias=name) for name in ("left", "right"))
    found = left.crossmatch(right, radius=radius * u.arcsec, maxmatch=n, dist_col="dist")
    names = [name for name in found.columns if name.startswith("id")]
    table = found.select(*names, "dist").to_arrow()
    pq.write_table(table.rename_columns(["id_left", "id_right", "dist"]), sys.argv[4])


if __name__ == "__main__":
    main()
