"""Table versions that must stay, with the reason: a list in the home."""

import json
import time
from dataclasses import asdict, dataclass

from ubspark.catalogs.addresses import parse_address
from ubspark.catalogs.delta import open_table
from ubspark.errors import InputMissingError, ParameterError, SourceError, TransientError
from ubspark.lineage.entities import Entity
from ubspark.runtime.home import Home
from ubspark.runtime.user import find_user

__all__ = ["Pin", "add_pin", "find_pinned", "read_pins", "remove_pin"]

_FILE = "pins.json"


@dataclass(frozen=True)
class Pin:
    """A version that must stay readable."""

    uri: str
    table_id: str
    version: int
    reason: str
    user: str
    time: float

    @property
    def key(self) -> str:
        """The key of the pinned entity."""
        return f"{self.table_id}@v{self.version}"


def read_pins(home: Home) -> list[Pin]:
    """Return the pins of a home, the oldest first.

    Raises
    ------
    SourceError
        If the list is damaged: then nothing may be removed.
    """
    path = home.path / _FILE
    if not path.exists():
        return []
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(listed, list):
            raise TypeError
        return [Pin(**entry) for entry in listed]
    except (OSError, ValueError, TypeError) as error:
        msg = f"The list of pins `{path}` cannot be read; mend it before anything is removed."
        raise SourceError(msg) from error


def add_pin(home: Home, entity: Entity, reason: str) -> Pin:
    """Pin a version; one that is pinned already gets the new reason.

    Raises
    ------
    ParameterError
        If there is no reason, or the entity is no table version.
    InputMissingError
        If the version cannot be read any more: nothing would be kept.
    """
    if entity.version is None or not reason.strip():
        msg = "A pin needs a table version and a `--reason`, such as the DOI that cites it."
        raise ParameterError(msg)
    open_table(entity.uri, version=entity.version)
    pin = Pin(entity.uri, entity.identity, entity.version, reason, find_user(), time.time())
    home.validate_writable()
    with home.lock("pins"):
        _write(home, [*(p for p in read_pins(home) if p.key != pin.key), pin])
    return pin


def find_pinned(home: Home, text: str) -> Entity | None:
    """Return the pinned version that a user names by the place where it was, None if none is."""
    address = parse_address(text)
    uri = address.to_uri(home.warehouse)
    found = [pin for pin in read_pins(home) if pin.uri == uri]
    if address.version is not None:
        found = [pin for pin in found if pin.version == address.version]
    if len(found) != 1:
        return None
    return Entity("delta", uri, found[0].table_id, found[0].version)


def remove_pin(home: Home, entity: Entity) -> Pin:
    """Remove the pin of a version, and return it.

    Raises
    ------
    InputMissingError
        If it is not pinned.
    """
    home.validate_writable()
    with home.lock("pins"):
        pins = read_pins(home)
        found = [pin for pin in pins if pin.key == entity.key]
        if not found:
            msg = f"`{entity.place}` is not pinned."
            raise InputMissingError(msg)
        _write(home, [pin for pin in pins if pin.key != entity.key])
    return found[0]


def _write(home: Home, pins: list[Pin]) -> None:
    part = home.path / f"{_FILE}.part"
    try:
        part.write_text(json.dumps([asdict(pin) for pin in pins], indent=1), encoding="utf-8")
        part.replace(home.path / _FILE)
    except OSError as error:
        msg = f"The list of pins `{home.path / _FILE}` cannot be written: {error.strerror}."
        raise TransientError(msg) from error
