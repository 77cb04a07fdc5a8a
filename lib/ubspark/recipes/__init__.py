"""The jobs: each composes science and storage, and reads like its own summary."""

from collections.abc import Mapping

from ubspark.recipes.base import Recipe
from ubspark.recipes.crossmatch import CROSSMATCH
from ubspark.recipes.ingest import INGEST

__all__ = ["RECIPES"]

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in (CROSSMATCH, INGEST)}
