"""Reading one HATS catalog: ours by Arrow and by Spark, and LSDB, of the same files.

A million rows, 16 columns of float64, in 48 partitions; best of three, the start of Spark, Dask
and Python not counted. Both read whole columns, and a cone of 5 degrees.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ubspark.catalogs.hats import open_hats
from ubspark.catalogs.hats.spark import read_hats
from ubspark.catalogs.selection import read_rows
from ubspark.runtime.config import ResourceConfig
from ubspark.runtime.session import build_session
from ubspark.sky.healpix import compute_healpix_29
from ubspark.sky.regions import parse_region

ROOT = Path(__file__).parent.parent
N_ROWS = 1_000_000
COLUMNS = ["ra", "dec", "c0"]
CONE = (40.0, 20.0, 5 * 3600.0)
PEER = """
import json, sys, time, warnings
import lsdb
warnings.simplefilter("ignore")
path, cone = json.loads(sys.argv[1])
def best(read):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        n = read()
        times.append(time.perf_counter() - start)
    return min(times), n
columns = ["ra", "dec", "c0"]
def whole():
    return len(lsdb.open_catalog(path, columns=columns).compute())
def part():
    search = lsdb.ConeSearch(*cone)
    catalog = lsdb.open_catalog(path, columns=columns, search_filter=search)
    return len(catalog.compute())
print(json.dumps({"columns": best(whole), "cone": best(part)}))
"""


def write_catalog(folder: Path) -> None:
    rng = np.random.default_rng(1)
    ra = rng.uniform(0, 360, N_ROWS)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, N_ROWS)))
    index = compute_healpix_29(ra, dec)
    order = np.argsort(index)
    columns = {"_healpix_29": index, "ra": ra, "dec": dec}
    columns |= {f"c{i}": rng.normal(size=N_ROWS) for i in range(13)}
    rows = pa.table(columns).take(pa.array(order))
    pixel = rows["_healpix_29"].to_numpy() >> 56
    stem = folder / "dataset" / "Norder=1" / "Dir=0"
    stem.mkdir(parents=True)
    for npix in range(48):
        first, last = np.searchsorted(pixel, [npix, npix + 1])
        part = rows.slice(first, last - first)
        pq.write_table(part, stem / f"Npix={npix}.parquet", compression="zstd")
    pq.write_metadata(rows.schema, folder / "dataset" / "_common_metadata")
    text = "Norder,Npix\n" + "".join(f"1,{npix}\n" for npix in range(48))
    (folder / "partition_info.csv").write_text(text)
    (folder / "hats.properties").write_text(
        f"obs_collection=made\ndataproduct_type=object\nhats_nrows={N_ROWS}\n"
        "hats_col_ra=ra\nhats_col_dec=dec\n"
    )


def best(read: Callable[[], int]) -> tuple[float, int]:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        n_rows = read()
        times.append(time.perf_counter() - start)
    return min(times), n_rows


def ask_peer(folder: Path) -> dict[str, tuple[float, int]]:
    python = ROOT / ".peers" / "hats" / "bin" / "python"
    request = json.dumps([str(folder), CONE])
    call = [str(python), "-c", PEER, request]
    done = subprocess.run(
        call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    resources = ResourceConfig(master="local[2]", memory="2g")
    spark = build_session(resources, app_name="hats_reader")
    region = "cone {} {} {} arcsec".format(*CONE)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_catalog(folder)
        part = parse_region(region)
        place = str(folder)
        ours = {
            "Arrow": {
                "columns": best(lambda: read_rows(open_hats(place), COLUMNS).num_rows),
                "cone": best(lambda: read_rows(open_hats(place), COLUMNS, region=part).num_rows),
            },
            "Spark": {
                "columns": best(
                    lambda: read_hats(spark, place, columns=COLUMNS).toArrow().num_rows
                ),
                "cone": best(
                    lambda: (
                        read_hats(spark, place, columns=COLUMNS, region=region).toArrow().num_rows
                    )
                ),
            },
        }
        theirs = ask_peer(folder)
    for what, (peer_s, n_rows) in theirs.items():
        print(f"{what}: {n_rows:,} rows; LSDB {peer_s:.3f} s")
        for name, times in ours.items():
            own_s, n_own = times[what]
            if n_own != n_rows:
                sys.exit(f"{name} found {n_own:,} rows.")
            print(f"  {name} {own_s:.3f} s, {peer_s / own_s:.1f} times as fast")
    spark.stop()


if __name__ == "__main__":
    main()
