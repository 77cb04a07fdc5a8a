"""Whether everything that was made can say where it came from."""

from dataclasses import dataclass

from ubspark.lineage.entities import Entity
from ubspark.lineage.graph import LineageGraph, trace_up
from ubspark.lineage.ledger import Ledger

__all__ = ["Audit", "audit"]


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes
    ----------
    n_outputs
        Table versions and folders that were looked at; those of other programs count.
    open_ends
        Those that cannot say where they came from, and why.
    damaged
        Places that cannot be read, and why.
    """

    n_outputs: int
    open_ends: dict[str, str]
    damaged: dict[str, str]

    @property
    def closed_percent(self) -> float:
        """Share of the outputs that resolve to runs and sources; a damaged place does not."""
        n_known = self.n_outputs + len(self.damaged)
        return 100.0 * (self.n_outputs - len(self.open_ends)) / n_known if n_known else 100.0


def audit(ledger: Ledger) -> Audit:
    """Follow every version of every table, and every folder, up to its sources."""
    open_ends = {}
    for made in ledger.all:
        found = _check(ledger, made.entity)
        if found is not None:
            open_ends[made.entity.place] = found
    return Audit(len(ledger.all), open_ends, dict(ledger.damaged))


def _check(ledger: Ledger, entity: Entity) -> str | None:
    graph = trace_up(ledger, LineageGraph(entity))
    if entity.key in graph.foreign:
        return f"`{entity.place}` was not made by ubspark."
    return next(iter(graph.unresolved.values()), None)
