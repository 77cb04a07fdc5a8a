"""The columns of a catalog: types from ``_common_metadata``, units and descriptions where given."""

import warnings

import pyarrow as pa
import pyarrow.parquet as pq

from ubspark.catalogs.hats.folder import Folder
from ubspark.catalogs.hats.partitions import find_dataset
from ubspark.catalogs.hats.properties import HatsProperties
from ubspark.catalogs.hats.spatial_index import SpatialIndex
from ubspark.catalogs.kept_types import keep_type
from ubspark.catalogs.roles import CatalogRoles
from ubspark.catalogs.schema import TableColumn, TableSchema
from ubspark.catalogs.sources.notes import Notes
from ubspark.catalogs.sources.parquet_notes import read_notes
from ubspark.catalogs.sources.schema import to_table_type
from ubspark.columns import HEALPIX_29
from ubspark.errors import ParameterError, SchemaError, SourceError
from ubspark.sky.frames import is_equatorial, validate_frame

__all__ = ["find_index", "find_roles", "read_stored_schema", "to_table_schema"]

_SCHEMA_FILES = ("_common_metadata", "_metadata")


def read_stored_schema(folder: Folder) -> pa.Schema | None:
    """Return the Arrow schema that the catalog states, None where it states none.

    Raises
    ------
    SourceError
        If the file that states it is damaged.
    """
    dataset = find_dataset(folder)
    for name in _SCHEMA_FILES:
        content = folder.read(dataset + name)
        if content is not None:
            try:
                return pq.read_schema(pa.BufferReader(content))
            except (pa.ArrowException, OSError) as error:
                place = folder.join(dataset + name)
                msg = f"`{place}` cannot be read as Parquet: its footer is missing or damaged."
                raise SourceError(msg) from error
    return None


def find_index(properties: HatsProperties, stored: pa.Schema, *, place: str) -> SpatialIndex:
    """Return how the rows get their index.

    Raises
    ------
    SchemaError
        If the properties name a column that is not there, or is of another type.
    """
    for key in ("hats_col_ra", "hats_col_dec", "hats_col_healpix"):
        name = properties.entries.get(key)
        if name is None:
            continue
        if name not in stored.names:
            if key == "hats_col_healpix":
                _warn_of_index(name, place)
                continue
            shown = ", ".join(stored.names[:30])
            msg = f"`{place}` says `{key}={name}`, but there is no such column. Columns: {shown}."
            raise SchemaError(msg)
        _validate_type(key, name, stored.field(name).type, place)
    column, order = properties.healpix_column, properties.healpix_order
    is_there = column in stored.names
    if not is_there and HEALPIX_29.name in stored.names:
        column, order, is_there = HEALPIX_29.name, 29, True
    return SpatialIndex(column if is_there else None, order, properties.ra, properties.dec)


def _warn_of_index(name: str, place: str) -> None:
    """Warn of a missing index column, but for the standard's default, which many just write."""
    if name != HEALPIX_29.name:
        msg = (
            f"`{place}` says `hats_col_healpix={name}`, but there is no such column; the index of "
            f"each row is computed from its position."
        )
        warnings.warn(msg, stacklevel=5)


def find_roles(properties: HatsProperties, *, place: str) -> CatalogRoles:
    """Return what the columns stand for.

    Raises
    ------
    SchemaError
        If the positions are in a frame other than ICRS.
    """
    columns = {"ra": properties.ra, "dec": properties.dec}
    if len(properties.survey_ids) == 1:
        columns["id"] = properties.survey_ids[0]
    known = {role: column for role, column in columns.items() if column is not None}
    _validate_frame(properties, place)
    return CatalogRoles(known, epoch=_read_epoch(properties, place))


def to_table_schema(
    stored: pa.Schema, index: SpatialIndex, *, place: str, notes: Notes | None = None
) -> TableSchema:
    """Return the columns as a table holds them, ``_healpix_29`` first where rows can have one."""
    notes = notes or read_notes(stored)
    types = {f.name: to_table_type(f.type, column=f.name, path=place) for f in stored}
    columns = [
        TableColumn(
            name=field.name,
            type=types[field.name],
            nullable=True,
            unit=notes.columns.get(field.name, {}).get("unit"),
            ucd=notes.columns.get(field.name, {}).get("ucd"),
            description=notes.columns.get(field.name, {}).get("description"),
            extra=keep_type(field.type, types[field.name]),
        )
        for field in stored
        if field.name != HEALPIX_29.name
    ]
    _validate_units(columns, index, place)
    _warn_of_nanoseconds(stored, place)
    if index.is_known:
        columns.insert(0, TableColumn.from_vocabulary(HEALPIX_29))
    elif HEALPIX_29.name in stored.names:
        columns.insert(0, TableColumn(HEALPIX_29.name, stored.field(HEALPIX_29.name).type))
    return TableSchema(tuple(columns))


def _validate_type(key: str, name: str, kind: pa.DataType, place: str) -> None:
    if key == "hats_col_healpix":
        fits, rule = pa.types.is_integer(kind), "an integer"
    else:
        fits = pa.types.is_floating(kind) or pa.types.is_integer(kind)
        rule = "a number"
    if not fits:
        msg = f"`{place}` says `{key}={name}`, but that column is {kind}; it must be {rule}."
        raise SchemaError(msg)


def _validate_units(columns: list[TableColumn], index: SpatialIndex, place: str) -> None:
    for column in columns:
        if column.name in (index.ra, index.dec) and column.unit not in (None, "deg", "degree"):
            msg = (
                f"Column `{column.name}` of `{place}` is in `{column.unit}`; positions of a HATS "
                f"catalog are in degrees. Ingest it with `--unit {column.name}={column.unit}`."
            )
            raise SchemaError(msg)


def _warn_of_nanoseconds(stored: pa.Schema, place: str) -> None:
    """Warn once for all columns whose nanoseconds a table cannot keep."""
    names = [
        f"`{field.name}`"
        for field in stored
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns"
    ]
    if names:
        msg = f"Nanoseconds of {', '.join(names)} in `{place}` are cut to microseconds."
        warnings.warn(msg, stacklevel=4)


def _validate_frame(properties: HatsProperties, place: str) -> None:
    frame = properties.entries.get("hats_frame")
    # HiPS, whose words HATS took over, calls ICRS equatorial.
    if frame is None or frame.lower() == "equatorial":
        return
    try:
        is_icrs = is_equatorial(validate_frame(frame))
    except ParameterError:
        is_icrs = False
    if not is_icrs:
        msg = f"The positions of `{place}` are in the frame {frame}; HATS catalogs are in ICRS."
        raise SchemaError(msg)


def _read_epoch(properties: HatsProperties, place: str) -> float | None:
    """Return the stated epoch as a Julian year, ``J2015.5`` or ``2015.5``."""
    text = properties.entries.get("hats_coordinate_epoch")
    if not text:
        return None
    try:
        return float(text.strip().lstrip("Jj"))
    except ValueError:
        msg = f"`{place}` says `hats_coordinate_epoch={text}`, which is no Julian year; left out."
        warnings.warn(msg, stacklevel=3)
        return None
