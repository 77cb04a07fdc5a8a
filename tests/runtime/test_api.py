"""Functions for notebooks."""

from pathlib import Path

import pytest
from astropy import units as u
from astropy.io import votable

import ubspark
from ubspark.errors import ParameterError
from ubspark.runtime.home import Home

pytestmark = pytest.mark.spark


@pytest.fixture
def demo(demo_home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("UBSPARK_HOME", str(demo_home.path))
    return demo_home


def test_ucd_reaches_a_votable(demo: Home, tmp_path: Path) -> None:
    columns = ["_healpix_29", "hip", "pmra"]
    stars = ubspark.read_table("hipparcos2", columns=columns, where="hip < 20")
    assert stars["_healpix_29"].meta["ucd"] == "pos.healpix"
    assert "ucd" not in stars["hip"].meta
    stars.write(tmp_path / "stars.vot", format="votable")
    fields = votable.parse_single_table(tmp_path / "stars.vot").fields
    assert [field.ucd for field in fields] == ["pos.healpix", None, None]
    assert fields[2].unit == u.mas / u.yr


def test_file_is_no_table(demo: Home, tmp_path: Path) -> None:
    (tmp_path / "stars.csv").write_text("id,ra,dec\n1,2,3\n")
    with pytest.raises(ParameterError, match=r"is a file, not a table\. Ingest it first"):
        ubspark.read_table(str(tmp_path / "stars.csv"))
