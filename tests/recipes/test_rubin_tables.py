"""Rubin's DP1 tables: checked against their own schemas, ingested, and joined to light curves."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import TableVersion, open_table
from ubspark.catalogs.sources import open_source
from ubspark.catalogs.sources.data_model import compare_columns, read_model
from ubspark.errors import SchemaError
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import RunOutcome, run_job

pytestmark = pytest.mark.spark

BANDS = list("ugrizy")
#: File to table of the data model, identifier, position.
TABLES = {
    "object": ("Object", "objectId", "coord_ra", "coord_dec"),
    "forced_source": ("ForcedSource", "forcedSourceId", "coord_ra", "coord_dec"),
    "dia_object": ("DiaObject", "diaObjectId", "ra", "dec"),
    "dia_source": ("DiaSource", "diaSourceId", "ra", "dec"),
}
EPOCHS = {"time": "midpointMjdTai", "flux": "psfFlux", "flux_error": "psfFluxErr", "band": "band"}


@pytest.fixture(scope="module")
def rubin(data: Path) -> Path:
    for name in ("rubin_dp1_flat", "rubin_schemas"):
        if not (data / name).is_dir():
            pytest.skip(f"{data / name} is not there; set UBSPARK_DATA")
    return data


@pytest.fixture(scope="module")
def rubin_home(
    rubin: Path, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Home, dict[str, RunOutcome]]:
    home = Home(tmp_path_factory.mktemp("rubin"))
    home.validate_writable()
    outcomes = {}
    for name, (table, id_column, ra, dec) in TABLES.items():
        content = {
            "job": "ingest",
            "inputs": {"source": {"path": str(rubin / "rubin_dp1_flat" / f"{name}.parquet")}},
            "params": {
                "roles": {"id": id_column, "ra": ra, "dec": dec},
                "data_model": f"{rubin / 'rubin_schemas' / 'dp1.yaml'}#{table}",
            },
            "outputs": {"table": {"table": name}},
        }
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Nanoseconds")
            outcomes[name] = run_job(parse_job(content), home=home, spark=spark)
    return home, outcomes


def nest(home: Home, spark: SparkSession, output: str, inputs: Any, **params: Any) -> TableVersion:
    content = {
        "job": "lightcurves",
        "inputs": inputs,
        "params": {"bands": BANDS, **params},
        "outputs": {"lightcurves": {"table": output}},
    }
    run_job(parse_job(content), home=home, spark=spark)
    return open_table(str(home.warehouse / output))


def test_ingest_reports_how_tables_conform(
    rubin_home: tuple[Home, dict[str, RunOutcome]],
) -> None:
    home, outcomes = rubin_home
    metrics, notes = outcomes["dia_source"].record.metrics, outcomes["dia_source"].record.notes
    assert metrics["model_columns_known"] == 87
    assert metrics["model_columns_absent"] == 0
    assert metrics["model_columns_foreign"] == 5
    assert metrics["model_types_other"] == 20
    assert metrics["model_nulls"] == 0
    assert any("`detector` is int16, not int64" in note for note in notes)
    assert any("67 of 87 columns shared with DiaSource of dp1 1.3.1" in note for note in notes)
    assert outcomes["object"].record.metrics["model_columns_absent"] == 12
    flux = open_table(str(home.warehouse / "dia_source")).schema["psfFlux"]
    assert flux.unit == "nJy"
    assert flux.description


def test_dia_sources_join_to_the_published_statistics(
    rubin_home: tuple[Home, dict[str, RunOutcome]], spark: SparkSession, rubin: Path
) -> None:
    home, _ = rubin_home
    roles = {"id": "diaObjectId", **EPOCHS}
    inputs = {
        "sources": {"table": "dia_source", "roles": roles},
        "objects": {"table": "dia_object", "columns": ["nDiaSources", "r_psfFluxMean"]},
    }
    table = nest(home, spark, "dia_curves", inputs)
    rows = table.to_dataset().to_table().to_pylist()
    assert table.schema["psfFlux"].unit == "nJy"
    assert len(rows) == 40
    n_checked = 0
    for row in rows:
        assert row["n_epochs"] + row["n_bad_epochs"] == row["nDiaSources"]
        assert row["midpointMjdTai"] == sorted(row["midpointMjdTai"])
        is_red = np.array(row["band"]) == "r"
        assert is_red.sum() == row["n_epochs_r"]
        if row["r_psfFluxMean"] is not None and is_red.any():
            weight = 1 / np.array(row["psfFluxErr"])[is_red] ** 2
            mean = np.sum(weight * np.array(row["psfFlux"])[is_red]) / np.sum(weight)
            assert mean == pytest.approx(row["r_psfFluxMean"], rel=1e-4)
            n_checked += 1
    assert n_checked > 5
    within = nest(home, spark, "dia_within", inputs, reach="2 arcsec")
    assert within.read_digest() == table.read_digest()


def test_forced_sources_become_light_curves(
    rubin_home: tuple[Home, dict[str, RunOutcome]], spark: SparkSession, rubin: Path
) -> None:
    """The positions of forced sources are those of their objects."""
    home, _ = rubin_home
    flags = {"psfFlux_flag": True, "pixelFlags_saturatedCenter": True}
    inputs = {
        "sources": {"table": "forced_source", "roles": {"id": "objectId", **EPOCHS}},
        "objects": {"table": "object"},
    }
    table = nest(home, spark, "forced_curves", inputs, bad_flags=flags)
    rows = {row["objectId"]: row for row in table.to_dataset().to_table().to_pylist()}
    source = pq.read_table(rubin / "rubin_dp1_flat" / "forced_source.parquet")
    good = source.to_pandas()
    good = good[~good["psfFlux_flag"] & ~good["pixelFlags_saturatedCenter"]]
    good = good[np.isfinite(good["psfFlux"]) & (good["psfFluxErr"] > 0)]
    counts = good.groupby("objectId").size().to_dict()
    assert {name: row["n_epochs"] for name, row in rows.items() if row["n_epochs"]} == counts
    assert sum(r["n_epochs"] + r["n_bad_epochs"] for r in rows.values()) == source.num_rows
    # Without the table of objects the positions are those of the epochs, all one.
    del inputs["objects"]
    alone = nest(home, spark, "forced_alone", inputs, bad_flags=flags)
    assert alone.read_digest() == table.read_digest()


def test_nested_columns_of_hats_are_the_flat_rows(
    rubin_home: tuple[Home, dict[str, RunOutcome]], spark: SparkSession, rubin: Path
) -> None:
    home, _ = rubin_home
    place = rubin / "rubin_dp1_hats" / "object_collection"
    if not place.is_dir():
        pytest.skip(f"{place} is not there; set UBSPARK_DATA")
    nested = nest(
        home,
        spark,
        "nested",
        {
            "lightcurves": {
                "table": str(place),
                "roles": {"id": "objectId", "ra": "coord_ra", "dec": "coord_dec"},
                "columns": [],
            }
        },
        nested="objectForcedSource",
        fields=EPOCHS,
    )
    inputs = {
        "sources": {"table": "forced_source", "roles": {"id": "objectId", **EPOCHS}},
        "objects": {"table": "object"},
    }
    flat = nest(home, spark, "flat", inputs)
    tables = [t.to_dataset().to_table().sort_by("objectId").to_pylist() for t in (nested, flat)]
    assert tables[0] == tables[1]


def test_strict_refuses_contradictions(rubin: Path, spark: SparkSession, home: Home) -> None:
    """A table of sources is no table of objects."""
    content = {
        "job": "ingest",
        "inputs": {"source": {"path": str(rubin / "rubin_dp1_flat" / "forced_source.parquet")}},
        "params": {
            "roles": {"id": "forcedSourceId", "ra": "coord_ra", "dec": "coord_dec"},
            "data_model": f"{rubin / 'rubin_schemas' / 'dp1.yaml'}#DiaSource",
            "strict": True,
        },
        "outputs": {"table": {"table": "wrong"}},
    }
    with pytest.raises(SchemaError, match="needs the columns `time_processed`"):
        run_job(parse_job(content), home=home, spark=spark)


@pytest.mark.parametrize(("file", "table"), [(f, t[0]) for f, t in TABLES.items()])
def test_published_files_contradict_nothing(rubin: Path, file: str, table: str) -> None:
    """Numbers are narrower than the schema says; no type is of another kind, no unit another."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Nanoseconds")
        source = open_source(str(rubin / "rubin_dp1_flat" / f"{file}.parquet"), scratch=rubin)
    model = read_model(f"{rubin / 'rubin_schemas' / 'dp1.yaml'}#{table}")
    assert compare_columns(source.columns, model).find_faults() == []
