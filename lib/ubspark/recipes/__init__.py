"""The jobs: each composes science and storage, and reads like its own summary."""

from collections.abc import Mapping

from ubspark.recipes.base import Recipe
from ubspark.recipes.crossmatch import CROSSMATCH
from ubspark.recipes.export import EXPORT
from ubspark.recipes.features import FEATURES
from ubspark.recipes.idjoin import IDJOIN
from ubspark.recipes.ingest import INGEST
from ubspark.recipes.multimatch import MULTIMATCH
from ubspark.recipes.neighbors import NEIGHBORS

__all__ = ["RECIPES"]

_ALL: tuple[Recipe, ...] = (CROSSMATCH, EXPORT, FEATURES, IDJOIN, INGEST, MULTIMATCH, NEIGHBORS)

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in _ALL}
