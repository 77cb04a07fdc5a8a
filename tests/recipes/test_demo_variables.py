"""The scripts of `make demo-variables`, around the jobs that tests of their own run."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib.figure import Figure

from ubspark.runtime.config import load_job

JOBS = ("curves", "stars", "periods", "features", "train", "classify")


def load(examples: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, examples / "variables" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_epochs_get_their_units(examples: Path) -> None:
    epochs = pa.table({"asas_id": [7], "hjd": [2.0], "mag": [11.0], "magErr": [0.1]})
    fields = load(examples, "prepare").add_units(epochs).schema
    units = {field.name: (field.metadata or {}).get(b"unit") for field in fields}
    assert units == {"asas_id": None, "hjd": b"d", "mag": b"mag", "magErr": b"mag"}


def test_each_class_is_set_aside_alike(examples: Path) -> None:
    classes = pd.Series(["a"] * 20 + ["b"] * 10 + ["c"])
    aside = load(examples, "prepare").set_aside(classes)
    assert classes[aside].value_counts().to_dict() == {"a": 6, "b": 3}


@pytest.mark.parametrize("name", JOBS)
def test_the_job_files_are_right(examples: Path, name: str) -> None:
    load_job(examples / "variables" / f"{name}.yaml", [])


def test_the_report_judges_and_draws(examples: Path) -> None:
    report = load(examples, "report")
    rng = np.random.default_rng(1)
    truth = np.array(["a", "b"])[np.arange(20) % 2]
    stars = pd.DataFrame(
        {
            "part": ["aside"] * 20,
            "class": truth,
            "truth": truth,
            "label": np.where(np.arange(20) < 18, truth, "a"),
            "p_a": 0.7,
            "p_b": 0.3,
            "V_amplitude": rng.uniform(0.1, 1.0, 20),
            "log10_period": rng.uniform(-1.0, 2.0, 20),
        },
        index=pd.Index(np.arange(20), name="asas_id"),
    )
    found = report.judge(stars)
    assert found.confusion.tolist() == [[10, 0], [1, 9]]
    assert isinstance(report.draw_periods(stars), Figure)
    assert isinstance(report.draw_recall(found), Figure)
    lists = {name: [rng.normal(10, 1, 5).tolist()] * 20 for name in ("hjd", "mag")}
    assert len(report.fold(stars, pd.DataFrame(lists, index=stars.index)).panels) == 2
    assert "0.950" in report.compose(found, stars, ["confusion"], "scores@v0")
