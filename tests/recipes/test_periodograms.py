"""The periodograms job: light curves of any layout become one versioned row per object."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table
from ubspark.errors import ParameterError, SchemaError
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import plan_job, run_job
from ubspark.sky.healpix import compute_healpix_29
from ubspark.timeseries import LightCurves
from ubspark.timeseries.options import PeriodOptions
from ubspark.timeseries.periods import compute_periods
from ubspark.timeseries.results import PERIOD_COLUMNS, Status

pytestmark = pytest.mark.spark

BANDS = ("g", "r")
N = 40
RANGE = {"fmin": 0.8, "fmax": 2.0}
ROLES = {
    "id": "objectId",
    "ra": "ra",
    "dec": "dec",
    "time": "mjd",
    "flux": "mag",
    "flux_error": "magErr",
    "band": "band",
}


@pytest.fixture(scope="module")
def positions() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    ra, dec = rng.uniform(0, 360, N), rng.uniform(-60, 60, N)
    index = compute_healpix_29(ra, dec)
    # Without a usable position, and kept all the same.
    index[3], ra[3] = -1, np.nan
    order = np.argsort(index)
    return {
        "_healpix_29": index[order],
        "objectId": order + 100,
        "ra": ra[order],
        "dec": dec[order],
    }


@pytest.fixture(scope="module")
def curves() -> LightCurves:
    """Light curves in the order of the positions, some of them too short."""
    rng = np.random.default_rng(11)
    sizes = rng.integers(30, 90, N)
    sizes[:3] = 0, 1, 4
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    t = np.concatenate([np.sort(rng.uniform(59_000, 59_400, size)) for size in sizes])
    y = 17 + 0.3 * np.sin(2 * np.pi * t / 0.77) + rng.normal(0, 0.05, t.size)
    y[rng.integers(0, t.size, 20)] = np.nan
    band = rng.integers(0, 2, t.size).astype(np.int8)
    return LightCurves(offsets, t, y, rng.uniform(0.02, 0.08, t.size), band, BANDS)


@pytest.fixture(scope="module")
def expected(curves: LightCurves) -> Any:
    return compute_periods(curves, PeriodOptions(**RANGE))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tables(
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
    curves: LightCurves,
    positions: dict[str, Any],
) -> Home:
    """A home with the light curves nested, with codes of bands, and long."""
    home = Home(tmp_path_factory.mktemp("periodograms"))
    home.validate_writable()
    names = pa.array(BANDS).take(pa.array(curves.band))
    parts = {"mjd": curves.t, "mag": curves.y, "magErr": curves.dy, "band": names}
    offsets = pa.array(curves.offsets.astype(np.int32))
    nested = {
        name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in parts.items()
    }
    save(spark, home, "curves", pa.table({**positions, **nested}))
    codes = pa.ListArray.from_arrays(offsets, pa.array(curves.band.astype(np.int32)))
    save(spark, home, "codes", pa.table({**positions, **nested, "band": codes}))
    row = np.repeat(np.arange(N), np.diff(curves.offsets))
    long = {name: values[row] for name, values in positions.items()}
    rows = pa.table({**long, **{name: pa.array(values) for name, values in parts.items()}})
    save(spark, home, "epochs", rows)
    rng = np.random.default_rng(1)
    moved = rows.set_column(0, "_healpix_29", pa.array(rng.integers(0, 2**40, len(rows))))
    save(spark, home, "moved", moved.sort_by("_healpix_29"))
    return home


def save(spark: SparkSession, home: Home, name: str, rows: pa.Table) -> None:
    place = Path(home.warehouse) / name
    frame = spark.createDataFrame(rows).withMetadata("mag", {"unit": "mag"})
    frame.coalesce(2).write.format("delta").save(str(place))
    properties = ", ".join(f"'ubspark.role.{role}' = '{column}'" for role, column in ROLES.items())
    spark.sql(f"ALTER TABLE delta.`{place}` SET TBLPROPERTIES ({properties})")


def configure(output: str, table: str = "curves", cells: int = 3, **params: Any) -> Any:
    content = {
        "job": "periodograms",
        "inputs": {"lightcurves": {"table": table}},
        "params": {"bands": list(BANDS), **RANGE, **params},
        "outputs": {"periods": {"table": output}},
        "resources": {"cells": cells},
    }
    return parse_job(content)


def run(home: Home, spark: SparkSession, output: str, *args: Any, **kwargs: Any) -> Any:
    return run_job(configure(output, *args, **kwargs), home=home, spark=spark)


def read(home: Home, name: str) -> pa.Table:
    table = open_table(str(Path(home.warehouse) / name)).to_dataset().to_table()
    return table.sort_by("objectId")


def test_periodograms_are_stored_where_asked_for(
    tables: Home, spark: SparkSession, curves: LightCurves, positions: dict[str, Any]
) -> None:
    run(tables, spark, "kept", keep_periodogram=True)
    rows = read(tables, "kept")
    options = PeriodOptions(**RANGE, keep_periodogram=True)  # type: ignore[arg-type]
    expected = compute_periods(curves, options)
    for name, powers in expected.powers.items():
        for place, row in enumerate(np.argsort(positions["objectId"])):
            np.testing.assert_array_equal(rows[name][place].values, powers[row])
    assert sum(len(one) for one in expected.powers["periodogram_10"]) > 1000


def test_rows_are_those_of_the_kernel(
    tables: Home, spark: SparkSession, expected: Any, positions: dict[str, Any]
) -> None:
    outcome = run(tables, spark, "plain")
    rows = read(tables, "plain")
    order = np.argsort(positions["objectId"])
    assert rows["objectId"].to_pylist() == list(range(100, 100 + N))
    for column in PERIOD_COLUMNS:
        values = expected[column.name][order]
        found = rows[column.name].to_numpy()
        if values.dtype.kind == "f" or column.nullable:
            searched = expected["status"][order] == Status.OK
            assert np.array_equal(found[searched], values[searched], equal_nan=True), column.name
        else:
            assert np.array_equal(found, values), column.name
    assert rows["period"].null_count == np.sum(expected["status"] != Status.OK)
    peaks = rows["peak_frequency"].to_pylist()
    assert [len(one) for one in peaks] == expected.n_listed[order].tolist()
    assert rows["n_obs_g"].to_pylist() == expected.by_band["n_obs"][order, 0].tolist()
    metrics = outcome.record.metrics
    assert metrics["objects"] == N
    assert metrics["searched"] == np.sum(expected["status"] == Status.OK)
    assert metrics["status_too_few_epochs"] == 3
    schema = open_table(str(Path(tables.warehouse) / "plain")).schema
    assert schema["period"].unit == "d"
    assert schema["amplitude_g"].unit == "mag"
    assert "too few epochs" in str(schema["status"].description)


@pytest.mark.parametrize("cells", [1, 11])
def test_number_of_cells_does_not_change_the_digest(
    tables: Home, spark: SparkSession, cells: int
) -> None:
    digests = {
        run(tables, spark, f"cut_{n}", cells=n).outputs["periods"]["digest"] for n in (3, cells)
    }
    assert len(digests) == 1


def test_rows_per_epoch_give_the_same_table(tables: Home, spark: SparkSession) -> None:
    run(tables, spark, "nested")
    run(tables, spark, "long", "epochs", layout="long")
    nested, long = read(tables, "nested"), read(tables, "long")
    # An object without any epoch has no row there.
    assert nested.num_rows - long.num_rows == 1
    ids = set(long["objectId"].to_pylist())
    kept = nested.filter(pa.array([one in ids for one in nested["objectId"].to_pylist()]))
    assert kept["period"].equals(long["period"])
    assert kept["n_obs"].equals(long["n_obs"])


def test_epochs_that_do_not_share_a_position_are_refused(tables: Home, spark: SparkSession) -> None:
    with pytest.raises(Exception, match="have different positions"):
        run(tables, spark, "scattered", "moved", layout="long", cells=1)


def test_bands_may_be_numbers(tables: Home, spark: SparkSession) -> None:
    run(tables, spark, "named")
    run(tables, spark, "numbered", "codes", bands=["0", "1"])
    named, numbered = read(tables, "named"), read(tables, "numbered")
    assert named["period"].equals(numbered["period"])
    assert named["amplitude_r"].equals(numbered["amplitude_1"])


def test_the_plan_predicts_core_hours(tables: Home) -> None:
    _, found = plan_job(configure("planned"), home=tables)
    facts = {fact.name: fact.value for fact in found}
    assert facts["rows"] == N
    assert 0 < float(facts["core-hours, about"]) < 1
    # Three on the sky, and one of the rows without a position.
    assert facts["tasks"] == 4


@pytest.mark.parametrize(
    ("params", "error", "text"),
    [
        ({"layout": "long"}, SchemaError, "must hold one value per row"),
        ({"nested": "mag"}, SchemaError, "Set `params.fields.time`"),
        ({"fields": {"time": "t"}}, ParameterError, "set `params.nested`"),
        ({"fmax": 0.1}, ParameterError, "`fmin` must be"),
        ({"device": "gpu"}, ParameterError, "GPU"),
        ({"bands": ["g", "G"]}, SchemaError, "names must differ"),
    ],
)
def test_what_cannot_be_is_said_before_it_runs(
    tables: Home, spark: SparkSession, params: dict[str, Any], error: Any, text: str
) -> None:
    with pytest.raises(error, match=text):
        run(tables, spark, "refused", **params)


def test_nested_catalogs_of_rubin_are_read_as_they_are(
    tmp_path: Path, spark: SparkSession, data: Path
) -> None:
    catalog = data / "rubin_dp1_hats" / "object_collection"
    if not catalog.is_dir():
        pytest.skip("`rubin_dp1_hats` is not in UBSPARK_DATA.")
    home = Home(tmp_path)
    home.validate_writable()
    fields = {
        "time": "midpointMjdTai",
        "flux": "psfFlux",
        "flux_error": "psfFluxErr",
        "band": "band",
    }
    content = {
        "job": "periodograms",
        "inputs": {"lightcurves": {"table": str(catalog), "roles": {"id": "objectId"}}},
        "params": {
            "bands": list("ugrizy"),
            "nested": "objectForcedSource",
            "fields": fields,
            "is_magnitude": False,
            "fmax": 5.0,
        },
        "outputs": {"periods": {"table": "dp1"}},
    }
    outcome = run_job(parse_job(content), home=home, spark=spark)
    rows = open_table(str(Path(home.warehouse) / "dp1")).to_dataset().to_table()
    assert rows.num_rows == 50
    assert outcome.record.metrics["objects"] == 50
    assert outcome.record.metrics["searched"] >= 10
    assert sum(rows["n_obs"].to_pylist()) > 1000
