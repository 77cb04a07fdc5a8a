"""The content of a table version: the digest that its commit states, and the one its rows have."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.dataset as ds

from ubspark.catalogs.delta import open_table
from ubspark.catalogs.digests import ContentDigest, compute_digest
from ubspark.catalogs.history import find_commit
from ubspark.errors import SourceError
from ubspark.lineage.entities import Made, is_whole

__all__ = ["compute_content", "compute_made", "find_stated", "open_added"]


def find_stated(uri: str, version: int) -> str | None:
    """Return the digest that the commit of a version states of all its rows, if it does."""
    commit = find_commit(uri, version)
    record = None if commit is None else commit.record
    if record is None or not is_whole(record):
        return None
    if record["spec"]["outputs"][record["output"]]["mode"] == "append":
        return None
    return str(record["digest"])


def compute_content(uri: str, version: int) -> str:
    """Read all rows of a version and return their digest.

    Raises
    ------
    SourceError
        If they cannot be read.
    """
    return _compute(open_table(uri, version=version).to_dataset, f"{uri}@v{version}")


def compute_made(made: Made) -> str:
    """Read the rows that a commit made, of an append those it added; return their digest.

    Raises
    ------
    SourceError
        If they cannot be read.
    """
    return _compute(lambda: open_added(made), made.entity.place)


def open_added(made: Made) -> ds.Dataset:
    """Open the rows that a commit added: of an append, not those that were there before."""
    uri, version = made.entity.uri, int(made.entity.version or 0)
    dataset = open_table(uri, version=version).to_dataset()
    if not made.adds_to_version or version == 0:
        return dataset
    before = set(getattr(open_table(uri, version=version - 1).to_dataset(), "files", ()))
    added = [path for path in getattr(dataset, "files", ()) if path not in before]
    if not added:
        return ds.dataset(dataset.schema.empty_table())
    return ds.dataset(added, schema=dataset.schema, filesystem=dataset.filesystem, format="parquet")


def _compute(open_rows: Callable[[], ds.Dataset], place: str) -> str:
    try:
        rows = open_rows()
        digest = ContentDigest.empty(rows.schema)
        for batch in rows.to_batches():
            digest = digest + compute_digest(batch)
    except (pa.ArrowException, OSError) as error:
        first = str(error).partition("\n")[0].rstrip(".")
        msg = f"`{place}` cannot be read whole: {first}."
        raise SourceError(msg) from error
    return str(digest)
