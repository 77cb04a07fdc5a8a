"""Comparing what a replay made with what the original run made."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from ubspark.catalogs.delta import open_table
from ubspark.catalogs.digests import ContentDigest
from ubspark.catalogs.export.manifest import ExportFile, Manifest, read_manifest
from ubspark.errors import InputMissingError, UbsparkError
from ubspark.features.out_of_fold import OUT_OF_FOLD_FILE
from ubspark.lineage.comparison import (
    ColumnDifference,
    Comparison,
    Tolerance,
    Verdict,
    compare_tables,
)
from ubspark.lineage.entities import Made
from ubspark.runtime.content import open_added
from ubspark.runtime.tolerances import find_tolerances

__all__ = ["compare_outputs", "find_worst"]

_CARD = "model.json"
#: Files of a model that are compared by what they say, not byte by byte.
_COMPARED = frozenset({_CARD, OUT_OF_FOLD_FILE})
#: What a model says of its run, its surroundings, and the estimator's file, compared apart.
_APART = frozenset({"run", "made_with", "estimator", "facts"})
#: What it says that follows from the predictions, or is as good as they are.
_FIGURES = frozenset({"calibration", "evaluation", "importance"})
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
            found[name] = _compare_folders(Path(made.entity.uri), folder, tolerances)
    return found


def find_worst(outputs: Mapping[str, Comparison]) -> Verdict:
    """Return the verdict of the output that fares worst."""
    return max((found.verdict for found in outputs.values()), key=lambda verdict: _RANK[verdict])


def _compare_table(
    made: Made, replay: Mapping[str, Any], tolerances: Mapping[str, Tolerance]
) -> Comparison:
    digest = str((made.record or {}).get("digest"))
    counts: dict[str, Any] = {
        "n_original": ContentDigest.parse(digest).n_rows,
        "n_replay": int(replay["n_rows"]),
    }
    if digest == replay["digest"]:
        return Comparison("EXACT", **counts)
    try:
        rows = _to_table(open_added(made))
    except (UbsparkError, OSError) as error:
        gone = ColumnDifference("*", f"the digest, and the original cannot be read: {error}")
        return Comparison("DIFFERENT", (gone,), **counts)
    other = _to_table(open_table(str(replay["uri"]), version=int(replay["version"])).to_dataset())
    job = str(made.spec["job"])
    known = find_tolerances(job, rows.schema) | dict(tolerances)
    return compare_tables(rows, other, known)


def _to_table(dataset: ds.Dataset) -> pa.Table:
    try:
        return dataset.to_table()
    except FileNotFoundError as error:
        msg = "its files were removed"
        raise InputMissingError(msg) from error


def _compare_folders(
    original: Path, replay: Path, tolerances: Mapping[str, Tolerance]
) -> Comparison:
    first, second = read_manifest(original), read_manifest(replay)
    counts = {"n_original": first.n_rows, "n_replay": second.n_rows}
    if first.kind != "model":
        return _judge(_compare_files(_list_data(first), _list_data(second)), None, counts)
    predicted = _compare_predictions(original, replay, tolerances)
    others = [
        {file.path: file for file in manifest.files if file.path not in _COMPARED}
        for manifest in (first, second)
    ]
    altered = [replace(found, is_within=True) for found in _compare_files(*others)]
    columns = (*predicted.columns, *_compare_cards(original, replay), *altered)
    return _judge(columns, predicted.rows, counts)


def _judge(
    columns: tuple[ColumnDifference, ...], rows: pa.Table | None, counts: Mapping[str, int]
) -> Comparison:
    is_good = all(column.is_within for column in columns)
    verdict: Verdict = "EXACT" if not columns else "EQUIVALENT" if is_good else "DIFFERENT"
    return Comparison(verdict, columns, rows, **counts)


def _compare_predictions(
    original: Path, replay: Path, tolerances: Mapping[str, Tolerance]
) -> Comparison:
    """Compare what two trainings said of rows that they had not seen."""
    first, second = (pq.read_table(folder / OUT_OF_FOLD_FILE) for folder in (original, replay))
    found = compare_tables(first, second, find_tolerances("train", first.schema) | dict(tolerances))
    named = (replace(c, name=f"{OUT_OF_FOLD_FILE}: {c.name}") for c in found.columns)
    return replace(found, columns=tuple(named))


def _compare_cards(original: Path, replay: Path) -> Iterator[ColumnDifference]:
    """Yield what differs in two models' own accounts; the predictions decide about figures."""
    first, second = (_read_card(folder) for folder in (original, replay))
    for key in dict.fromkeys([*first, *second]):
        if first.get(key) != second.get(key):
            yield ColumnDifference(f"{_CARD}: {key}", "other values", is_within=key in _FIGURES)


def _read_card(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / _CARD).read_text(encoding="utf-8"))
    return {key: value for key, value in (card | card["facts"]).items() if key not in _APART}


def _list_data(manifest: Manifest) -> dict[str, ExportFile]:
    """Return the files that hold rows; those that describe them name the run."""
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
