"""What a VOTable says of its columns and of the frame of its positions."""

import warnings
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from astropy.io import votable
from astropy.io.votable.tree import Field, TableElement, VOTableFile

from ubspark.catalogs.sources.frames import make_frame, read_epoch
from ubspark.catalogs.sources.notes import Notes
from ubspark.errors import SourceError

__all__ = ["find_declared_type", "parse_votable", "read_table_notes", "read_votable_notes"]

_NUMBERS = {
    "boolean": pa.bool_(),
    "unsignedByte": pa.uint8(),
    "short": pa.int16(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
}


def find_declared_type(field: Field) -> pa.DataType | None:
    """Return the Arrow type that a field states; None for text, complex numbers and matrices."""
    number = _NUMBERS.get(field.datatype)
    size = str(field.arraysize or "1")
    if number is None or size == "1":
        return number
    return None if "x" in size else pa.list_(number)


def parse_votable(source: Path | BinaryIO, name: str) -> tuple[VOTableFile, TableElement]:
    """Return a document and its first table.

    Raises
    ------
    SourceError
        If it is no VOTable, is cut short, or holds no table.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            document = votable.parse(source, verify="ignore")
            table = next(iter(document.iter_tables()), None)
    # Parsing bytes from anywhere raises whatever a codec or a NumPy cast may raise.
    except Exception as error:
        msg = f"`{name}` is not a complete VOTable; it was cut short or is something else."
        raise SourceError(msg) from error
    if table is None:
        msg = f"`{name}` is a VOTable without a table."
        status = next((info for info in document.infos if info.name == "QUERY_STATUS"), None)
        if status is not None and status.value == "ERROR":
            msg = f"`{name}` is a VOTable without a table: its server answered with an error."
        raise SourceError(msg)
    return document, table


def read_votable_notes(source: Path | BinaryIO) -> Notes:
    """Return what a document says of its first table."""
    document, table = parse_votable(source, "VOTable")
    return read_table_notes(document, table)


def read_table_notes(document: VOTableFile, table: TableElement) -> Notes:
    """Return what a document says of one of its tables."""
    columns: dict[str, dict[str, str]] = {}
    for field in table.fields:
        texts = {"unit": field.unit, "ucd": field.ucd, "description": field.description}
        columns[field.name or field.ID] = {
            key: str(text).strip() for key, text in texts.items() if text is not None
        }
    system = _find_system(document, table)
    if system is None:
        return Notes(columns, None, None)
    frame = make_frame(system.system, system.equinox) if system.system else None
    return Notes(columns, frame, read_epoch(_to_text(system.epoch)))


def _find_system(document: VOTableFile, table: TableElement) -> Any:
    """Return the COOSYS of the main positions, else the only one that is there."""
    systems = {system.ID: system for system in document.iter_coosys()}
    referred = [
        (field.ucd or "", systems[field.ref]) for field in table.fields if field.ref in systems
    ]
    # The main position first: sorted() keeps the order of columns among equals.
    referred.sort(key=lambda item: (not item[0].startswith("pos"), "meta.main" not in item[0]))
    if referred:
        return referred[0][1]
    return next(iter(systems.values())) if len(systems) == 1 else None


def _to_text(value: object) -> str | None:
    """Return a value as text, None as None."""
    return None if value is None else str(value)
