"""An S3-compatible server of the tests' own: versitygw, which keeps objects as files."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from pyarrow import fs
from pyspark.sql import SparkSession

from ubspark.runtime.config import ResourceConfig
from ubspark.runtime.home import Home
from ubspark.runtime.jars import S3_JARS, find_missing_jars
from ubspark.runtime.session import build_session

sys.path.insert(0, str(Path(__file__).parent))

from bucket import BUCKET, N_STARS, Store, describe_ingest, find_port, run

_ROOT = Path(__file__).parents[2]


def _find_server() -> str:
    given = os.environ.get("UBSPARK_VERSITYGW") or str(_ROOT / ".peers/versitygw/versitygw")
    found = shutil.which(given)
    if found is None:
        pytest.skip("versitygw is not there; `make test-s3` builds it, where there is Go")
    if find_missing_jars(S3_JARS):
        pytest.skip("the JARs of object stores are missing; `ubspark doctor --fix --s3`")
    return found


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
    # The file system may know no extended attributes: marks lie beside the objects.
    options = f"--port {place} --quiet posix --sidecar {folder}/marks".split()
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [program, *options, str(folder / "objects")],
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
