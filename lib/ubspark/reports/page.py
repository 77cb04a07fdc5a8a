"""The HTML page of a run, with its pictures beside it."""

import html
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import yaml

from ubspark.figures import Figure, Table
from ubspark.reports.draw import draw

__all__ = ["write_report"]


def write_report(
    folder: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    inputs: Mapping[str, Mapping[str, Any]],
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    figures: Mapping[str, Figure],
    notes: Sequence[str],
    tables: Sequence[Table] = (),
) -> Path:
    """Write ``report.html`` and a PNG per figure into a folder.

    Returns
    -------
    pathlib.Path
        The page.
    """
    shown = []
    for name, figure in figures.items():
        draw(figure).savefig(folder / f"{name}.png", dpi=130)
        shown.append({"file": f"{name}.png", "title": figure.title, "caption": figure.caption})
    template = resources.files("ubspark.reports").joinpath("report.html.j2")
    page = jinja2.Environment(autoescape=True).from_string(template.read_text(encoding="utf-8"))
    path = folder / "report.html"
    text = page.render(
        title=title,
        facts=facts,
        inputs=inputs,
        params=_to_yaml(params),
        metrics={name: _format(value) for name, value in metrics.items()},
        figures=shown,
        notes=notes,
        tables=[_to_cells(table) for table in tables],
    )
    path.write_text(text, encoding="utf-8")
    return path


def _to_yaml(params: Mapping[str, Any]) -> str:
    """Return parameters as they stand in a job file."""
    text: str = yaml.safe_dump(dict(params), sort_keys=False, allow_unicode=True, width=100)
    return text


def _to_cells(table: Table) -> dict[str, Any]:
    """Return a table as text, and whether each cell is a number."""
    rows = [
        [(value, False) if isinstance(value, str) else (_format_cell(value), True) for value in row]
        for row in table.rows
    ]
    return {"title": table.title, "header": table.header, "rows": rows, "caption": table.caption}


def _format_cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"


def _format(value: float) -> str:
    if float(value).is_integer():
        return f"{int(value):,}"
    return html.escape(f"{value:.6g}")
