"""Comparing what a replay made with what the original run made."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from ubspark.catalogs.delta import open_table
from ubspark.catalogs.export.manifest import ExportFile, Manifest, read_manifest
from ubspark.errors import InputMissingError, UbsparkError
from ubspark.lineage.comparison import (
    ColumnDifference,
    Comparison,
    Tolerance,
    Verdict,
    compare_tables,
)
from ubspark.lineage.entities import Made
from ubspark.runtime.tolerances import find_tolerances

__all__ = ["compare_outputs", "find_worst"]

#: What a model says of its run, its surroundings, and the estimator's file, compared apart.
_APART = frozenset({"run", "made_with", "estimator"})
_CARD = "model.json"
_RANK: Mapping[Verdict, int] = {"EXACT": 0, "EQUIVALENT": 1, "DIFFERENT": 2}


def compare_outputs(
    original: Mapping[str, Made],
    replay: Mapping[str, Mapping[str, Any]],
    tolerances: Mapping[str, Tolerance],
) -> dict[str, Comparison]:
    """Compare every output that is known of the original; see `compare_tables`."""
    found = {}
    for name, made in original.items():
        if made.entity.kind == "delta":
            found[name] = _compare_table(made, replay[name], tolerances)
        else:
            folder = Path(str(replay[name]["uri"]))
            found[name] = _compare_folders(Path(made.entity.uri), folder)
    return found


def find_worst(outputs: Mapping[str, Comparison]) -> Verdict:
    """Return the verdict of the output that fares worst."""
    return max((found.verdict for found in outputs.values()), key=lambda verdict: _RANK[verdict])


def _compare_table(
    made: Made, replay: Mapping[str, Any], tolerances: Mapping[str, Tolerance]
) -> Comparison:
    digest = str((made.record or {}).get("digest"))
    n_rows = int(replay["n_rows"])
    if digest == replay["digest"]:
        return Comparison("EXACT", n_original=n_rows, n_replay=n_rows)
    try:
        rows = _read_added(made)
    except (UbsparkError, OSError) as error:
        gone = ColumnDifference("*", f"the digest, and the original cannot be read: {error}")
        return Comparison("DIFFERENT", (gone,), n_replay=n_rows)
    other = _to_table(open_table(str(replay["uri"]), version=int(replay["version"])).to_dataset())
    job = str(made.spec["job"])
    known = find_tolerances(job, rows.schema) | dict(tolerances)
    return compare_tables(rows, other, known)


def _read_added(made: Made) -> pa.Table:
    """Return the rows that a commit added: of an append, not those that were there before."""
    uri, version = made.entity.uri, int(made.entity.version or 0)
    dataset = open_table(uri, version=version).to_dataset()
    if not made.adds_to_version or version == 0:
        return _to_table(dataset)
    before = set(getattr(open_table(uri, version=version - 1).to_dataset(), "files", ()))
    added = [path for path in dataset.files if path not in before]
    return _to_table(ds.dataset(added, schema=dataset.schema, format="parquet"))


def _to_table(dataset: ds.Dataset) -> pa.Table:
    try:
        return dataset.to_table()
    except FileNotFoundError as error:
        msg = "its files were removed"
        raise InputMissingError(msg) from error


def _compare_folders(original: Path, replay: Path) -> Comparison:
    first, second = read_manifest(original), read_manifest(replay)
    compare = _compare_models if first.kind == "model" else _compare_exports
    columns = compare(original, first, replay, second)
    is_good = all(column.is_within for column in columns)
    verdict: Verdict = "EXACT" if not columns else "EQUIVALENT" if is_good else "DIFFERENT"
    return Comparison(verdict, columns, n_original=first.n_rows, n_replay=second.n_rows)


def _compare_exports(
    original: Path, first: Manifest, replay: Path, second: Manifest
) -> tuple[ColumnDifference, ...]:
    """Compare the files that hold rows; those that describe them name the run."""
    _ = original, replay
    return _compare_files(_list_data(first), _list_data(second))


def _list_data(manifest: Manifest) -> dict[str, ExportFile]:
    return {file.path: file for file in manifest.files if file.n_rows > 0}


def _compare_files(
    first: Mapping[str, ExportFile], second: Mapping[str, ExportFile]
) -> tuple[ColumnDifference, ...]:
    found = []
    for path in dict.fromkeys([*first, *second]):
        if path not in first or path not in second:
            side = "replay" if path in second else "original"
            found.append(ColumnDifference(path, f"only in the {side}"))
        elif first[path].sha256 != second[path].sha256:
            found.append(ColumnDifference(path, "another content", first[path].n_rows))
    return tuple(found)


def _compare_models(
    original: Path, first: Manifest, replay: Path, second: Manifest
) -> tuple[ColumnDifference, ...]:
    """Compare two models by what cross-validation says of them, and by their files.

    The figures of the evaluation come from the out-of-fold predictions alone. An estimator whose
    file differs while they are the same counts as equivalent.
    """
    cards = [_read_card(folder) for folder in (original, replay)]
    found = [
        ColumnDifference(f"{_CARD}: {key}", "other values")
        for key in dict.fromkeys([*cards[0], *cards[1]])
        if cards[0].get(key) != cards[1].get(key)
    ]
    files = [
        {file.path: file for file in manifest.files if file.path != _CARD}
        for manifest in (first, second)
    ]
    altered = _compare_files(*files)
    return (*found, *(ColumnDifference(c.name, c.reason, is_within=True) for c in altered))


def _read_card(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / _CARD).read_text(encoding="utf-8"))
    return {key: value for key, value in card.items() if key not in _APART}
