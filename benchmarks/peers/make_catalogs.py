"""Write two HATS catalogs with LSDB's own writer: `python make_catalogs.py FOLDER ROWS [patch]`.

Rows of 10 columns, sorted as the format asks, spread over the sky as stars are (denser to a plane);
70 % of the right rows are left rows seen again 0.2 arcsec off. With ``patch`` all lie in 300 square
degrees across RA 0, where many have several candidates. LSDB gets the margin that it needs.
"""

import sys
from pathlib import Path

import lsdb
import numpy as np
import pandas as pd
from hats.pixel_math.spatial_index import compute_spatial_index

MARGIN_ARCSEC = 5.0


def make(n: int, seed: int, *, in_patch: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    if in_patch:
        return rng.uniform(-10, 10, n) % 360, rng.uniform(-40, -20, n)
    ra = rng.uniform(0, 360, n)
    flat = rng.random(n) < 0.5
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    dec[flat] = np.clip(rng.normal(-20, 8, flat.sum()), -90, 90)
    return ra, dec


def describe(ra: np.ndarray, dec: np.ndarray, seed: int, first: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = len(ra)
    columns = {"id": np.arange(n, dtype=np.int64) + first, "ra": ra, "dec": dec}
    columns |= {f"mag_{i}": rng.normal(20, 2, n).astype(np.float32) for i in range(4)}
    columns |= {"flux": rng.gamma(1, 1e3, n), "pm": rng.normal(0, 5, n)}
    columns["quality"] = rng.integers(0, 1000, n, dtype=np.int32)
    return pd.DataFrame(columns)


def main() -> None:
    folder, n = Path(sys.argv[1]), int(sys.argv[2])
    rng = np.random.default_rng(3)
    in_patch = sys.argv[3:] == ["patch"]
    ra, dec = make(n, 1, in_patch=in_patch)
    again = rng.permutation(n)[: int(0.7 * n)]
    other_ra, other_dec = make(n - len(again), 2, in_patch=in_patch)
    step = rng.normal(0, 0.2 / 3600 / np.sqrt(2), (2, len(again)))
    seen_dec = np.clip(dec[again] + step[1], -90, 90)
    seen_ra = (ra[again] + step[0] / np.cos(np.radians(seen_dec))) % 360
    sides = {
        "left": (ra, dec, 10),
        "right": (np.append(seen_ra, other_ra), np.append(seen_dec, other_dec), 20),
    }
    for name, (lon, lat, seed) in sides.items():
        order = np.argsort(compute_spatial_index(lon, lat), kind="stable")
        catalog = lsdb.from_dataframe(
            describe(lon[order], lat[order], seed, seed * 10**9),
            ra_column="ra",
            dec_column="dec",
            partition_rows=max(100_000, n // 40),
            margin_threshold=MARGIN_ARCSEC,
            use_pyarrow_types=False,
        )
        catalog.write_catalog(
            folder / name,
            catalog_name=name,
            overwrite=True,
            progress_bar=False,
            write_table_kwargs={"compression": "ZSTD", "compression_level": 1},
        )


if __name__ == "__main__":
    main()
