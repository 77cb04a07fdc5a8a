"""Writing rows into folders of files, for other tools and other places, and checking them."""

from ubspark.catalogs.export.manifest import Manifest, read_manifest
from ubspark.catalogs.export.staging import StagingFolder
from ubspark.catalogs.export.verify import verify_export

__all__ = ["Manifest", "StagingFolder", "read_manifest", "verify_export"]
