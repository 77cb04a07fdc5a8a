"""Time nesting by LSDB, or in memory by nested-pandas: `python nest_lsdb.py FOLDER OUTPUT HOW`.

HOW is ``client`` or ``threads``, two workers of LSDB, or ``memory``: one process that holds it all.
"""

import sys
import time
from contextlib import ExitStack
from pathlib import Path

import dask
import lsdb
import nested_pandas
import psutil

COLUMNS = ["objectId", "midpointMjdTai", "psfFlux", "psfFluxErr", "band", "sourceId"]


def nest(folder: Path, output: str) -> None:
    objects = lsdb.open_catalog(folder / "objects")
    sources = lsdb.open_catalog(folder / "sources", columns=[*COLUMNS, "ra", "dec"])
    nested = objects.join_nested(
        sources, left_on="objectId", right_on="objectId", nested_column_name="lightcurve"
    )
    nested.write_catalog(
        output,
        catalog_name="curves",
        overwrite=True,
        progress_bar=False,
        write_table_kwargs={"compression": "ZSTD", "compression_level": 1},
    )


def nest_in_memory(folder: Path, output: str) -> None:
    paths = {
        name: sorted(
            str(path)
            for path in (folder / name).rglob("Npix=*.parquet")
            if "arcs" not in str(path.relative_to(folder))
        )
        for name in ("objects", "sources")
    }
    objects = nested_pandas.read_parquet(paths["objects"]).set_index("objectId")
    sources = nested_pandas.read_parquet(paths["sources"], columns=COLUMNS)
    nested = objects.join_nested(sources.set_index("objectId"), "lightcurve")
    nested.to_parquet(output, compression="zstd", compression_level=1)


def count_cpu() -> float:
    """Return the processor seconds of this process and those that it started."""
    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def main() -> None:
    folder, output, how = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    with ExitStack() as stack:
        if how == "client":
            from dask.distributed import Client

            # Workers of one thread, as LSDB's documentation advises.
            options = {"memory_limit": "10GB", "dashboard_address": None}
            client = stack.enter_context(Client(n_workers=2, threads_per_worker=1, **options))
            client.run(lambda: __import__("lsdb"))
        else:
            stack.enter_context(dask.config.set(scheduler="threads", num_workers=2))
        begin, cpu = time.perf_counter(), count_cpu()
        if how == "memory":
            nest_in_memory(folder, f"{output}.parquet")
        else:
            nest(folder, output)
        print("seconds", time.perf_counter() - begin, count_cpu() - cpu)


if __name__ == "__main__":
    main()
