"""The features job: light curves and joined tables become one versioned row per object."""

import operator
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from ubspark.catalogs.delta import open_table
from ubspark.errors import ParameterError, SchemaError
from ubspark.features import DEFAULT_FEATURES, compute_features
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import plan_job, run_job
from ubspark.sky.healpix import compute_healpix_29
from ubspark.timeseries import LightCurves

pytestmark = pytest.mark.spark

BANDS = ("g", "r")
N = 60
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
def curves() -> LightCurves:
    rng = np.random.default_rng(11)
    sizes = rng.integers(0, 60, N)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    t = np.concatenate([np.sort(rng.uniform(59_000, 59_500, size)) for size in sizes])
    y = 17 + 0.3 * np.sin(2 * np.pi * t / 2.5) + rng.normal(0, 0.05, t.size)
    band = rng.integers(0, 2, t.size).astype(np.int8)
    return LightCurves(offsets, t, y, rng.uniform(0.02, 0.08, t.size), band, BANDS)


@pytest.fixture(scope="module")
def positions() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    ra, dec = rng.uniform(0, 360, N), rng.uniform(-60, 60, N)
    index = compute_healpix_29(ra, dec)
    order = np.argsort(index)
    return {
        "_healpix_29": index[order],
        "objectId": order + 100,
        "ra": ra[order],
        "dec": dec[order],
    }


@pytest.fixture(scope="module")
def tables(
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
    curves: LightCurves,
    positions: dict[str, Any],
) -> Home:
    """A home with tables of light curves, periods and matches; tests must not change them."""
    home = Home(tmp_path_factory.mktemp("features"))
    home.validate_writable()
    names = pa.array(BANDS).take(pa.array(curves.band))
    parts = {"mjd": curves.t, "mag": curves.y, "magErr": curves.dy, "band": names}
    offsets = pa.array(curves.offsets.astype(np.int32))
    nested = {
        name: pa.ListArray.from_arrays(offsets, pa.array(values)) for name, values in parts.items()
    }
    save(spark, home, "curves", pa.table({**positions, **nested}), ROLES, {"mag": "mag"})
    some = pa.table(positions).slice(0, 40).select(["_healpix_29", "objectId"])
    periods = some.append_column("period", pa.array(np.full(40, 2.5)))
    periods = periods.append_column("power", pa.array(np.linspace(0, 1, 40)))
    save(spark, home, "periods", periods, {"id": "objectId"}, {"period": "d"})
    columns = {
        "_healpix_29": positions["_healpix_29"],
        "left_id": positions["objectId"],
        "parallax": np.full(N, 2.0),
        "parallax_error": np.full(N, 0.1),
        "phot_g_mean_mag": np.full(N, 12.0),
        "pmra": np.full(N, 3.0),
        "pmdec": np.full(N, -4.0),
    }
    save(spark, home, "matches", pa.table(columns), {"id": "left_id"}, {})
    return home


def save(
    spark: SparkSession,
    home: Home,
    name: str,
    rows: pa.Table,
    roles: dict[str, str],
    units: dict[str, str],
) -> None:
    place = Path(home.warehouse) / name
    frame = spark.createDataFrame(rows.to_pandas())
    for column, unit in units.items():
        frame = frame.withMetadata(column, {"unit": unit})
    frame.coalesce(2).write.format("delta").save(str(place))
    properties = ", ".join(f"'ubspark.role.{role}' = '{column}'" for role, column in roles.items())
    spark.sql(f"ALTER TABLE delta.`{place}` SET TBLPROPERTIES ({properties})")


def run(
    home: Home, spark: SparkSession, output: str, inputs: tuple[str, ...] = (), **params: Any
) -> Any:
    return run_job(configure(output, inputs, **params), home=home, spark=spark)


def configure(output: str, inputs: tuple[str, ...] = (), cells: int = 3, **params: Any) -> Any:
    content = {
        "job": "features",
        "inputs": {"lightcurves": {"table": "curves"}, **{n: {"table": n} for n in inputs}},
        "params": {"bands": list(BANDS), **params},
        "outputs": {"features": {"table": output}},
        "resources": {"cells": cells},
    }
    return parse_job(content)


def read(home: Home, name: str) -> pa.Table:
    table = open_table(str(Path(home.warehouse) / name)).to_dataset().to_table()
    return table.sort_by("objectId")


def test_rows_are_those_of_the_kernels(
    tables: Home, spark: SparkSession, curves: LightCurves, positions: dict[str, Any]
) -> None:
    outcome = run(tables, spark, "plain")
    rows = read(tables, "plain")
    order = np.argsort(positions["objectId"])
    registry = DEFAULT_FEATURES.select(columns=())
    expected = compute_features(curves, registry, is_magnitude=True, quantity="mag")
    assert rows["objectId"].to_pylist() == positions["objectId"][order].tolist()
    assert rows["feature_status"].to_pylist() == expected.status[order].tolist()
    for name, values in expected.values.items():
        found = rows[name].cast(pa.float64()).to_numpy()
        kept = values[order].astype(rows.schema.field(name).type.to_pandas_dtype())
        np.testing.assert_array_equal(found, kept, err_msg=name)
    assert outcome.record.metrics["objects"] == N
    assert outcome.record.metrics["status_1"] == np.count_nonzero(curves.counts == 0)


def test_cells_do_not_change_the_table(tables: Home, spark: SparkSession) -> None:
    digests = {
        run_job(configure(f"cells_{n}", cells=n), home=tables, spark=spark).outputs["features"][
            "digest"
        ]
        for n in (1, 7)
    }
    assert len(digests) == 1


def test_columns_say_what_they_are(tables: Home, spark: SparkSession) -> None:
    run(tables, spark, "plain")
    table = open_table(str(Path(tables.warehouse) / "plain"))
    mean = table.schema["r_magMean"]
    assert (mean.unit, mean.ucd) == ("mag", "phot;stat.mean")
    assert "Mean of the values with weights 1/error^2 in band r" in str(mean.comment)
    assert table.schema["r_magMaxSlope"].unit == "mag/d"
    assert not table.schema["objectId"].nullable or table.schema["objectId"].type == pa.int64()
    assert table.roles["id"] == "objectId"
    registry = DEFAULT_FEATURES.select(columns=())
    assert table.properties["ubspark.features.registry"] == registry.version


def test_cells_without_a_row_that_counts_are_empty(tables: Home, spark: SparkSession) -> None:
    for name, where, n in (("one", "objectId = 105", 1), ("none", "objectId < 0", 0)):
        config = configure(name, cells=7, sets=["moments"])
        given = config.inputs["lightcurves"].model_copy(update={"where": where})
        config.inputs["lightcurves"] = given
        assert run_job(config, home=tables, spark=spark).record.metrics["objects"] == n
        assert read(tables, name)["objectId"].to_pylist() == [105] * n


def test_joined_tables_bring_their_features(tables: Home, spark: SparkSession) -> None:
    outcome = run(tables, spark, "joined", ("periods", "matches"))
    rows = read(tables, "joined")
    with_period = rows["log10_period"].is_valid().to_numpy()
    assert with_period.sum() == 40
    np.testing.assert_allclose(
        rows["log10_period"].drop_null().to_numpy(), np.log10(2.5), rtol=1e-6
    )
    assert set(rows["parallax_over_error"].to_pylist()) == {20.0}
    assert set(rows["proper_motion"].to_pylist()) == {5.0}
    harmonic = rows["g_harmonics_amplitude_1"]
    assert 0 < len(harmonic.drop_null()) <= 40
    assert np.median(harmonic.drop_null().to_numpy()) == pytest.approx(0.3, abs=0.05)
    assert outcome.record.metrics["joined_periods"] == 40
    assert outcome.record.metrics["joined_matches"] == N


def edit_curves(home: Home, name: str, spark: SparkSession, **columns: Any) -> None:
    """Save the light curves with other columns, by the row's id."""
    place = Path(home.warehouse)
    rows = spark.read.format("delta").load(str(place / "curves"))
    for column, expression in columns.items():
        rows = rows.withColumn(column, expression)
    rows = rows.withMetadata("mag", {"unit": "mag"})
    rows.coalesce(1).write.format("delta").save(str(place / name))


def configure_edited(output: str, name: str, inputs: tuple[str, ...] = (), **params: Any) -> Any:
    config = configure(output, inputs, **params)
    given = config.inputs["lightcurves"].model_copy(update={"table": name, "roles": ROLES})
    config.inputs["lightcurves"] = given
    return config


def test_a_bad_row_is_a_status_and_no_failure(tables: Home, spark: SparkSession) -> None:
    """A null list of errors, and one that is an entry short; all other rows are as they were."""
    run(tables, spark, "plain")
    short = F.slice("magErr", 1, F.size("magErr") - 1)
    bad = F.when(F.col("objectId") == 103, F.lit(None)).when(F.col("objectId") == 104, short)
    edit_curves(tables, "uneven", spark, magErr=bad.otherwise(F.col("magErr")))
    outcome = run_job(configure_edited("of_uneven", "uneven"), home=tables, spark=spark)
    rows, plain = read(tables, "of_uneven"), read(tables, "plain")
    assert rows["feature_status"].to_pylist()[3:5] == [33, 33]
    assert rows["g_n_epochs"].to_pylist()[3:5] == [0, 0]
    assert outcome.record.metrics["status_32"] == 2
    assert any("lists of times, values, errors or bands of" in n for n in outcome.record.notes)
    assert rows.slice(5).equals(plain.slice(5))


def test_bands_of_whole_numbers_are_taken_as_text(tables: Home, spark: SparkSession) -> None:
    run(tables, spark, "plain")
    number = F.transform("band", lambda band: F.when(band == "g", 1).otherwise(2))
    edit_curves(tables, "numbered", spark, band=number)
    config = configure_edited("of_numbers", "numbered", bands=["1", "2"])
    run_job(config, home=tables, spark=spark)
    rows, plain = read(tables, "of_numbers"), read(tables, "plain")
    assert rows["2_n_epochs"].equals(plain["r_n_epochs"])
    assert rows["color_median_1_2"].equals(plain["color_median_g_r"])


def test_lists_of_text_are_refused_at_planning(tables: Home, spark: SparkSession) -> None:
    edit_curves(tables, "worded", spark, mjd=F.col("mjd").cast("array<string>"))
    with pytest.raises(SchemaError, match="`mjd` of role `time` must hold lists of numbers"):
        plan_job(configure_edited("refused", "worded"), home=tables)


@pytest.mark.parametrize("cells", [1, 5])
def test_a_joined_table_has_one_row_for_each_object_in_its_place(
    tables: Home, spark: SparkSession, positions: dict[str, Any], cells: int
) -> None:
    index, ids = positions["_healpix_29"], positions["objectId"]
    order = np.argsort(np.append(index, index[7]))
    wide = np.append(ids, 2**40)
    rows = {
        "elsewhere": (index, np.roll(ids, 1), "another `_healpix_29` than its light curve"),
        "twice": (np.append(index, index[7])[order], np.append(ids, ids[7])[order], "more than"),
        "wide": (np.append(index, index[7])[order], wide[order], None),
    }
    for name, (places, objects, message) in rows.items():
        period = np.full(len(objects), 2.5)
        table = {"_healpix_29": places, "objectId": objects, "period": period}
        save(spark, tables, f"{name}_{cells}", pa.table(table), {"id": "objectId"}, {})
        config = configure(f"of_{name}_{cells}", ("periods",), cells=cells, sets=["period"])
        given = config.inputs["periods"].model_copy(update={"table": f"{name}_{cells}"})
        config.inputs["periods"] = given
        if message is None:
            assert run_job(config, home=tables, spark=spark).record.metrics["joined_periods"] == N
            continue
        with pytest.raises(SchemaError, match=message):
            run_job(config, home=tables, spark=spark)


def test_columns_are_converted_from_the_units_that_they_state(
    tables: Home, spark: SparkSession
) -> None:
    """Times in seconds, magnitudes in mmag, a parallax in arcsec: all the same features."""
    run(tables, spark, "as_usual", ("periods", "matches"))
    place = Path(tables.warehouse)
    scales = {
        "curves": {"mjd": (86_400.0, "s"), "mag": (1e3, "mmag"), "magErr": (1e6, "umag")},
        "periods": {"period": (24.0, "h")},
        "matches": {
            "parallax": (1e-3, "arcsec"),
            "parallax_error": (1e3, "uas"),
            "pmra": (1e-3, "arcsec/yr"),
            "pmdec": (1 / 3.6e6, "deg/yr"),
        },
    }
    for name, columns in scales.items():
        rows = spark.read.format("delta").load(str(place / name))
        for column, (factor, unit) in columns.items():
            own = F.col(column)
            scaled = F.transform(own, partial(operator.mul, factor)) if name == "curves" else None
            rows = rows.withColumn(column, own * factor if scaled is None else scaled)
            rows = rows.withMetadata(column, {"unit": unit})
        rows.write.format("delta").save(str(place / f"{name}_other"))
        properties = open_table(str(place / name)).roles.to_properties()
        said = ", ".join(f"'{key}' = '{value}'" for key, value in properties.items())
        spark.sql(f"ALTER TABLE delta.`{place / name}_other` SET TBLPROPERTIES ({said})")
    config = configure("of_other_units", ("periods", "matches"))
    for name, given in config.inputs.items():
        table = f"{given.table}_other"
        config.inputs[name] = given.model_copy(update={"table": table})
    notes = run_job(config, home=tables, spark=spark).record.notes
    assert "Column `mjd` was converted from s to d." in notes
    assert "Column `magErr` was converted from umag to mag." in notes
    assert "Column `parallax` was converted from arcsec to mas." in notes
    expected, found = read(tables, "as_usual"), read(tables, "of_other_units")
    assert found.schema.field("g_mean").metadata[b"unit"] == b"mag"
    for column in expected.schema:
        # A phase may turn by 2 pi.
        if pa.types.is_floating(column.type) and "_phase_" not in column.name:
            pair = [rows[column.name].to_numpy() for rows in (found, expected)]
            np.testing.assert_allclose(*pair, rtol=2e-4, atol=1e-5, err_msg=column.name)


def test_a_unit_that_cannot_be_converted_is_refused(tables: Home, spark: SparkSession) -> None:
    place = Path(tables.warehouse)
    rows = spark.read.format("delta").load(str(place / "curves"))
    rows = rows.withMetadata("magErr", {"unit": "m"}).withMetadata("mag", {"unit": "mag"})
    rows.write.format("delta").save(str(place / "odd"))
    given = configure("refused").inputs["lightcurves"]
    config = configure("refused")
    config.inputs["lightcurves"] = given.model_copy(update={"table": "odd", "roles": ROLES})
    with pytest.raises(SchemaError, match=r"`magErr` of .* is in `m`, which cannot be converted"):
        plan_job(config, home=tables)


def test_columns_asked_for_are_carried_along(tables: Home, spark: SparkSession) -> None:
    config = configure("carried", ("periods",))
    config.inputs["periods"] = config.inputs["periods"].model_copy(update={"columns": ["power"]})
    run_job(config, home=tables, spark=spark)
    power = read(tables, "carried")["power_periods"]
    assert power.null_count == N - 40


def test_sets_may_be_chosen(tables: Home, spark: SparkSession) -> None:
    run(tables, spark, "chosen", sets=["moments"])
    names = read(tables, "chosen").column_names
    assert [name for name in names if name.startswith("g_")] == [
        "g_n_epochs",
        "g_mean",
        "g_magSigma",
        "g_magSkew",
        "g_kurtosis",
        "g_mean_variance",
        "g_beyond_1_std",
        "g_beyond_2_std",
    ]


def test_the_plan_reads_metadata_alone(tables: Home) -> None:
    _, facts = plan_job(configure("planned", ("periods",)), home=tables)
    said = {fact.name: fact.value for fact in facts}
    assert said["objects"] == N
    assert "harmonics" in str(said["feature sets"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sets": ["moment"]}, "Did you mean `moments`"),
        ({"sets": ["harmonics"]}, "needs the columns period"),
        ({"engine": "light_curve"}, "needs the package light-curve"),
        ({"own": ["nowhere"]}, "must be written `module:name`"),
        ({"values": {"period": "periods.period"}}, "with an input of the job"),
        ({"registry": "000000000000"}, "the features are declared otherwise"),
    ],
)
def test_what_cannot_be_computed_is_refused(
    tables: Home, changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "light_curve", None)
    with pytest.raises(ParameterError, match=message):
        plan_job(configure("refused", **changes), home=tables)


def test_bands_that_differ_by_case_are_refused(tables: Home) -> None:
    with pytest.raises(SchemaError, match="must differ by more than case"):
        plan_job(configure("refused", bands=["g", "G"]), home=tables)


def test_drift_is_told_between_versions(tables: Home, spark: SparkSession) -> None:
    """Against itself nothing has changed; against magnitudes that are 3 fainter much has."""
    run(tables, spark, "before", sets=["moments", "quantiles"])
    shifted = read(tables, "before")
    for name in ("g_mean", "r_mean"):
        k = shifted.column_names.index(name)
        fainter = pa.array(shifted[name].to_numpy() + 3.0, from_pandas=True)
        shifted = shifted.set_column(k, name, fainter)
    shifted = shifted.sort_by("_healpix_29")
    save(spark, tables, "shifted", shifted, {"id": "objectId"}, {})
    for name, n in (("before", 0), ("shifted", 2)):
        config = configure(f"after_{name}", sets=["moments", "quantiles"])
        before = config.inputs["lightcurves"].model_copy(update={"table": name})
        config.inputs["previous"] = before
        outcome = run_job(config, home=tables, spark=spark)
        assert outcome.record.metrics["drifted_columns"] == n
        assert (outcome.record.folder / "drift.png").is_file()
        page = (outcome.record.folder / "report.html").read_text()
        assert "<th>undefined</th><th>smallest</th><th>largest</th><th>drift</th>" in page
        mean = read(tables, f"after_{name}")["g_mean"].drop_null()
        low, high = pc.min_max(mean).as_py().values()
        # As computed, before it is stored in single precision.
        assert f">{low:.4g}<" in page
        assert f">{high:.4g}<" in page
