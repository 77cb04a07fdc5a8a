"""Tables in S3-compatible object stores: how they are reached, and what is wrong if they are not.

Credentials, endpoint and region come from the environment of the driver and of each executor, by
the names that all tools of AWS know (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
``AWS_ENDPOINT_URL``, ``AWS_REGION``). Settings of Spark never hold a secret: everybody sees them.
"""

import os
import re
from functools import cache

from pyarrow import fs

from ubspark.errors import InputMissingError, ParameterError, TransientError, UbsparkError

__all__ = [
    "describe_store_error",
    "get_delta_options",
    "get_spark_settings",
    "is_object_store",
    "open_object_store",
    "validate_bucket",
]

_SCHEMES = ("s3://", "s3a://")
_DEFAULT_REGION = "us-east-1"
_ATTEMPTS = 4
_CONNECT_SECONDS = 10
#: A name that nobody has: to list it asks whether the bucket may be read at all.
_PROBE = ".ubspark-probe"
_UNREACHABLE = re.compile(r"NETWORK_CONNECTION|curlCode|Could not connect|Connection refused")
_REFUSED = re.compile(
    r"ACCESS_DENIED|SIGNATURE|ACCESS_KEY|CLIENT_TOKEN|EXPIRED|UserNotFound|HTTP status 40[13]"
)


def is_object_store(uri: str) -> bool:
    """Whether a table at this place lies in an S3-compatible object store."""
    return uri.startswith(_SCHEMES)


def open_object_store(uri: str) -> tuple[fs.S3FileSystem, str]:
    """Return the Arrow file system of an ``s3://`` or ``s3a://`` URI, and the path in it."""
    path = uri.partition("://")[2]
    return _open(_get_endpoint(), _find_region(path.partition("/")[0])), path


def get_delta_options(uri: str) -> dict[str, str] | None:
    """Return what delta-rs must know of a store beyond the credentials; None for a local path."""
    if not is_object_store(uri):
        return None
    endpoint = _get_endpoint()
    options = {
        "aws_region": _find_region(uri.partition("://")[2].partition("/")[0]),
        "max_retries": str(_ATTEMPTS),
        "connect_timeout": f"{_CONNECT_SECONDS} seconds",
    }
    if endpoint is not None:
        plain = str(endpoint.startswith("http://")).lower()
        options |= {"aws_endpoint_url": endpoint, "allow_http": plain}
    return options


def get_spark_settings() -> dict[str, str]:
    """Return the settings of hadoop-aws that the environment asks for; none of them is secret.

    Spark itself takes credentials and endpoint from the environment.
    """
    region = _get_region()
    endpoint = _get_endpoint()
    settings = {"spark.hadoop.fs.s3a.endpoint.region": region or _DEFAULT_REGION}
    if endpoint is None:
        return settings if region else {}
    # A server of one's own seldom has a host name for each bucket.
    return settings | {"spark.hadoop.fs.s3a.path.style.access": "true"}


def validate_bucket(uri: str) -> None:
    """Check that the bucket of a URI is there and may be read; other places pass.

    Raises
    ------
    InputMissingError
        If there is no such bucket.
    ParameterError
        If the store refuses the credentials.
    TransientError
        If it does not answer.
    """
    if is_object_store(uri):
        _validate(uri.partition("://")[2].partition("/")[0], _get_endpoint())


def describe_store_error(error: Exception, bucket: str) -> UbsparkError:
    """Return one sentence for what Arrow says of a store."""
    where, text = _get_endpoint() or "AWS", str(error)
    if _UNREACHABLE.search(text):
        msg = f"The object store at {where} does not answer. Check AWS_ENDPOINT_URL and run again."
        return TransientError(msg)
    if _REFUSED.search(text):
        msg = (
            f"The object store at {where} refuses the credentials of this environment for the "
            f"bucket `{bucket}`. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
        return ParameterError(msg)
    first = text.strip().partition("\n")[0].rstrip(".")
    return TransientError(f"The bucket `{bucket}` at {where} cannot be read: {first}.")


@cache
def _open(endpoint: str | None, region: str) -> fs.S3FileSystem:
    return fs.S3FileSystem(
        endpoint_override=endpoint,
        region=region,
        connect_timeout=_CONNECT_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )


@cache
def _validate(bucket: str, endpoint: str | None) -> None:
    """Ask a store once in a process."""
    try:
        filesystem, _ = open_object_store(f"s3://{bucket}")
        # Wrong credentials show in a list; of a bucket itself some stores say it is not there.
        filesystem.get_file_info(fs.FileSelector(f"{bucket}/{_PROBE}", allow_not_found=True))
        found = filesystem.get_file_info([bucket])[0]
    except OSError as error:
        raise describe_store_error(error, bucket) from error
    if found.type == fs.FileType.NotFound:
        msg = f"There is no bucket `{bucket}` at {endpoint or 'AWS'}. Make it, or name another."
        raise InputMissingError(msg)


def _get_endpoint() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL") or None


def _get_region() -> str | None:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None


def _find_region(bucket: str) -> str:
    """Return the region of a bucket; only AWS itself is asked for it."""
    given = _get_region()
    if given or _get_endpoint():
        return given or _DEFAULT_REGION
    return _resolve_region(bucket)


@cache
def _resolve_region(bucket: str) -> str:
    return str(fs.resolve_s3_region(bucket))
