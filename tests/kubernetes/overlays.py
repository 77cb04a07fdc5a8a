"""Overlays of k8s/ as kubectl renders them."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

__all__ = ["ROOT", "render"]

ROOT = Path(__file__).parents[2]


@cache
def render(folder: str | Path) -> list[dict[str, Any]]:
    """Return the objects of an overlay, or of another folder for kustomize; do not change them."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which renders overlays, is not there")
    place = ROOT / "k8s" / "overlays" / folder
    done = subprocess.run(["kubectl", "kustomize", place], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))
