"""Catalogs in and out beside the other tools: ``bench_catalogs.py [ROWS]``, 10 million by default.

Reading: columns of a HATS catalog by `read_hats`, beside ``spark.read.parquet`` of the same
files. Writing: unsorted Parquet files to HATS by export, beside hats-import, and by way of a table
that stays, by ingest and export; one HATS catalog to another by export, beside LSDB's
``write_catalog``. At the same codec and level, and at
the defaults of each; beside them pyarrow alone, which copies the same files.

Ours has as many tasks at a time as the peers have workers. Our clock runs to the committed output,
theirs to the written catalog; our record and report are printed beside it. The start of Spark, Dask
and Python is not counted. The peers run by the Python that ``UBSPARK_PEER`` names, by default
``.peers/lsdb``.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from ubspark.catalogs.hats import open_hats
from ubspark.catalogs.hats.spark import read_hats
from ubspark.runtime.config import ResourceConfig, parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job
from ubspark.runtime.session import build_session

ROOT = Path(__file__).parent.parent
N_WORKERS = 2
ROWS_PER_FILE = 1_000_000
COLUMNS = ["ra", "dec", "c0"]
LEVEL = 3
PEER = r"""
import json, sys, time, warnings, shutil
from pathlib import Path
warnings.simplefilter("ignore")

def write_by_import(client, request, level):
    from hats_import import ImportArguments
    from hats_import.pipeline import pipeline_with_client
    options = {} if level is None else {
        "write_table_kwargs": {"compression": "ZSTD", "compression_level": level}}
    arguments = ImportArguments(
        input_file_list=request["files"], file_reader="parquet", ra_column="ra", dec_column="dec",
        output_path=request["out"], output_artifact_name="imported", progress_bar=False,
        simple_progress_bar=False, pixel_threshold=1_000_000, **options)
    pipeline_with_client(arguments, client)
    return str(Path(request["out"]) / "imported")

def write_by_lsdb(client, request, level):
    import lsdb
    options = {} if level is None else {
        "write_table_kwargs": {"compression": "ZSTD", "compression_level": level}}
    out = str(Path(request["out"]) / "written")
    catalog = lsdb.open_catalog(request["catalog"], columns="all")
    catalog.write_catalog(out, as_collection=False, progress_bar=False, **options)
    return out

def main():
    from dask.distributed import Client
    request = json.loads(sys.argv[1])
    times = {}
    with Client(n_workers=request["n_workers"], threads_per_worker=1,
                dashboard_address=None, local_directory=request["scratch"]) as client:
        # The first call of a worker imports its libraries.
        client.run(lambda: __import__("lsdb"))
        for name in request["what"]:
            write = {"import": write_by_import, "lsdb": write_by_lsdb}[name]
            for level in request["levels"]:
                start = time.perf_counter()
                made = write(client, request, level)
                times[f"{name} {level}"] = time.perf_counter() - start
                shutil.rmtree(made)
    print(json.dumps(times))

if __name__ == "__main__":
    main()
"""


class Clock(NamedTuple):
    """Seconds of a run to its committed output, and with its record and report."""

    seconds: float
    whole: float


def write_input(folder: Path, n_rows: int) -> list[str]:
    """Write unsorted rows, of twelve columns, over the whole sky with a crowded plane."""
    folder.mkdir()
    files = []
    for number, start in enumerate(range(0, n_rows, ROWS_PER_FILE)):
        n = min(ROWS_PER_FILE, n_rows - start)
        rng = np.random.default_rng(number)
        dec = np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
        dec[: n // 2] = rng.normal(0, 10, n // 2).clip(-89, 89)
        columns = {"id": np.arange(start, start + n), "ra": rng.uniform(0, 360, n), "dec": dec}
        columns |= {f"c{i}": rng.normal(size=n) for i in range(6)}
        columns |= {f"f{i}": rng.normal(size=n).astype(np.float32) for i in range(2)}
        columns["flags"] = rng.integers(0, 64, n).astype(np.int32)
        files.append(str(folder / f"part-{number:03d}.parquet"))
        pq.write_table(pa.table(columns), files[-1])
    return files


def measure(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run(home: Home, spark: SparkSession, content: dict[str, Any]) -> Clock:
    start = time.perf_counter()
    made = run_job(parse_job(content), home=home, spark=spark, force=True)
    return Clock(made.record.metrics["seconds"], time.perf_counter() - start)


def ingest(home: Home, spark: SparkSession, source: str, table: str) -> Clock:
    content = {
        "job": "ingest",
        "inputs": {"source": {"path": source}},
        "params": {"roles": {"id": "id"}},
        "outputs": {"table": {"table": table, "mode": "overwrite"}},
    }
    return run(home, spark, content)


def export(
    home: Home, spark: SparkSession, given: dict[str, Any], to: Path, level: int = LEVEL
) -> Clock:
    content = {
        "job": "export",
        "inputs": {"table": given},
        "params": {"format": "hats", "compression_level": level},
        "outputs": {"folder": {"path": str(to), "mode": "overwrite"}},
    }
    return run(home, spark, content)


def copy_bare(
    paths: list[str], folder: Path, *, level: int = LEVEL, columns: list[str] | None = None
) -> None:
    """Read files and write them again: nobody who does it at this codec can be faster."""
    folder.mkdir()
    with ProcessPoolExecutor(N_WORKERS) as pool:
        copies = [str(folder / f"{i}") for i in range(len(paths))]
        list(pool.map(partial(_copy_file, level=level, columns=columns), paths, copies))
    shutil.rmtree(folder)


def _copy_file(path: str, to: str, *, level: int, columns: list[str] | None) -> None:
    rows = pq.read_table(path, use_threads=False, columns=columns)
    options = {"compression": "zstd", "compression_level": level, "use_dictionary": False}
    pq.write_table(rows, to, **options)


def ask_peer(request: dict[str, Any]) -> dict[str, float]:
    python = os.environ.get("UBSPARK_PEER", str(ROOT / ".peers" / "lsdb" / "bin" / "python"))
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        # Dask's workers import the script again.
        script.write(PEER)
        script.flush()
        call = [python, script.name, json.dumps(request)]
        done = subprocess.run(call, capture_output=True, text=True)
    if done.returncode:
        print(f"The peer could not: {done.stderr.strip().splitlines()[-1]}")
        return {}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def drain(rows: DataFrame) -> None:
    rows.write.format("noop").mode("overwrite").save()


def compare_reading(spark: SparkSession, catalog: Path) -> None:
    opened = open_hats(str(catalog))
    files = [f"file://{opened.folder.join(file.path)}" for file in opened.files]
    plain = min(
        measure(lambda: drain(spark.read.parquet(*files).select(COLUMNS))) for _ in range(4)
    )
    ours = min(
        measure(lambda: drain(read_hats(spark, str(catalog), columns=COLUMNS))) for _ in range(4)
    )
    print(f"reading {', '.join(COLUMNS)}: spark.read.parquet {plain:.2f} s, read_hats {ours:.2f} s")
    print(f"  {plain / ours:.2f} times the speed")


def compare_writing(
    home: Home, spark: SparkSession, folder: Path, files: list[str], catalog: Path
) -> None:
    source = str(Path(files[0]).parent)
    ingest(home, spark, source, "first")
    clocks = {"ingest": ingest(home, spark, source, "stars")}
    clocks["export"] = export(home, spark, {"table": "stars"}, catalog)
    clocks["copy"] = export(home, spark, {"table": str(catalog)}, folder / "copy")
    files_of_ours = {"path": source, "roles": {"id": "id"}}
    clocks["files"] = export(home, spark, files_of_ours, folder / "files")
    for what, clock in clocks.items():
        print(f"ours: {what} {clock.seconds:.1f} s, with record and report {clock.whole:.1f} s")
    ours = {what: clock.seconds for what, clock in clocks.items()}
    shutil.rmtree(folder / "copy")
    shutil.rmtree(folder / "files")
    leaves = [str(path) for path in sorted((catalog / "dataset").rglob("Npix=*.parquet"))]
    for name, paths in (("the unsorted files", files), ("the catalog's files", leaves)):
        seconds = measure(lambda paths=paths: copy_bare(paths, folder / "bare"))
        print(f"pyarrow alone, {name} copied as they are at zstd level {LEVEL}: {seconds:.1f} s")
    request = {
        "files": files,
        "catalog": str(catalog),
        "out": str(folder / "peer"),
        "scratch": str(folder / "dask"),
        "n_workers": N_WORKERS,
        "levels": [LEVEL, None],
    }
    (folder / "peer").mkdir()
    theirs = ask_peer({**request, "what": ["lsdb"]}) | ask_peer({**request, "what": ["import"]})
    both = ours["ingest"] + ours["export"]
    rivals = {
        "import": {"hats-import": ours["files"], "hats-import (ours keeps a table)": both},
        "lsdb": {"LSDB write_catalog": ours["copy"]},
    }
    for key, seconds in theirs.items():
        name, level = key.split()
        shown = "its defaults" if level == "None" else f"zstd level {level}"
        for rival, own in rivals[name].items():
            ratio = seconds / own
            print(f"{rival}, {shown}: {seconds:.1f} s; ours {own:.1f} s, {ratio:.2f} times as fast")


def main() -> None:
    n_rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    resources = ResourceConfig(master=f"local[{N_WORKERS}]", memory="2g")
    spark = build_session(resources, app_name="bench_catalogs")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = write_input(folder / "input", n_rows)
        size = sum(Path(file).stat().st_size for file in files)
        print(f"{n_rows:,} rows, {size / 1e6:,.0f} MB of Parquet, {N_WORKERS} workers")
        catalog = folder / "catalog"
        compare_writing(Home(folder / "home"), spark, folder, files, catalog)
        compare_reading(spark, catalog)
    spark.stop()


if __name__ == "__main__":
    main()
