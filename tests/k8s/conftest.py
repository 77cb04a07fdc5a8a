"""The cluster of the tests: one namespace for all of them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stand import Stand, set_up, tear_down


@pytest.fixture(scope="session")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A namespace with a shared volume and an MLflow server."""
    yield set_up(tmp_path_factory.mktemp("k8s"))
    tear_down()
