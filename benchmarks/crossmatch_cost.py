"""What a row costs the match as catalogs grow: `make bench-crossmatch-cost`.

Two even catalogs over the whole sky, 10 columns a side, nearest within 1 arcsec; 70 % of the right
rows are left rows seen again. Cost is the clock less that of the same job on one row per file,
times two workers, per left row. The lines ``cost N`` should differ by less than 1.5.
"""

import argparse
import shutil
from pathlib import Path

import healpy
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ubspark.columns import HEALPIX_29
from ubspark.runtime.config import ResourceConfig, parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job
from ubspark.runtime.session import build_session
from ubspark.sky.healpix import compute_healpix_29

_ORDER = 2
_SPAN = 4 ** (29 - _ORDER)
_PROPERTIES = """obs_collection={name}
dataproduct_type=object
hats_nrows={n_rows}
hats_col_ra=ra
hats_col_dec=dec
hats_col_healpix=_healpix_29
hats_col_healpix_order=29
hats_order={order}
hats_version=v1.0
"""
_WORKERS = 2


def main() -> None:
    """Print the cost at each size."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rows", type=int, nargs="*", default=[5, 10, 20, 50], help="millions")
    given.add_argument("--folder", type=Path, default=Path(".bench/crossmatch_cost"))
    given.add_argument("--repeat", type=int, default=2)
    asked = given.parse_args()
    session = build_session(ResourceConfig(master=f"local[{_WORKERS}]", memory="3g"), app_name="b")
    clocks, peaks = {}, {}
    for n_rows in (0, *(million * 1_000_000 for million in asked.rows)):
        folder = (asked.folder / str(n_rows)).absolute()
        make_catalogs(folder, max(n_rows, 12 * 4**_ORDER))
        clocks[n_rows], peaks[n_rows] = time_match(folder, session, asked.repeat)
        print(f"rows {n_rows:,}: {clocks[n_rows]:.2f} s, {peaks[n_rows] / 1e9:.2f} GB", flush=True)
        shutil.rmtree(folder)
    for n_rows in clocks:
        if n_rows:
            cost = (clocks[n_rows] - clocks[0]) * _WORKERS / n_rows
            print(f"cost {n_rows / 1e6:g}M {cost * 1e6:.3f} core-seconds per million left rows")


def make_catalogs(folder: Path, n_rows: int) -> None:
    """Write both sides as HATS catalogs, a file at a time."""
    n_files = 12 * 4**_ORDER
    for name in ("left", "right"):
        (folder / name / "dataset").mkdir(parents=True)
        lines = (f"{_ORDER},{pixel}\n" for pixel in range(n_files))
        (folder / name / "partition_info.csv").write_text("Norder,Npix\n" + "".join(lines))
        n_kept = n_rows // n_files * n_files
        text = _PROPERTIES.format(name=name, n_rows=n_kept, order=_ORDER)
        (folder / name / "hats.properties").write_text(text)
    for pixel in range(n_files):
        rng = np.random.default_rng(pixel)
        size = n_rows // n_files
        left = rng.integers(pixel * _SPAN, (pixel + 1) * _SPAN, size)
        again = _move(left[: int(0.7 * size)], rng)
        other = rng.integers(pixel * _SPAN, (pixel + 1) * _SPAN, size - len(again))
        # What moved out of the pixel would belong to another file.
        right = np.concatenate([again, other])
        right = np.clip(right, pixel * _SPAN, (pixel + 1) * _SPAN - 1)
        for name, index in (("left", left), ("right", right)):
            target = folder / name / "dataset" / f"Norder={_ORDER}" / "Dir=0"
            target.mkdir(parents=True, exist_ok=True)
            rows = _describe(np.sort(index), rng)
            pq.write_table(rows, target / f"Npix={pixel}.parquet", compression="zstd")


def _move(index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the indices of places 0.2 arcsec off."""
    ra, dec = healpy.pix2ang(1 << 29, index, nest=True, lonlat=True)
    step = rng.normal(0, 0.2 / 3600 / np.sqrt(2), (2, len(index)))
    dec = np.clip(dec + step[1], -89.999, 89.999)
    return compute_healpix_29(ra + step[0] / np.cos(np.radians(dec)), dec)


def _describe(index: np.ndarray, rng: np.random.Generator) -> pa.Table:
    ra, dec = healpy.pix2ang(1 << 29, index, nest=True, lonlat=True)
    n = len(index)
    columns = {HEALPIX_29.name: index, "id": index ^ rng.integers(1 << 40), "ra": ra, "dec": dec}
    columns |= {f"mag_{i}": rng.normal(20, 2, n).astype(np.float32) for i in range(4)}
    columns |= {"flux": rng.gamma(1, 1e3, n), "pm": rng.normal(0, 5, n)}
    columns["quality"] = rng.integers(0, 1000, n, dtype=np.int32)
    return pa.table(columns)


def time_match(folder: Path, session: object, repeat: int) -> tuple[float, float]:
    """Return the least seconds from the resolved spec to the commit, and the peak of memory."""
    home = Home(folder / "home")
    home.validate_writable()
    clocks, peaks = [], []
    for _ in range(repeat):
        shutil.rmtree(home.warehouse / "matches", ignore_errors=True)
        content = {
            "job": "crossmatch",
            "inputs": {
                side: {"table": str(folder / side), "roles": {"id": "id"}}
                for side in ("left", "right")
            },
            "params": {"radius": "1 arcsec", "suffixes": ["_left", "_right"]},
            "outputs": {"matches": {"table": "matches"}},
        }
        made = run_job(parse_job(content), home=home, spark=session, force=True)
        clocks.append(made.record.metrics["seconds"])
        peaks.append(made.record.metrics["peak_memory_bytes"])
    return min(clocks), max(peaks)


if __name__ == "__main__":
    main()
