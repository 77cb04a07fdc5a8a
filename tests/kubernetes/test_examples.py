"""The manifests of k8s/ are what `render` makes, and cover every job."""

import re
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


@pytest.mark.parametrize("folder", ["jobs", "schedules"])
def test_no_other_manifest_lies_there(folder: str) -> None:
    """Nobody would make it anew."""
    files = {path.name for path in list_files() if path.parts[-3] == folder}
    there = {path.name for path in (_ROOT / "k8s" / folder).iterdir()}
    assert there == files | {"files", "kustomization.yaml"}
    assert {path.name for path in (_ROOT / "k8s" / folder / "files").iterdir()} == files
    listed = yaml.safe_load((_ROOT / "k8s" / folder / "kustomization.yaml").read_text())
    assert set(listed["resources"]) == files


def test_every_job_has_a_manifest() -> None:
    files = {path.stem for path in list_files() if path.parts[-3] == "jobs"}
    assert files == set(RECIPES)
    listed = yaml.safe_load((_ROOT / "k8s" / "jobs" / "kustomization.yaml").read_text())
    assert {Path(name).stem for name in listed["resources"]} == files


def test_the_desk_is_a_pod_like_those_of_jobs() -> None:
    """It writes to their volume, and what it needs of its reader stands in the page."""
    desk = yaml.safe_load((_ROOT / "k8s" / "desk.yaml").read_text())["spec"]
    job = yaml.safe_load((_ROOT / "k8s" / "jobs" / "ingest.yaml").read_text())["spec"]
    assert desk["securityContext"] == job["driver"]["template"]["spec"]["securityContext"]
    image = desk["containers"][0]["image"]
    assert image == job["image"]
    page = (_ROOT / "docs" / "kubernetes.md").read_text()
    (steps,) = [block for block in page.split("```") if "k8s/desk.yaml" in block and "cp " in block]
    order = [image, "apply -f k8s/desk.yaml", "wait --for=condition=Ready", "exec desk -- "]
    assert sorted(order, key=steps.index) == order
    assert steps.count("exec desk -- ") == steps.count("exec desk -- /opt/entrypoint.sh ")


def test_the_page_names_the_jobs_that_run_on_the_cluster() -> None:
    sys.path.insert(0, str(_ROOT / "tests" / "k8s"))
    from family import list_jobs

    page = " ".join((_ROOT / "docs" / "kubernetes.md").read_text().split())
    run, _, not_run = page.partition("six families of jobs (")[2].partition(") with two executors")
    run_there = {job["job"] for job in list_jobs("").values()}
    assert set(re.findall(r"`(\w+)`", run)) == run_there
    others = not_run.partition("part is a test. ")[2].partition(" run the same way")[0]
    assert set(re.findall(r"`(\w+)`", others)) == set(RECIPES) - run_there
