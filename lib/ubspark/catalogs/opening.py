"""Opening what an address of a job names: a Delta table, or a catalog in another format."""

from ubspark.catalogs.delta import TableVersion, is_delta_table, open_table
from ubspark.catalogs.hats import HatsCatalog, is_hats_folder, open_hats
from ubspark.errors import ParameterError

__all__ = ["open_catalog"]


def open_catalog(
    uri: str, *, version: int | None = None, name: str | None = None
) -> TableVersion | HatsCatalog:
    """Open a Delta table at a version, or a HATS catalog or collection, known by its files.

    Raises
    ------
    InputMissingError
        If neither is there, or no such version.
    ParameterError
        If a version is asked of a format that keeps none.
    UbsparkError
        If a HATS catalog is broken, with one sentence.
    """
    if is_delta_table(uri) or not is_hats_folder(uri):
        return open_table(uri, version=version, name=name)
    if version is not None:
        msg = (
            f"`{name or uri}` is a HATS catalog, which keeps no versions; leave `@v{version}` out."
        )
        raise ParameterError(msg)
    return open_hats(uri)
