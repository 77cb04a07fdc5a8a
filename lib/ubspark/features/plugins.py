"""Feature sets that users bring: named as ``module:name``, found as Python finds modules."""

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

from ubspark.errors import ParameterError
from ubspark.features.defaults import DEFAULT_FEATURES
from ubspark.features.registry import FeatureSet, Registry

__all__ = ["load_registry"]


def load_registry(names: Sequence[str] = ()) -> Registry:
    """Return the package's registry with the user's sets behind it.

    Parameters
    ----------
    names
        Each ``module:name`` of a `FeatureSet`, or of a list of them.

    Raises
    ------
    ParameterError
        If there is no such module or name, it is something else, or names of features collide.
    """
    return DEFAULT_FEATURES.extend(*(part for name in names for part in _load(name)))


def _load(name: str) -> list[FeatureSet]:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        msg = f"A feature set of your own must be written `module:name`, got `{name}`."
        raise ParameterError(msg)
    try:
        found = import_module(module)
    except ImportError as error:
        msg = f"Module `{module}` of feature set `{name}` cannot be imported: {error}."
        raise ParameterError(msg) from error
    if not hasattr(found, attribute):
        msg = f"Module `{module}` has no `{attribute}`."
        raise ParameterError(msg)
    return _validate_sets(name, getattr(found, attribute))


def _validate_sets(name: str, value: Any) -> list[FeatureSet]:
    sets = list(value) if isinstance(value, Iterable) else [value]
    if not all(isinstance(part, FeatureSet) for part in sets):
        msg = f"`{name}` is not a FeatureSet or a list of them, but {type(value).__name__}."
        raise ParameterError(msg)
    return sets
