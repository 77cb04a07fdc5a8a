"""The manifests of k8s/ are what `render` makes, and cover every job."""

import sys
from pathlib import Path

import pytest
import yaml

from ubspark.recipes import RECIPES

_ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(_ROOT / "scripts"))

from render_k8s import list_files, render  # noqa: E402


@pytest.mark.parametrize("file", list_files(), ids=lambda path: path.stem)
def test_a_manifest_is_rendered(file: Path) -> None:
    """`make k8s-jobs` makes them again."""
    assert (file.parents[1] / file.name).read_text(encoding="utf-8") == render(file)


def test_every_job_has_a_manifest() -> None:
    files = {path.stem for path in list_files() if path.parts[-3] == "jobs"}
    assert files == set(RECIPES)
    listed = yaml.safe_load((_ROOT / "k8s" / "jobs" / "kustomization.yaml").read_text())
    assert {Path(name).stem for name in listed["resources"]} == files
