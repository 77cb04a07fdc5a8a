"""An S3-compatible server of the tests' own: versitygw, which keeps objects as files in a folder."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.table import Table
from pyarrow import fs
from pyspark.sql import SparkSession

from ubspark.catalogs.object_store import open_object_store
from ubspark.runtime.config import ResourceConfig, parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.jars import S3_JARS, find_missing_jars
from ubspark.runtime.run_job import RunOutcome, run_job
from ubspark.runtime.session import build_session

_ROOT = Path(__file__).parents[2]
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


def _find_server() -> str:
    given = os.environ.get("UBSPARK_VERSITYGW") or str(_ROOT / ".peers/versitygw/versitygw")
    found = shutil.which(given)
    if found is None:
        pytest.skip("versitygw is not there; `make test-s3` builds it, where there is Go")
    if find_missing_jars(S3_JARS):
        pytest.skip("the JARs of object stores are missing; `ubspark doctor --fix --s3`")
    return found


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A server with one bucket; the environment of the tests names it as that of a user would."""
    program, folder = _find_server(), tmp_path_factory.mktemp("store")
    (folder / "objects").mkdir()
    (folder / "marks").mkdir()
    environment = {
        "AWS_ACCESS_KEY_ID": f"key{secrets.token_hex(8)}",
        "AWS_SECRET_ACCESS_KEY": f"hidden{secrets.token_hex(16)}",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{find_port()}",
        "AWS_REGION": "us-east-1",
        # Nobody asks the network of a cloud who we are.
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    key, secret = environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    place = environment["AWS_ENDPOINT_URL"].removeprefix("http://")
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            # Its own file system may know no extended attributes: marks lie beside the objects.
            [program, "--port", place, "--quiet", "posix", "--sidecar", folder / "marks"]
            + [folder / "objects"],
            env={"ROOT_ACCESS_KEY": key, "ROOT_SECRET_KEY": secret, "PATH": os.environ["PATH"]},
            stdout=log,
            stderr=log,
        )
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            _wait(place, server, folder / "log")
            maker = fs.S3FileSystem(
                endpoint_override=environment["AWS_ENDPOINT_URL"],
                region="us-east-1",
                allow_bucket_creation=True,
            )
            maker.create_dir(BUCKET)
            yield Store(folder, environment)
        finally:
            server.terminate()
            server.wait(20)


def _wait(place: str, server: subprocess.Popen[bytes], log: Path) -> None:
    host, port = place.split(":")
    for _ in range(200):
        if server.poll() is not None:
            break
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"versitygw does not answer: {log.read_text()}")


@pytest.fixture(scope="session")
def spark(store: Store) -> Iterator[SparkSession]:
    """A session that began in the environment of the store."""
    resources = ResourceConfig(
        master="local[2]", memory="1g", spark={"spark.sql.shuffle.partitions": "3"}
    )
    session = build_session(resources, app_name="tests of object stores")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `stars.csv` and `moved.csv`, half an arcsecond apart."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(20260909)
    ra = rng.uniform(0, 360, N_STARS)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, N_STARS)))
    stars = Table({"id": np.arange(N_STARS), "ra": ra, "dec": dec})
    stars["mag"] = rng.normal(15, 1, N_STARS)
    stars.write(folder / "stars.csv")
    stars["dec"] -= np.sign(dec) * 0.5 / 3600
    stars.write(folder / "moved.csv")
    return folder


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


@pytest.fixture(scope="session")
def home_with_tables(
    tmp_path_factory: pytest.TempPathFactory, spark: SparkSession, files: Path
) -> Home:
    """A home, with `stars` and `moved` both in its warehouse and in the bucket."""
    home = Home(tmp_path_factory.mktemp("s3") / "home")
    for name in ("stars", "moved"):
        for table in (name, f"s3a://{BUCKET}/{name}"):
            run(describe_ingest(files / f"{name}.csv", table), home, spark)
    return home
