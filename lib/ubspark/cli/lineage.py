"""Commands about where tables come from: ``lineage``, ``sync``."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import typer

from ubspark.cli.output import print_json
from ubspark.errors import InputMissingError
from ubspark.lineage.audit import audit
from ubspark.lineage.formats import to_dot, to_json, to_tree
from ubspark.lineage.graph import LineageGraph, trace_down, trace_up
from ubspark.lineage.page import to_html
from ubspark.lineage.prov import to_prov
from ubspark.runtime.home import Home
from ubspark.runtime.places import find_entity, open_ledger
from ubspark.runtime.sync import rebuild_tracking, sync_spool

__all__ = ["lineage", "sync"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def lineage(
    what: Annotated[
        str,
        typer.Argument(
            metavar="TABLE|rebuild|audit",
            help="Table, may end in @vN, or folder; or `rebuild` to make the records of MLflow "
            "anew from the commits, `audit` to check everything of the home.",
        ),
    ],
    up: Annotated[bool, typer.Option("--up", help="Where it came from.")] = False,
    down: Annotated[bool, typer.Option("--down", help="What was made of it.")] = False,
    depth: Annotated[int | None, typer.Option(min=1, help="Runs to follow at most.")] = None,
    format: Annotated[  # noqa: A002
        Literal["tree", "json", "dot", "prov", "html"], typer.Option(help="How to print it.")
    ] = "tree",
    json: Json = False,
) -> None:
    """Show which runs and sources a table version came from, and what was made of it.

    Both directions are shown if neither is asked for. All of it is read from the commits of the
    tables; MLflow is not asked.

    Example: ubspark lineage hip_x_gaia@v0 --up
    """
    home = Home.find()
    if what == "rebuild":
        _print_counts(rebuild_tracking(home), json=json)
        return
    if what == "audit":
        _print_audit(home, json=json)
        return
    ledger = open_ledger(home)
    graph = LineageGraph(find_entity(what, home, ledger))
    if up or not down:
        trace_up(ledger, graph, depth=depth)
    if down or not up:
        trace_down(ledger, graph, depth=depth)
    if json or format == "json":
        print_json(to_json(graph))
    elif format == "prov":
        print_json(to_prov(graph))
    else:
        make: dict[str, Callable[[LineageGraph], str]] = {
            "dot": to_dot,
            "html": to_html,
            "tree": partial(to_tree, up=up or not down, down=not up or down),
        }
        sys.stdout.write(make[format](graph) + "\n")


def sync(json: Json = False) -> None:
    """Deliver to MLflow the records of runs that it did not take when they ran.

    Example: ubspark sync
    """
    _print_counts(sync_spool(Home.find()), json=json)


def _print_counts(counts: dict[str, Any], *, json: bool) -> None:
    if json:
        print_json(counts)
    else:
        sys.stdout.write(", ".join(f"{name}: {value}" for name, value in counts.items()) + "\n")


def _print_audit(home: Home, *, json: bool) -> None:
    """Print what share resolves; exit with 6 where something does not."""
    if not home.path.is_dir():
        msg = f"The home folder `{home.path}` is not there. Set UBSPARK_HOME."
        raise InputMissingError(msg)
    found = audit(open_ledger(home))
    if json:
        print_json({"closed_percent": found.closed_percent, **vars(found)})
    else:
        sys.stdout.write(f"{found.closed_percent:.1f} % of {found.n_outputs} outputs resolve\n")
        for place, reason in (found.open_ends | found.damaged).items():
            sys.stdout.write(f"{place}: {reason}\n")
    if found.open_ends or found.damaged:
        raise typer.Exit(6)
