"""How a user names a table."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ubspark.catalogs.addresses import TableAddress, parse_address, to_local_path
from ubspark.errors import ParameterError

WAREHOUSE = Path("/home/ana/.ubspark/warehouse")


@pytest.mark.parametrize(
    ("text", "place", "version"),
    [
        ("gaia_dr3", "gaia_dr3", None),
        ("gaia_dr3@v0", "gaia_dr3", 0),
        ("gaia_dr3@v12", "gaia_dr3", 12),
        ("gaia_dr3@latest", "gaia_dr3", None),
        ("lmc/gaia_dr3@v3", "lmc/gaia_dr3", 3),
        ("  gaia_dr3@v3\n", "gaia_dr3", 3),
        ("/data/x@v3", "/data/x", 3),
        ("/data/x@home/y", "/data/x@home/y", None),
        ("/data/with space/100%@v1", "/data/with space/100%", 1),
        ("./x", "./x", None),
        ("../x@latest", "../x", None),
        ("s3a://bucket/x@v7", "s3a://bucket/x", 7),
        ("file:///data/x", "file:///data/x", None),
        ("/data/x@v3@v4", "/data/x@v3", 4),
        ("/data/line\nbreak@v4", "/data/line\nbreak", 4),
    ],
)
def test_address_is_read(text: str, place: str, version: int | None) -> None:
    assert parse_address(text) == TableAddress(place, version)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "@v3", "@latest", "gaia@v", "gaia@3", "gaia@v1x", "gaia@v-1", "gaia@v1@v2"),
        *("Gaia", "gaia-dr3", "3gaia", "gaia/", "a//b", "a/B", "gaia dr3"),
        *("~/x", "x.parquet", "file:x", "."),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match=r"^A table must be a name such as `gaia_dr3` .* got "):
        parse_address(text)


def test_version_beside_the_path_leaves_the_path_alone() -> None:
    """A folder may really be called `x@v3`."""
    assert parse_address("/data/x@v3", version=1) == TableAddress("/data/x@v3", 1)


@given(
    st.from_regex(r"[a-z][a-z0-9_]{0,8}(/[a-z][a-z0-9_]{0,8}){0,2}", fullmatch=True),
    st.none() | st.integers(0, 10**9),
)
def test_text_of_an_address_is_read_back(place: str, version: int | None) -> None:
    address = TableAddress(place, version)
    assert parse_address(str(address)) == address
    assert address.is_name


@pytest.mark.parametrize(
    ("place", "uri"),
    [
        ("gaia_dr3", "/home/ana/.ubspark/warehouse/gaia_dr3"),
        ("lmc/gaia_dr3", "/home/ana/.ubspark/warehouse/lmc/gaia_dr3"),
        ("/data/x/", "/data/x"),
        ("/data/100%", "/data/100%"),
        ("file:///data/a%20b%25", "/data/a b%"),
        ("s3a://bucket/a%20b/", "s3a://bucket/a%20b"),
        ("s3://bucket/a", "s3a://bucket/a"),
        ("hdfs://host:9000/x", "hdfs://host:9000/x"),
    ],
)
def test_address_becomes_an_absolute_path_or_uri(place: str, uri: str) -> None:
    assert parse_address(place).to_uri(WAREHOUSE) == uri


@pytest.mark.parametrize("part", ["#", "?", "\\", "%20", "%aF"])
def test_path_that_the_readers_of_delta_misread_is_refused(part: str) -> None:
    """They would look elsewhere, or find a table without a history."""
    message = rf"^The path of a table must not contain `{re.escape(part)}`, which readers of Delta"
    with pytest.raises(ParameterError, match=message):
        parse_address(f"/data/a{part}b").to_uri(WAREHOUSE)
    with pytest.raises(ParameterError, match=message):
        parse_address("gaia").to_uri(Path(f"/data/a{part}b"))
    assert parse_address(f"s3a://bucket/a{part}b").to_uri(WAREHOUSE) == f"s3a://bucket/a{part}b"


def test_relative_paths_start_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_address("./x").to_uri(WAREHOUSE) == str(tmp_path / "x")
    assert parse_address("gaia").to_uri(Path("warehouse")) == str(tmp_path / "warehouse" / "gaia")


@pytest.mark.parametrize(
    ("place", "short"),
    [
        ("gaia_dr3", "gaia_dr3"),
        ("lmc/gaia_dr3", "gaia_dr3"),
        ("/data/Gaia DR3.v2/", "gaia_dr3_v2"),
        ("s3a://bucket/x", "x"),
        ("/data/été", "t"),
        ("/data/ñ", "table"),
    ],
)
def test_short_name_can_end_a_column_name(place: str, short: str) -> None:
    assert parse_address(place).short_name == short


@pytest.mark.parametrize(
    ("place", "path"),
    [("/a b%20", "/a b%20"), ("file:///a%20b", "/a b"), ("./x", "./x"), ("file:/a", "/a")],
)
def test_local_path_is_unquoted_only_where_it_is_a_uri(place: str, path: str) -> None:
    assert to_local_path(place) == path


@pytest.mark.parametrize(
    "text", ["s3a://AKIA:hunter2@bucket/t", "s3://AKIA:hunter2@bucket/t@v3", "S3A://AKIA@bucket/t"]
)
def test_keys_of_a_store_are_refused_and_not_shown(text: str) -> None:
    for read in (parse_address, to_local_path):
        with pytest.raises(ParameterError, match="must not hold the key of a store") as caught:
            read(text)
        assert "AKIA" not in str(caught.value)
    assert parse_address("abfss://rows@account.dfs.core.windows.net/t").version is None
    assert parse_address("s3a://bucket@v3") == TableAddress("s3a://bucket", 3)
