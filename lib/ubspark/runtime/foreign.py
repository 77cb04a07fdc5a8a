"""Inputs that others keep: what identifies them, and until when they can be read."""

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ubspark.catalogs.hats import HatsCatalog
from ubspark.catalogs.sources.hats import HatsSource
from ubspark.lineage.spec import FrozenSpec, TableInput
from ubspark.recipes.base import JobInput

__all__ = [
    "describe_deadlines",
    "describe_footers",
    "list_files",
    "read_manifest",
    "save_manifests",
    "warn_of_deadlines",
]


def describe_deadlines(spec: FrozenSpec) -> Iterator[str]:
    """Yield a sentence for each input version that may be gone within a year."""
    for name, entry in spec.inputs.items():
        if isinstance(entry, TableInput) and entry.readable_until is not None:
            yield (
                f"`inputs.{name}`: Delta keeps version {entry.version} of `{entry.uri}` until "
                f"{entry.readable_until} only, once the table has a newer one. To replay the run "
                f"later, copy it with `ubspark archive`, or raise the table's "
                f"`delta.deletedFileRetentionDuration` and `delta.logRetentionDuration`."
            )


def describe_footers(inputs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a sentence for each catalog of a spec, as JSON, that is known by its footers alone."""
    for name, entry in inputs.items():
        if entry.get("known_by") == "footers":
            yield (
                f"`inputs.{name}`: the {entry['n_files']:,} files of `{entry['uri']}` are known by "
                f"their sizes and Parquet footers; a byte that changes inside a column is not "
                f"noticed. Set `inputs.{name}.known_by` to files to read them whole."
            )


def warn_of_deadlines(spec: FrozenSpec) -> None:
    """Warn of each of them."""
    for sentence in describe_deadlines(spec):
        warnings.warn(sentence, stacklevel=3)


def save_manifests(inputs: Mapping[str, JobInput], folder: Path) -> None:
    """Write path, bytes and digest of each file of the HATS catalogs that a run reads.

    A catalog may have a hundred thousand files: too many for a commit, which holds their digest.
    """
    for name, given in inputs.items():
        files = list_files(given)
        if files:
            text = json.dumps(files, indent=0, ensure_ascii=False)
            _locate(folder, name).write_text(text, encoding="utf-8")


def read_manifest(folder: Path, name: str) -> dict[str, list[Any]] | None:
    """Return path to bytes and digest of each file that a run read; None where nobody knows."""
    try:
        listed: dict[str, list[Any]] = json.loads(_locate(folder, name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return listed


def list_files(given: JobInput) -> dict[str, list[Any]]:
    """Return path to bytes and digest of each file of a HATS catalog; nothing of other inputs."""
    catalog = _find_catalog(given)
    listed = catalog.manifest if catalog is not None else ()
    return {path: [n_bytes, digest] for path, n_bytes, digest in listed}


def _find_catalog(given: JobInput) -> HatsCatalog | None:
    if isinstance(given.source, HatsSource):
        return given.source.catalog
    return given.table if isinstance(given.table, HatsCatalog) else None


def _locate(folder: Path, name: str) -> Path:
    return folder / f"manifest-{name}.json"
