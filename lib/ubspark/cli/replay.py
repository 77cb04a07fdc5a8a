"""The commands ``replay`` and ``bundle``: the same again, here or elsewhere."""

import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from ubspark.cli.output import print_json, print_table
from ubspark.errors import ParameterError
from ubspark.lineage.comparison import Tolerance
from ubspark.runtime.bundle import write_bundle
from ubspark.runtime.home import Home
from ubspark.runtime.places import open_ledger
from ubspark.runtime.progress import tell
from ubspark.runtime.replay import (
    Replay,
    create_sandbox,
    find_original,
    prepare_replay,
)
from ubspark.runtime.replay import replay as run_again
from ubspark.runtime.tolerances import validate_tolerances

__all__ = ["bundle", "replay"]

#: Exit code of a replay in which something else came out, or something else is stored.
_DIFFERENT = 6


def replay(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN|TABLE@vN|BUNDLE", help="A run, a table or folder it made, or its bundle."
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="resources.KEY=VALUE", help="Other resources than then."),
    ] = None,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=NUMBER", help="How far numbers of a column may lie apart."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what has changed since; run nothing.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Also compare what is stored with its digest."),
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the outputs of the replay.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run the frozen spec of a run again on the same input versions, and compare.

    Ends in EXACT, EQUIVALENT (within the tolerance of each column) or DIFFERENT (exit code 6).
    The outputs go to a folder of their own, which is removed unless they differ. With --verify,
    a stored result that was altered since ends in exit code 6 too.

    Example: ubspark replay hip_x_gaia@v0
    """
    allowed = _read_tolerances(tolerance)
    home = Home.find()
    ledger = open_ledger(home)
    original = find_original(what, home, ledger)
    validate_tolerances(allowed, original.outputs)
    sandbox = create_sandbox(home)
    config, changes = prepare_replay(
        original, home, ledger, sandbox=sandbox, resources=_read_resources(settings)
    )
    # Under spark-submit what is told would stand before the JSON, which holds it too.
    for change in () if json else changes:
        tell(f"changed: {change}")
    if check:
        if json:
            print_json({"replay_of": original.run_id, "changes": changes})
        return
    done = run_again(original, config, changes, home=home, tolerances=allowed, verify=verify)
    if done.verdict == "EXACT" and not keep and not done.altered:
        shutil.rmtree(sandbox, ignore_errors=True)
    _print(done, json=json)
    if done.verdict == "DIFFERENT" or done.altered:
        raise typer.Exit(_DIFFERENT)


def bundle(
    what: Annotated[
        str, typer.Argument(metavar="RUN|TABLE@vN", help="A run, or a table or folder it made.")
    ],
    folder: Annotated[Path, typer.Argument(help="New folder for the bundle.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write what it takes to replay a run elsewhere: a Process Run RO-Crate.

    It holds spec, code as a wheel, environment, manifests of the inputs and digests of the
    outputs; `sh FOLDER/replay.sh` makes an environment and replays it.

    Example: ubspark bundle hip_x_gaia@v0 hip_x_gaia_run
    """
    home = Home.find()
    original = find_original(what, home, open_ledger(home))
    files = write_bundle(original.run_id, original.outputs, original.folder, folder.absolute())
    if json:
        print_json({"run": original.run_id, "folder": str(folder.absolute()), "files": files})
        return
    sys.stdout.write(f"{len(files)} files in {folder}\n")


def _print(done: Replay, *, json: bool) -> None:
    if json:
        print_json(done.to_json())
        return
    for name, found in done.outputs.items():
        tell(f"{name}: {found.verdict}, {found.n_original:,} rows then, {found.n_replay:,} now")
    rows = [
        (name, c.name, c.reason, c.n_rows, c.largest, c.tolerance)
        for name, found in done.outputs.items()
        for c in found.columns
    ]
    if rows:
        print_table(("output", "column", "differs in", "rows", "by at most", "allowed"), rows)
    for remark in done.remarks:
        tell(remark)
    for path in done.differences:
        tell(f"rows that differ: {path}")
    tell(f"run: {done.record.run_id}, replay of {done.original.run_id}")
    altered = ", but what is stored was altered" if done.altered else ""
    sys.stdout.write(f"{done.verdict}{altered}\n")


def _read_resources(settings: list[str] | None) -> dict[str, Any]:
    found = {}
    for text in settings or ():
        key, equals, value = text.partition("=")
        if not equals or not key.startswith("resources."):
            msg = f"`--set` of a replay takes `resources.KEY=VALUE`, got {text!r}."
            raise ParameterError(msg)
        found[key.removeprefix("resources.")] = yaml.safe_load(value)
    return found


def _read_tolerances(given: list[str] | None) -> dict[str, Tolerance]:
    found = {}
    for text in given or ():
        column, _, number = text.rpartition("=")
        try:
            found[column] = Tolerance(absolute=float(number))
        except ValueError as error:
            msg = f"`--tolerance` takes COLUMN=NUMBER, got {text!r}."
            raise ParameterError(msg) from error
        if not column or not found[column].absolute >= 0:
            msg = f"`--tolerance` takes COLUMN=NUMBER, at least 0, got {text!r}."
            raise ParameterError(msg)
    return found
