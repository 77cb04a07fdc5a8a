"""What the columns of a catalog stand for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ubspark.catalogs.roles import CatalogRoles, validate_role_names
from ubspark.columns import ROLES
from ubspark.errors import ParameterError


@given(
    st.dictionaries(st.sampled_from(sorted(ROLES)), st.text(min_size=1)),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.booleans(),
)
def test_roles_come_back_from_properties(
    columns: dict[str, str], epoch: float | None, cos_dec: bool | None
) -> None:
    roles = CatalogRoles(columns, epoch, cos_dec)
    properties = roles.to_properties()
    assert all(isinstance(value, str) for value in properties.values())
    assert CatalogRoles.from_properties(properties) == roles


def test_properties_have_the_names_that_the_manual_gives() -> None:
    roles = CatalogRoles({"id": "source_id", "ra": "ra"}, 2016.0, pm_includes_cos_dec=True)
    assert roles.to_properties() == {
        "ubspark.role.id": "source_id",
        "ubspark.role.ra": "ra",
        "ubspark.frame": "icrs",
        "ubspark.epoch": "2016.0",
        "ubspark.pm_includes_cos_dec": "true",
    }


def test_foreign_properties_set_no_role() -> None:
    properties = {"delta.appendOnly": "true", "ra": "x", "ubspark.job": "ingest"}
    assert CatalogRoles.from_properties(properties) == CatalogRoles()


def test_job_overrides_the_table_and_keeps_the_rest() -> None:
    roles = CatalogRoles({"id": "hip", "ra": "ra"}, 1991.25, pm_includes_cos_dec=False)
    other = roles.override({"ra": "ra_1", "flux": "hp"})
    assert other.columns == {"id": "hip", "ra": "ra_1", "flux": "hp"}
    assert (other.epoch, other.pm_includes_cos_dec) == (1991.25, False)
    assert roles["ra"] == "ra"


def test_role_that_is_not_set() -> None:
    assert CatalogRoles({"id": "hip"}).get("ra") is None
    with pytest.raises(KeyError, match="ra"):
        CatalogRoles({"id": "hip"})["ra"]


def test_unknown_role_is_refused_with_the_nearest() -> None:
    message = r"^There is no column role `pm_ra`\. Did you mean `pmra`\? Roles: id, ra, dec, .*\.$"
    with pytest.raises(ParameterError, match=message):
        validate_role_names({"ra": "x", "pm_ra": "y"})
    with pytest.raises(ParameterError, match=r"^There is no column role `zzz`\. Roles: "):
        CatalogRoles().override({"zzz": "x"})
