"""Rubin's reference catalog trixel: positions in radians, motion in rad/yr, epochs in MJD."""

from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from astropy.table import Table
from pyspark.sql import SparkSession

from ubspark.catalogs.delta import open_table
from ubspark.errors import SchemaError
from ubspark.runtime.config import parse_job
from ubspark.runtime.home import Home
from ubspark.runtime.run_job import RunOutcome, run_job

pytestmark = pytest.mark.spark

TRIXEL = "147267"
GAIA: dict[str, Any] = {
    "roles": {
        "id": "id",
        "ra": "coord_ra",
        "dec": "coord_dec",
        "epoch": "epoch",
        "pmra": "pm_ra",
        "pmdec": "pm_dec",
        "parallax": "parallax",
    },
    "pm_includes_cos_dec": True,
    # The files say "rad".
    "units": {"pm_ra": "rad/yr", "pm_dec": "rad/yr"},
}
SURVEY: dict[str, Any] = {"roles": {"id": "id", "ra": "coord_ra", "dec": "coord_dec"}}


@pytest.fixture(scope="module")
def folder(data: Path) -> Path:
    found = data / f"refcat_htm_{TRIXEL}"
    if not found.is_dir():
        pytest.skip(f"`{found.name}` is not in UBSPARK_DATA.")
    return found


@pytest.fixture(scope="module")
def refcat(folder: Path, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("refcat"))
    for name, params in {"gaia_dr3": GAIA, "ps1": SURVEY, "des": SURVEY}.items():
        ingest(home, spark, folder / f"{name}_{TRIXEL}.fits", name, params)
    return home


def ingest(
    home: Home, spark: SparkSession, path: Path, table: str, params: dict[str, Any]
) -> RunOutcome:
    content = {
        "job": "ingest",
        "inputs": {"source": {"path": str(path)}},
        "params": params,
        "outputs": {"table": {"table": table}},
    }
    return run_job(parse_job(content), home=home, spark=spark)


def match(home: Home, spark: SparkSession, left: str, epoch: float | str) -> RunOutcome:
    content = {
        "job": "crossmatch",
        "inputs": {"left": {"table": left}, "right": {"table": "gaia_dr3"}},
        "params": {"radius": "1 arcsec", "epoch": epoch, "association_only": True},
        "outputs": {"matches": {"table": f"{left}_{str(epoch).replace('.', '_')}"}},
    }
    return run_job(parse_job(content), home=home, spark=spark)


@pytest.mark.parametrize(("survey", "n_pairs"), [("ps1", 1026), ("des", 815)])
def test_published_gaia_ids_are_found(
    refcat: Home, spark: SparkSession, folder: Path, survey: str, n_pairs: int
) -> None:
    # PS1 and DES were observed around 2012 and 2016; Gaia moves there, they stay.
    outcome = match(refcat, spark, survey, 2012.0 if survey == "ps1" else 2016.0)
    rows = open_table(str(outcome.outputs["matches"]["uri"])).to_dataset().to_table()
    found = set(zip(rows["left_id"].to_pylist(), rows["right_id"].to_pylist(), strict=True))
    published = Table.read(folder / f"{survey}_transformed_{TRIXEL}.fits", hdu=1)
    (gaia_id,) = (name for name in published.colnames if "GaiaDR3_id" in name)
    expected = set(zip(published["id"].tolist(), published[gaia_id].tolist(), strict=True))
    assert len(expected) == n_pairs
    assert expected <= found


def test_motion_of_the_right_side_widens_the_ring(refcat: Home, spark: SparkSession) -> None:
    still = match(refcat, spark, "des", "none").record.metrics
    moved = match(refcat, spark, "des", 2000.0).record.metrics
    assert still["ring_arcsec"] == 1.0
    assert moved["ring_arcsec"] > 1.5


def test_angles_and_epochs_are_converted(refcat: Home, folder: Path) -> None:
    table = open_table(str(refcat.warehouse / "gaia_dr3"))
    rows = table.to_dataset().to_table(columns=["id", "coord_ra", "coord_dec"])
    with fits.open(folder / f"gaia_dr3_{TRIXEL}.fits") as file:
        expected = file[1].data["id"].tolist()
    assert table.schema["coord_ra"].unit == "deg"
    low, high = table.read_bounds("coord_ra") or (0.0, 0.0)
    assert 44.3 < low < high < 45.7
    assert sorted(rows["id"].to_pylist()) == sorted(expected)


def test_a_unit_that_is_no_motion_is_refused(folder: Path, spark: SparkSession, home: Home) -> None:
    params = {**GAIA, "units": {}}
    with pytest.raises(SchemaError, match=r"of role `pm(ra|dec)` has the unit `rad`"):
        ingest(home, spark, folder / f"gaia_dr3_{TRIXEL}.fits", "gaia_dr3", params)
