"""How commands print: tables for people, JSON for programs, one sentence for errors."""

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["STOPPED", "print_error", "print_json", "print_table"]

#: Exit code after Ctrl-C, by the shells' convention.
STOPPED = 130


def print_error(sentence: str) -> None:
    """Write one sentence to stderr."""
    sys.stderr.write(f"ubspark: {sentence}\n")


def print_json(content: Any) -> None:
    """Write one line of JSON to stdout; NaN and infinity, which JSON lacks, are null."""
    plain = _to_json(content)
    sys.stdout.write(json.dumps(plain, ensure_ascii=False, default=str, allow_nan=False) + "\n")


def _to_json(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {str(key): _to_json(value) for key, value in content.items()}
    return [_to_json(value) for value in content] if isinstance(content, list | tuple) else content


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None
) -> None:
    """Write a table to stdout; numbers to the right."""
    table = Table(title=title, box=None, pad_edge=False, header_style="bold")
    listed = [[*row] for row in rows]
    for i, name in enumerate(header):
        is_number = bool(listed) and all(isinstance(row[i], int | float) for row in listed)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in listed:
        table.add_row(*(_format(value) for value in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        # Piped output is not cut to the width of a terminal that is not there.
        console.width = 400
    console.print(table)


def _format(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)
