"""Units, UCDs and descriptions that archives write beside the columns of Parquet files."""

import json
import warnings
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import pyarrow as pa
from astropy.table import meta

from ubspark.catalogs.sources.notes import Notes
from ubspark.catalogs.sources.votable import read_votable_notes
from ubspark.errors import SourceError

__all__ = ["read_notes", "read_yaml_notes"]

_KEYS = ("unit", "ucd", "description")
#: Key of astropy's own metadata, and of VOParquet (IVOA note, 2025).
ASTROPY_KEY = b"table_meta_yaml"
VOTABLE_KEYS = (b"IVOA.VOTable-Parquet.content", b"IVOA.VOTable-Parquet.content.xml")


def read_notes(schema: pa.Schema) -> Notes:
    """Return the notes of a Parquet file: its fields' own first, then astropy's, then VOParquet's.

    Notes that cannot be understood are left out: they never keep a file from being read.
    """
    metadata = schema.metadata or {}
    notes = Notes()
    for key in VOTABLE_KEYS:
        if key in metadata:
            notes = _read_voparquet(metadata[key])
    columns = {name: dict(texts) for name, texts in notes.columns.items()}
    if ASTROPY_KEY in metadata:
        for name, texts in read_yaml_notes(metadata[ASTROPY_KEY].decode().splitlines()).items():
            columns.setdefault(name, {}).update(texts)
    for column in schema:
        own = {
            key: value
            for key in _KEYS
            if (value := _decode((column.metadata or {}).get(key.encode())))
        }
        if own:
            columns.setdefault(column.name, {}).update(own)
    return Notes(columns, notes.frame, notes.epoch)


def read_yaml_notes(lines: list[str]) -> dict[str, dict[str, str]]:
    """Return the notes of the columns in an ECSV header, without its ``#``."""
    try:
        with warnings.catch_warnings(action="ignore"):
            header = meta.get_header_from_yaml(lines)
    except (meta.YamlParseError, ValueError, KeyError, TypeError):
        return {}
    columns = header.get("datatype", []) if isinstance(header, Mapping) else []
    return {str(column["name"]): _pick(column) for column in columns if "name" in column}


def _pick(column: Mapping[str, Any]) -> dict[str, str]:
    """Return what we keep of one column of an ECSV header."""
    extra = column.get("meta")
    ucd = extra.get("ucd") if isinstance(extra, Mapping) else None
    texts = {key: column.get(key) for key in ("unit", "description", "datatype")} | {"ucd": ucd}
    return {key: str(text).strip() for key, text in texts.items() if text is not None}


def _read_voparquet(xml: bytes) -> Notes:
    """Return the notes of the VOTable without rows that VOParquet keeps in the footer."""
    try:
        return read_votable_notes(BytesIO(xml))
    except SourceError:
        return Notes()


def _decode(value: bytes | None) -> str | None:
    """Return a metadata value as text, also where a writer put JSON strings."""
    if not value:
        return None
    text = value.decode("utf-8", "replace").strip()
    if text.startswith('"') and text.endswith('"'):
        try:
            text = str(json.loads(text))
        except ValueError:
            return text
    return text or None
