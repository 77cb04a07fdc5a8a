"""What the environment says of an object store, and what its errors mean; no store is asked."""

import pytest

from ubspark.catalogs.delta import is_delta_table
from ubspark.catalogs.layout import open_filesystem
from ubspark.catalogs.object_store import (
    describe_store_error,
    get_delta_options,
    get_spark_settings,
    is_object_store,
    validate_bucket,
)
from ubspark.errors import ParameterError, TransientError, UbsparkError

_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in _SECRETS:
        monkeypatch.setenv(name, f"hidden {name}")


def test_nothing_is_set_where_nothing_is_said() -> None:
    assert get_spark_settings() == {}


def test_a_server_of_ones_own_gets_a_region_and_plain_paths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store:7070")
    assert get_spark_settings() == {
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        "spark.hadoop.fs.s3a.path.style.access": "true",
    }
    options = get_delta_options("s3a://bucket/x") or {}
    assert options["aws_endpoint_url"] == "http://store:7070"
    assert options["allow_http"] == "true"
    filesystem, path = open_filesystem("s3a://bucket/x")
    assert (filesystem.region, path) == ("us-east-1", "bucket/x")


def test_amazon_needs_a_region_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert get_spark_settings() == {"spark.hadoop.fs.s3a.endpoint.region": "eu-central-1"}
    options = get_delta_options("s3a://bucket/x") or {}
    assert options["aws_region"] == "eu-central-1"
    assert "allow_http" not in options


def test_no_setting_holds_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://store")
    assert "hidden" not in str(get_spark_settings())
    assert "hidden" not in str(get_delta_options("s3a://bucket/x"))


def test_local_places_are_none_of_its_business() -> None:
    assert get_delta_options("/data/x") is None
    assert not any(is_object_store(place) for place in ("/s3://x", "file:///x", "gs://x/y"))
    validate_bucket("/data/x")


@pytest.mark.parametrize(
    ("said", "kind", "match"),
    [
        ("AWS Error NETWORK_CONNECTION during HeadBucket: curlCode: 7", TransientError, "answer"),
        ("AWS Error ACCESS_DENIED during HeadBucket", ParameterError, "refuses the credentials"),
        ("AWS Error SIGNATURE_DOES_NOT_MATCH during List", ParameterError, "refuses the cred"),
        ("AWS Error UNKNOWN (HTTP status 403)", ParameterError, "refuses the credentials"),
        ("AWS Error SLOW_DOWN.\nmore", TransientError, r"cannot be read: AWS Error SLOW_DOWN\.$"),
    ],
)
def test_errors_of_a_store_are_one_sentence(
    said: str, kind: type[UbsparkError], match: str
) -> None:
    with pytest.raises(kind, match=match):
        raise describe_store_error(OSError(said), "bucket")


def test_a_store_that_is_down_is_no_missing_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(TransientError, match=r"at http://127\.0\.0\.1:9 does not answer"):
        is_delta_table("s3a://bucket/x")
