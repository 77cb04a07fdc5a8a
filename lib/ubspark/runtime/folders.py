"""The output folders of a run: what is there before, writing, publishing."""

from pathlib import Path

from pyspark.sql import SparkSession

from ubspark.catalogs.export.manifest import (
    Manifest,
    compute_digest,
    is_export,
    read_manifest,
    write_manifest,
)
from ubspark.catalogs.export.staging import StagingFolder
from ubspark.catalogs.export.verify import validate_own_files, verify_export
from ubspark.catalogs.export.written import WrittenFolder
from ubspark.errors import ConflictError, TransientError, UbsparkError
from ubspark.lineage.commits import build_commit_record
from ubspark.lineage.tracking import FolderRecord
from ubspark.recipes.base import OutputFolder
from ubspark.runtime.freeze import PreparedJob
from ubspark.runtime.progress import show_tasks

__all__ = ["create_folder", "find_folder", "publish_folder", "validate_folder", "write_folder"]


def create_folder(folder: Path, purpose: str) -> None:
    """Make a new folder for an archive or a bundle; an empty one may be there.

    Raises
    ------
    ConflictError
        If something is in its place.
    TransientError
        If it cannot be made.
    """
    in_the_way = _find_file(folder)
    if in_the_way is not None:
        msg = f"`{in_the_way}` is a file; choose another folder for {purpose}."
        raise ConflictError(msg)
    try:
        if folder.exists() and any(folder.iterdir()):
            msg = f"`{folder}` is not empty; choose another folder for {purpose}."
            raise ConflictError(msg)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The folder `{folder}` cannot be made: {error.strerror}."
        raise TransientError(msg) from error


def validate_folder(job: PreparedJob, name: str) -> None:
    """Refuse a place that holds what the mode does not allow to change.

    Raises
    ------
    ConflictError
        If it does.
    """
    target, mode = Path(job.get_output_uri(name)), job.spec.outputs[name]["mode"]
    in_the_way = _find_file(target)
    if in_the_way is not None:
        msg = f"`outputs.{name}.path` is `{target}`, but `{in_the_way}` is a file."
        raise ConflictError(msg)
    if target.is_symlink():
        msg = f"`{target}` is a link; name the folder that it leads to, or another one."
        raise ConflictError(msg)
    outer = next((folder for folder in target.parents if is_export(folder)), None)
    if outer is not None:
        msg = f"`{target}` lies in the export `{outer}`; choose another folder."
        raise ConflictError(msg)
    if not target.exists() or not any(target.iterdir()):
        return
    if not is_export(target):
        msg = f"`{target}` is not empty and no export of ubspark; choose another folder."
        raise ConflictError(msg)
    validate_own_files(target)
    if mode == "error" and _find(str(target), keys=job.spec.keys, output=name) is None:
        msg = (
            f"`{target}` holds another export. Choose another folder, or set "
            f"`outputs.{name}.mode` to overwrite."
        )
        raise ConflictError(msg)


def write_folder(
    job: PreparedJob, name: str, folder: OutputFolder, spark: SparkSession
) -> WrittenFolder:
    """Write the data files of an export beside its place; those of an earlier attempt stay."""
    staging = _get_staging(job, name)
    with staging.hold(), show_tasks(spark, f"{job.spec.job}: {name}"):
        staging.remove_leftovers()
        try:
            return folder.write(staging)
        except UbsparkError:
            if not staging.find_done():
                # There is nothing that the next run could take up.
                staging.clear()
            raise


def publish_folder(
    job: PreparedJob, name: str, written: WrittenFolder, *, run_id: str
) -> FolderRecord:
    """Write the last files and the manifest, and rename the folder to its place."""
    staging = _get_staging(job, name)
    with staging.hold():
        files = (*written.files, *written.seal(run_id))
        record = build_commit_record(
            job.spec, run_id=run_id, output=name, digest=compute_digest(files)
        )
        manifest = Manifest(written.kind, files, record, written.n_rows)
        write_manifest(staging.files, manifest)
        uri, mode = job.get_output_uri(name), job.spec.outputs[name]["mode"]
        # An equal export is there only where it is damaged, or made again on purpose.
        is_own = _find(uri, keys=job.spec.keys, output=name) is not None
        staging.publish(replace=mode == "overwrite" or is_own)
    return _describe(uri, manifest)


def find_folder(
    uri: str, *, output: str, keys: frozenset[str] | None = None, run: str | None = None
) -> tuple[str, FolderRecord] | None:
    """Return the run of the export at a place, and its record, if it is of these keys or this run.

    An export that lacks a file, or has one that was cut, counts as none.
    """
    manifest = _find(uri, keys=keys, run=run, output=output)
    if manifest is None or not verify_export(Path(uri), sizes_only=True).is_good:
        return None
    return str(manifest.record.get("run")), _describe(uri, manifest)


def _find_file(folder: Path) -> Path | None:
    """Return the file that stands where a folder or one of those above it should."""
    return next((path for path in (folder, *folder.parents) if path.is_file()), None)


def _find(
    uri: str, *, output: str, keys: frozenset[str] | None = None, run: str | None = None
) -> Manifest | None:
    """Return the manifest at a place, if it is of these keys or this run."""
    try:
        manifest = read_manifest(Path(uri))
    except UbsparkError:
        return None
    asked = {"run": run, "output": output}
    is_it = keys is None or manifest.record.get("key") in keys
    is_it &= all(wanted in (None, manifest.record.get(fact)) for fact, wanted in asked.items())
    return manifest if is_it else None


def _get_staging(job: PreparedJob, name: str) -> StagingFolder:
    return StagingFolder(Path(job.get_output_uri(name)), job.spec.key)


def _describe(uri: str, manifest: Manifest) -> FolderRecord:
    return FolderRecord(
        uri=uri,
        kind=manifest.kind,
        digest=manifest.digest,
        n_rows=manifest.n_rows,
        n_bytes=manifest.n_bytes,
        n_files=len(manifest.files),
    )
