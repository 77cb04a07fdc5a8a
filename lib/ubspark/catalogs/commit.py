"""Adding written files to a Delta table in one transaction: the one module that knows Delta's own.

The transaction is Delta's ``OptimisticTransaction``, reached through the JVM, so that there is one
log store and one check for conflicts, whoever writes.
"""

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from delta import exceptions as delta_errors
from pyspark.sql import SparkSession

from ubspark.catalogs.appends import RowFacts, validate_append
from ubspark.catalogs.delta import locate_file
from ubspark.catalogs.layout import open_filesystem
from ubspark.catalogs.object_store import is_object_store
from ubspark.catalogs.parquet_sink import Constraint, WrittenFile
from ubspark.catalogs.schema import TableSchema
from ubspark.errors import TransientError

__all__ = [
    "RETENTION",
    "TableCommit",
    "WriteMode",
    "commit_files",
    "prepare_folder",
    "remove_files",
]

WriteMode = Literal["error", "append", "overwrite", "update"]

#: Delta refuses old versions after a week by default; ours stay readable for ten years.
RETENTION = "interval 3650 days"
#: What Delta's conflict check ends in.
_CONFLICTS = (
    delta_errors.DeltaConcurrentModificationException,
    delta_errors.ConcurrentWriteException,
    delta_errors.MetadataChangedException,
    delta_errors.ProtocolChangedException,
    delta_errors.ConcurrentAppendException,
    delta_errors.ConcurrentDeleteReadException,
    delta_errors.ConcurrentDeleteDeleteException,
    delta_errors.ConcurrentTransactionException,
)


@dataclass(frozen=True)
class TableCommit:
    """What one transaction does to a table.

    Attributes
    ----------
    uri
        Place of the table.
    mode
        ``error`` creates it, ``append`` adds rows, ``overwrite`` replaces all rows, ``update``
        replaces some files.
    base_version
        Version on which the rows rest; -1 where there is no table yet.
    app_id, app_version
        Transaction id; Delta applies each pair once.
    metadata
        What the commit says of itself.
    removed
        Of an update: the files, by path or URI, whose rows it replaces.
    is_once
        Whether to refuse it where the table has a transaction of ``app_id`` already.
    """

    uri: str
    mode: WriteMode
    base_version: int
    schema: TableSchema
    properties: Mapping[str, str]
    constraints: tuple[Constraint, ...]
    files: tuple[WrittenFile, ...]
    app_id: str
    metadata: Mapping[str, Any]
    removed: tuple[str, ...] = ()
    is_once: bool = False


def prepare_folder(uri: str) -> None:
    """Make the folder that the tasks write to; in an object store there are none to make.

    Raises
    ------
    TransientError
        If it cannot be made.
    """
    if is_object_store(uri):
        return
    filesystem, path = open_filesystem(uri)
    try:
        filesystem.create_dir(path, recursive=True)
        if "://" not in uri:
            probe = Path(path) / f".ubspark-{uuid.uuid4()}"
            probe.write_bytes(b"")
            probe.unlink()
    except OSError as error:
        msg = f"The folder `{uri}` cannot be written: {error.strerror or error}."
        raise TransientError(msg) from error


def remove_files(uri: str, files: Iterable[WrittenFile]) -> None:
    """Remove files that no version names; one that cannot be removed stays, unseen."""
    filesystem, path = open_filesystem(uri)
    for file in files:
        with suppress(OSError):
            filesystem.delete_file(f"{path.rstrip('/')}/{file.path}")


def commit_files(spark: SparkSession, commit: TableCommit) -> int:
    """Commit files and return the version they made.

    Raises
    ------
    TransientError
        If another writer changed the table since ``base_version``, or the very same rows were
        added already; nothing is changed then.
    SchemaError
        If rows are added to a table that cannot hold them.
    """
    jvm: Any = spark._jvm
    delta = jvm.org.apache.spark.sql.delta
    log = delta.DeltaLog.forTable(spark._jsparkSession, commit.uri)
    transaction = log.startTransaction()
    found = int(transaction.snapshot().version())
    if found != commit.base_version and commit.mode != "append":
        raise TransientError(_describe_conflict(commit))
    if commit.is_once and int(transaction.txnVersion(commit.app_id)) >= 0:
        # What is added again on purpose has an id of its own; a commit of this id from here to the
        # end conflicts, since the transaction has asked for it.
        msg = (
            f"The rows of this run are in table `{commit.uri}` already; they were not added again."
        )
        raise TransientError(msg)
    # Anything that commits between here and the end conflicts, except under append.
    if commit.mode != "append":
        transaction.readWholeTable()
    if commit.mode in ("append", "update") and found >= 0:
        there = json.loads(transaction.snapshot().metadata().json())["metaData"]
        rows = RowFacts(commit.schema, commit.constraints, commit.properties)
        validate_append(there, rows, table=commit.uri)
    parse = delta.actions.Action.fromJson
    actions = [parse(json.dumps(action)) for action in _adds(commit.files)]
    actions.append(parse(json.dumps(_transaction_id(transaction, commit))))
    if commit.mode in ("overwrite", "update"):
        now = int(time.time() * 1000)
        old_files = _find_removed(transaction, commit)
        actions.extend(file.removeWithTimestamp(now, True) for file in old_files)
    if commit.mode not in ("append", "update") or found < 0:
        metadata = _metadata(commit, _read_identity(transaction, found))
        transaction.updateMetadata(parse(json.dumps(metadata)), True)
    transaction.registerSQLMetrics(spark._jsparkSession, _count(spark, commit.files))
    try:
        return int(transaction.commit(_to_seq(jvm, actions), _operation(jvm, delta, commit)))
    except _CONFLICTS as error:
        raise TransientError(_describe_conflict(commit)) from error


def _find_removed(transaction: Any, commit: TableCommit) -> list[Any]:
    """Return Delta's own entries of the files that the commit takes away."""
    there = transaction.snapshot().allFiles().collectAsList()
    if commit.mode == "overwrite":
        return list(there)
    root, removed = commit.uri.rstrip("/"), set(commit.removed)
    return [file for file in there if locate_file(root, str(file.path())) in removed]


def _describe_conflict(commit: TableCommit) -> str:
    return (
        f"Another writer changed table `{commit.uri}` while this run was working; "
        f"nothing of this run was kept. Run it again."
    )


def _adds(files: Iterable[WrittenFile]) -> Iterable[dict[str, Any]]:
    now = int(time.time() * 1000)
    for file in files:
        yield {
            "add": {
                "path": file.path,
                "partitionValues": {},
                "size": file.n_bytes,
                "modificationTime": now,
                "dataChange": True,
                "stats": file.stats,
            }
        }


def _transaction_id(transaction: Any, commit: TableCommit) -> dict[str, Any]:
    version = int(transaction.txnVersion(commit.app_id)) + 1
    now = int(time.time() * 1000)
    return {"txn": {"appId": commit.app_id, "version": version, "lastUpdated": now}}


def _read_identity(transaction: Any, version: int) -> tuple[str, int]:
    """Return the id and birth of a table that is there, or new ones."""
    if version < 0:
        return str(uuid.uuid4()), int(time.time() * 1000)
    metadata = transaction.snapshot().metadata()
    born = metadata.createdTime()
    return str(metadata.id()), int(born.get()) if born.isDefined() else 0


def _metadata(commit: TableCommit, identity: tuple[str, int]) -> dict[str, Any]:
    checks = {f"delta.constraints.{c.column.strip('_')}": c.sql for c in commit.constraints}
    kept = {
        "delta.logRetentionDuration": RETENTION,
        "delta.deletedFileRetentionDuration": RETENTION,
        "delta.enableDeletionVectors": "false",
        # By default only the first 32 columns have statistics, for Spark and for delta-rs.
        "delta.dataSkippingNumIndexedCols": "-1",
    }
    return {
        "metaData": {
            "id": identity[0],
            "format": {"provider": "parquet", "options": {}},
            "schemaString": commit.schema.to_delta_json(),
            "partitionColumns": [],
            "configuration": {**kept, **checks, **commit.properties},
            "createdTime": identity[1],
        }
    }


def _operation(jvm: Any, delta: Any, commit: TableCommit) -> Any:
    save_mode = jvm.org.apache.spark.sql.SaveMode
    modes = {"error": save_mode.ErrorIfExists, "append": save_mode.Append}
    none = jvm.scala.Option.empty()
    record = jvm.scala.Option.apply(json.dumps(commit.metadata, separators=(",", ":")))
    mode = modes.get(commit.mode, save_mode.Overwrite)
    write = getattr(delta, "DeltaOperations$Write")
    return write(mode, none, none, record, none, none, none, none, none)


def _count(spark: SparkSession, files: tuple[WrittenFile, ...]) -> Any:
    """Return what Delta's history says of a write: files, rows and bytes."""
    jvm: Any = spark._jvm
    context: Any = spark.sparkContext._jsc
    counts = {
        "numFiles": len(files),
        "numOutputRows": sum(file.n_rows for file in files),
        "numOutputBytes": sum(file.n_bytes for file in files),
    }
    metrics = jvm.java.util.HashMap()
    for name, value in counts.items():
        metric = jvm.org.apache.spark.sql.execution.metric.SQLMetrics.createMetric(
            context.sc(), name
        )
        metric.set(value)
        metrics.put(name, metric)
    listed = jvm.scala.jdk.javaapi.CollectionConverters.asScala(metrics)
    return getattr(jvm.scala.collection.immutable.HashMap, "from")(listed)


def _to_seq(jvm: Any, actions: Iterable[Any]) -> Any:
    listed = jvm.java.util.ArrayList()
    for action in actions:
        listed.add(action)
    return jvm.scala.jdk.javaapi.CollectionConverters.asScala(listed).toSeq()
