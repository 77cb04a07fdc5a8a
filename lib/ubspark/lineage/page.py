"""A lineage graph as one HTML page: an SVG from sources to tables, and what each box stands for."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from ubspark.lineage.formats import describe_run
from ubspark.lineage.graph import LineageGraph, Link
from ubspark.lineage.spec import to_canonical_json

__all__ = ["to_html"]

_WIDTH, _HEIGHT = 184, 46
_GAP_X, _GAP_Y = 56, 22
_MARGIN = 20
_MAX_LETTERS = 25

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; margin: 2em auto; max-width: 1200px;
  padding: 0 1em; background: #fff; }
h1 { font-size: 1.4em; } .scroll { overflow-x: auto; border: 1px solid #ddd; }
table { border-collapse: collapse; margin-top: 1.5em; width: 100%; }
td, th { text-align: left; padding: 4px 10px; border-bottom: 1px solid #e5e5e5; vertical-align: top;
  font-size: 13px; overflow-wrap: anywhere; }
td:first-child { white-space: nowrap; }
.key span { display: inline-block; width: 12px; height: 12px; margin: 0 4px 0 14px;
  border: 1px solid #666; vertical-align: -1px; }
.bad { color: #a40000; font-weight: bold; }
"""
#: Kind of a node to fill and outline.
_COLOURS: Mapping[str, tuple[str, str]] = {
    "source": ("#fdf1d6", "#b98900"),
    "foreign": ("#eeeeee", "#777777"),
    "run": ("#e3f0e3", "#3c7a3c"),
    "table": ("#e1ecf9", "#2f6db5"),
    "folder": ("#efe3f7", "#7d4fa3"),
    "unresolved": ("#fbe0e0", "#a40000"),
}


@dataclass(frozen=True)
class _Box:
    node: str
    kind: str
    title: str
    subtitle: str
    x: float
    y: float


def to_html(graph: LineageGraph) -> str:
    """Return the page; it needs nothing from elsewhere."""
    columns = _arrange(graph)
    boxes = {box.node: box for box in _place(graph, columns)}
    width = 2 * _MARGIN + len(columns) * (_WIDTH + _GAP_X) - _GAP_X
    tallest = max(len(column) for column in columns)
    height = 2 * _MARGIN + tallest * (_HEIGHT + _GAP_Y) - _GAP_Y
    arrows = "".join(
        _draw_arrow(boxes[link.target], boxes[link.source], link) for link in graph.links
    )
    drawn = "".join(_draw_box(box, is_root=box.node == graph.root.key) for box in boxes.values())
    title = escape(f"Lineage of {graph.root.name}")
    state = (
        "Everything resolves to runs and sources."
        if graph.is_closed
        else f'<span class="bad">{len(graph.unresolved)} open ends.</span>'
    )
    key = "".join(
        f'<span style="background:{fill};border-color:{line}"></span>{name}'
        for name, (fill, line) in _COLOURS.items()
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f'<p>{state} Read from left to right. <span class="key">{key}</span></p>'
        f'<div class="scroll"><svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="#666"/></marker></defs>'
        f"{arrows}{drawn}</svg></div>{_list_nodes(graph, boxes)}</body></html>\n"
    )


def _arrange(graph: LineageGraph) -> list[list[str]]:
    """Return the nodes column by column: each to the right of all that it came from."""
    nodes = [*graph.entities, *graph.runs]
    parents = {node: [link.target for link in graph.list_parents(node)] for node in nodes}
    ranks: dict[str, int] = {}
    waiting = list(nodes)
    while waiting:
        known = [node for node in waiting if all(p in ranks for p in parents[node])]
        # Lineage has no cycles; a damaged record that made one must not hang the page.
        for node in known or waiting[:1]:
            ranks[node] = 1 + max((ranks.get(p, 0) for p in parents[node]), default=-1)
            waiting.remove(node)
    columns: list[list[str]] = [[] for _ in range(1 + max(ranks.values()))]
    for node in nodes:
        columns[ranks[node]].append(node)
    heights: dict[str, float] = {}
    for column in columns:
        column.sort(key=lambda node: _find_height(parents[node], heights))
        heights |= {node: i - len(column) / 2 for i, node in enumerate(column)}
    return columns


def _find_height(parents: list[str], heights: Mapping[str, float]) -> float:
    """Return where a node would lie straight behind its parents."""
    known = [heights[parent] for parent in parents if parent in heights]
    return sum(known) / len(known) if known else 0.0


def _place(graph: LineageGraph, columns: list[list[str]]) -> list[_Box]:
    tallest = max(len(column) for column in columns)
    boxes = []
    for i, column in enumerate(columns):
        top = _MARGIN + (tallest - len(column)) * (_HEIGHT + _GAP_Y) / 2
        for j, node in enumerate(column):
            kind, title, subtitle = _describe(graph, node)
            x = _MARGIN + i * (_WIDTH + _GAP_X)
            boxes.append(_Box(node, kind, title, subtitle, x, top + j * (_HEIGHT + _GAP_Y)))
    return boxes


def _describe(graph: LineageGraph, node: str) -> tuple[str, str, str]:
    """Return kind, name and a second line."""
    if node in graph.runs:
        facts = describe_run(graph, node)
        code = facts["code"].get("git") or facts["code"].get("version")
        return "run", str(facts["job"]), f"by {facts['user']}, code {str(code)[:8]}"
    entity = graph.entities[node]
    if node in graph.unresolved:
        return "unresolved", entity.name, "nobody can say"
    if node in graph.foreign:
        return "foreign", entity.name, "not made by ubspark"
    if entity.kind == "delta":
        return "table", entity.name, f"table {entity.identity[:8]}"
    made = graph.made.get(node)
    kind = "folder" if made is not None or entity.kind == "folder" else "source"
    return kind, entity.name, f"{entity.kind}, sha256 {entity.identity[:8]}"


def _draw_box(box: _Box, *, is_root: bool) -> str:
    fill, line = _COLOURS[box.kind]
    radius = _HEIGHT / 2 if box.kind == "run" else 4
    middle = box.x + _WIDTH / 2
    text = (
        f'<text x="{middle:g}" y="{box.y + 19:g}" text-anchor="middle" font-size="13" '
        f'font-weight="600">{escape(_shorten(box.title))}</text><text x="{middle:g}" '
        f'y="{box.y + 35:g}" text-anchor="middle" font-size="11" fill="#555">'
        f"{escape(_shorten(box.subtitle))}</text>"
    )
    return (
        f'<g font-family="system-ui, sans-serif"><title>{escape(box.title)}</title>'
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="{radius:g}" '
        f'fill="{fill}" stroke="{line}" stroke-width="{3 if is_root else 1.2}"/>{text}</g>'
    )


def _draw_arrow(start: _Box, end: _Box, link: Link) -> str:
    x1, y1 = start.x + _WIDTH, start.y + _HEIGHT / 2
    x2, y2 = end.x - 2, end.y + _HEIGHT / 2
    bend = max(25.0, (x2 - x1) / 2)
    # Beside the table: several of them may meet at a run.
    at_start = link.kind == "used"
    x, y, anchor = (x1 + 5, y1, "start") if at_start else (x2 - 9, y2, "end")
    label = (
        f'<text x="{x:g}" y="{y - 5:g}" text-anchor="{anchor}" font-size="10" fill="#555" '
        f'font-family="system-ui, sans-serif">{escape(link.role)}</text>'
    )
    return (
        f'<path d="M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}" '
        f'fill="none" stroke="#888" stroke-width="1.3" marker-end="url(#tip)"/>'
        f"{label if link.role else ''}"
    )


def _list_nodes(graph: LineageGraph, boxes: Mapping[str, _Box]) -> str:
    """Return a table of everything in the graph, in full."""
    rows = []
    for node, box in sorted(boxes.items(), key=lambda item: (item[1].x, item[1].y)):
        if node in graph.runs:
            facts = describe_run(graph, node)
            run = node.removeprefix("run:")
            place, identity = f"run {run}", f"key {facts['key']}"
            detail = to_canonical_json(facts["params"])
        else:
            entity = graph.entities[node]
            place, identity = entity.place, entity.identity
            made = graph.made.get(node)
            digest = (made.record or {}).get("digest") if made is not None else None
            detail = graph.unresolved.get(node) or (f"digest {digest}" if digest else "")
        cells = (box.kind, box.title, place, identity, detail)
        rows.append("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("", "name", "place", "identity", "more"))
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _shorten(text: str) -> str:
    return text if len(text) <= _MAX_LETTERS else f"{text[: _MAX_LETTERS - 1]}…"
