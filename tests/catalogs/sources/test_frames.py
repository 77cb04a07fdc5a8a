"""Frames and epochs in one spelling."""

import pytest
from astropy.time import Time

from ubspark.catalogs.sources.frames import make_frame, read_epoch


@pytest.mark.parametrize(
    ("system", "equinox", "frame"),
    [
        ("ICRS", None, "ICRS"),
        ("eq_FK5", "J2000", "FK5 J2000"),
        ("eq_FK4", "B1950.0", "FK4 B1950"),
        ("FK5", 1991.25, "FK5 J1991.25"),
        ("galactic", None, "GALACTIC"),
        ("ecl_FK5", "J2000", "ECL_FK5"),
    ],
)
def test_frames(system: str, equinox: str | float | None, frame: str) -> None:
    assert make_frame(system, equinox) == frame


def test_epochs() -> None:
    assert read_epoch("J2015.5") == read_epoch(" 2015.5") == 2015.5
    assert read_epoch("about 2000") is read_epoch(None) is None
    besselian = read_epoch("B1950.0")
    assert besselian is not None
    # Time counts B1950 in TT, as erfa does: the two formulas are the same to rounding.
    assert abs(besselian - Time("B1950.0").jyear) < 1e-9
