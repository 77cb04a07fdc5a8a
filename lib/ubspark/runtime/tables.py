"""Where the tables of a home are: behind an address, in the warehouse, inside one another."""

from collections.abc import Iterator
from pathlib import Path

from ubspark.catalogs.addresses import TableAddress
from ubspark.catalogs.delta import is_delta_table
from ubspark.catalogs.log_files import LOG_FOLDER
from ubspark.catalogs.walking import find_below
from ubspark.errors import ConflictError, ParameterError

__all__ = ["find_tables", "locate_table", "validate_outside_tables"]


def locate_table(address: TableAddress, warehouse: Path) -> str:
    """Return the place of a table that is to be read.

    Raises
    ------
    ParameterError
        If a file is there, which is no table yet.
    """
    uri = address.to_uri(warehouse)
    if "://" not in uri and Path(uri).is_file():
        msg = f"`{address.place}` is a file, not a table. Ingest it first with `ubspark ingest`."
        raise ParameterError(msg)
    return uri


def find_tables(warehouse: Path) -> Iterator[Path]:
    """Yield the folders of the warehouse that hold a table, damaged or not, by their names."""
    for log in sorted(find_below([warehouse], LOG_FOLDER)):
        # Delta makes the folder of the log a moment before there is a table.
        if any(log.iterdir()):
            yield log.parent


def validate_outside_tables(uri: str, key: str) -> None:
    """Refuse an output inside the folder of a table, which owns all files below it.

    Raises
    ------
    ConflictError
        If it lies in one.
    """
    if "://" in uri:
        return
    for folder in Path(uri).parents:
        if (folder / LOG_FOLDER).is_dir() and is_delta_table(str(folder)):
            msg = f"`{key}` is `{uri}`, which lies in the folder of the table `{folder}`."
            raise ConflictError(msg)
