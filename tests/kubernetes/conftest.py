"""A job and a profile for the tests of rendering."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ubspark.kubernetes.profile import Profile
from ubspark.runtime.config import JobConfig, parse_job

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def job() -> JobConfig:
    return parse_job(make_job())


@pytest.fixture
def profile() -> Profile:
    content: dict[str, Any] = {
        "image": "registry.example.org/ubspark:1",
        "home": "/data/ubspark",
        "volumes": [{"claim": "ubspark-data", "path": "/data"}],
        "env": {"MLFLOW_TRACKING_URI": "http://mlflow:5000"},
    }
    return Profile.model_validate(content)


def make_job() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(
        """
        job: crossmatch
        inputs: {left: {table: a}, right: {table: b, where: "mag < 18"}}
        params: {radius: 1 arcsec}
        outputs: {matches: {table: a_x_b}}
        resources: {master: "local[2]", memory: 1g, cells: 8, spark: {spark.task.cpus: "2"}}
        """
    )
    return content
