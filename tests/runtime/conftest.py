"""A home with two small catalogs, and the job that matches them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from pyspark.sql import SparkSession

from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job

N_STARS = 400


def ingest(home: Home, spark: SparkSession, path: Path, table: str, **params: Any) -> Any:
    content = {
        "job": "ingest",
        "inputs": {"source": {"path": str(path)}},
        "params": {"roles": {"id": "id"}, **params},
        "outputs": {"table": {"table": table}},
    }
    return run_job(parse_job(content), home=home, spark=spark)


@pytest.fixture(scope="session")
def small_home(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Home:
    """A home with the catalogs `stars` and `moved`, 0.5 arcsec apart."""
    folder = tmp_path_factory.mktemp("small")
    rng = np.random.default_rng(20260701)
    ra = rng.uniform(0, 360, N_STARS)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, N_STARS)))
    stars = Table(
        {"id": np.arange(N_STARS), "ra": ra, "dec": dec, "mag": rng.normal(15, 1, N_STARS)}
    )
    stars.write(folder / "stars.csv")
    stars["dec"] -= np.sign(dec) * 0.5 / 3600
    stars.write(folder / "moved.csv")
    home = Home(folder / "home")
    for name in ("stars", "moved"):
        ingest(home, spark, folder / f"{name}.csv", name)
    return home


@pytest.fixture(scope="session")
def match_job() -> Callable[..., dict[str, Any]]:
    """Makes the content of a job file that matches the two."""

    def build(output: str, *, radius: str = "1 arcsec", mode: str = "error") -> dict[str, Any]:
        return {
            "job": "crossmatch",
            "inputs": {"left": {"table": "stars"}, "right": {"table": "moved"}},
            "params": {"radius": radius, "association_only": True},
            "outputs": {"matches": {"table": output, "mode": mode}},
            "resources": {"master": "local[2]", "memory": "1g", "cells": 4},
        }

    return build


@pytest.fixture(scope="session")
def chain_home(
    tmp_path_factory: pytest.TempPathFactory, spark: SparkSession, match_job: Callable[..., Any]
) -> Home:
    """A home whose table `pairs` was matched, appended to and exported; tests only read it."""
    folder = tmp_path_factory.mktemp("chain")
    rng = np.random.default_rng(20260702)
    ra, dec = rng.uniform(0, 360, 60), np.degrees(np.arcsin(rng.uniform(-1, 1, 60)))
    stars = Table({"id": np.arange(60), "ra": ra, "dec": dec})
    stars.write(folder / "stars.csv")
    stars["dec"] -= np.sign(dec) * 0.5 / 3600
    stars.write(folder / "moved.csv")
    home = Home(folder / "home")
    for name in ("stars", "moved"):
        ingest(home, spark, folder / f"{name}.csv", name)
    run_job(parse_job(match_job("pairs")), home=home, spark=spark)
    run_job(parse_job(match_job("pairs", mode="append")), home=home, spark=spark)
    export = {
        "job": "export",
        "inputs": {"table": {"table": "pairs@v0"}},
        "params": {"format": "parquet"},
        "outputs": {"folder": {"path": str(folder / "outside" / "pairs")}},
    }
    run_job(parse_job(export), home=home, spark=spark)
    return home
