"""Region and condition on either side: the match of the copies that hold those rows alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table
from ubspark.errors import ParameterError, SchemaError
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import RunOutcome, plan_job, run_job
from ubspark.sky.regions import parse_region

pytestmark = pytest.mark.spark

SELECTIONS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "across_ra_0": ({"region": "box 340 20 -30 40", "where": "plx > 3"}, {}),
    "at_the_pole": (
        {"region": "cone 30 88 15 deg"},
        {"region": "polygon 0 70 120 72 240 70", "where": "phot_g_mean_mag < 9.5"},
    ),
    "right_only": ({}, {"region": "cone 5 -3 20 deg", "where": "not (phot_g_mean_mag >= 9)"}),
}
FILES = {"left": "hipparcos2.parquet", "right": "gaia_dr3_g10.parquet"}


def match(
    home: Home, spark: SparkSession, output: str, left: dict[str, Any], right: dict[str, Any]
) -> RunOutcome:
    return run_job(parse_job(describe(output, left, right)), home=home, spark=spark)


def describe(output: str, left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    return {
        "job": "crossmatch",
        "inputs": {"left": {"table": "hipparcos2"} | left, "right": {"table": "gaia_dr3"} | right},
        "params": {"radius": "1 arcsec", "epoch": 2016.0, "how": "left", "suffixes": ["_h", "_g"]},
        "outputs": {"matches": {"table": output}},
    }


def copy(
    home: Home, spark: SparkSession, examples: Path, side: str, chosen: dict[str, str], name: str
) -> dict[str, str]:
    """Ingest the chosen rows alone, taken by other means; return the table."""
    source = {"left": "hipparcos2", "right": "gaia_dr3"}[side]
    rows = pq.read_table(examples / "data" / FILES[side])
    keep = np.ones(rows.num_rows, dtype=bool)
    if "region" in chosen:
        region = parse_region(chosen["region"])
        keep &= region.contains(rows["ra"].to_numpy(), rows["dec"].to_numpy())
    column, limit = {"left": ("plx", 3.0), "right": ("phot_g_mean_mag", 9.5)}[side]
    if "where" in chosen:
        values = rows[column].to_numpy()
        limit = 9.0 if "not" in chosen["where"] else limit
        keep &= values > limit if side == "left" else values < limit
    path = home.path / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows.filter(keep), path)
    content = {
        "job": "ingest",
        "inputs": {"source": {"path": str(path)}},
        "params": describe_ingest(home, source),
        "outputs": {"table": {"table": name}},
    }
    run_job(parse_job(content), home=home, spark=spark)
    return {"table": name}


def describe_ingest(home: Home, source: str) -> dict[str, Any]:
    table = open_table(str(home.warehouse / source))
    params: dict[str, Any] = {"roles": dict(table.roles.columns)}
    if table.roles.epoch is not None:
        units = {name: table.schema[name].unit for name in ("pmra", "pmdec", "plx")}
        params |= {"epoch": table.roles.epoch, "pm_includes_cos_dec": True, "units": units}
    return params


@pytest.mark.parametrize("case", SELECTIONS)
def test_match_of_selections_is_the_match_of_copies(
    demo_home: Home, spark: SparkSession, examples: Path, case: str
) -> None:
    left, right = SELECTIONS[case]
    chosen = match(demo_home, spark, f"sel_{case}", left, right)
    copies = [
        copy(demo_home, spark, examples, side, given, f"{side}_{case}") if given else {}
        for side, given in (("left", left), ("right", right))
    ]
    copied = match(demo_home, spark, f"copy_{case}", *copies)
    assert chosen.outputs["matches"]["digest"] == copied.outputs["matches"]["digest"]
    for name in ("left_rows", "matched_rows"):
        assert chosen.record.metrics[name] == copied.record.metrics[name] > 10


def test_plan_shrinks_and_says_what_was_chosen(demo_home: Home) -> None:
    region = {"region": "cone 56.75 24.1 2 deg", "where": "phot_g_mean_mag < 8"}
    plans = {}
    for name, right in (("all", {}), ("part", region)):
        config = parse_job(describe("planned", region if name == "left" else {}, right))
        plans[name] = {f.name: f.value for f in plan_job(config, home=demo_home)[1]}
    key = next(name for name in plans["all"] if name.startswith("right bytes to read"))
    assert float(plans["part"][key]) < 0.5 * float(plans["all"][key])
    assert plans["part"]["right region"] == "cone 56.75 24.1 7200 arcsec"
    assert plans["part"]["right where"] == "phot_g_mean_mag < 8"
    assert "right region" not in plans["all"]


def test_run_key_follows_content_and_not_spelling(demo_home: Home) -> None:
    def find_key(left: dict[str, str]) -> str:
        return plan_job(parse_job(describe("planned", left, {})), home=demo_home)[0].spec.key

    first = find_key({"region": "cone 10 20 1 deg", "where": "PLX>3"})
    assert find_key({"region": "CONE 370 20 60 arcmin", "where": "plx > 3"}) == first
    assert find_key({"region": "cone 10 20 1 deg", "where": "plx > 4"}) != first
    assert find_key({"region": "cone 10 20 1 deg"}) != first


@pytest.mark.parametrize(
    ("left", "error", "message"),
    [
        ({"where": "plx >"}, ParameterError, r"^`inputs\.left\.where` must be a condition"),
        ({"where": "paralax > 3"}, SchemaError, r"^`inputs\.left\.where`: Column `paralax` is not"),
        ({"region": "disk 1 2"}, ParameterError, r"^`inputs\.left\.region` must be one of"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(
    demo_home: Home, left: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plan_job(parse_job(describe("planned", left, {})), home=demo_home)


def test_a_file_is_read_whole(home: Home, examples: Path) -> None:
    content = {
        "job": "ingest",
        "inputs": {"source": {"path": str(examples / "data" / FILES["left"]), "where": "plx > 1"}},
        "params": {"roles": {"id": "hip"}},
        "outputs": {"table": {"table": "x"}},
    }
    with pytest.raises(ParameterError, match=r"`inputs\.source\.where` chooses rows of a table"):
        plan_job(parse_job(content), home=home)
