"""Feature sets that users bring: named as ``module:name``, found as Python finds modules."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from importlib import import_module
from typing import Any, get_args, get_type_hints

import numpy as np

from ubspark.errors import ParameterError
from ubspark.features.defaults import DEFAULT_FEATURES
from ubspark.features.registry import (
    Feature,
    FeatureInputs,
    FeatureKernel,
    FeatureSet,
    Registry,
    Scope,
)
from ubspark.features.segments import BandCurves, FloatArray

__all__ = ["load_registry"]

_TYPES = get_args(get_type_hints(Feature)["type"])
_NAME = re.compile(r"(?:[A-Za-z]|\{y\})(?:\w|\{y\})*")


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
    for part in sets:
        _validate_one_of(part.name, "scope", part.scope, get_args(Scope))
        for feature in part.features:
            _validate_one_of(feature.name, "type", feature.type, _TYPES)
            if not _NAME.fullmatch(feature.name):
                msg = f"Feature `{feature.name}` must be named by letters, digits, `_` and `{{y}}`."
                raise ParameterError(msg)
    return [replace(part, kernel=_Guarded(part.name, part.kernel)) for part in sets]


def _validate_one_of(name: str, what: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        msg = f"The {what} of `{name}` must be one of {', '.join(known)}, got {value!r}."
        raise ParameterError(msg)


@dataclass(frozen=True)
class _Guarded:
    """A kernel of somebody else: it cannot change what others read, and its errors have a name."""

    name: str
    kernel: FeatureKernel

    def __call__(self, inputs: FeatureInputs) -> FloatArray:
        """Return what the kernel returns, as numbers."""
        try:
            found = self.kernel(_protect(inputs))
        except Exception as error:
            first = str(error).strip().partition("\n")[0].rstrip(".")
            msg = (
                f"The kernel of feature set `{self.name}` failed with {type(error).__name__}: "
                f"{first}."
            )
            raise ParameterError(msg) from error
        if isinstance(found, np.ma.MaskedArray):
            found = np.ma.filled(found.astype(np.float64), np.nan)
        values = np.asarray(found)
        if values.dtype.kind not in "fiub":
            msg = f"The kernel of `{self.name}` must return real numbers, got {values.dtype}."
            raise ParameterError(msg)
        return values.astype(np.float64)


def _protect(inputs: FeatureInputs) -> FeatureInputs:
    """Return the same inputs, whose arrays cannot be written to."""
    curves = inputs.curves
    arrays = {f.name: getattr(curves, f.name) for f in fields(BandCurves)}
    frozen = {k: _freeze(v) if isinstance(v, np.ndarray) else v for k, v in arrays.items()}
    return FeatureInputs(
        BandCurves(**frozen),
        inputs.is_magnitude,
        {name: _freeze(values) for name, values in inputs.columns.items()},
        {name: _freeze(values) for name, values in inputs.computed.items()},
    )


def _freeze(values: Any) -> Any:
    view = values.view()
    view.flags.writeable = False
    return view
