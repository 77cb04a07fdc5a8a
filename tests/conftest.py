"""Fixtures that all tests share."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from ubspark.runtime.config import ResourceConfig, parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import run_job
from ubspark.runtime.session import build_session

_ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """The one session of the tests, made as the jobs make theirs."""
    resources = ResourceConfig(
        master="local[2]", memory="1g", spark={"spark.sql.shuffle.partitions": "3"}
    )
    session = build_session(resources, app_name="tests")
    yield session
    session.stop()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home folder, which the environment names."""
    monkeypatch.setenv("UBSPARK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = Home.find()
    found.validate_writable()
    return found


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data; a test that needs a set calls `need`."""
    return Path(os.environ.get("UBSPARK_DATA", _ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def examples() -> Path:
    """The examples shipped with the project."""
    return _ROOT / "examples"


@pytest.fixture(scope="session")
def demo_home(
    tmp_path_factory: pytest.TempPathFactory, spark: SparkSession, examples: Path
) -> Home:
    """A home with the two catalogs of the demo ingested; tests must not change its tables."""
    found = Home(tmp_path_factory.mktemp("demo"))
    for name, options in _DEMO_TABLES.items():
        content = {
            "job": "ingest",
            "inputs": {"source": {"path": str(examples / "data" / options["file"])}},
            "params": options["params"],
            "outputs": {"table": {"table": name}},
        }
        run_job(parse_job(content), home=found, spark=spark)
    return found


_DEMO_TABLES: dict[str, dict[str, Any]] = {
    "hipparcos2": {
        "file": "hipparcos2.parquet",
        "params": {
            "roles": {"id": "hip", "pmra": "pmra", "pmdec": "pmdec", "parallax": "plx"},
            "epoch": 1991.25,
            "pm_includes_cos_dec": True,
            "units": {"pmra": "mas/yr", "pmdec": "mas/yr", "plx": "mas"},
        },
    },
    "gaia_dr3": {
        "file": "gaia_dr3_g10.parquet",
        "params": {"roles": {"id": "source_id", "epoch": "ref_epoch"}},
    },
}
