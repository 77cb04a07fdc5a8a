"""Fixtures that all tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from ubspark.runtime.config import ResourceConfig
from ubspark.runtime.home import Home
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
