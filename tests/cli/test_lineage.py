"""The commands about lineage, replay and keeping, from the outside."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import ubspark.recipes.ingest as recipe
from ubspark.catalogs.sources import Source
from ubspark.runtime.home import Home

Call = Callable[..., Any]

pytestmark = pytest.mark.spark


@pytest.fixture
def stars(home: Home, spark: SparkSession, call: Call, tmp_path: Path) -> Path:
    """The file of the table `stars`, ingested."""
    path = tmp_path / "stars.csv"
    Table({"id": [1, 2], "ra": [1.0, 2.0], "dec": [0.0, 0.5]}).write(path)
    answer = call("ingest", path, "stars", "--id", "id")
    assert answer.code == 0, answer.said
    _ = home, spark
    return path


def test_lineage_is_shown_in_every_format(call: Call, stars: Path) -> None:
    tree = call("lineage", "stars", "--up").out
    assert "stars@v0 (table " in tree
    assert f"source: {stars} (files, sha256 " in tree
    content = json.loads(call("lineage", "stars@v0", "--json").out)
    assert content["closed"] is True
    prov = json.loads(call("lineage", "stars@v0", "--format", "prov").out)
    assert set(prov) >= {"entity", "activity", "agent", "used", "wasGeneratedBy"}
    assert call("lineage", "stars@v0", "--format", "dot").out.startswith("digraph")
    assert call("lineage", "audit").out == "100.0 % of 1 outputs resolve\n"
    assert call("lineage", "rebuild").out == "rebuilt: 0, known: 1\n"
    assert call("sync").out == "delivered: 0, broken: 0\n"
    missing = call("lineage", "stars@v4")
    assert missing.code == 4
    assert missing.said == "ubspark: Table `stars` has no version 4; the latest is 0.\n"


def test_replay_says_exact_or_why_not(call: Call, home: Home, stars: Path) -> None:
    again = call("replay", "stars@v0", "--verify")
    assert (again.code, again.out) == (0, "EXACT\n"), again.said
    assert not any((home.path / "replays").glob("*"))
    assert call("replay", "stars@v0", "--check", "--json").code == 0
    stars.write_text(stars.read_text().replace("0.5", "0.6"))
    changed = call("replay", "stars@v0")
    assert changed.code == 4
    assert "`stars.csv`" in changed.said
    assert "has changed since the run" in changed.said
    assert call("replay", "stars@v0", "--set", "params.x=1").code == 2


def test_stored_rows_that_were_altered_end_with_code_6(call: Call, home: Home, stars: Path) -> None:
    """Of the same size, so that nothing but reading them tells."""
    (file,) = (home.warehouse / "stars").glob("*.parquet")
    content = bytearray(file.read_bytes())
    content[24:40] = bytes(byte ^ 0xFF for byte in content[24:40])
    file.write_bytes(content)
    assert call("replay", "stars@v0").out == "EXACT\n"
    found = call("replay", "stars@v0", "--verify")
    assert (found.code, found.out) == (6, "EXACT, but what is stored was altered\n")
    assert "`outputs.table` of the original: " in found.said
    assert f"{home.warehouse / 'stars'}@v0" in found.said
    (kept,) = (home.path / "replays").iterdir()
    assert any(kept.rglob("*.parquet"))
    shown = call("show", "stars")
    assert shown.code == 4
    assert "cannot be read: it is cut or damaged (" in shown.said
    assert "UBSPARK_TRACEBACK" not in shown.said
    assert shown.said.count("\n") == 1
    file.unlink()
    assert f"has lost its file `{file.name}`" in call("show", "stars").said
    _ = stars


def test_other_result_ends_with_code_6(
    call: Call, home: Home, stars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the code had been another when the table was made."""

    def shift(
        source: Source, _: recipe.IngestParams, names: Sequence[str], spark: SparkSession
    ) -> Any:
        rows = source.to_dataframe(spark)
        return rows.withColumn("dec", F.col("dec") + 1e-9).select(*names)

    monkeypatch.setattr(recipe, "_open_rows", shift)
    done = call("replay", "stars@v0", "--json")
    assert done.code == 6
    said = json.loads(done.out)
    assert said["verdict"] == "DIFFERENT"
    assert said["outputs"]["table"]["columns"][0]["name"] == "dec"
    assert pq.read_table(said["differences"][0]).num_rows == 4
    assert len(list((home.path / "replays").iterdir())) == 1
    near = call("replay", "stars@v0", "--tolerance", "dec=1e-8")
    assert (near.code, near.out.splitlines()[-1]) == (0, "EQUIVALENT"), near.said
    _ = stars


def test_keeping_from_pin_to_restore(call: Call, home: Home, stars: Path, tmp_path: Path) -> None:
    assert call("pin", "stars@v0", "--reason", "a paper").code == 0
    assert "a paper" in call("pins").out
    assert json.loads(call("gc", "--versions", "--json").out)["removals"] == []
    target = tmp_path / "safe"
    assert call("archive", "stars@v0", target).code == 0
    for file in (home.warehouse / "stars").glob("*.parquet"):
        file.unlink()
    assert "1 files came back" in call("restore", target).out
    assert call("show", "stars").code == 0
    assert call("unpin", "stars@v0").code == 0
    assert call("unpin", "stars@v0").code == 4
    _ = stars
