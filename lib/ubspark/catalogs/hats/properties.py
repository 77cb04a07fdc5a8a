"""What a catalog says of itself: HATS of every version, HiPSCat, and collections."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from ubspark.catalogs.hats.folder import Folder
from ubspark.catalogs.hats.java_properties import parse_properties, split_list
from ubspark.columns import HEALPIX_29, HEALPIX_ORDER
from ubspark.errors import InputMissingError, SchemaError

__all__ = [
    "COLLECTION_FILE",
    "PROPERTY_FILES",
    "CollectionProperties",
    "HatsProperties",
    "is_hats_folder",
    "read_collection",
    "read_properties",
]

COLLECTION_FILE = "collection.properties"
#: In the order in which they are tried; the last is that of HiPSCat, before 2024-10.
PROPERTY_FILES = ("hats.properties", "properties", "catalog_info.json")
_TYPES = ("object", "source", "association", "index", "margin", "map")
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "object": ("hats_col_ra", "hats_col_dec"),
    "source": ("hats_col_ra", "hats_col_dec"),
    "index": ("hats_index_column",),
    "association": ("hats_col_assn_primary", "hats_col_assn_join"),
}
#: Names of HiPSCat, and of the first HATS files, and what they became.
_RENAMED = {
    "catalog_name": "obs_collection",
    "catalog_type": "dataproduct_type",
    "total_rows": "hats_nrows",
    "ra_column": "hats_col_ra",
    "dec_column": "hats_col_dec",
    "epoch": "hats_coordinate_epoch",
    "default_columns": "hats_cols_default",
    "primary_catalog": "hats_primary_table_url",
    "margin_threshold": "hats_margin_threshold",
    "primary_column": "hats_col_assn_primary",
    "primary_column_association": "hats_col_assn_primary_assn",
    "join_catalog": "hats_assn_join_table_url",
    "join_column": "hats_col_assn_join",
    "join_column_association": "hats_col_assn_join_assn",
    "contains_leaf_files": "hats_assn_leaf_files",
    "indexing_column": "hats_index_column",
    "extra_columns": "hats_index_extra_column",
}


@dataclass(frozen=True)
class HatsProperties:
    """The properties of one catalog.

    Attributes
    ----------
    name, kind
        Name, and ``object``, ``source``, ``association``, ``index``, ``margin`` or ``map``.
    entries
        All of them, as text, under the names of HATS.
    file, place
        Name, and path or URI, of the file that holds them.
    """

    name: str
    kind: str
    entries: Mapping[str, str] = field(repr=False)
    file: str
    place: str

    @property
    def n_rows(self) -> int | None:
        """Number of rows, as stated."""
        return self._read_integer("hats_nrows")

    @property
    def ra(self) -> str | None:
        """Column of right ascensions."""
        return self.entries.get("hats_col_ra")

    @property
    def dec(self) -> str | None:
        """Column of declinations."""
        return self.entries.get("hats_col_dec")

    @property
    def healpix_column(self) -> str:
        """Column of the spatial index, where the files have one."""
        return self.entries.get("hats_col_healpix", HEALPIX_29.name)

    @property
    def healpix_order(self) -> int:
        """HEALPix order of that column.

        Raises
        ------
        SchemaError
            If there is no such order.
        """
        order = self._read_integer("hats_col_healpix_order")
        if order is not None and not 0 <= order <= HEALPIX_ORDER:
            msg = (
                f"`{self.place}`: `hats_col_healpix_order` must be in "
                f"[0, {HEALPIX_ORDER}], got {order}."
            )
            raise SchemaError(msg)
        return HEALPIX_ORDER if order is None else order

    @property
    def npix_suffix(self) -> str:
        """Ending of the partitions' files; ``/`` where each partition is a folder."""
        return self.entries.get("hats_npix_suffix", ".parquet").replace("\\", "/")

    @property
    def has_leaf_files(self) -> bool:
        """Whether there are data files at all: a soft association names pairs of pixels only."""
        return self.entries.get("hats_assn_leaf_files", "true").lower() != "false"

    @property
    def margin_threshold_arcsec(self) -> float | None:
        """How far outside its pixel a margin partition holds every row, arcsec."""
        return self._read_number("hats_margin_threshold")

    @property
    def default_columns(self) -> tuple[str, ...]:
        """Columns that the provider suggests to read; empty for all."""
        return split_list(self.entries.get("hats_cols_default"))

    @property
    def survey_ids(self) -> tuple[str, ...]:
        """Columns that the provider calls identifiers."""
        return split_list(self.entries.get("hats_cols_survey_id"))

    def _read_integer(self, key: str) -> int | None:
        value = self._read_number(key)
        return None if value is None else int(value)

    def _read_number(self, key: str) -> float | None:
        text = self.entries.get(key)
        if text in (None, "", "None"):
            return None
        with suppress(ValueError):
            number = float(text)
            if math.isfinite(number):
                return number
        msg = f"`{self.place}`: `{key}` must be a number, got {text!r}."
        raise SchemaError(msg)


@dataclass(frozen=True)
class CollectionProperties:
    """A catalog with its margins and indexes: names of folders below the collection's."""

    name: str
    primary: str
    margins: tuple[str, ...]
    default_margin: str | None
    #: Indexed column to folder.
    indexes: Mapping[str, str]
    entries: Mapping[str, str] = field(repr=False)


def is_hats_folder(uri: str) -> bool:
    """Whether a folder holds a HATS or HiPSCat catalog, or a collection."""
    folder = Folder.at(uri)
    return any(size is not None for size in folder.find_sizes([COLLECTION_FILE, *PROPERTY_FILES]))


def read_properties(folder: Folder) -> HatsProperties:
    """Read the properties of the catalog in a folder.

    Raises
    ------
    InputMissingError
        If the folder or its properties are not there.
    SchemaError
        If they lack what the type of the catalog needs, or hold a wrong value.
    """
    entries, file = _read_entries(folder)
    name = entries.get("obs_collection") or folder.uri.rsplit("/", 1)[-1]
    kind = entries.get("dataproduct_type", "").lower()
    place = folder.join(file)
    if kind not in _TYPES:
        msg = (
            f"`{place}`: `dataproduct_type` must be one of {', '.join(_TYPES)}, "
            f"got {entries.get('dataproduct_type')!r}."
        )
        raise SchemaError(msg)
    for key in _REQUIRED.get(kind, ()):
        if not entries.get(key):
            msg = f"`{place}` does not say `{key}`, which a catalog of type {kind} needs."
            raise SchemaError(msg)
    found = HatsProperties(name, kind, entries, file, place)
    # Said here, not where a number happens to be needed.
    _ = found.n_rows, found.healpix_order, found.margin_threshold_arcsec
    return found


def read_collection(folder: Folder) -> CollectionProperties | None:
    """Read the properties of a collection; None where the folder is none.

    Raises
    ------
    SchemaError
        If it names no primary catalog, or its indexes are not pairs.
    """
    text = folder.read_text(COLLECTION_FILE)
    if text is None:
        return None
    entries = parse_properties(text)
    place = folder.join(COLLECTION_FILE)
    primary = entries.get("hats_primary_table_url")
    if not primary:
        msg = f"`{place}` does not say `hats_primary_table_url`, which a collection needs."
        raise SchemaError(msg)
    pairs = split_list(entries.get("all_indexes"))
    if len(pairs) % 2:
        msg = f"`{place}`: `all_indexes` must be pairs of column and folder, got {pairs}."
        raise SchemaError(msg)
    return CollectionProperties(
        name=entries.get("obs_collection") or entries.get("name", primary),
        primary=primary,
        margins=split_list(entries.get("all_margins")),
        default_margin=entries.get("default_margin") or None,
        indexes=dict(zip(pairs[::2], pairs[1::2], strict=True)),
        entries=entries,
    )


def _read_entries(folder: Folder) -> tuple[dict[str, str], str]:
    for file in PROPERTY_FILES:
        text = folder.read_text(file)
        if text is None:
            continue
        found = _read_json(text, folder.join(file)) if file.endswith("json") else None
        entries = parse_properties(text) if found is None else found
        renamed = {_RENAMED[key]: value for key, value in entries.items() if key in _RENAMED}
        return {**renamed, **entries}, file
    if not folder.exists():
        msg = f"The catalog `{folder.uri}` is not there."
    else:
        msg = f"The folder `{folder.uri}` holds no HATS catalog: it has no `{PROPERTY_FILES[0]}`."
    raise InputMissingError(msg)


def _read_json(text: str, place: str) -> dict[str, str]:
    try:
        content = json.loads(text)
    except ValueError as error:
        msg = f"`{place}` is no valid JSON: {error}."
        raise SchemaError(msg) from error
    if not isinstance(content, dict):
        msg = f"`{place}` must hold the properties of a catalog, got a {type(content).__name__}."
        raise SchemaError(msg)
    return {
        key: " ".join(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in content.items()
        if value is not None
    }
