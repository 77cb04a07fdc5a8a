"""Opening a HATS catalog or collection, of any version of the format, or HiPSCat."""

import pyarrow as pa
import pyarrow.parquet as pq

from ubspark.catalogs.hats.catalog import HatsCatalog
from ubspark.catalogs.hats.folder import Folder
from ubspark.catalogs.hats.partitions import find_index_files, find_partition_files, read_partitions
from ubspark.catalogs.hats.properties import (
    CollectionProperties,
    HatsProperties,
    read_collection,
    read_properties,
)
from ubspark.catalogs.hats.schema import (
    find_index,
    find_roles,
    read_stored_schema,
    to_table_schema,
)
from ubspark.catalogs.layout import open_filesystem
from ubspark.errors import InputMissingError, SourceError

__all__ = ["open_hats"]

#: Begins of a digest this long are accepted for it.
_MIN_DIGEST = 8
_VERSION_KEYS = ("hats_data_semver", "collection_version")


def open_hats(path: str, *, version: str | None = None) -> HatsCatalog:
    """Open the catalog in a folder, or the primary catalog of a collection.

    Parameters
    ----------
    path
        Path or URI. A margin, index or association catalog is opened by its own folder.
    version
        Refuse the catalog unless this is its ``hats_data_semver``, or the beginning, of at least
        8 characters, of the digest of its manifest: HATS keeps no history.

    Raises
    ------
    InputMissingError
        If there is no catalog, or it is not of this version.
    SchemaError
        If its properties, partitions or columns contradict the format or one another.
    SourceError
        If a file cannot be read.
    """
    folder = Folder.at(path)
    collection = read_collection(folder)
    if collection is not None:
        folder = _find_member(folder, collection.primary)
    properties = read_properties(folder)
    partitions = None if properties.kind == "index" else read_partitions(folder, properties)
    stored = read_stored_schema(folder)
    if stored is None:
        stored = _read_first_schema(folder, properties)
    index = find_index(properties, stored, place=properties.place)
    catalog = HatsCatalog(
        uri=folder.uri,
        properties=properties,
        schema=to_table_schema(stored, index, place=folder.uri),
        roles=find_roles(properties, place=properties.place),
        stored=stored,
        index=index,
        partitions=partitions,
        collection=collection,
    )
    if version is not None:
        _validate_version(catalog, collection, version)
    return catalog


def _find_member(folder: Folder, name: str) -> Folder:
    """Return the folder of a member of a collection: relative, or by path or URI of its own."""
    is_absolute = name.startswith("/") or "://" in name
    found = Folder.at(name if is_absolute else folder.join(name))
    if not found.exists():
        msg = f"The collection `{folder.uri}` names the catalog `{name}`, which is not there."
        raise InputMissingError(msg)
    return found


def _read_first_schema(folder: Folder, properties: HatsProperties) -> pa.Schema:
    """Return the schema of the first data file, where the catalog states none."""
    if properties.kind == "index":
        files = find_index_files(folder, properties)
    else:
        partitions = read_partitions(folder, properties)
        found = find_partition_files(folder, properties, partitions)
        files = [file for part in found for file in part]
    if not files:
        msg = f"Catalog `{folder.uri}` has neither `_common_metadata` nor a data file."
        raise InputMissingError(msg)
    place = folder.join(files[0].path)
    filesystem, name = open_filesystem(place)
    try:
        return pq.read_schema(name, filesystem=filesystem)
    except (pa.ArrowException, OSError) as error:
        msg = f"`{place}` cannot be read as Parquet: its footer is missing or damaged."
        raise SourceError(msg) from error


def _validate_version(
    catalog: HatsCatalog, collection: CollectionProperties | None, version: str
) -> None:
    entries = {**(collection.entries if collection else {}), **catalog.properties.entries}
    stated = [entries[key] for key in _VERSION_KEYS if key in entries]
    if version in stated:
        return
    if len(version) >= _MIN_DIGEST and catalog.digest.startswith(version):
        return
    shown = ", ".join([*stated, catalog.digest[:12]])
    msg = f"Catalog `{catalog.uri}` is not of version {version!r}; it is of: {shown}."
    raise InputMissingError(msg)
