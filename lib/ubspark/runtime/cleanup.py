"""What of a home's tables can go: files that no log ever named, and versions nobody needs."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ubspark.catalogs.log_files import find_named_files, list_version_files, read_log
from ubspark.errors import UbsparkError
from ubspark.lineage.entities import Entity, Made
from ubspark.lineage.graph import LineageGraph, trace_up
from ubspark.lineage.ledger import Ledger
from ubspark.runtime.absent import AbsentRun, find_absent_runs, validate_pins
from ubspark.runtime.home import Home
from ubspark.runtime.pins import read_pins
from ubspark.runtime.places import (
    list_homes,
    list_roots,
    list_written,
    read_used,
    validate_places,
)
from ubspark.runtime.records import iterate_records

__all__ = ["Cleanup", "Keeping", "Removal", "plan_cleanup", "remove"]

#: A file or version that is younger may belong to somebody who works right now.
_DAY_SECONDS = 86_400
#: How the names of our own files begin.
_OURS = ("part-", ".part-", ".ubspark-")


@dataclass(frozen=True)
class Removal:
    """A file that can go."""

    path: Path
    n_bytes: int
    reason: str


@dataclass(frozen=True)
class Keeping:
    """A table version that stays, or a table that is not touched, and why."""

    place: str
    reason: str


@dataclass(frozen=True)
class Cleanup:
    """What a cleanup would remove and keep."""

    removals: tuple[Removal, ...]
    kept: tuple[Keeping, ...]

    @property
    def n_bytes(self) -> int:
        """Bytes of the files that can go."""
        return sum(removal.n_bytes for removal in self.removals)


def plan_cleanup(home: Home, *, versions: bool = False, now: float | None = None) -> Cleanup:
    """Find what can go from the tables of a home; nothing is removed.

    Parameters
    ----------
    versions
        Look for versions that nobody needs too, not only for files that no log ever named.
    now
        Unix time, s; the present by default.

    Raises
    ------
    UbsparkError
        If the pins cannot be read, a configured place is not there, or, for ``versions``, nobody
        knows what a pinned version was made from.
    """
    moment = time.time() if now is None else now
    validate_places(home)
    ledger = Ledger(list_roots(home))
    homes = list_homes(home)
    removals: list[Removal] = []
    kept: list[Keeping] = []
    absent = list(find_absent_runs(ledger, homes)) if versions else []
    if versions:
        validate_pins((pin for known in homes for pin in read_pins(known)), ledger, absent)
    reasons = _find_needed(ledger, homes, absent, moment)
    damaged = ledger.damaged | dict(_find_damaged_runs(homes))
    if versions and damaged:
        # What it was made from is not known, so nothing can be said to be needed by nobody.
        versions = False
        kept.append(Keeping("all versions", "what is damaged, below, may need them"))
    live = {uri: run for known in homes for uri, run in _find_live(known)}
    for uri in sorted({made.entity.uri for made in ledger.all if made.entity.kind == "delta"}):
        if uri in live:
            kept.append(Keeping(uri, f"run {live[uri]} is writing to it"))
        elif home.warehouse.absolute() not in Path(uri).parents or ledger.is_foreign(uri):
            kept.append(Keeping(uri, "not a table of this home's warehouse that ubspark made"))
        elif home.warehouse.resolve() not in Path(uri).resolve().parents:
            # Whoever else reads it there is not asked.
            kept.append(Keeping(uri, "its files lie outside the warehouse, behind a link"))
        else:
            table = ledger.read_table(uri)
            try:
                removals += _plan_table(table, reasons if versions else None, moment)
            except UbsparkError as error:
                kept.append(Keeping(uri, str(error)))
                continue
            kept += _tell_needed(table, reasons) if versions else []
    kept += [Keeping(place, reason) for place, reason in damaged.items()]
    return Cleanup(tuple(removals), tuple(kept))


def remove(cleanup: Cleanup) -> int:
    """Remove the files of a plan; return how many were still there."""
    n_removed = 0
    for removal in cleanup.removals:
        if removal.path.is_file():
            removal.path.unlink()
            n_removed += 1
    return n_removed


def _find_needed(
    ledger: Ledger, homes: Sequence[Home], absent: Iterable[AbsentRun], now: float
) -> dict[str, str]:
    """Return the keys of the versions that stay, with the reason."""
    by_uri: dict[str, list[Made]] = {}
    for made in ledger.all:
        by_uri.setdefault(made.entity.uri, []).append(made)
    needed = {key: reason for home in homes for key, reason in _find_read(home)}
    pins = [pin for home in homes for pin in read_pins(home)]
    needed |= {pin.key: f"pinned by {pin.user}: {pin.reason}" for pin in pins}
    for table in by_uri.values():
        needed.setdefault(table[-1].entity.key, "newest version")
        for made in table:
            if made.timestamp_ms is None or now - made.timestamp_ms / 1000 < _DAY_SECONDS:
                needed.setdefault(made.entity.key, "younger than a day")
    stay = [Entity("delta", pin.uri, pin.table_id, pin.version) for pin in pins]
    stay += [made.entity for made in ledger.all if made.entity.key in needed]
    for entity in stay:
        graph = trace_up(ledger, LineageGraph(entity))
        for key in _list_versions(graph):
            needed.setdefault(key, f"{entity.name}, which stays, was made from it")
        for taught in _find_taught(_list_specs(graph), by_uri):
            needed.setdefault(taught.key, f"{entity.name}, which stays, was learnt from it")
    for run in absent:
        reason = f"run {run.run_id} made `{run.place}` from it, which cannot be read now"
        graphs = [trace_up(ledger, LineageGraph(used)) for used in run.used.values()]
        specs = [run.spec, *(spec for graph in graphs for spec in _list_specs(graph))]
        keys = [key for graph in graphs for key in _list_versions(graph)]
        for key in (*keys, *(taught.key for taught in _find_taught(specs, by_uri))):
            needed.setdefault(key, reason)
    return needed


def _list_versions(graph: LineageGraph) -> list[str]:
    return [key for key, entity in graph.entities.items() if entity.kind == "delta"]


def _list_specs(graph: LineageGraph) -> list[Mapping[str, Any]]:
    return [run.spec for run in graph.runs.values()]


def _find_taught(
    specs: Iterable[Mapping[str, Any]], by_uri: Mapping[str, list[Made]]
) -> Iterator[Entity]:
    """Yield the versions that models were trained on whose folders may be gone."""
    for spec in specs:
        uri, _, version = str(spec["params"].get("training_table")).rpartition("@v")
        # Where it is not there any more, it may have moved: any table of its name may be it.
        tables = [by_uri[uri]] if uri in by_uri else by_uri.values()
        for made in (made for table in tables for made in table):
            is_it = made.entity.uri == uri or Path(made.entity.uri).name == Path(uri).name
            if is_it and str(made.entity.version) == version:
                yield made.entity


def _tell_needed(table: Sequence[Made], reasons: Mapping[str, str]) -> list[Keeping]:
    listed = ((made.entity.place, reasons.get(made.entity.key)) for made in table)
    return [Keeping(place, reason) for place, reason in listed if reason is not None]


def _find_damaged_runs(homes: Sequence[Home]) -> Iterator[tuple[str, str]]:
    """Yield the runs of which nobody can say what they read or wrote."""
    for run in (run for home in homes for run in sorted(home.runs.glob("*"))):
        for path in (run / "record.json", run / "spec.json"):
            try:
                content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
                is_whole = isinstance(content, dict)
            except (OSError, ValueError):
                is_whole = False
            if not is_whole:
                yield str(path), "It is damaged, so that nobody knows what its run read."


def _find_live(home: Home) -> Iterator[tuple[str, str]]:
    """Yield the places that a run writes to now, with the run."""
    for record in iterate_records(home.runs):
        if record.phase == "EXECUTING" and not record.is_lost:
            yield from ((str(place), record.run_id) for place in list_written(record.folder))


def _find_read(home: Home) -> Iterator[tuple[str, str]]:
    """Yield the keys of the versions that a run reads now."""
    for record in iterate_records(home.runs):
        if record.phase == "EXECUTING" and not record.is_lost:
            used = read_used(record.folder).values()
            yield from ((entity.key, f"run {record.run_id} is reading it") for entity in used)


def _plan_table(
    table: tuple[Made, ...], needed: Mapping[str, str] | None, now: float
) -> Iterator[Removal]:
    """Yield what can go from one table; None for ``needed`` keeps all its versions."""
    folder = Path(table[0].entity.uri)
    log = read_log(folder)
    if not all(entry.is_relative for entry in log):
        return
    named = find_named_files(log)
    unneeded: Mapping[str, str] = {}
    if needed is not None:
        unneeded = _find_unneeded(table, needed, list_version_files(log))
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith("_delta_log/") or not path.name.startswith(_OURS) or not path.is_file():
            continue
        if _is_in_another_table(path, folder):
            continue
        facts = path.stat()
        if now - facts.st_mtime < _DAY_SECONDS:
            continue
        if name not in named:
            yield Removal(path, facts.st_size, "no version of the table ever named it")
        elif name in unneeded:
            yield Removal(path, facts.st_size, unneeded[name])


def _is_in_another_table(path: Path, folder: Path) -> bool:
    """Whether a table of its own lies between a file and a table's folder."""
    between = (parent for parent in path.parents if folder in parent.parents)
    return any((parent / "_delta_log").is_dir() for parent in between)


def _find_unneeded(
    table: tuple[Made, ...], needed: Mapping[str, str], files: Mapping[int, frozenset[str]]
) -> dict[str, str]:
    """Return the files of which no version that stays consists."""
    kept: set[str] = set()
    going: dict[str, str] = {}
    for made in table:
        listed = files[made.entity.version or 0]
        if made.entity.key in needed:
            kept |= listed
        else:
            reason = f"only of versions that nobody needs, such as {made.entity.name}"
            going |= {name: reason for name in listed if name not in going}
    return {name: reason for name, reason in going.items() if name not in kept}
