"""The content of a table version: the digest that its commit states, and the one its rows have."""

import pyarrow as pa

from ubspark.catalogs.delta import open_table, read_history
from ubspark.catalogs.digests import ContentDigest, compute_digest
from ubspark.errors import SourceError
from ubspark.lineage.entities import is_whole

__all__ = ["compute_content", "find_stated"]


def find_stated(uri: str, version: int) -> str | None:
    """Return the digest that the commit of a version states of all its rows, if it does."""
    record = next((c.record for c in read_history(uri) if c.version == version), None)
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
    table = open_table(uri, version=version)
    digest = ContentDigest.empty(table.schema.to_arrow())
    try:
        for batch in table.to_dataset().to_batches():
            digest = digest + compute_digest(batch)
    except (pa.ArrowException, OSError) as error:
        first = str(error).partition("\n")[0].rstrip(".")
        msg = f"`{uri}@v{version}` cannot be read whole: {first}."
        raise SourceError(msg) from error
    return str(digest)
