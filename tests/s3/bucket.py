"""What the tests of object stores share: the server, and jobs on tables in its bucket."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql import SparkSession

from ubspark.catalogs.object_store import open_object_store
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import RunOutcome, run_job

BUCKET = "survey"
N_STARS = 400


@dataclass(frozen=True)
class Store:
    """A server that runs, and who may enter."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def endpoint(self) -> str:
        return self.environment["AWS_ENDPOINT_URL"]

    @property
    def secrets(self) -> tuple[str, str]:
        """What must stand nowhere."""
        return self.environment["AWS_ACCESS_KEY_ID"], self.environment["AWS_SECRET_ACCESS_KEY"]


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def describe_ingest(file: Path, table: str) -> dict[str, Any]:
    return {
        "job": "ingest",
        "inputs": {"source": {"path": str(file)}},
        "params": {"roles": {"id": "id"}},
        "outputs": {"table": {"table": table}},
        "resources": {"master": "local[2]", "memory": "1g"},
    }


def describe_match(left: str, right: str, output: str, **changes: Any) -> dict[str, Any]:
    return {
        "job": "crossmatch",
        "inputs": {"left": {"table": left}, "right": {"table": right}},
        "params": {"radius": "1 arcsec", "association_only": True},
        "outputs": {"matches": {"table": output, "mode": "error"}},
        "resources": {"master": "local[2]", "memory": "1g", "cells": 4},
        **changes,
    }


def run(content: Mapping[str, Any], home: Home, spark: SparkSession) -> RunOutcome:
    return run_job(parse_job(content), home=home, spark=spark)


def start(
    content: Mapping[str, Any], home: Home, file: Path, **environment: str
) -> subprocess.Popen[str]:
    """Start a job in a process of its own, as `ubspark run` does."""
    file.write_text(yaml.safe_dump(dict(content)), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "ubspark", "run", file],
        env={**os.environ, "UBSPARK_HOME": str(home.path), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_lease(table: str) -> dict[str, Any] | None:
    """Return what the lease of a table says, None where there is none."""
    filesystem, path = open_object_store(f"{table}/_ubspark_lease")
    try:
        with filesystem.open_input_stream(path) as stream:
            found: dict[str, Any] = json.loads(stream.read())
    except FileNotFoundError:
        return None
    return found
