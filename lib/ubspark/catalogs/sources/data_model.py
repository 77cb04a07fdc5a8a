"""What a survey says its tables hold, in Felis, the YAML of Rubin, and whether a file does."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from astropy import units as u

from ubspark.catalogs.schema import TableColumn
from ubspark.catalogs.sources.base import SourceColumn
from ubspark.columns import HEALPIX_29
from ubspark.errors import InputMissingError, ParameterError, SourceError

__all__ = [
    "Conformance",
    "ModelTable",
    "compare_columns",
    "describe_columns",
    "read_model",
]

_TYPES = {
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "short": pa.int16(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "char": pa.string(),
    "string": pa.string(),
    "unicode": pa.string(),
    "text": pa.string(),
    "binary": pa.binary(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
#: Names that a sentence shows.
_SHOWN = 6


@dataclass(frozen=True)
class ModelTable:
    """A table as the survey describes it."""

    #: Such as ``DiaObject of dp1 1.3.1``.
    title: str
    columns: tuple[TableColumn, ...]
    #: SHA-256 of the file.
    sha256: str

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that may not be null."""
        return tuple(column.name for column in self.columns if not column.nullable)


@dataclass(frozen=True)
class Conformance:
    """How the columns of a file compare with those of a model.

    Attributes
    ----------
    known
        Columns of both.
    absent, foreign
        Columns of the model that the file lacks, and the other way round.
    absent_required
        Those of the former that may not be null.
    types, units
        Column to what the file has and what the model says.
    """

    title: str
    known: tuple[str, ...]
    absent: tuple[str, ...]
    foreign: tuple[str, ...]
    absent_required: tuple[str, ...]
    types: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    units: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def tell(self) -> list[str]:
        """Return a sentence for each way in which the file differs, after one for all of it."""
        n_same = len(self.known) - len({*self.types, *self.units})
        notes = [
            f"{n_same:,} of {len(self.known):,} columns shared with {self.title} are as it says."
        ]
        if self.absent:
            notes.append(f"{self.title} has further columns: {_shorten(self.absent)}.")
        if self.foreign:
            notes.append(f"{self.title} has no column {_shorten(self.foreign)}.")
        alike = {n: pair for n, pair in self.types.items() if n not in self.kinds}
        return [*notes, *self._tell_pairs("Another width of numbers", alike), *self.find_faults()]

    def find_faults(self) -> list[str]:
        """Return a sentence for each kind of contradiction."""
        needed = [f"{self.title} needs the columns {_shorten(self.absent_required)}."]
        return [
            *(needed if self.absent_required else []),
            *self._tell_pairs("Another type", self.kinds),
            *self._tell_pairs("Another unit", self.units),
        ]

    @property
    def kinds(self) -> dict[str, tuple[str, str]]:
        """The types that are of another kind altogether: text for a number, a number for a time."""
        pairs = self.types.items()
        return {n: pair for n, pair in pairs if len({_find_kind(word) for word in pair}) > 1}

    def _tell_pairs(self, what: str, pairs: Mapping[str, tuple[str, str]]) -> list[str]:
        if not pairs:
            return []
        told = [f"`{n}` is {here}, not {there}" for n, (here, there) in pairs.items()]
        more = f", and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
        return [f"{what} than in {self.title}: {', '.join(told[:_SHOWN])}{more}."]


def read_model(place: str) -> ModelTable:
    """Read one table of a Felis file.

    Parameters
    ----------
    place
        ``FILE#TABLE``, such as ``dp1.yaml#DiaObject``.

    Raises
    ------
    ParameterError
        If it names no table of the file.
    InputMissingError
        If the file is not there.
    SourceError
        If it is no Felis.
    """
    path, _, name = place.rpartition("#")
    if not path or not name:
        msg = f"`data_model` must be written FILE#TABLE, such as dp1.yaml#DiaObject, got {place!r}."
        raise ParameterError(msg)
    try:
        content = Path(path).expanduser().read_bytes()
    except OSError as error:
        msg = f"The data model `{path}` cannot be read: {error.strerror}."
        raise InputMissingError(msg) from error
    try:
        model: Any = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        tables = {str(table["name"]): table for table in model["tables"]}
    except (yaml.YAMLError, KeyError, TypeError) as error:
        msg = f"`{path}` is no data model in Felis: it has no list of `tables` with names."
        raise SourceError(msg) from error
    if name not in tables:
        near = get_close_matches(name, tables, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        msg = f"The data model `{path}` has no table `{name}`.{hint} Tables: {', '.join(tables)}."
        raise ParameterError(msg)
    title = " ".join(str(model.get(key)) for key in ("name", "version") if model.get(key))
    columns = tuple(_read_column(entry, path) for entry in tables[name].get("columns", ()))
    return ModelTable(f"{name} of {title or path}", columns, hashlib.sha256(content).hexdigest())


def compare_columns(columns: Sequence[SourceColumn], model: ModelTable) -> Conformance:
    """Compare the columns of a file with those of a model."""
    here = {column.name: column for column in columns}
    there = {column.name: column for column in model.columns}
    known = tuple(name for name in there if name in here)
    types, units = {}, {}
    for name in known:
        own, wanted = here[name], there[name]
        if own.type != wanted.type:
            types[name] = (str(own.type), str(wanted.type))
        if own.unit and wanted.unit and not _is_same(own.unit, wanted.unit):
            units[name] = (own.unit, wanted.unit)
    absent = tuple(name for name in there if name not in here)
    foreign = tuple(name for name in here if name not in {*there, HEALPIX_29.name})
    required = tuple(name for name in model.required if name not in here)
    return Conformance(model.title, known, absent, foreign, required, types, units)


def describe_columns(
    columns: Sequence[SourceColumn], model: ModelTable
) -> tuple[SourceColumn, ...]:
    """Return the columns with the unit, UCD and description of the model where they have none."""
    there = {column.name: column for column in model.columns}
    described = []
    for column in columns:
        known = there.get(column.name)
        if known is None:
            described.append(column)
            continue
        described.append(
            replace(
                column,
                unit=column.unit or known.unit,
                ucd=column.ucd or known.ucd,
                description=column.description or known.description,
            )
        )
    return tuple(described)


def _read_column(entry: Mapping[str, Any], path: str) -> TableColumn:
    try:
        kind = _TYPES[str(entry["datatype"])]
        name = str(entry["name"])
    except KeyError as error:
        msg = f"`{path}` is no data model in Felis: a column has no name or the type {error}."
        raise SourceError(msg) from error
    unit = entry.get("ivoa:unit") or entry.get("fits:tunit")
    text = " ".join(str(entry.get("description") or "").split())
    ucd = entry.get("ivoa:ucd")
    return TableColumn(
        name, kind, entry.get("nullable") is not False, unit, ucd and str(ucd), text or None
    )


def _find_kind(word: str) -> str:
    """Return the kind of a type: all integers are one, so are single and double precision."""
    return "number" if word in ("float", "double") else word.rstrip("0123456789").removeprefix("u")


def _is_same(first: str, second: str) -> bool:
    try:
        return bool(u.Unit(first) == u.Unit(second))
    except (TypeError, ValueError):
        return first == second


def _shorten(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"`{name}`" for name in names[:_SHOWN]) + more
