"""The jobs: each composes science and storage, and reads like its own summary."""

from collections.abc import Mapping

from ubspark.recipes.base import Recipe
from ubspark.recipes.classify import CLASSIFY
from ubspark.recipes.crossmatch import CROSSMATCH
from ubspark.recipes.export import EXPORT
from ubspark.recipes.features import FEATURES
from ubspark.recipes.idjoin import IDJOIN
from ubspark.recipes.ingest import INGEST
from ubspark.recipes.lightcurves import LIGHTCURVES
from ubspark.recipes.multimatch import MULTIMATCH
from ubspark.recipes.neighbors import NEIGHBORS
from ubspark.recipes.periodograms import PERIODOGRAMS
from ubspark.recipes.train import TRAIN

__all__ = ["RECIPES"]

_ALL: tuple[Recipe, ...] = (
    CLASSIFY,
    CROSSMATCH,
    EXPORT,
    FEATURES,
    IDJOIN,
    INGEST,
    LIGHTCURVES,
    MULTIMATCH,
    NEIGHBORS,
    PERIODOGRAMS,
    TRAIN,
)

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in _ALL}
