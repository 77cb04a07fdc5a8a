"""What ingest reads from: files of the field's formats, opened without Spark, read through it."""

from ubspark.catalogs.sources.base import Source, SourceColumn
from ubspark.catalogs.sources.nulls import NullRules
from ubspark.catalogs.sources.opening import FORMATS, open_source

__all__ = ["FORMATS", "NullRules", "Source", "SourceColumn", "open_source"]
