"""Every job is replayed EXACT, cut in another way, and everything it made resolves.

A job that is added to `RECIPES` must add itself to `JOBS` here.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.csv import write_csv
from pyspark.sql import SparkSession

from ubspark.lineage.audit import audit
from ubspark.lineage.graph import LineageGraph, trace_up
from ubspark.recipes import RECIPES
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.jars import find_jar_folder
from ubspark.runtime.places import find_entity, open_ledger
from ubspark.runtime.replay import create_sandbox, find_original, prepare_replay, replay
from ubspark.runtime.run_job import run_job
from ubspark.sky.healpix import compute_healpix_29

pytestmark = pytest.mark.spark

ROOT = Path(__file__).parents[2]
N = 60
CURVE_ROLES = {"id": "id", "ra": "ra", "dec": "dec", "time": "t", "flux": "mag"}
SECOND_NIGHT = {
    "sources": {"path": "second.csv", "roles": {"id": "star"}},
    "objects": {"table": "ours", "columns": ["mag"]},
    "lightcurves": {"table": "nested"},
}
#: Output to job, inputs and parameters, and the mode where it is another than error; a folder
#: begins with ``./``. In the order they are made.
JOBS: dict[str, tuple[Any, ...]] = {
    "ours": ("ingest", {"source": {"path": "ours.parquet"}}, {"roles": {"id": "id"}}),
    "theirs": ("ingest", {"source": {"path": "theirs.parquet"}}, {"roles": {"id": "id"}}),
    "pairs": (
        "crossmatch",
        {"left": {"table": "ours"}, "right": {"table": "theirs"}},
        {"radius": "4 arcsec", "select": "all", "how": "outer"},
    ),
    "pairs@v1": (
        "crossmatch",
        {"left": {"table": "ours", "where": "mag < 16"}, "right": {"table": "theirs"}},
        {"radius": "4 arcsec", "select": "all", "how": "outer"},
        "append",
    ),
    "pairs@v2": (
        "crossmatch",
        {"left": {"table": "ours"}, "right": {"table": "theirs"}},
        {"radius": "4 arcsec", "select": "mutual"},
        "overwrite",
    ),
    "some": (
        "crossmatch",
        {
            "left": {"table": "ours", "region": "cone 0 0 2 deg"},
            "right": {"path": "theirs.parquet", "roles": {"id": "id"}, "where": "mag < 16"},
        },
        {"radius": "4 arcsec"},
    ),
    "near": ("neighbors", {"table": {"table": "ours"}}, {"radius": "1 deg"}),
    "several": (
        "multimatch",
        {"anchor": {"table": "ours"}, "theirs": {"table": "theirs"}},
        {"radius": "4 arcsec"},
    ),
    "listed": (
        "idjoin",
        {"ids": {"path": "list.csv"}, "table": {"table": "ours"}},
        {"id_column": "star"},
    ),
    "nested": (
        "lightcurves",
        {
            "sources": {"path": "epochs.csv", "roles": {"id": "star"}},
            "objects": {"table": "ours", "columns": ["mag"]},
        },
        {"bands": ["V"], "bad_flags": {"flags": 2}},
    ),
    "both_nights": ("lightcurves", SECOND_NIGHT, {"bands": ["V"], "bad_flags": {"flags": 2}}),
    "nested@v1": (
        "lightcurves",
        SECOND_NIGHT,
        {"bands": ["V"], "bad_flags": {"flags": 2}},
        "update",
    ),
    "epochs": ("lightcurves", {"lightcurves": {"table": "nested"}}, {"layout": "long"}),
    "features": (
        "features",
        {"lightcurves": {"table": "curves"}},
        {"bands": ["V"], "is_magnitude": True},
    ),
    "periods": (
        "periodograms",
        {"lightcurves": {"table": "curves"}},
        {"bands": ["V"], "is_magnitude": True, "fmin": 0.2, "fmax": 2.0},
    ),
    "./model": (
        "train",
        {"features": {"table": "features"}, "labels": {"table": "labels"}},
        {"folds": 3, "shuffles": 0, "estimator": "replay_estimator:make_estimator"},
    ),
    "scores": ("classify", {"features": {"table": "features"}}, {"model": "./model"}),
    "./files": ("export", {"table": {"table": "pairs@v0"}}, {"format": "parquet"}),
    "./catalog": ("export", {"table": {"table": "nested"}}, {"format": "hats"}),
    "./fits": ("export", {"table": {"table": "ours"}}, {"format": "fits"}),
    "./votable": ("export", {"table": {"table": "ours"}}, {"format": "votable"}),
}


def make_estimator() -> Any:
    """Return a classifier that is quick to train."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-untyped]

    return HistGradientBoostingClassifier(max_iter=5, class_weight="balanced", random_state=1)


@pytest.fixture(scope="module")
def every_home(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home in which every job has run in one piece."""
    sys.modules["replay_estimator"] = sys.modules[__name__]
    folder = tmp_path_factory.mktemp("every")
    home = Home(folder / "home")
    make_sources(folder)
    make_curves(spark, home)
    for output, (job, inputs, params, *mode) in JOBS.items():
        (name,) = RECIPES[job].outputs
        table = output.partition("@")[0]
        place = {"path": str(folder / output)} if output.startswith("./") else {"table": table}
        place |= {"mode": mode[0]} if mode else {}
        content = {
            "job": job,
            "inputs": {key: locate(value, folder) for key, value in inputs.items()},
            "params": locate(params, folder, "model"),
            "outputs": {name: place},
            "resources": {"cells": 1},
        }
        run_job(parse_job(content), home=home, spark=spark)
    yield home
    del sys.modules["replay_estimator"]


def locate(given: dict[str, Any], folder: Path, key: str = "path") -> dict[str, Any]:
    return given | ({key: str(folder / given[key])} if key in given else {})


def make_sources(folder: Path) -> None:
    rng = np.random.default_rng(5)
    ra, dec = rng.uniform(-3, 3, N) % 360, rng.uniform(-3, 3, N)
    for name, shift in (("ours", 0.0), ("theirs", 1.0 / 3600)):
        table = {"id": np.arange(N), "ra": ra, "dec": dec - np.sign(dec) * shift}
        table["mag"] = rng.normal(16, 1, N)
        pq.write_table(pa.table(table), folder / f"{name}.parquet")
    (folder / "list.csv").write_text("star\n5\n3\n1000\n")
    epochs = {"star": rng.integers(0, N, 500), "time": rng.uniform(0, 90, 500).round(1)}
    epochs |= {"flux": rng.normal(size=500), "band": np.full(500, "V")}
    write_csv(pa.table(epochs | {"flags": rng.integers(0, 4, 500)}), folder / "epochs.csv")
    epochs["star"], epochs["time"] = epochs["star"] // 2, epochs["time"] + 90
    write_csv(pa.table(epochs | {"flags": rng.integers(0, 4, 500)}), folder / "second.csv")


def make_curves(spark: SparkSession, home: Home) -> None:
    """Write light curves and labels as another program would."""
    rng = np.random.default_rng(6)
    ra, dec = rng.uniform(0, 360, N), rng.uniform(-80, 80, N)
    index = compute_healpix_29(ra, dec)
    order = np.argsort(index)
    curves = {"_healpix_29": index[order], "id": np.arange(N), "ra": ra[order], "dec": dec[order]}
    t = np.sort(rng.uniform(0, 100, (N, 40)), axis=1)
    wave = 0.3 * np.sin(2 * np.pi * t / rng.uniform(0.6, 4.0, (N, 1)))
    mag = 15 + rng.normal(0, 0.02, (N, 40)) + wave * (np.arange(N) % 2)[:, None]
    lists = {"t": t, "mag": mag, "magErr": np.full((N, 40), 0.02)}
    rows = {**curves, **{name: values.tolist() for name, values in lists.items()}}
    save(spark, home, "curves", rows, CURVE_ROLES | {"flux_error": "magErr"})
    names = np.array(["quiet", "sine"])[np.arange(N) % 2]
    save(spark, home, "labels", {"id": np.arange(N), "class": names}, {"id": "id"})


def save(
    spark: SparkSession, home: Home, name: str, rows: dict[str, Any], roles: dict[str, str]
) -> None:
    place = home.warehouse / name
    frame = spark.createDataFrame(pa.table(rows).to_pandas()).coalesce(1)
    frame.write.format("delta").save(str(place))
    properties = ", ".join(f"'ubspark.role.{role}' = '{column}'" for role, column in roles.items())
    spark.sql(f"ALTER TABLE delta.`{place}` SET TBLPROPERTIES ({properties})")


def name_output(home: Home, output: str) -> str:
    if output.startswith("./"):
        return str(home.path.parent / output)
    return output if "@" in output else f"{output}@v0"


def test_every_job_is_here() -> None:
    assert {job for job, *_ in JOBS.values()} == set(RECIPES)


def test_everything_resolves(every_home: Home) -> None:
    found = audit(open_ledger(every_home))
    foreign = {place.rsplit("/", 1)[-1] for place in found.open_ends}
    assert foreign == {"curves@v0", "curves@v1", "labels@v0", "labels@v1"}
    assert found.n_outputs == len(JOBS) + len(foreign)
    assert found.damaged == {}


def test_score_leads_to_the_model_and_its_training(every_home: Home) -> None:
    ledger = open_ledger(every_home)
    graph = trace_up(ledger, LineageGraph(find_entity("scores@v0", every_home, ledger)))
    assert graph.is_closed
    assert {made.spec["job"] for made in graph.runs.values()} == {"classify", "train", "features"}
    card = json.loads((every_home.path.parent / "model" / "model.json").read_text())
    assert f"run:{card['run']}" in graph.runs


@pytest.mark.parametrize("output", JOBS)
def test_replay_is_exact(every_home: Home, spark: SparkSession, output: str) -> None:
    ledger = open_ledger(every_home)
    original = find_original(name_output(every_home, output), every_home, ledger)
    sandbox = create_sandbox(every_home)
    config, changes = prepare_replay(
        original, every_home, ledger, sandbox=sandbox, resources={"cells": 3}
    )
    done = replay(original, config, changes, home=every_home, spark=spark)
    ((_, found),) = done.outputs.items()
    assert done.verdict == "EXACT", found.to_json()
    assert found.n_replay == found.n_original
    assert changes == []


@pytest.mark.slow
@pytest.mark.parametrize("door", ["python", "spark-submit"])
@pytest.mark.parametrize("master", ["local[2]", "local-cluster[2,1,1024]"])
def test_replay_is_exact_on_every_master_and_through_every_door(
    every_home: Home, tmp_path: Path, door: str, master: str
) -> None:
    verdicts = replay_elsewhere(every_home, tmp_path / "verdicts.json", door, master)
    assert verdicts == dict.fromkeys((name_output(every_home, output) for output in JOBS), "EXACT")


@pytest.mark.slow
def test_other_kernels_end_equivalent_and_both_are_named(every_home: Home, tmp_path: Path) -> None:
    """OpenBLAS is told that the processor is an old one, whose kernels add in another order."""
    known = set(every_home.runs.iterdir())
    outputs = ("periods", "some")
    verdicts = replay_elsewhere(
        every_home, tmp_path / "verdicts.json", outputs=outputs, OPENBLAS_CORETYPE="Nehalem"
    )
    assert verdicts == {"periods@v0": "EQUIVALENT", "some@v0": "EXACT"}
    said = [
        json.loads((run / "replay.json").read_text())
        for run in set(every_home.runs.iterdir()) - known
    ]
    assert len(said) == len(outputs)
    for one in said:
        assert "(Nehalem)" in one["machine"]["blas"]
        assert "(Nehalem)" not in one["machine_of_original"]["blas"]
        assert [change.partition(" is ")[0] for change in one["changes"]] == ["blas"]
    (columns,) = (
        part["columns"] for one in said for part in one["outputs"].values() if part["columns"]
    )
    assert all(column["relative"] > 0 and column["is_within"] for column in columns)


def replay_elsewhere(
    home: Home,
    answer: Path,
    door: str = "python",
    master: str = "local[2]",
    outputs: Iterable[str] = tuple(JOBS),
    **settings: str,
) -> dict[str, str]:
    """Replay outputs in a process of its own; return the verdicts."""
    program = [sys.executable]
    if door == "spark-submit":
        defaults = str(ROOT / "conf" / "spark-defaults.conf")
        submit = str(Path(sys.executable).with_name("spark-submit"))
        program = [submit, "--master", master, "--properties-file", defaults]
    script = str(Path(__file__).with_name("replay_all.py"))
    words = [master, str(answer), *(name_output(home, output) for output in outputs)]
    environment = os.environ | {
        "UBSPARK_HOME": str(home.path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **settings,
    }
    try:
        done = subprocess.run(
            [*program, script, *words], env=environment, capture_output=True, text=True, check=False
        )
    finally:
        # The workers of a local cluster leave their files in Spark's own folder.
        shutil.rmtree(find_jar_folder().parent / "work", ignore_errors=True)
    assert done.returncode == 0, done.stderr
    verdicts: dict[str, str] = json.loads(answer.read_text())
    return verdicts
