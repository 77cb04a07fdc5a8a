"""The cluster of the tests: one namespace for all of them."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from family import write_light_curves
from stand import NAMESPACE, Stand, kubectl, set_up, tear_down


@pytest.fixture(scope="session")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A namespace with a shared volume and an MLflow server."""
    yield set_up(tmp_path_factory.mktemp("k8s"))
    tear_down()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """The inputs as files."""
    folder = tmp_path_factory.mktemp("files")
    for name in ("hipparcos2", "gaia_dr3_g10"):
        shutil.copy(examples / "data" / f"{name}.parquet", folder)
    write_light_curves(folder / "curves.parquet")
    return folder


@pytest.fixture(scope="session")
def on_cluster(stand: Stand, files: Path) -> dict[str, str]:
    """Put the files on the volume; the logs of the jobs that have run there, by name."""
    for path in sorted(files.glob("*.parquet")):
        kubectl("cp", str(path), f"{NAMESPACE}/desk:/data/{path.name}")
    return {}
