"""ECSV and VOTable: read whole by astropy, then read as Parquet."""

import dataclasses
import hashlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table
from astropy.table.serialize import represent_mixins_as_columns

from ubspark.catalogs.sources.base import Source
from ubspark.catalogs.sources.files import unpack, validate_content
from ubspark.catalogs.sources.names import validate_unique
from ubspark.catalogs.sources.notes import Notes
from ubspark.catalogs.sources.parquet import open_parquet
from ubspark.catalogs.sources.to_arrow import to_arrow
from ubspark.catalogs.sources.votable import find_declared_type, parse_votable, read_table_notes
from ubspark.errors import SourceError

__all__ = ["MAX_MEMORY_BYTES", "MEMORY_FACTOR", "open_in_memory"]

MAX_MEMORY_BYTES = 2 << 30
#: Memory per byte of the unpacked file; astropy 8 was seen to need 5 (VOTable) and 19 (ECSV).
MEMORY_FACTOR = {"ecsv": 20, "votable": 8}
ROW_GROUP_ROWS = 65_536

Columns = list[tuple[str, pa.Array]]

_TITLES = {"ecsv": "ECSV", "votable": "VOTable"}


def open_in_memory(
    path: str,
    files: Sequence[Path],
    *,
    format: str,  # noqa: A002 - the word of the interface
    scratch: Path,
    max_memory_bytes: int,
) -> Source:
    """Read files in memory, one by one, write each as Parquet into ``scratch``, and open that.

    Parameters
    ----------
    path
        As the user gave it.
    files
        The files, gzipped or not.
    format
        ``ecsv`` or ``votable``.
    scratch
        Folder for the copies.
    max_memory_bytes
        A file is refused if its unpacked size times `MEMORY_FACTOR` is more.

    Raises
    ------
    SourceError
        If a file is too large, damaged, or not of its format.
    SchemaError
        If a table cannot hold a column.
    """
    copies, all_notes = [], []
    for file in files:
        validate_content(file, _TITLES[format])
        data = unpack(file, scratch)
        _validate_memory(file, data, format, max_memory_bytes)
        copy, notes = _convert(file, data, format, scratch)
        copies.append(copy)
        all_notes.append(notes)
    source = open_parquet(path, copies, names=files)
    declared = {(notes.frame, notes.epoch) for notes in all_notes}
    frame, epoch = declared.pop() if len(declared) == 1 else (None, None)
    originals = tuple(str(file) for file in files)
    return dataclasses.replace(source, format=format, files=originals, frame=frame, epoch=epoch)


def _validate_memory(
    file: Path,
    data: Path,
    format: str,  # noqa: A002 - as above
    max_memory_bytes: int,
) -> None:
    """Raise a `SourceError` if a file would need too much memory."""
    needed = data.stat().st_size * MEMORY_FACTOR[format]
    if needed > max_memory_bytes:
        msg = (
            f"`{file}` would need {needed / 2**30:.3g} GiB of memory "
            f"to be read as {_TITLES[format]}, "
            f"more than {max_memory_bytes / 2**30:.3g} GiB. Convert it to FITS or Parquet, "
            "for example by `stilts tcopy`."
        )
        raise SourceError(msg)


def _convert(
    file: Path,
    data: Path,
    format: str,  # noqa: A002 - as above
    scratch: Path,
) -> tuple[Path, Notes]:
    """Write one file as Parquet; return the copy, and what the file says of its positions."""
    if format == "ecsv":
        arrays, columns = _read_ecsv(file, data)
        notes = Notes(columns)
    else:
        arrays, notes = _read_votable(file, data)
    schema = pa.schema(
        [pa.field(name, array.type, metadata=notes.columns.get(name)) for name, array in arrays]
    )
    table = pa.Table.from_arrays([array for _, array in arrays], schema=schema)
    status = file.stat()
    identity = f"{file}\0{status.st_size}\0{status.st_mtime_ns}"
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    scratch.mkdir(parents=True, exist_ok=True)
    copy = scratch / f"{file.name}-{key}.parquet"
    partial = scratch / f"{copy.name}.{os.getpid()}.partial"
    pq.write_table(table, partial, row_group_size=ROW_GROUP_ROWS)
    partial.replace(copy)
    return copy, notes


def _read_ecsv(file: Path, data: Path) -> tuple[Columns, dict[str, dict[str, str]]]:
    """Return the columns of an ECSV file; Time, SkyCoord and the like as their plain columns."""
    try:
        with warnings.catch_warnings(action="ignore"):
            table = Table.read(data, format="ascii.ecsv")
            plain = represent_mixins_as_columns(table)
    # Parsing text from anywhere raises whatever YAML, JSON or NumPy may raise.
    except Exception as error:
        msg = f"`{file}` is not a complete ECSV file; it was cut short or is something else."
        raise SourceError(msg) from error
    arrays, notes = [], {}
    for name in plain.colnames:
        column = plain[name]
        arrays.append((name, to_arrow(column, column=name, path=str(file))))
        extra = column.info.meta or {}
        texts = {"unit": column.unit, "ucd": extra.get("ucd"), "description": column.description}
        notes[name] = {key: str(text).strip() for key, text in texts.items() if text is not None}
    return arrays, notes


def _read_votable(file: Path, data: Path) -> tuple[Columns, Notes]:
    """Return the columns of the first table of a VOTable, and what it says of them."""
    document, table = parse_votable(data, str(file))
    names = [field.name or field.ID for field in table.fields]
    if not names:
        msg = f"`{file}` is a VOTable without columns."
        raise SourceError(msg)
    validate_unique(names, str(file))
    arrays = []
    for name, field in zip(names, table.fields, strict=True):
        found = to_arrow(table.array[field.ID], column=name, path=str(file))
        # Without elements to tell it, the values say nothing of their type.
        declared = find_declared_type(field) or found.type
        is_empty = found.null_count == len(found)
        arrays.append((name, pa.nulls(len(found), declared) if is_empty else found.cast(declared)))
    return arrays, read_table_notes(document, table)
