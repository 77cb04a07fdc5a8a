"""Time the crossmatch beside LSDB, ACID and plain input and output: `make bench-crossmatch`.

All read the same HATS catalogs from the local disk with two workers and write all columns of the
pairs. The clock runs from the resolved spec to the committed version, content digest included, in
a session that is warm; what comes before and after is printed beside it. Lines that begin with
``ratio`` are the result: the peer's seconds over ours.
"""

import argparse
import shutil
import statistics
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ubspark.runtime.config import ResourceConfig, parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job
from ubspark.runtime.session import build_session

_ROOT = Path(__file__).parent.parent
RADIUS_ARCSEC = 1.0


def main() -> None:
    """Run what was asked for."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rows", type=int, default=4_000_000)
    given.add_argument("--folder", type=Path, default=Path(".bench/crossmatch"))
    given.add_argument("--repeat", type=int, default=3)
    given.add_argument("--peers", nargs="*", default=["lsdb", "acid"])
    asked = given.parse_args()
    folder = (asked.folder / str(asked.rows)).absolute()
    if not (folder / "data" / "right").exists():
        (folder / "data").mkdir(parents=True, exist_ok=True)
        call_peer("lsdb", "make_catalogs.py", folder / "data", asked.rows)
    ours = time_ours(folder, asked.repeat)
    print(f"rows {asked.rows:,}; pairs {ours['rows']:,}")
    for name in ("clock", "session", "record"):
        print(f"ubspark {name} {ours[name]:.2f} s")
    print(f"ratio io_floor {ours['io_floor']:.2f}")
    for peer in asked.peers:
        for name, seconds in time_peer(peer, folder, asked.repeat).items():
            print(f"{name} {seconds:.2f} s", flush=True)
            print(f"ratio {name} {seconds / ours['clock']:.2f}", flush=True)


def time_ours(folder: Path, repeat: int) -> dict[str, Any]:
    """Return the seconds of the parts, the pairs, and the share of the clock that the floor takes.

    The floor is timed after each run, for machines that are now faster and now slower; the share
    is the median.
    """
    home = Home(folder / "home")
    home.validate_writable()
    begin = time.perf_counter()
    spark = build_session(ResourceConfig(master="local[2]", memory="3g"), app_name="bench")
    spark.range(4).mapInArrow(lambda batches: batches, "id long").count()
    found: dict[str, Any] = {"session": time.perf_counter() - begin, "clock": 1e9, "record": 0.0}
    shares = []
    for i in range(repeat + 1):
        shutil.rmtree(home.warehouse / "matches", ignore_errors=True)
        content = {
            "job": "crossmatch",
            "inputs": {
                side: {"table": str(folder / "data" / side), "roles": {"id": "id"}}
                for side in ("left", "right")
            },
            "params": {
                "radius": f"{RADIUS_ARCSEC} arcsec",
                "suffixes": ["_left", "_right"],
            },
            "outputs": {"matches": {"table": "matches"}},
        }
        begin = time.perf_counter()
        outcome = run_job(parse_job(content), home=home, spark=spark, force=True)
        whole = time.perf_counter() - begin
        # From the resolved spec to the committed version.
        clock = outcome.record.metrics["seconds"]
        print(f"ubspark run {i}: {clock:.2f} s of {whole:.2f}", flush=True)
        found["rows"] = outcome.record.metrics["output_rows"]
        # The first run warms imports, compiled kernels and the JVM.
        if i:
            shares.append(time_floor(folder, int(found["rows"])) / clock)
            if clock < found["clock"]:
                found |= {"clock": clock, "record": whole - clock}
    spark.stop()
    return found | {"io_floor": statistics.median(shares)}


def time_floor(folder: Path, n_pairs: int) -> float:
    """Return the seconds that two processes need to read both sides and write as many rows."""
    left, right = (
        sorted(str(p) for p in (folder / "data" / side / side).rglob("Npix=*.parquet"))
        for side in ("left", "right")
    )
    target = folder / "floor"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    n_files = min(len(left), len(right))
    share = -(-n_pairs // n_files)
    begin = time.perf_counter()
    with ProcessPoolExecutor(2) as pool:
        rest = list(pool.map(_count_rows, left[n_files:] + right[n_files:]))
        wrote = pool.map(
            _read_and_write,
            left[:n_files],
            right[:n_files],
            [share] * n_files,
            [str(target / f"{i}.parquet") for i in range(n_files)],
        )
        n_written = sum(wrote)
    seconds = time.perf_counter() - begin
    print(f"floor {seconds:.2f} s, {n_written:,} rows, {len(rest)} files read alone")
    return seconds


_SMALL = ("rank", "n_candidates", "flags")


def _count_rows(path: str) -> int:
    return int(pq.ParquetFile(path).read(use_threads=False).num_rows)


def _read_and_write(left: str, right: str, n_rows: int, target: str) -> int:
    sides = [pq.ParquetFile(path).read(use_threads=False) for path in (left, right)]
    n = min(n_rows, *(side.num_rows for side in sides))
    columns = {
        f"{name}_{i}": side[name].slice(0, n)
        for i, side in enumerate(sides)
        for name in side.column_names
    }
    # The columns of our pairs: one index, and in the place of the other and beside it what a pair
    # is: separation, angle, rank, candidates, flags.
    del columns["_healpix_29_1"]
    columns |= {"dist_arcsec": columns["flux_1"], "pa_deg": columns["pm_0"]}
    columns |= {name: pa.repeat(pa.scalar(1, pa.int32()), n) for name in _SMALL}
    pq.write_table(
        pa.table(columns),
        target,
        compression="zstd",
        row_group_size=65_536,
        use_dictionary=["quality_0", "quality_1", *_SMALL],
    )
    return n


def time_peer(peer: str, folder: Path, repeat: int) -> Mapping[str, float]:
    """Return the least seconds of each way to run a peer."""
    output = folder / f"{peer}_matches"
    ways: dict[str, list[Any]] = {"acid": ["match_acid.py"]}
    if peer == "lsdb":
        ways = {
            f"lsdb_{how}_{name}": ["match_lsdb.py", how, level]
            for name, level in (("same_codec", "1"), ("own_codec", "own"))
            for how in ("client", "threads")
        }
    found = {}
    for name, (script, *options) in ways.items():
        seconds = []
        for _ in range(repeat):
            shutil.rmtree(output, ignore_errors=True)
            told = call_peer(peer, script, folder / "data", output, RADIUS_ARCSEC, *options)
            seconds.append(float(told.split("seconds")[1]))
        found[name] = min(seconds)
    return found


def call_peer(peer: str, script: str, *arguments: Any) -> str:
    """Run a script in the environment of a peer; return what it printed."""
    python = _ROOT / ".peers" / peer / "bin" / "python"
    command = [str(python), str(_ROOT / "benchmarks" / "peers" / script), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
