"""Time ACID: `python match_acid.py FOLDER OUTPUT RADIUS_ARCSEC`."""

import sys
import time
from pathlib import Path

import acid
import astropy.units as u


def main() -> None:
    folder, output, radius = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    acid.init(workers=2)
    acid.configure(progress=False)
    # The pool starts with the first query, which is not timed.
    acid.open(str(folder / "left")).head(5)
    begin = time.perf_counter()
    left, right = (acid.open(str(folder / name), alias=name) for name in ("left", "right"))
    found = left.crossmatch(right, radius=radius * u.arcsec, dist_col="dist_arcsec")
    found.save(output, name="matches", overwrite=True, progress=False)
    print("seconds", time.perf_counter() - begin)


if __name__ == "__main__":
    main()
