"""Which rows of an earlier feature table still hold, so that only the others are computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ubspark.catalogs.delta import TableVersion, open_table, read_history
from ubspark.catalogs.history import find_commit
from ubspark.catalogs.layout import FileLayout
from ubspark.errors import UbsparkError
from ubspark.features.segments import IntArray
from ubspark.features.spark import KeptRows
from ubspark.recipes.base import JobInput
from ubspark.recipes.feature_job import PREVIOUS, FeatureJob
from ubspark.recipes.pair_table import get_table
from ubspark.sky.healpix import merge_ranges

__all__ = ["Reuse", "find_reuse"]


@dataclass(frozen=True)
class Reuse:
    """What can be taken from the earlier table.

    Attributes
    ----------
    kept
        Its rows and where they do not hold; None where nothing can be taken.
    reason
        Why not, the end of a sentence.
    """

    kept: KeptRows | None
    reason: str = ""


def find_reuse(job: FeatureJob, *, version: str) -> Reuse | None:
    """Return what of the table `previous` holds for this job; None where none is given.

    A row holds if the earlier job was this one but for versions of its inputs, and no file of
    any input that covers the row's place on the sky came or went between the two versions.

    Parameters
    ----------
    version
        Of the job.
    """
    table = job.previous
    if table is None:
        return None
    spec = _read_spec(table) if isinstance(table, TableVersion) else None
    if spec is None or not isinstance(table, TableVersion):
        return Reuse(None, "no run of the features job made it as it stands")
    if spec["job"] != "features":
        return Reuse(None, f"the {spec['job']} job made it, not the features job")
    if spec["job_version"] != version:
        return Reuse(None, f"it was made by version {spec['job_version']} of the job")
    if spec["params"] != job.params.model_dump(mode="json"):
        return Reuse(None, "it was made with other parameters")
    inputs = {name: given for name, given in job.inputs.items() if name != PREVIOUS}
    earlier = {name: entry for name, entry in spec["inputs"].items() if name != PREVIOUS}
    if inputs.keys() != earlier.keys():
        return Reuse(None, "it was made with other inputs")
    touched = []
    for name, given in inputs.items():
        try:
            found = _find_touched(given, earlier[name])
        except UbsparkError as error:
            return Reuse(None, f"the earlier version of `inputs.{name}` cannot be read ({error})")
        if found is None:
            return Reuse(None, f"it was made with another table or part of it as `inputs.{name}`")
        touched.append(found)
    return Reuse(KeptRows(table.read_layout().refine(), merge_ranges(np.concatenate(touched))))


def _read_spec(table: TableVersion) -> Mapping[str, Any] | None:
    """Return the spec of the run whose rows a version holds, if it was one of ours."""
    for commit in read_history(table.uri):
        if commit.version <= table.version and commit.changed_data:
            spec: Mapping[str, Any] | None = (commit.record or {}).get("spec")
            return spec
    return None


def _find_touched(given: JobInput, earlier: Mapping[str, Any]) -> IntArray | None:
    """Return where the files of two versions of a table differ; None where all may differ."""
    table = get_table(given)
    asked = {
        "columns": None if given.columns is None else list(given.columns),
        "roles": dict(given.roles),
        "region": given.region and str(given.region),
        "where": given.where and str(given.where),
    }
    if not isinstance(table, TableVersion) or earlier.get("table_id") != table.table_id:
        return None
    if earlier["options"] != asked:
        return None
    commit = find_commit(table.uri, earlier["version"])
    if earlier.get("content") not in (None, commit and commit.content):
        # A copy of the table that went another way.
        return None
    before = open_table(table.uri, version=earlier["version"])
    if before.roles != table.roles or before.schema != table.schema:
        # The same files, but their columns mean something else now.
        return None
    layouts = table.read_layout(), before.read_layout()
    shared = set(layouts[0].paths) & set(layouts[1].paths)
    return np.concatenate([_list_ranges(layout, shared) for layout in layouts])


def _list_ranges(layout: FileLayout, shared: set[str]) -> IntArray:
    """Return the ranges of the index that the other files of a layout cover, shape (k, 2)."""
    is_other = np.array([path not in shared for path in layout.paths], dtype=bool)
    return np.stack([layout.low[is_other], layout.high[is_other] + 1], axis=1)
