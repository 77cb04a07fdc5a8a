"""What a feature is: one declaration gives schema, comments, documentation and dictionary."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, Literal

from ubspark.columns import Column
from ubspark.errors import ParameterError
from ubspark.features.segments import BandCurves, FloatArray

__all__ = ["Feature", "FeatureInputs", "FeatureKernel", "FeatureSet", "Registry", "Scope"]

#: What a feature has one value for: each object and band, each pair of neighbouring bands, or
#: each object.
Scope = Literal["band", "pair", "object"]

#: Stands, in names and units, for the measured quantity: ``psfFlux`` and ``nJy``, ``mag`` ...
_VALUE = "{y}"


@dataclass(frozen=True)
class Feature:
    """One feature.

    Attributes
    ----------
    name
        Column name; ``{y}`` stands for the measured quantity, such as ``psfFlux``.
    unit
        Unit, where ``{y}`` is that of the values; None for a pure number.
    ucd
        Words of the IVOA UCD1+ list.
    definition
        The formula in words, with what is left out and when it is NaN beside too few epochs.
    reference
        Paper or program whose definition this is.
    min_epochs
        A segment with fewer usable epochs has NaN.
    type
        Arrow type of the column.
    peer
        Name of the same number in the package light-curve, where it has it.
    """

    name: str
    unit: str | None
    ucd: str
    definition: str
    reference: str
    min_epochs: int = 1
    type: Literal["float32", "float64", "int32"] = "float32"
    peer: str | None = None


@dataclass(frozen=True, eq=False)
class FeatureInputs:
    """What a feature kernel may use; arrays of n objects, b bands.

    Attributes
    ----------
    curves
        Light curves cut by band.
    is_magnitude
        Whether values are magnitudes: fainter is larger.
    columns
        Values joined to each object by name, shape (n,), NaN where there is none.
    computed
        Features of earlier sets by name, shape (n, b) for those of a band.
    """

    curves: BandCurves
    is_magnitude: bool = False
    columns: Mapping[str, FloatArray] = field(default_factory=dict)
    computed: dict[str, FloatArray] = field(default_factory=dict)


#: Takes all segments at once and returns one column per feature: shape (n * b, k) for the scope
#: ``band``, (n * (b - 1), k) for ``pair``, (n, k) for ``object``.
FeatureKernel = Callable[[FeatureInputs], FloatArray]


@dataclass(frozen=True)
class FeatureSet:
    """Features that one kernel computes together.

    Attributes
    ----------
    name
        By which a user chooses the set.
    scope
        What a value belongs to.
    features
        In the order of the kernel's columns.
    kernel
        Vectorised over segments: no loop over objects in Python.
    needs
        Columns that must be joined to the objects; without all of them the set is left out.
    uses
        Features, of sets before this one, that the kernel reads from ``computed``.
    is_default
        Whether the set is computed unless the user says otherwise.
    """

    name: str
    scope: Scope
    features: tuple[Feature, ...]
    kernel: FeatureKernel
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    is_default: bool = True


@dataclass(frozen=True)
class Registry:
    """Feature sets in the order in which they are computed."""

    sets: tuple[FeatureSet, ...]

    def __post_init__(self) -> None:
        """Refuse names that occur twice, and features that nobody computes first."""
        _validate_unique("Feature set", [part.name for part in self.sets])
        _validate_unique("Feature", [feature.name for feature in self.features])
        known: set[str] = set()
        for part in self.sets:
            for name in part.uses:
                if name not in known:
                    msg = f"Feature set `{part.name}` uses `{name}`, which no set before it has."
                    raise ParameterError(msg)
            known.update(feature.name for feature in part.features)

    @property
    def features(self) -> list[Feature]:
        """All features."""
        return [feature for part in self.sets for feature in part.features]

    def __iter__(self) -> Iterator[FeatureSet]:
        """Iterate over the sets."""
        return iter(self.sets)

    def extend(self, *sets: FeatureSet) -> "Registry":
        """Return a registry with the user's own sets behind these."""
        return Registry(self.sets + sets)

    def select(
        self, names: Iterable[str] | None = None, *, columns: Iterable[str] | None = None
    ) -> "Registry":
        """Return the sets asked for whose needs are met.

        Parameters
        ----------
        names
            Names of sets; None for the default ones. Sets that these use come along.
        columns
            Columns that are joined to the objects; None asks nothing of them.

        Raises
        ------
        ParameterError
            If a set does not exist, or one that was named needs a column that is not there.
        """
        asked = None if names is None else list(names)
        for name in asked or ():
            _validate_known(name, [part.name for part in self.sets])
        kept = [
            part for part in self.sets if (part.is_default if asked is None else part.name in asked)
        ]
        if columns is not None:
            kept = _drop_unmet(kept, set(columns), is_asked=asked is not None)
        return Registry(tuple(self._with_used(kept)))

    def to_columns(
        self, bands: Sequence[str], *, quantity: str = "psfFlux", unit: str | None = "nJy"
    ) -> list[Column]:
        """Return the columns of a feature table, in order.

        Parameters
        ----------
        bands
            Names of the bands.
        quantity, unit
            What was measured: the words that ``{y}`` stands for in names and in units.
        """
        places = [
            (where, feature)
            for part in self.sets
            for where in _list_places(part.scope, bands)
            for feature in part.features
        ]
        named = zip(self.name_columns(bands, quantity=quantity), places, strict=True)
        return [
            Column(
                name,
                feature.type,
                _fill_unit(feature.unit, unit),
                feature.ucd,
                f"{feature.definition} {_of(where)}; {feature.reference}",
            )
            for name, (where, feature) in named
        ]

    def name_columns(self, bands: Sequence[str], *, quantity: str = "psfFlux") -> list[str]:
        """Return the names of `to_columns` alone, which every batch needs."""
        return [
            _compose_name(feature.name, where, part.scope, quantity)
            for part in self.sets
            for where in _list_places(part.scope, bands)
            for feature in part.features
        ]

    def to_dictionary(self) -> dict[str, Any]:
        """Return all declarations as plain values, as written to JSON."""
        sets = [
            {
                "name": part.name,
                "scope": part.scope,
                "needs": list(part.needs),
                "uses": list(part.uses),
                "is_default": part.is_default,
                "features": [asdict(feature) for feature in part.features],
            }
            for part in self.sets
        ]
        return {"version": self.version, "sets": sets}

    @property
    def version(self) -> str:
        """Digest of the declarations: two tables of one version mean the same by each column."""
        parts = [
            [part.name, part.scope, *part.needs, *(list(asdict(f).values()) for f in part.features)]
            for part in self.sets
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]

    def _with_used(self, kept: list[FeatureSet]) -> list[FeatureSet]:
        """Add the sets that others read from, in the order of the registry."""
        wanted = {part.name for part in kept}
        for part in reversed(self.sets):
            if part.name in wanted:
                wanted.update(
                    other.name
                    for other in self.sets
                    if any(feature.name in part.uses for feature in other.features)
                )
        return [part for part in self.sets if part.name in wanted]


def _drop_unmet(sets: list[FeatureSet], columns: set[str], *, is_asked: bool) -> list[FeatureSet]:
    kept = []
    for part in sets:
        missing = [name for name in part.needs if name not in columns]
        if missing and is_asked:
            msg = (
                f"Feature set `{part.name}` needs the columns {', '.join(part.needs)}; "
                f"not there: {', '.join(missing)}. Join a table that has them."
            )
            raise ParameterError(msg)
        if not missing:
            kept.append(part)
    return kept


def _validate_unique(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            msg = f"{what} `{name}` is declared twice. Give yours another name."
            raise ParameterError(msg)


def _validate_known(name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        msg = f"There is no feature set `{name}`.{hint} Feature sets: {', '.join(known)}."
        raise ParameterError(msg)


def _list_places(scope: Scope, bands: Sequence[str]) -> list[tuple[str, ...]]:
    if scope == "object":
        return [()]
    if scope == "pair":
        return list(pairwise(bands))
    return [(band,) for band in bands]


def _compose_name(name: str, where: tuple[str, ...], scope: Scope, quantity: str) -> str:
    filled = name.replace(_VALUE, quantity)
    if scope == "band":
        return f"{where[0]}_{filled}"
    return "_".join((filled, *where))


def _fill_unit(unit: str | None, of_values: str | None) -> str | None:
    if unit is None or _VALUE not in unit:
        return unit
    filled = unit.replace(_VALUE, of_values or "").replace("()", "").strip()
    return filled if of_values else (f"1{filled}" if filled.startswith("/") else filled or None)


def _of(where: tuple[str, ...]) -> str:
    return {0: "of the object", 1: "in band {}", 2: "in bands {} and {}"}[len(where)].format(*where)
