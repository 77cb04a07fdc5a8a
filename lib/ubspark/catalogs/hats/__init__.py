"""HATS catalogs as the tools of the field make them, and how to read them."""

from ubspark.catalogs.hats.catalog import HatsCatalog
from ubspark.catalogs.hats.layout import HatsLayout
from ubspark.catalogs.hats.opening import open_hats
from ubspark.catalogs.hats.properties import is_hats_folder

__all__ = ["HatsCatalog", "HatsLayout", "is_hats_folder", "open_hats"]
