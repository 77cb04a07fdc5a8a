"""Where lineage looks for tables: the home, what its configuration names, and where runs wrote."""

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from ubspark.catalogs.addresses import parse_address
from ubspark.catalogs.delta import open_table
from ubspark.catalogs.export.manifest import is_export
from ubspark.errors import InputMissingError, ParameterError
from ubspark.lineage.entities import Entity
from ubspark.lineage.ledger import Ledger
from ubspark.runtime.home import Home
from ubspark.runtime.tables import locate_table

__all__ = ["CONFIG_FILE", "find_entity", "list_roots", "list_written", "open_ledger"]

#: In the home; its key ``roots`` lists folders beside the warehouse.
CONFIG_FILE = "config.yaml"


def open_ledger(home: Home) -> Ledger:
    """Return the ledger of everything that lineage finds from a home."""
    return Ledger(list_roots(home))


def list_roots(home: Home) -> list[Path]:
    """Return the folders to look at: warehouse, configured roots, places that runs named.

    Raises
    ------
    ParameterError
        If the configuration of the home is wrong.
    """
    roots = [home.warehouse.absolute(), *_read_configured(home)]
    written = (place for run in sorted(home.runs.glob("*")) for place in list_written(run))
    for place in written:
        if not any(root == place or root in place.parents for root in roots):
            roots.append(place)
    return roots


def find_entity(text: str, home: Home, ledger: Ledger) -> Entity:
    """Return the table version or folder that a user names; the newest version by default.

    Raises
    ------
    InputMissingError
        If it is not there.
    """
    if Path(text).is_dir() and is_export(Path(text)):
        made = ledger.read_folder(Path(text).absolute())
        if made is not None:
            return made.entity
    address = parse_address(text)
    uri = locate_table(address, home.warehouse)
    latest = open_table(uri, name=address.place)
    version = latest.version if address.version is None else address.version
    if version > latest.version:
        msg = f"Table `{address.place}` has no version {version}; the latest is {latest.version}."
        raise InputMissingError(msg)
    return Entity("delta", uri, latest.table_id, version)


def _read_configured(home: Home) -> Iterator[Path]:
    path = home.path / CONFIG_FILE
    if not path.is_file():
        return
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        roots = content.get("roots", [])
        listed = [Path(str(root)).expanduser().absolute() for root in roots]
    except (OSError, yaml.YAMLError, AttributeError, TypeError) as error:
        msg = f"`{path}` must be YAML with a list of folders under `roots`."
        raise ParameterError(msg) from error
    yield from listed


def list_written(run: Path) -> Iterator[Path]:
    """Yield the local places that the run of a folder wrote, or writes, to."""
    try:
        content = json.loads((run / "spec.json").read_text(encoding="utf-8"))
        places = [str(output["uri"]) for output in content["outputs"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    yield from (Path(place) for place in places if "://" not in place)
