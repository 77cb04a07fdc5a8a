"""Time feature kernels beside light-curve's Rust engine and feets, one thread each.

Run as ``python benchmarks/bench_features.py [objects] [epochs]``; the peers are in
``.peers/light-curve`` and ``.peers/feets``. Six bands; the objects are simulated sawtooth
variables, and all is measured with the settings of Spark's workers. Prints microseconds of
processor time per object, and lines ``ratio NAME VALUE``: our time over light-curve's; the time of
feets over ours, for more features on our side; for ``kernel/job`` the time of the kernels over that
of a whole task of the job, which reads nested light curves from Parquet, writes the features and
digests them.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from bench_classify import Watch, save
from pyspark.sql import SparkSession

from ubspark.catalogs.digests import compute_digest
from ubspark.catalogs.layout import FileLayout
from ubspark.catalogs.parquet_sink import ParquetSink
from ubspark.catalogs.parts import PartReader
from ubspark.features import DEFAULT_FEATURES, FeatureSet, Registry, compute_features
from ubspark.features.arrow import CurveColumns, to_arrays, to_light_curves
from ubspark.features.compute import compute_set
from ubspark.features.quality import FeatureQuality
from ubspark.features.registry import FeatureInputs
from ubspark.features.segments import split_bands
from ubspark.features.spark import BYTES_PER_PART as PART
from ubspark.features.spark import FeatureTask
from ubspark.runtime.config import ResourceConfig, parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job
from ubspark.runtime.session import SPARK_SETTINGS, build_session
from ubspark.timeseries import LightCurves

ROOT = Path(__file__).parent.parent
PEER = ROOT / "tests" / "features" / "peer.py"
BANDS = tuple("ugrizy")
REPEATS = 7
FEETS = ROOT / "benchmarks" / "peers" / "feets_features.py"
#: Objects of a task of the job; objects for feets.
N_JOB = 8000
N_FEETS = 20
#: Files of as many objects, of a small and a large job in Spark, and its tasks at once.
N_FILES = 4, 16
N_CORES = 2
ROLES = {"id": "objectId", "time": "mjd", "flux": "flux", "flux_error": "fluxErr", "band": "band"}


def make_curves(n: int, n_epochs: int) -> LightCurves:
    rng = np.random.default_rng(1)
    t = np.sort(rng.uniform(59_000.0, 62_650.0, (n, n_epochs)), axis=1).ravel()
    period = np.repeat(rng.uniform(0.3, 30.0, n), n_epochs)
    dy = rng.uniform(0.01, 0.05, t.size)
    y = 18.0 + 0.6 * ((t / period) % 1.0) + dy * rng.normal(size=t.size)
    band = rng.integers(0, len(BANDS), t.size).astype(np.int8)
    return LightCurves(np.arange(n + 1) * n_epochs, t, y, dy, band, BANDS)


def measure(call: Callable[[], object]) -> float:
    """Return the least processor time, seconds."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def select_named_alike() -> Registry:
    """Return the sets that hold the features which light-curve has too."""
    sets = [part for part in DEFAULT_FEATURES if any(feature.peer for feature in part.features)]
    return Registry(tuple(sets))


def time_peer(curves: LightCurves, python: str) -> float:
    """Return the time of light-curve per object, microseconds."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.npz", Path(folder) / "out.npz"
        arrays = {name: getattr(curves, name) for name in ("offsets", "t", "y", "dy", "band")}
        np.savez(source, **arrays, bands=np.array(curves.bands))
        call = [python, str(PEER), str(source), str(target), str(REPEATS)]
        done = subprocess.run(call, capture_output=True, text=True, check=True)
        validate_same(curves, dict(np.load(target)))
    version, time_us = done.stdout.split()
    print(f"peer light-curve {version}: {float(time_us):.1f} us per object")
    return float(time_us)


def validate_same(curves: LightCurves, theirs: dict[str, np.ndarray]) -> None:
    """Stop unless both computed the same names, and the same medians."""
    names = {f"{f.peer}_{band}" for f in DEFAULT_FEATURES.features if f.peer for band in BANDS}
    if names != set(theirs["names"]):
        sys.exit(f"Not the same features: {sorted(names ^ set(theirs['names']))}")
    ours = compute_features(curves, select_named_alike()).values["r_psfFluxPercentile50"]
    column = theirs["names"].tolist().index("median_r")
    if not np.array_equal(ours, theirs["values"][:, column], equal_nan=True):
        sys.exit("The two do not agree.")


def time_feets(curves: LightCurves) -> float:
    """Return the time of feets per object, microseconds."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.npz"
        arrays = {name: getattr(curves, name) for name in ("offsets", "t", "y", "dy", "band")}
        np.savez(source, **arrays)
        call = [str(find_peer("feets")), str(FEETS), str(source), "2"]
        done = subprocess.run(call, capture_output=True, text=True, check=True)
    version, n_features, time_us = done.stdout.split()
    print(f"peer feets {version}: {float(time_us):.0f} us per object, {n_features} features a band")
    return float(time_us)


def find_peer(name: str) -> Path:
    python = ROOT / ".peers" / name / "bin" / "python"
    if not python.exists():
        sys.exit(f"There is no {python}: `make peer-{name}` makes it.")
    return python


def main(n: int = 500, n_epochs: int = 300) -> None:
    curves = make_curves(n, n_epochs)
    columns = {"period": np.full(n, 1.7)}
    alike, default = select_named_alike(), DEFAULT_FEATURES.select(columns=())
    folded = DEFAULT_FEATURES.select(columns=("period",))
    times = {
        "named_alike": measure(lambda: compute_features(curves, alike)),
        "default": measure(lambda: compute_features(curves, default)),
        "with_period": measure(lambda: compute_features(curves, folded, columns=columns)),
    }
    n_columns = {"named_alike": alike, "default": default, "with_period": folded}
    print(f"objects {n}, epochs {n_epochs}, bands {len(BANDS)}, one thread")
    for name, seconds in times.items():
        width = len(n_columns[name].to_columns(BANDS))
        print(f"time {name} {1e6 * seconds / n:.1f} us per object, {width} columns")
    time_sets(curves, folded, columns)
    time_job(n_epochs)
    theirs = time_peer(curves, str(find_peer("light-curve")))
    for name, seconds in times.items():
        print(f"ratio {name}/light-curve {1e6 * seconds / n / theirs:.2f}")
    slow = time_feets(make_curves(N_FEETS, n_epochs))
    print(f"ratio feets/named_alike {slow / (1e6 * times['named_alike'] / n):.0f}")


def time_job(n_epochs: int) -> None:
    """Print what a task of the job costs beside its kernels, and where that goes."""
    curves = make_curves(N_JOB, n_epochs)
    registry = DEFAULT_FEATURES.select(columns=())
    names = CurveColumns("mjd", "flux", "fluxErr", "band")
    with tempfile.TemporaryDirectory() as folder:
        layout = write_curves(Path(folder) / "curves.parquet", curves)
        columns = registry.to_columns(BANDS)
        types = [str(column.type) for column in columns]
        fields = [pa.field("_healpix_29", pa.int64()), pa.field("objectId", pa.int64())]
        fields += [pa.field("feature_status", pa.int16())]
        fields += [pa.field(c.name, t) for c, t in zip(columns, map(to_arrow, types), strict=True)]
        sink = ParquetSink(folder, pa.schema(fields))
        cells = np.array([[0, N_JOB]])
        job = (
            PartReader(layout),
            cells,
            names,
            ("objectId",),
            {},
            registry,
            BANDS,
            "psfFlux",
            False,
        )

        def make() -> Iterator[pa.Table]:
            return FeatureTask(*job)(iter([pa.RecordBatch.from_pydict({"id": [0]})]))

        def run() -> None:
            for _ in sink.write(make()):
                pass

        wanted = ["objectId", *names.names]

        def read() -> Iterator[pa.Table]:
            return PartReader(layout).read_parts(cells, wanted, n_bytes=PART, coded=["band"])

        parts = list(read())
        arrays = [to_light_curves(part, names, BANDS) for part in parts]
        found = compute_features(arrays[0], registry)
        made = pa.concat_tables(make()).combine_chunks()
        share = N_JOB / len(arrays[0])
        times = {
            "kernel": measure(lambda: [compute_features(few, registry) for few in arrays]),
            "read": measure(lambda: sum(part.num_rows for part in read())),
            "to arrays": share * measure(lambda: to_light_curves(parts[0], names, BANDS)),
            "quality": share * measure(lambda: FeatureQuality().add(found.values, found.status)),
            "to columns": share * measure(lambda: to_arrays(found, types)),
            "write": measure(lambda: list(sink.write([made]))),
            "  of it digest": measure(lambda: compute_digest(made)),
            "job": measure(run),
        }
    for name, seconds in times.items():
        print(f"  {name} {1e6 * seconds / N_JOB:.1f} us")
    print(f"ratio kernel/job {times['kernel'] / times['job']:.2f}")
    time_spark(n_epochs, times["kernel"] / N_JOB)


def time_spark(n_epochs: int, kernel_seconds: float) -> None:
    """Print what a job in Spark costs beside its kernels, and what further objects cost it.

    Start of tasks, commit and record take some seconds however few objects there are.
    """
    spark = build_session(ResourceConfig(master=f"local[{N_CORES}]", memory="1g"), app_name="bench")
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.validate_writable()
        runs = [run_spark(spark, home, n, n_epochs) for n in N_FILES]
    spark.stop()
    clock, processor = (large - small for small, large in zip(*runs, strict=True))
    kernel = kernel_seconds * N_JOB
    for n, (seconds, own) in zip(N_FILES, runs, strict=True):
        print(f"  Spark job of {n * N_JOB:,} objects, {N_CORES} tasks at once: {seconds:.1f} s")
        print(f"  processor time of all processes {own:.1f} s, kernels {n * kernel:.1f} s")
    print(f"ratio kernel/spark_job_clock {kernel * N_FILES[1] / N_CORES / runs[1][0]:.2f}")
    kernel *= N_FILES[1] - N_FILES[0]
    print(f"ratio kernel/spark_job_further_clock {kernel / N_CORES / clock:.2f}")
    print(f"ratio kernel/spark_job_further_processor {kernel / processor:.2f}")


def run_spark(spark: SparkSession, home: Home, n_files: int, n_epochs: int) -> tuple[float, float]:
    """Return the seconds of a features job, of clock and of processors: the best of three."""
    source, table = home.path / f"source{n_files}", f"curves{n_files}"
    for number in range(n_files):
        (source / str(number)).mkdir(parents=True)
        place = source / str(number) / "curves.parquet"
        write_curves(place, make_curves(N_JOB, n_epochs), first=number * N_JOB)
    save(spark.read.parquet(f"{source}/*"), home, table, {})
    content = {
        "job": "features",
        "inputs": {"lightcurves": {"table": table, "roles": ROLES}},
        "params": {"bands": list(BANDS), "is_magnitude": False},
        "outputs": {"features": {"table": f"features{n_files}", "mode": "overwrite"}},
    }
    found = []
    for _ in range(3):
        with Watch() as ours:
            made = run_job(parse_job(content), home=home, spark=spark, force=True)
        found.append((made.record.metrics["seconds"], ours.processor))
    clocks, processors = zip(*found, strict=True)
    return min(clocks), min(processors)


def to_arrow(name: str) -> pa.DataType:
    return pa.type_for_alias(name)


def write_curves(path: Path, curves: LightCurves, first: int = 0) -> FileLayout:
    """Write light curves as the jobs do, and return the layout of the file."""
    n = len(curves)
    names = pa.array(BANDS).take(pa.array(curves.band)).cast(pa.string())
    lists = {"mjd": curves.t, "flux": curves.y, "fluxErr": curves.dy, "band": names}
    offsets = pa.array(curves.offsets.astype(np.int32))
    nested = {k: pa.ListArray.from_arrays(offsets, pa.array(v)) for k, v in lists.items()}
    ids = first + np.arange(n)
    rows = pa.table({"_healpix_29": ids, "objectId": ids, **nested})
    ((file, _),) = list(ParquetSink(str(path.parent), rows.schema).write([rows]))
    sizes = (np.array([0]), np.array([n - 1]), np.array([n]), np.array([file.n_bytes]))
    return FileLayout((str(path.parent / file.path),), *sizes, rows.schema)


def time_sets(curves: LightCurves, registry: Registry, columns: dict[str, np.ndarray]) -> None:
    seconds = measure(lambda: split_bands(curves))
    print(f"  split into bands {1e6 * seconds / len(curves):.1f} us")
    inputs = FeatureInputs(split_bands(curves), columns=columns)

    def run(part: FeatureSet) -> float:
        return measure(lambda: compute_set(part, inputs))

    for part in registry:
        print(f"  {part.name} {1e6 * run(part) / len(curves):.1f} us")


def take_settings_of_workers() -> None:
    """Start again with the environment that the runner gives to Spark's Python workers."""
    prefix = "spark.executorEnv."
    ours = {k.removeprefix(prefix): v for k, v in SPARK_SETTINGS.items() if k.startswith(prefix)}
    if ours.items() - os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ours})


if __name__ == "__main__":
    take_settings_of_workers()
    main(*map(int, sys.argv[1:3]))
