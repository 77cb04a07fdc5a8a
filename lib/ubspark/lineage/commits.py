"""What each Delta commit says of the run behind it, enough to find it without any database."""

from collections.abc import Mapping
from typing import Any

from ubspark.catalogs.delta import Commit, is_delta_table, read_history
from ubspark.catalogs.digests import ContentDigest
from ubspark.errors import UbsparkError
from ubspark.lineage.environment import describe_code
from ubspark.lineage.spec import FrozenSpec, to_canonical_json

__all__ = ["build_commit_record", "find_made", "validate_commit"]

_FORMAT = 1
#: What of an input decides the result, wherever it lies.
_IDENTITY = ("table_id", "version", "content", "digest", "options")


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
    mode = spec.outputs[output]["mode"]
    for commit in read_history(uri):
        record = commit.record or {}
        if record.get("key") in spec.keys and record.get("output") == output:
            return commit
        if mode == "update" and _is_same_update(record, spec, output):
            return commit
        if commit.changed_data and mode not in ("append", "update"):
            return None
        if mode == "update" and _replaces_all(commit):
            return None
    return None


def _is_same_update(record: Mapping[str, Any], spec: FrozenSpec, output: str) -> bool:
    """Whether a commit added the very same to the table, whatever was there before."""
    made = record.get("spec", {})
    if record.get("output") != output or made.get("outputs", {})[output]["mode"] != "update":
        return False
    base = spec.outputs[output]["base"]
    was, now = (_describe_update(found, base) for found in (made, spec.to_json()))
    for name, entry in was[-1].items():
        # An older record does not say it.
        if "content" not in entry:
            now[-1].get(name, {}).pop("content", None)
    return to_canonical_json(was) == to_canonical_json(now)


def _describe_update(spec: Mapping[str, Any], base: str) -> list[Any]:
    """Return what an update adds to a table; the inputs are last."""
    inputs = {
        name: {key: value for key, value in entry.items() if key in _IDENTITY}
        for name, entry in spec["inputs"].items()
        if name != base
    }
    return [spec["job"], spec["job_version"], spec["params"], inputs]


def _replaces_all(commit: Commit) -> bool:
    """Whether a commit of ubspark made the table, or overwrote it."""
    record = commit.record or {}
    output = record.get("spec", {}).get("outputs", {}).get(record.get("output"), {})
    return output.get("mode") in ("error", "overwrite")


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
