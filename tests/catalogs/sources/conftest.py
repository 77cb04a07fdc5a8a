"""Spark, the sample data, and one way to read a file."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.sources import NullRules, Source, open_source

Rows = list[dict[str, Any]]
Read = Callable[..., Rows]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Return the folder of the sample data, or skip."""
    beside = Path(__file__).parents[4] / "shared" / "data"
    root = Path(os.environ.get("UBSPARK_DATA", beside))
    if not root.is_dir():
        pytest.skip(f"No sample data at {root}: set UBSPARK_DATA.")
    return root


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Source]:
    """Return `open_source` with a scratch folder of this test."""

    def open_it(path: Path, **arguments: Any) -> Source:
        return open_source(str(path), scratch=tmp_path / "scratch", **arguments)

    return open_it


@pytest.fixture
def read(spark: SparkSession, opened: Callable[..., Source]) -> Read:
    """Return a function from a path to rows as dictionaries, in the order of the file."""

    def read_it(path: Path, nulls: NullRules | None = None, **arguments: Any) -> Rows:
        rows = opened(path, **arguments).to_dataframe(spark, nulls=nulls)
        result: Rows = rows.toArrow().to_pylist()
        return result

    return read_it
