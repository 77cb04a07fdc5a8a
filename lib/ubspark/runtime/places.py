"""Where lineage looks for tables: the home, what its configuration names, and where runs wrote."""

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from ubspark.catalogs.addresses import parse_address
from ubspark.catalogs.delta import open_table
from ubspark.catalogs.export.manifest import is_export
from ubspark.errors import InputMissingError, ParameterError
from ubspark.lineage.entities import Entity, list_used
from ubspark.lineage.ledger import Ledger
from ubspark.runtime.home import Home
from ubspark.runtime.tables import locate_table

__all__ = [
    "CONFIG_FILE",
    "find_entity",
    "list_homes",
    "list_roots",
    "list_written",
    "open_ledger",
    "read_used",
    "validate_places",
]

#: In the home; its key ``roots`` lists folders beside the warehouse, ``homes`` other homes.
CONFIG_FILE = "config.yaml"


def open_ledger(home: Home) -> Ledger:
    """Return the ledger of everything that lineage finds from a home."""
    return Ledger(list_roots(home))


def list_roots(home: Home) -> list[Path]:
    """Return the folders to look at: warehouses, configured roots, places that runs named.

    Raises
    ------
    ParameterError
        If the configuration of the home is wrong.
    """
    homes = list_homes(home)
    roots = [*(known.warehouse.absolute() for known in homes), *_read_configured(home, "roots")]
    runs = (run for known in homes for run in sorted(known.runs.glob("*")))
    for place in (place for run in runs for place in list_written(run)):
        if not any(root == place or root in place.parents for root in roots):
            roots.append(place)
    return roots


def list_homes(home: Home) -> list[Home]:
    """Return a home and those that its configuration names.

    Raises
    ------
    ParameterError
        If the configuration of the home is wrong.
    """
    return [home, *(Home(path) for path in _read_configured(home, "homes") if path != home.path)]


def validate_places(home: Home) -> None:
    """Refuse to go on where a configured place cannot be looked at, such as a disk that is away.

    Raises
    ------
    InputMissingError
        Naming it.
    """
    for key in ("roots", "homes"):
        for path in _read_configured(home, key):
            if not path.is_dir():
                msg = (
                    f"`{path}`, one of the `{key}` in `{home.path / CONFIG_FILE}`, is not there; "
                    f"what lies in it may need what would be removed."
                )
                raise InputMissingError(msg)


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
    return ledger.identify(Entity("delta", uri, latest.table_id, version))


def _read_configured(home: Home, key: str) -> Iterator[Path]:
    path = home.path / CONFIG_FILE
    if not path.is_file():
        return
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        given = content.get(key) or []
    except (OSError, ValueError, yaml.YAMLError, AttributeError) as error:
        msg = f"`{path}` must be YAML with a list of folders under `{key}`."
        raise ParameterError(msg) from error
    if not isinstance(given, list) or not all(isinstance(entry, str) for entry in given):
        msg = f"`{key}` in `{path}` must be a list of folders, got {given!r}."
        raise ParameterError(msg)
    yield from (Path(entry).expanduser().absolute() for entry in given)


def list_written(run: Path) -> Iterator[Path]:
    """Yield the local places that the run of a folder wrote, or writes, to."""
    try:
        content = json.loads((run / "spec.json").read_text(encoding="utf-8"))
        places = [str(output["uri"]) for output in content["outputs"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    yield from (Path(place) for place in places if "://" not in place)


def read_used(run: Path) -> dict[str, Entity]:
    """Return what the run of a folder reads, by role; nothing where nobody knows."""
    try:
        return list_used(json.loads((run / "spec.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
