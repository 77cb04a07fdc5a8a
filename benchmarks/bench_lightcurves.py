"""Time nesting beside LSDB, in one run: ``bench_lightcurves.py [ROWS] [FOLDER]``, 20 million rows.

Both read the same two HATS catalogs, objects and sources with the margin that LSDB needs, and write
light curves: ubspark a committed Delta table with its digest and record, every list in the order of
time; LSDB a HATS catalog at the same codec and level, the lists in no order. Two cores each. Beside
it nested-pandas in one process that holds all in memory and writes one file. The start of Spark,
Dask and Python is not counted; the second run of ours counts. On a busy machine look at the ratios
of processor time.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from bench_catalogs import copy_bare

from ubspark.runtime.config import ResourceConfig, parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job
from ubspark.runtime.session import build_session

ROOT = Path(__file__).parent.parent
ROLES = {
    "id": "objectId",
    "time": "midpointMjdTai",
    "flux": "psfFlux",
    "flux_error": "psfFluxErr",
    "band": "band",
}
#: Ways to run the peer, and what they are called.
PEERS = {
    "client": "LSDB, two processes",
    "threads": "LSDB, two threads",
    "memory": "nested-pandas, one process in memory",
}


def call_peer(script: str, *arguments: Any) -> str:
    python = ROOT / ".peers" / "lsdb" / "bin" / "python"
    command = [str(python), str(ROOT / "benchmarks" / "peers" / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{script} could not: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def count_cpu() -> float:
    """Return the processor seconds of this process and those that it started."""
    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def time_ours(folder: Path, repeat: int = 2) -> tuple[float, float]:
    """Return the seconds from the resolved spec to the committed version, of clock and CPU."""
    resources = ResourceConfig(master="local[2]", memory="2g")
    spark = build_session(resources, app_name="bench_lightcurves")
    # Python workers start.
    spark.range(4).mapInArrow(lambda batches: batches, "id long").count()
    home = Home(folder / "home")
    best = (float("inf"), 0.0)
    for i in range(repeat):
        shutil.rmtree(home.warehouse / "curves", ignore_errors=True)
        content = {
            "job": "lightcurves",
            "inputs": {
                "sources": {
                    "table": str(folder / "sources"),
                    "roles": ROLES,
                    "columns": ["sourceId"],
                },
                "objects": {
                    "table": str(folder / "objects"),
                    "roles": {"id": "objectId"},
                    "columns": ["mag"],
                },
            },
            "params": {"bands": list("ugrizy"), "reach": "1 arcsec"},
            "outputs": {"lightcurves": {"table": "curves"}},
        }
        before = count_cpu()
        metrics = run_job(parse_job(content), home=home, spark=spark, force=True).record.metrics
        print(
            f"ubspark run {i}: {metrics['seconds']:.2f} s, {count_cpu() - before:.1f} s of CPU, "
            f"{metrics['epochs']:,.0f} epochs of "
            f"{metrics['objects']:,.0f} objects",
            flush=True,
        )
        best = min(best, (metrics["seconds"], count_cpu() - before))
    spark.stop()
    return best


def main() -> None:
    n_rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000_000
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[2] if len(sys.argv) > 2 else temporary)
        folder.mkdir(exist_ok=True)
        if not (folder / "sources").is_dir():
            begin = time.perf_counter()
            call_peer("make_curves.py", folder, n_rows)
            print(f"made {n_rows:,} sources in {time.perf_counter() - begin:.0f} s", flush=True)
        ours = time_ours(folder)
        sources = [str(path) for path in sorted((folder / "sources").rglob("Npix=*.parquet"))]
        begin = time.perf_counter()
        columns = [*ROLES.values(), "sourceId"]
        copy_bare(sources, folder / "bare", level=1, columns=columns)
        print(
            f"pyarrow alone, these columns copied as they are: {time.perf_counter() - begin:.2f} s"
        )
        for how, name in PEERS.items():
            told = call_peer("nest_lsdb.py", folder, folder / "peer", how)
            shutil.rmtree(folder / "peer", ignore_errors=True)
            if not told:
                continue
            seconds, cpu = (float(word) for word in told.split("seconds")[1].split())
            print(f"{name}: {seconds:.2f} s, {cpu:.1f} s of CPU")
            print(f"ratio nesting_{how} {seconds / ours[0]:.2f}")
            print(f"ratio nesting_{how}_cpu {cpu / ours[1]:.2f}", flush=True)


if __name__ == "__main__":
    main()
