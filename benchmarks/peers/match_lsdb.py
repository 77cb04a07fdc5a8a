"""Time LSDB: `python match_lsdb.py FOLDER OUTPUT RADIUS_ARCSEC client|threads LEVEL`."""

import sys
import time
from pathlib import Path

import dask
import lsdb


def match(folder: Path, output: str, radius: float, level: str) -> None:
    left, right = (lsdb.open_catalog(folder / name) for name in ("left", "right"))
    found = left.crossmatch(right, radius_arcsec=radius, suffixes=("_left", "_right"))
    given = {} if level == "own" else {"compression": "ZSTD", "compression_level": int(level)}
    if given:
        # As ubspark writes: dictionaries for values that repeat alone.
        given["use_dictionary"] = ["quality_left", "quality_right"]
    found.write_catalog(
        output,
        catalog_name="matches",
        overwrite=True,
        progress_bar=False,
        write_table_kwargs=given or None,
    )


def main() -> None:
    folder, output, radius = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    how, level = sys.argv[4:6]
    if how == "client":
        from dask.distributed import Client

        # Workers of one thread, as LSDB's documentation advises.
        with Client(n_workers=2, threads_per_worker=1, memory_limit="10GB", dashboard_address=None):
            begin = time.perf_counter()
            match(folder, output, radius, level)
            seconds = time.perf_counter() - begin
    else:
        with dask.config.set(scheduler="threads", num_workers=2):
            begin = time.perf_counter()
            match(folder, output, radius, level)
            seconds = time.perf_counter() - begin
    print("seconds", seconds)


if __name__ == "__main__":
    main()
