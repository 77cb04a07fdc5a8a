"""What a column's values are multiplied by, from the unit that it states."""

import pyarrow as pa
import pytest

from ubspark.catalogs.schema import TableColumn
from ubspark.errors import SchemaError
from ubspark.recipes.unit_factors import find_factor


@pytest.mark.parametrize(
    ("unit", "wanted", "factor"),
    [
        (None, "d", 1.0),
        ("s", "d", 1 / 86_400),
        ("MJD", "d", 1.0),
        ("BJD", "d", 1.0),
        ("h", "d", 1 / 24),
        ("mmag", "mag", 1e-3),
        ("mag(AB)", "mag", 1.0),
        ("mag", "ABmag", 1.0),
        ("uJy", "nJy", 1e3),
        ("arcsec", "mas", 1e3),
        ("deg/yr", "mas/yr", 3.6e6),
        ("mas.yr**-1", "mas/yr", 1.0),
        ("no unit at all", "no unit at all", 1.0),
    ],
)
def test_factors_are_those_of_the_units(unit: str | None, wanted: str, factor: float) -> None:
    column = TableColumn("x", pa.float64(), unit=unit)
    assert find_factor(column, wanted, table="t") == pytest.approx(factor, rel=1e-14)


@pytest.mark.parametrize(
    ("unit", "wanted"), [("m", "d"), ("furlong", "d"), ("mag", "nJy"), ("d", "no unit at all")]
)
def test_a_unit_of_something_else_is_refused(unit: str, wanted: str) -> None:
    with pytest.raises(SchemaError, match=f"`x` of `t` is in `{unit}`, which cannot be converted"):
        find_factor(TableColumn("x", pa.float64(), unit=unit), wanted, table="t")
