"""The output tables of a run: what is there before, writing, committing."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast, runtime_checkable

from pyarrow import fs
from pyspark.sql import SparkSession

from ubspark.catalogs.appends import RowFacts, read_metadata, validate_append
from ubspark.catalogs.commit import TableCommit, commit_files, prepare_folder, remove_files
from ubspark.catalogs.delta import TableVersion, is_delta_table, open_table, read_history
from ubspark.catalogs.export.written import WrittenFolder
from ubspark.catalogs.layout import open_filesystem
from ubspark.catalogs.lease import LEASE_NAME
from ubspark.catalogs.parquet_sink import ParquetSink
from ubspark.catalogs.writers import WrittenRows, write_rows
from ubspark.errors import ConflictError, UbsparkError
from ubspark.lineage.commits import build_commit_record, find_made, validate_commit
from ubspark.lineage.tracking import FolderRecord, OutputRecord
from ubspark.recipes.base import JobInput, OutputFolder, OutputTable
from ubspark.runtime.folders import publish_folder, validate_folder, write_folder
from ubspark.runtime.freeze import PreparedJob
from ubspark.runtime.progress import show_tasks
from ubspark.runtime.scratch import STAGING_NAME

__all__ = ["commit_output", "describe_output", "find_base", "prepare_place", "write_output"]

#: How the names of our own files in the folder of a table begin.
_OURS = ("part-", ".ubspark-", ".part-", "_delta_log", LEASE_NAME, STAGING_NAME)


@runtime_checkable
class _Foresees(Protocol):
    """A recipe that can tell of its rows before Spark is there."""

    def foresee(self, inputs: Mapping[str, JobInput], params: Any) -> Mapping[str, RowFacts]:
        """Return what is known of the rows of each output."""


def find_base(job: PreparedJob, name: str) -> int:
    """Return the version an output has now, -1 for none.

    Where the newest version is this very result, it may be computed again in every mode.

    Raises
    ------
    ConflictError
        If something is in the way that the mode does not allow to change.
    SchemaError
        If rows that are to be added would not fit, as far as that is known already.
    """
    uri, mode = job.get_output_uri(name), job.spec.outputs[name]["mode"]
    if job.spec.outputs[name].get("kind") == "folder":
        validate_folder(job, name)
        return -1
    if not is_delta_table(uri):
        if any(_foreign_entries(uri)):
            msg = f"`{uri}` is not empty and not a Delta table; choose another output."
            raise ConflictError(msg)
        return -1
    table = open_table(uri)
    if mode == "error" and find_made(uri, job.spec, name) is None:
        msg = (
            f"Output table `{uri}` exists already (version {table.version}) and holds another "
            f"result. Choose another name, or set `outputs.{name}.mode` to overwrite or append."
        )
        raise ConflictError(msg)
    if mode == "update":
        _validate_base(job, name, table)
    if mode == "append" and isinstance(job.recipe, _Foresees):
        rows = job.recipe.foresee(job.inputs, job.params)[name]
        validate_append(read_metadata(uri), rows, table=uri)
    return table.version


def _validate_base(job: PreparedJob, name: str, table: TableVersion) -> None:
    """Refuse to update a table from another version of it than the newest."""
    base = str(job.spec.outputs[name]["base"])
    read = job.inputs[base].table
    if not isinstance(read, TableVersion) or read.version != table.version:
        msg = (
            f"`inputs.{base}` is {read}, but the newest version of that table, which "
            f"`outputs.{name}` updates, is {table.version}. Leave the version out."
        )
        raise ConflictError(msg)


def prepare_place(job: PreparedJob, name: str) -> None:
    """Make the folder of an output table before the run is recorded.

    A folder that is not there afterwards is out of reach; the record of a run that was killed is
    not closed then.

    Raises
    ------
    TransientError
        If it cannot be made.
    """
    if job.spec.outputs[name].get("kind") != "folder":
        prepare_folder(job.get_output_uri(name))


def write_output(
    job: PreparedJob, name: str, table: OutputTable | OutputFolder, spark: SparkSession
) -> WrittenRows | WrittenFolder:
    """Compute and write the rows of an output; no reader sees them yet."""
    uri = job.get_output_uri(name)
    if isinstance(table, OutputFolder):
        return write_folder(job, name, table, spark)
    if job.spec.outputs[name]["mode"] in ("append", "update") and is_delta_table(uri):
        facts = RowFacts(table.schema, table.constraints, _get_properties(job, table))
        validate_append(read_metadata(uri), facts, table=uri)
    sink = ParquetSink(uri, table.schema.to_arrow(), table.constraints)
    with show_tasks(spark, f"{job.spec.job}: {name}"):
        return write_rows(table.frame, sink, table.task)


def commit_output(
    job: PreparedJob,
    name: str,
    table: OutputTable | OutputFolder,
    rows: WrittenRows | WrittenFolder,
    *,
    run_id: str,
    spark: SparkSession,
    base: int,
) -> OutputRecord | FolderRecord:
    """Make the written rows a version of the table, and assert that it says whose it is."""
    spec = job.spec
    if isinstance(table, OutputFolder) or isinstance(rows, WrittenFolder):
        return publish_folder(job, name, cast("WrittenFolder", rows), run_id=run_id)
    uri = job.get_output_uri(name)
    mode = spec.outputs[name]["mode"]
    digest, removed = rows.digest, cast("tuple[str, ...]", ())
    if table.update is not None:
        digest, removed = table.update.find_digest(rows), table.update.find_removed(rows)
        if not rows.files and not removed:
            # Nothing is new: the version that is there is the result.
            return describe_output(uri, base, rows_digest=str(digest))
    metadata = build_commit_record(spec, run_id=run_id, output=name, digest=digest)
    commit = TableCommit(
        uri=uri,
        mode="overwrite" if mode == "error" and base >= 0 else mode,
        base_version=base,
        schema=table.schema,
        properties=_get_properties(job, table),
        constraints=table.constraints,
        files=rows.files,
        app_id=f"ubspark:{spec.key}:{name}",
        metadata=metadata,
        removed=removed,
        # An append on purpose has a submission of its own, which is part of the key.
        is_once=mode == "append",
    )
    version = _commit(spark, commit)
    validate_commit(uri, version, metadata)
    return describe_output(uri, version, rows_digest=str(digest))


def describe_output(uri: str, version: int, *, rows_digest: str) -> OutputRecord:
    """Return the record of a version."""
    table = open_table(uri, version=version)
    return OutputRecord(
        uri, table.table_id, version, rows_digest, n_rows=table.n_rows, n_bytes=table.n_bytes
    )


def _commit(spark: SparkSession, commit: TableCommit) -> int:
    """Commit, or remove the files of a commit that was refused."""
    try:
        return commit_files(spark, commit)
    except UbsparkError:
        commits = read_history(commit.uri) if is_delta_table(commit.uri) else []
        own = [found.version for found in commits if found.record == commit.metadata]
        if own:
            # The store had taken the commit when its answer was lost, and refused the second try.
            return own[0]
        remove_files(commit.uri, commit.files)
        raise


def _get_properties(job: PreparedJob, table: OutputTable) -> dict[str, str]:
    return {**table.properties, "ubspark.job": job.spec.job}


def _foreign_entries(uri: str) -> Iterator[str]:
    """Yield what a killed run of ours cannot have left in a folder."""
    filesystem, path = open_filesystem(uri)
    if filesystem.get_file_info([path])[0].type == fs.FileType.File:
        yield path
        return
    for entry in filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True)):
        if not entry.base_name.startswith(_OURS):
            yield entry.path
