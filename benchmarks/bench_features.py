"""Time feature kernels beside light-curve's Rust engine, one thread each, on the same objects.

Run as ``python benchmarks/bench_features.py [objects] [epochs] [PYTHON]`` where PYTHON has
light-curve (default ``.peers/light-curve/bin/python``). Six bands; the objects are simulated
sawtooth variables. Prints microseconds of processor time per object, and lines
``ratio NAME VALUE``: our time over the peer's; for ``kernel/job`` the time of the kernels over that
of a whole task of the job, which reads nested light curves from Parquet, writes the features and
digests them.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from ubspark.catalogs.digests import compute_digest
from ubspark.catalogs.layout import FileLayout
from ubspark.catalogs.parquet_sink import ParquetSink
from ubspark.features import DEFAULT_FEATURES, FeatureSet, Registry, compute_features
from ubspark.features.arrow import CurveColumns, split_by_epochs, to_arrays, to_light_curves
from ubspark.features.compute import compute_set
from ubspark.features.quality import FeatureQuality
from ubspark.features.registry import FeatureInputs
from ubspark.features.segments import split_bands
from ubspark.features.spark import FeatureTask
from ubspark.timeseries import LightCurves

ROOT = Path(__file__).parent.parent
PEER = ROOT / "tests" / "features" / "peer.py"
BANDS = tuple("ugrizy")
REPEATS = 7
#: Objects of a task of the job.
N_JOB = 8000


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


def main(n: int = 500, n_epochs: int = 300, python: str = "") -> None:
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
    peer = python or str(ROOT / ".peers" / "light-curve" / "bin" / "python")
    if not Path(peer).exists():
        sys.exit(f"There is no {peer}: `make peer-light-curve` makes it.")
    theirs = time_peer(curves, peer)
    for name, seconds in times.items():
        print(f"ratio {name}/light-curve {1e6 * seconds / n / theirs:.2f}")


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
        job = (layout, cells, names, ("objectId",), {}, registry, BANDS, "psfFlux", False)

        def run() -> None:
            for _ in sink.write(FeatureTask(*job).compute_cell(cells)):
                pass

        wanted = ["objectId", *names.names]
        rows = layout.read(cells, wanted)
        parts = list(split_by_epochs(rows, names.time, 300_000))
        arrays = [to_light_curves(part, names, BANDS) for part in parts]
        found = compute_features(arrays[0], registry)
        made = pa.concat_tables(FeatureTask(*job).compute_cell(cells))
        share = N_JOB / len(arrays[0])
        times = {
            "kernel": measure(lambda: [compute_features(few, registry) for few in arrays]),
            "read": measure(lambda: layout.read(cells, wanted)),
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


def to_arrow(name: str) -> pa.DataType:
    return pa.type_for_alias(name)


def write_curves(path: Path, curves: LightCurves) -> FileLayout:
    """Write light curves as the jobs do, and return the layout of the file."""
    n = len(curves)
    names = pa.array(BANDS).take(pa.array(curves.band)).cast(pa.string())
    lists = {"mjd": curves.t, "flux": curves.y, "fluxErr": curves.dy, "band": names}
    offsets = pa.array(curves.offsets.astype(np.int32))
    nested = {k: pa.ListArray.from_arrays(offsets, pa.array(v)) for k, v in lists.items()}
    rows = pa.table({"_healpix_29": np.arange(n), "objectId": np.arange(n), **nested})
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


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *sys.argv[3:4])
