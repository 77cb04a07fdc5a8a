"""What a feature table says of its numbers: from the job into its properties, and back."""

from collections.abc import Mapping

from ubspark.catalogs.catalog import Catalog
from ubspark.catalogs.delta import TableVersion
from ubspark.features.meaning import MEANING
from ubspark.recipes.feature_job import FeatureJob

__all__ = ["read_meaning", "to_properties"]

_PREFIX = "ubspark.features."


def to_properties(job: FeatureJob) -> dict[str, str]:
    """Return the properties that say whether values are magnitudes, from which columns, by what."""
    joined = (f"{value}={column}" for value, (_, column) in sorted(job.values.items()))
    words = {
        "is_magnitude": str(job.find_is_magnitude()).lower(),
        "unit": job.unit,
        "engine": job.params.engine,
        "values": job.curves.flux,
        "bands": ",".join(job.params.bands),
        "joined": ",".join(joined),
    }
    return {f"{_PREFIX}{key}": word for key, word in words.items() if word}


def read_meaning(table: Catalog) -> Mapping[str, str]:
    """Return what a table says; empty of tables that were made before they said so."""
    properties = table.properties if isinstance(table, TableVersion) else {}
    found = {key: properties.get(f"{_PREFIX}{key}") for key in MEANING}
    # Bands alone are older.
    is_said = found["is_magnitude"] is not None
    return {key: word for key, word in found.items() if word is not None and is_said}
