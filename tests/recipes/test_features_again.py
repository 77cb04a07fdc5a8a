"""Features of light curves that grew: only what was touched is computed, and all is the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import read_history
from ubspark.errors import ParameterError
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import RunOutcome, run_job
from ubspark.sky.healpix import compute_healpix_29

pytestmark = pytest.mark.spark

N = 40
ROLES = {"id": "objectId", "time": "t", "flux": "mag", "flux_error": "magErr"}


@pytest.fixture(scope="module")
def grown(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with features of light curves and periods, of which one star's have changed since."""
    home = Home(tmp_path_factory.mktemp("grown"))
    home.validate_writable()
    rng = np.random.default_rng(1)
    index = np.sort(compute_healpix_29(rng.uniform(0, 360, N), rng.uniform(-80, 80, N)))
    lists = {name: [rng.normal(15, 0.1, 30).tolist() for _ in index] for name in ("mag", "magErr")}
    times = [np.sort(rng.uniform(0, 100, 30)).tolist() for _ in index]
    curves = {"_healpix_29": index, "objectId": np.arange(N), "t": times, **lists}
    save(spark, home, "curves", curves, ROLES)
    periods = {"_healpix_29": index, "objectId": np.arange(N), "period": np.full(N, 3.0)}
    save(spark, home, "periods", periods, {"id": "objectId"})
    run(home, spark, "before")
    place = Path(home.warehouse) / "curves"
    spark.sql(f"UPDATE delta.`{place}` SET mag = transform(mag, x -> x * x) WHERE objectId = 3")
    return home


def save(
    spark: SparkSession, home: Home, name: str, rows: dict[str, Any], roles: dict[str, str]
) -> None:
    place = Path(home.warehouse) / name
    frame = spark.createDataFrame(pa.table(rows).to_pandas())
    frame.repartitionByRange(4, "_healpix_29").sortWithinPartitions("_healpix_29").write.format(
        "delta"
    ).save(str(place))
    properties = ", ".join(f"'ubspark.role.{role}' = '{column}'" for role, column in roles.items())
    spark.sql(f"ALTER TABLE delta.`{place}` SET TBLPROPERTIES ({properties})")


def run(home: Home, spark: SparkSession, output: str, *, cells: int = 2, **more: Any) -> RunOutcome:
    inputs = {"lightcurves": {"table": "curves"}, "periods": {"table": "periods"}}
    previous = more.pop("previous", None)
    previous = {"table": previous} if isinstance(previous, str) else previous
    content = {
        "job": "features",
        "inputs": inputs | ({"previous": previous} if previous else {}),
        "params": {"bands": ["V"], "is_magnitude": True, "sets": ["moments", "harmonics"], **more},
        "outputs": {"features": {"table": output}},
        "resources": {"cells": cells},
    }
    return run_job(parse_job(content), home=home, spark=spark)


@pytest.mark.parametrize("cells", [1, 3])
def test_only_what_was_touched_is_computed(grown: Home, spark: SparkSession, cells: int) -> None:
    again = run(grown, spark, f"again_{cells}", cells=cells, previous="before")
    whole = run(grown, spark, f"whole_{cells}", cells=cells)
    assert again.outputs["features"]["digest"] == whole.outputs["features"]["digest"]
    metrics = again.record.metrics
    assert metrics["objects_kept"] + metrics["objects_computed"] == N
    assert 1 <= metrics["objects_computed"] <= N // 2
    assert metrics["objects"] == N
    assert metrics["share_undefined"] == pytest.approx(whole.record.metrics["share_undefined"])


def test_the_features_before_were_others(grown: Home, spark: SparkSession) -> None:
    """Taking all rows would have been wrong."""
    record = read_history(str(Path(grown.warehouse) / "before"))[0].record or {}
    assert run(grown, spark, "now").outputs["features"]["digest"] != record["digest"]


def test_a_table_of_other_parameters_is_not_taken_from(grown: Home, spark: SparkSession) -> None:
    record = run(grown, spark, "fewer", previous="before", sets=["moments"]).record
    assert any("it was made with other parameters" in note for note in record.notes)
    assert record.metrics["objects_kept"] == 0


def test_a_changed_table_of_periods_touches_too(grown: Home, spark: SparkSession) -> None:
    run(grown, spark, "middle")
    place = Path(grown.warehouse) / "periods"
    spark.sql(f"UPDATE delta.`{place}` SET period = 1.7 WHERE objectId = {N - 2}")
    again = run(grown, spark, "after_periods", previous="middle")
    whole = run(grown, spark, "whole_periods")
    assert again.outputs["features"]["digest"] == whole.outputs["features"]["digest"]
    assert 1 <= again.record.metrics["objects_computed"] <= N // 2


def test_a_column_that_means_something_else_now_touches_all(
    grown: Home, spark: SparkSession
) -> None:
    """The same files, of which another column holds the errors."""
    place = Path(grown.warehouse) / "curves"
    run(grown, spark, "of_errors")
    spark.sql(f"ALTER TABLE delta.`{place}` SET TBLPROPERTIES ('ubspark.role.flux_error' = 'mag')")
    again = run(grown, spark, "of_others", previous="of_errors")
    whole = run(grown, spark, "whole_of_others")
    assert again.outputs["features"]["digest"] == whole.outputs["features"]["digest"]
    assert again.record.metrics["objects_kept"] == 0
    assert again.outputs["features"]["digest"] != open_digest(grown, "of_errors")


def open_digest(home: Home, name: str) -> str:
    record = read_history(str(Path(home.warehouse) / name))[0].record or {}
    return str(record["digest"])


def test_a_part_of_a_table_is_not_taken_from(grown: Home, spark: SparkSession) -> None:
    with pytest.raises(ParameterError, match="takes no `where`"):
        run(grown, spark, "refused", previous={"table": "before", "where": "V_mean > 0"})
