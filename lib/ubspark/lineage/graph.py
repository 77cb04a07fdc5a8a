"""From a table version up to the sources it came from, and down to what was made of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from ubspark.errors import InputMissingError
from ubspark.lineage.entities import Entity, Made, list_used
from ubspark.lineage.ledger import Ledger

__all__ = ["LineageGraph", "Link", "trace_down", "trace_up"]

LinkKind = Literal["used", "made_by", "follows", "part_of"]


@dataclass(frozen=True)
class Link:
    """An arrow towards where something came from.

    Attributes
    ----------
    kind
        ``used``: a run read an entity; ``made_by``: a run made an entity; ``follows``: a version
        holds the rows of the one before; ``part_of``: files lie in a folder that a run made.
    source, target
        Key of an entity, or ``run:`` and the id of a run.
    role
        Name of the input or output.
    """

    kind: LinkKind
    source: str
    target: str
    role: str = ""


@dataclass
class LineageGraph:
    """Entities, runs and the links between them.

    Attributes
    ----------
    root
        What was asked for.
    runs
        Id to one of the commits of the run, which holds its spec.
    made
        Key of an entity to its commit or manifest.
    unresolved
        Key of an entity to why nobody can say where it came from.
    foreign
        Keys of tables that ubspark never wrote: their id and version say what they are.
    """

    root: Entity
    entities: dict[str, Entity] = field(default_factory=dict)
    runs: dict[str, Made] = field(default_factory=dict)
    made: dict[str, Made] = field(default_factory=dict)
    links: dict[Link, None] = field(default_factory=dict)
    unresolved: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, None] = field(default_factory=dict)

    @property
    def is_closed(self) -> bool:
        """Whether everything comes from runs, or from sources whose digest is known."""
        return not self.unresolved

    def list_parents(self, node: str) -> Iterator[Link]:
        """Yield the links from a node to where it came from."""
        yield from (link for link in self.links if link.source == node)

    def list_children(self, node: str) -> Iterator[Link]:
        """Yield the links from a node to what came of it."""
        yield from (link for link in self.links if link.target == node)


def trace_up(ledger: Ledger, graph: LineageGraph, *, depth: int | None = None) -> LineageGraph:
    """Add where the root came from, at most so many runs away, to a graph, and return it."""
    waiting = [(graph.root, 0)]
    graph.entities[graph.root.key] = graph.root
    seen = set()
    while waiting:
        entity, distance = waiting.pop()
        if entity.key in seen:
            continue
        seen.add(entity.key)
        made = _resolve(ledger, graph, entity)
        if made is None or entity.key in graph.foreign:
            continue
        if made.entity.key != entity.key:
            _add(graph, made.entity, made)
            graph.links[Link("part_of", entity.key, made.entity.key)] = None
        before = ledger.find_before(made) if entity.kind == "delta" else None
        if before is not None and (not made.changed_data or made.adds_to_version):
            _add(graph, before.entity)
            graph.links[Link("follows", entity.key, before.entity.key, made.operation)] = None
            waiting.append((before.entity, distance))
        if made.run is not None and (depth is None or distance < depth):
            waiting.extend((used, distance + 1) for used in _add_run(graph, made))
    return graph


def trace_down(ledger: Ledger, graph: LineageGraph, *, depth: int | None = None) -> LineageGraph:
    """Add what was made of the root, at most so many runs away, to a graph, and return it."""
    waiting = [(graph.root, 0)]
    graph.entities[graph.root.key] = graph.root
    seen = set()
    while waiting:
        entity, distance = waiting.pop()
        if entity.key in seen:
            continue
        seen.add(entity.key)
        after = ledger.find_next(entity) if entity.kind == "delta" else None
        if after is not None:
            _add(graph, after.entity, after)
            link = Link("follows", after.entity.key, entity.key, after.operation)
            graph.links[link] = None
            waiting.append((after.entity, distance))
        if depth is not None and distance >= depth:
            continue
        for stray in ledger.find_strays(entity):
            graph.unresolved[entity.key] = (
                f"`{stray.entity.place}` was made from other rows under this id and version: those "
                f"of a copy of the table that went another way, and is in no place known here."
            )
        for role, made in ledger.find_uses(entity):
            run = _add_node(graph, made)
            graph.links[Link("used", run, entity.key, role)] = None
            waiting.append((made.entity, distance + 1))
    return graph


def _resolve(ledger: Ledger, graph: LineageGraph, entity: Entity) -> Made | None:
    """Return the commit of an entity; note why there is none where one should be."""
    try:
        made = ledger.find(entity)
    except InputMissingError as error:
        if entity.kind in ("delta", "model") or entity.made_by:
            graph.unresolved[entity.key] = str(error)
        # Files and catalogs from elsewhere end the way up: their digest says what they are.
        return None
    graph.made[entity.key] = made
    if entity.kind == "delta" and ledger.is_foreign(made.entity.uri):
        graph.foreign[entity.key] = None
        return made
    if made.run is None and made.changed_data:
        graph.unresolved[entity.key] = (
            f"`{entity.place}` was committed by another program ({made.operation})."
        )
    if entity.kind == "delta" and made.run is None and ledger.find_before(made) is None:
        graph.unresolved.setdefault(entity.key, f"`{entity.place}` has no history before it.")
    return made


def _add(graph: LineageGraph, entity: Entity, made: Made | None = None) -> None:
    graph.entities.setdefault(entity.key, entity)
    if made is not None:
        graph.made[entity.key] = made


def _add_run(graph: LineageGraph, made: Made) -> list[Entity]:
    """Add the run that made an entity, and what it read; return that."""
    run = _add_node(graph, made)
    used = list_used(made.spec, made.run)
    for role, entity in used.items():
        there = graph.entities.get(entity.key, entity)
        if not there.is_same(entity):
            graph.unresolved[entity.key] = (
                f"`{there.place}` and `{entity.place}` are copies of one table that went different "
                f"ways, and cannot be told apart here; ask for the lineage of each."
            )
        _add(graph, entity)
        graph.links[Link("used", run, entity.key, role)] = None
    return list(used.values())


def _add_node(graph: LineageGraph, made: Made) -> str:
    """Add an entity with the run that made it; return the key of the run."""
    run = f"run:{made.run}"
    graph.runs.setdefault(run, made)
    _add(graph, made.entity, made)
    graph.links[Link("made_by", made.entity.key, run, made.output)] = None
    return run
