"""What each Delta commit says of the run behind it, enough to find it without any database."""

from collections.abc import Mapping
from typing import Any

from ubspark.catalogs.delta import Commit, is_delta_table, read_history
from ubspark.catalogs.digests import ContentDigest
from ubspark.errors import UbsparkError
from ubspark.lineage.environment import describe_code
from ubspark.lineage.spec import FrozenSpec

__all__ = ["build_commit_record", "find_made", "validate_commit"]

_FORMAT = 1


def build_commit_record(
    spec: FrozenSpec, *, run_id: str, output: str, digest: ContentDigest | str
) -> dict[str, Any]:
    """Return what a commit carries: run, spec, inputs, code and the digest of its rows."""
    return {
        "ubspark": _FORMAT,
        "run": run_id,
        "key": spec.key,
        "output": output,
        "digest": str(digest),
        "code": describe_code(),
        "spec": spec.to_json(),
    }


def find_made(uri: str, spec: FrozenSpec, output: str) -> Commit | None:
    """Return the commit by which a computation made what the table holds, if it did.

    Of a table that was replaced only the newest data counts; rows that were appended stay.
    """
    if not is_delta_table(uri):
        return None
    is_append = spec.outputs[output]["mode"] == "append"
    for commit in read_history(uri):
        record = commit.record or {}
        if (record.get("key"), record.get("output")) == (spec.key, output):
            return commit
        if commit.changed_data and not is_append:
            return None
    return None


def validate_commit(uri: str, version: int, record: Mapping[str, Any]) -> None:
    """Assert that a version carries the record that was written with it.

    Raises
    ------
    UbsparkError
        If it does not: the version would have no history.
    """
    for commit in read_history(uri):
        if commit.version == version and commit.record == record:
            return
    msg = f"Version {version} of `{uri}` was committed without its run record; please report it."
    raise UbsparkError(msg)
