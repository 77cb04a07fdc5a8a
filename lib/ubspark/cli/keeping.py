"""Commands about what stays: ``pin``, ``unpin``, ``pins``, ``gc``, ``archive``, ``restore``."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from ubspark.cli.output import print_json, print_table
from ubspark.errors import InputMissingError, ParameterError
from ubspark.runtime.archive import archive_version, restore_version
from ubspark.runtime.cleanup import plan_cleanup
from ubspark.runtime.cleanup import remove as remove_files
from ubspark.runtime.home import Home
from ubspark.runtime.pins import add_pin, find_pinned, read_pins, remove_pin
from ubspark.runtime.places import find_entity, open_ledger

__all__ = ["archive", "gc", "pin", "pins", "restore", "unpin"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Table = Annotated[str, typer.Argument(metavar="TABLE@vN", help="The newest version by default.")]


def pin(
    table: Table,
    reason: Annotated[str, typer.Option(help="Why it must stay: a DOI, a paper, a release.")],
) -> None:
    """Keep a table version from being removed.

    Example: ubspark pin hip_x_gaia@v0 --reason "doi:10.5281/zenodo.1234567"
    """
    home = Home.find()
    made = add_pin(home, find_entity(table, home, open_ledger(home)), reason)
    sys.stdout.write(f"pinned {made.uri}@v{made.version}: {made.reason}\n")


def unpin(table: Table) -> None:
    """Take the pin off a table version.

    Example: ubspark unpin hip_x_gaia@v0
    """
    home = Home.find()
    try:
        entity = find_entity(table, home, open_ledger(home))
    except InputMissingError:
        # The table may have gone since.
        known = find_pinned(home, table)
        if known is None:
            raise
        entity = known
    found = remove_pin(home, entity)
    sys.stdout.write(f"no longer pinned: {found.uri}@v{found.version}\n")


def pins(json: Json = False) -> None:
    """List the pinned versions.

    Example: ubspark pins
    """
    found = read_pins(Home.find())
    if json:
        print_json([vars(entry) for entry in found])
        return
    rows = [
        (f"{p.uri}@v{p.version}", p.reason, p.user, time.strftime("%Y-%m-%d", time.gmtime(p.time)))
        for p in found
    ]
    print_table(("version", "reason", "user", "since"), rows)


def gc(
    versions: Annotated[
        bool,
        typer.Option(
            "--versions",
            help="Versions too that are neither newest, pinned, nor needed by what stays.",
        ),
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the files; by default they are listed only.")
    ] = False,
    json: Json = False,
) -> None:
    """Find files of the tables that nobody needs; say what stays and why.

    Example: ubspark gc --versions
    """
    found = plan_cleanup(Home.find(), versions=versions)
    n_removed = remove_files(found) if remove else 0
    if json:
        print_json(
            {
                "removals": [vars(removal) for removal in found.removals],
                "kept": [vars(entry) for entry in found.kept],
                "bytes": found.n_bytes,
                "removed": n_removed,
            }
        )
        return
    rows = [(str(r.path), r.n_bytes, r.reason) for r in found.removals]
    print_table(("removed" if remove else "can go", "bytes", "because"), rows)
    print_table(("stays", "because"), [(entry.place, entry.reason) for entry in found.kept])
    hint = "" if remove or not rows else "; nothing was removed, `--remove` does it"
    sys.stdout.write(f"{len(rows)} files, {found.n_bytes:,} bytes{hint}\n")


def archive(
    table: Table,
    folder: Annotated[Path, typer.Argument(help="New folder for the copy.")],
    json: Json = False,
) -> None:
    """Copy a table version to a safe place; the copy is checked by its digest.

    Example: ubspark archive hip_x_gaia@v0 /mnt/tape/hip_x_gaia_v0
    """
    home = Home.find()
    entity = find_entity(table, home, open_ledger(home))
    if entity.kind != "delta":
        msg = (
            f"`{table}` is a folder, and an archive holds a version of a table. Copy the folder; "
            f"`ubspark verify-export` checks the copy by its manifest."
        )
        raise ParameterError(msg)
    made = archive_version(entity, folder.absolute())
    if json:
        print_json(vars(made))
        return
    sys.stdout.write(f"{made.n_files} files in {made.folder}, digest {made.digest}\n")


def restore(
    folder: Annotated[Path, typer.Argument(help="Folder of the archive.")],
    to: Annotated[Path | None, typer.Option(help="Another place for the table.")] = None,
    json: Json = False,
) -> None:
    """Bring an archived version back: under its old version and id.

    Example: ubspark restore /mnt/tape/hip_x_gaia_v0
    """
    made = restore_version(folder.absolute(), to and to.absolute())
    if json:
        print_json(vars(made))
        return
    sys.stdout.write(f"{made.uri}@v{made.version} is there; {made.n_files} files came back\n")
