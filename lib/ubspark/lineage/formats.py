"""A lineage graph as text: a tree for people, JSON and DOT for programs."""

import time
from collections.abc import Iterator
from typing import Any

from ubspark.lineage.entities import Entity
from ubspark.lineage.graph import LineageGraph

__all__ = ["to_dot", "to_json", "to_tree"]


def to_json(graph: LineageGraph) -> dict[str, Any]:
    """Return entities, runs and links."""
    return {
        "root": graph.root.key,
        "closed": graph.is_closed,
        "entities": {key: _describe(graph, entity) for key, entity in graph.entities.items()},
        "runs": {run.removeprefix("run:"): describe_run(graph, run) for run in graph.runs},
        "links": [vars(link) for link in graph.links],
        "unresolved": graph.unresolved,
    }


def describe_run(graph: LineageGraph, run: str) -> dict[str, Any]:
    """Return who made it, with what, and when the first of its commits known here was."""
    made = graph.runs[run]
    record, spec = made.record or {}, made.spec
    return {
        "job": spec["job"],
        "job_version": spec["job_version"],
        "key": record["key"],
        "user": spec["run"].get("user"),
        "code": record["code"],
        "params": spec["params"],
        "committed_ms": made.timestamp_ms,
    }


def to_tree(graph: LineageGraph, *, up: bool = True, down: bool = True) -> str:
    """Return the graph as indented lines; what stands twice is written out once."""
    lines = []
    if up:
        lines += [_title(graph, graph.root), *_branch(graph, graph.root.key, "", set(), up=True)]
    if down:
        head = f"{graph.root.name} went into:" if up else _title(graph, graph.root)
        below = list(_branch(graph, graph.root.key, "", set(), up=False))
        lines += [head, *below] if below or not up else []
    return "\n".join(lines)


def to_dot(graph: LineageGraph) -> str:
    """Return the graph in the language of Graphviz, arrows from source to result."""
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [fontname="sans-serif"];']
    for key, entity in graph.entities.items():
        style = ", color=red" if key in graph.unresolved else ""
        lines.append(f"  {_quote(key)} [shape=box, label={_quote(entity.name)}{style}];")
    for run, made in graph.runs.items():
        label = f"{made.spec['job']}\\n{run.removeprefix('run:')}"
        lines.append(f"  {_quote(run)} [shape=ellipse, label={_quote(label)}];")
    lines += [
        f"  {_quote(link.target)} -> {_quote(link.source)} [label={_quote(link.role)}];"
        for link in graph.links
    ]
    return "\n".join([*lines, "}"])


def _describe(graph: LineageGraph, entity: Entity) -> dict[str, Any]:
    made = graph.made.get(entity.key)
    facts: dict[str, Any] = {"kind": entity.kind, "uri": entity.uri, "identity": entity.identity}
    if entity.version is not None:
        facts["version"] = entity.version
    if made is not None and made.run is not None:
        facts |= {"run": made.run, "digest": (made.record or {}).get("digest")}
    if entity.files:
        facts["sha256"] = list(entity.files)
    return facts


def _branch(
    graph: LineageGraph, node: str, indent: str, seen: set[str], *, up: bool
) -> Iterator[str]:
    """Yield the lines below a node."""
    links = list(graph.list_parents(node) if up else graph.list_children(node))
    for i, link in enumerate(links):
        is_last = i == len(links) - 1
        follower = link.target if up else link.source
        again = follower in seen
        text = _label(graph, follower, link.role if link.kind == "used" else "")
        yield f"{indent}{'└─ ' if is_last else '├─ '}{text}{' (above)' if again else ''}"
        if not again:
            seen.add(follower)
            yield from _branch(graph, follower, indent + ("   " if is_last else "│  "), seen, up=up)


def _label(graph: LineageGraph, node: str, role: str) -> str:
    if node not in graph.runs:
        return (f"{role}: " if role else "") + _title(graph, graph.entities[node])
    facts = describe_run(graph, node)
    code = facts["code"].get("git") or facts["code"].get("version")
    moment = facts["committed_ms"]
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment / 1000)) if moment else "no date"
    run = node.removeprefix("run:")
    return f"run {run} {facts['job']} by {facts['user']}, {when}, code {str(code)[:12]}"


def _title(graph: LineageGraph, entity: Entity) -> str:
    what = {
        "delta": f"table {entity.identity}",
        "folder": f"folder, digest {entity.identity}",
        "files": f"files, sha256 {entity.identity}",
        "hats": f"HATS catalog, digest {entity.identity}",
        "model": f"model, sha256 {entity.identity}",
    }[entity.kind]
    note = graph.unresolved.get(entity.key)
    foreign = ", not made by ubspark" if entity.key in graph.foreign else ""
    return f"{entity.place} ({what}{foreign})" + (f" UNRESOLVED: {note}" if note else "")


def _quote(text: str) -> str:
    escaped = text.replace('"', '\\"')
    return f'"{escaped}"'
