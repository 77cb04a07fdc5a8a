"""The commands ``export`` and ``verify-export``."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.hats import open_hats
from ubspark.runtime.home import Home

Call = Callable[..., Any]


@pytest.fixture
def demo(demo_home: Home, monkeypatch: pytest.MonkeyPatch, spark: SparkSession) -> Home:
    monkeypatch.setenv("UBSPARK_HOME", str(demo_home.path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return demo_home


@pytest.mark.spark
def test_export_is_made_told_and_verified(call: Call, demo: Home, tmp_path: Path) -> None:
    words = ("export", "hipparcos2@v0", "--format", "hats", "--to", tmp_path / "hip")
    answer = call(*words, "--margin", "10 arcsec", "--max-rows", 20_000)
    assert answer.code == 0, answer.said
    assert f"folder: {tmp_path / 'hip'}, 57,085 rows" in answer.said
    catalog = open_hats(str(tmp_path / "hip"))
    assert catalog.n_rows == 57_085
    assert catalog.properties.entries["hats_coordinate_epoch"] == "J1991.25"
    assert catalog.collection is not None
    assert catalog.collection.margins == ("hipparcos2_10arcs",)

    again = call(*words, "--margin", "10 arcsec", "--max-rows", 20_000)
    assert again.code == 0
    assert "Already made by run" in again.said

    good = call("verify-export", tmp_path / "hip", "--json")
    assert good.code == 0, good.said
    said = json.loads(good.out)
    assert said["is_good"]
    assert said["kind"] == "hats"
    assert said["n_rows"] == 57_085


@pytest.mark.spark
def test_part_is_exported_as_json_says(call: Call, demo: Home, tmp_path: Path) -> None:
    answer = call(
        *("export", "gaia_dr3", "--format", "fits", "--to", tmp_path / "gaia", "--json"),
        *("--region", "cone 56.75 24.1 5 deg", "--columns", "source_id, phot_g_mean_mag"),
        *("--where", "phot_g_mean_mag < 9"),
    )
    assert answer.code == 0, answer.said
    said = json.loads(answer.out)
    made = said["outputs"]["folder"]
    assert made["kind"] == "fits"
    assert made["n_files"] == 1
    assert 0 < made["n_rows"] < 1000


@pytest.mark.spark
def test_damage_ends_with_its_own_code(call: Call, demo: Home, tmp_path: Path) -> None:
    target = tmp_path / "hip"
    assert call("export", "hipparcos2", "--format", "parquet", "--to", target).code == 0
    file = next(target.glob("*.parquet"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"?")
    altered = call("verify-export", target)
    assert altered.code == 6
    assert f"`{file.name}` was altered: its content is not what was written." in altered.said
    assert call("verify-export", target, "--sizes-only").code == 0
    file.write_bytes(whole[:1000])
    cut = call("verify-export", target, "--json")
    assert cut.code == 6
    assert json.loads(cut.out)["findings"][0]["kind"] == "size"
    file.unlink()
    missing = call("verify-export", target, "--sizes-only")
    assert missing.code == 6
    assert "is missing" in missing.said


def test_folder_that_is_no_export_is_refused(refuse: Call, tmp_path: Path) -> None:
    answer = refuse("verify-export", tmp_path / "nowhere")
    assert answer.code == 4
    assert "is no export of ubspark: it is not there." in answer.said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--format", "hdf5", "--to", "OUT"], "`params.format`"),
        (["--format", "hats", "--to", "s3://bucket/x"], "must be a folder that every worker sees"),
        (["--format", "hats", "--to", "OUT", "--mode", "append"], "files are never appended to"),
        (["--format", "hats", "--to", "OUT", "--margin", "5"], "angle with a unit"),
        (["--format", "hats", "--to", "OUT", "--index", "hipp"], "Did you mean `hip`?"),
        (["--format", "hats", "--to", "OUT", "--columns", "hpi"], "Did you mean"),
        (["--format", "hats"], "Missing option"),
    ],
)
@pytest.mark.spark
def test_wrong_word_is_told_before_anything_starts(
    refuse: Call, demo: Home, tmp_path: Path, words: list[str], says: str
) -> None:
    given = [str(tmp_path / "out") if word == "OUT" else word for word in words]
    answer = refuse("export", "hipparcos2", *given)
    assert answer.code == 2
    assert says in answer.said
    assert list(tmp_path.iterdir()) == []
