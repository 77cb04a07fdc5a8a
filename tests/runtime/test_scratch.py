"""What a run keeps on its way lies where those who need it see it, and goes when it ends."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ubspark.runtime.failures import describe_failure
from ubspark.runtime.home import Home
from ubspark.runtime.scratch import make_scratch, make_staging


def describe(master: str, outputs: dict[str, Any]) -> tuple[Any, Any]:
    spec = SimpleNamespace(outputs=outputs)
    job = SimpleNamespace(spec=spec, get_output_uri=lambda name: outputs[name]["uri"])
    return job, SimpleNamespace(sparkContext=SimpleNamespace(master=master))


@pytest.mark.parametrize("master", ["local[*]", "local-cluster[2,1,1024]"])
def test_one_machine_uses_its_own_disk(home: Home, tmp_path: Path, master: str) -> None:
    with make_scratch(home, master) as scratch:
        assert home.path not in scratch.parents
        job, spark = describe(master, {"out": {"uri": str(tmp_path / "out")}})
        with make_staging(job, "r", scratch, spark) as staging:
            assert staging == str(scratch)
    assert not scratch.exists()


def test_a_cluster_uses_what_its_machines_share(home: Home, tmp_path: Path) -> None:
    master = "spark://chief:7077"
    with make_scratch(home, master) as scratch:
        assert home.path in scratch.parents
        outputs = {"page": {"uri": "/p", "kind": "folder"}, "out": {"uri": str(tmp_path / "out")}}
        job, spark = describe(master, outputs)
        with make_staging(job, "r", scratch, spark) as staging:
            assert Path(staging).parent == tmp_path / "out"
            (Path(staging) / "sorted").mkdir(parents=True)
        assert not Path(staging).exists()
    assert not scratch.exists()


@pytest.mark.parametrize(
    "said",
    [
        "...\nFileNotFoundError: [Errno 2] No such file or directory: '/own/x.csv'\n...",
        "FileNotFoundError: [Errno 2] Failed to open local file '/own/x.csv'. Detail: ...",
        "[FAILED_READ_FILE.FILE_NOT_EXIST] Error while reading file file:///own/x.csv. It is gone.",
    ],
)
def test_a_file_that_a_task_does_not_find_is_named(said: str) -> None:
    sentence = str(describe_failure(RuntimeError(said)))
    assert "A task does not find the file `" in sentence
    assert "/own/x.csv`. On a cluster it must lie where every machine sees it." in sentence
