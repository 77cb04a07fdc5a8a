"""Laying a piece of a pod over another, as Kubernetes itself merges them."""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from ubspark.errors import ParameterError

__all__ = ["overlay", "validate_piece"]

#: Lists of things that are known by one of their keys; other lists replace one another.
_KNOWN_BY: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
}
#: Lists to which more is added.
_ADDED = frozenset({"envFrom"})
_LEVELS = ("metadata", "spec")


def validate_piece(piece: Mapping[str, Any]) -> None:
    """Refuse a piece of a pod that would take away from another, or not land where it should.

    Raises
    ------
    ValueError
        Naming the key in the piece.
    """
    further = sorted(set(piece) - set(_LEVELS))
    if further:
        msg = f"must hold `metadata` or `spec`, as a pod does, got {', '.join(further)}"
        raise ValueError(msg)
    for place, value in _list_parts(piece):
        key = place.rpartition(".")[2]
        if value is None:
            msg = f"must not hold null, got one at `{place}`"
            raise ValueError(msg)
        if place in _LEVELS and not isinstance(value, Mapping):
            msg = f"must hold `KEY: VALUE` pairs at `{place}`"
            raise ValueError(msg)
        if key in _KNOWN_BY and place.startswith("spec."):
            _validate_items(place, value, _KNOWN_BY[key])
        if key in _ADDED and not isinstance(value, list):
            msg = f"must hold a list at `{place}`"
            raise ValueError(msg)


def overlay(base: Any, over: Any, *, key: str) -> Any:
    """Lay one piece of a manifest over another; ``key`` is the place of the second.

    Raises
    ------
    ParameterError
        If one of them holds pairs or a list where the other does not.
    """
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        added = {
            name: overlay(base[name], value, key=f"{key}.{name}") if name in base else value
            for name, value in over.items()
        }
        return {**base, **added}
    for kind, word in {Mapping: "`KEY: VALUE` pairs", list: "a list"}.items():
        if isinstance(base, kind) != isinstance(over, kind):
            msg = f"`{key}` must {'' if isinstance(base, kind) else 'not '}hold {word}."
            raise ParameterError(msg)
    name = key.rpartition(".")[2]
    if name in _ADDED:
        return [*base, *over]
    if name not in _KNOWN_BY:
        return over
    known_by = _KNOWN_BY[name]
    found = {_identify(item, known_by): item for item in base}
    for i, item in enumerate(over):
        own = _identify(item, known_by)
        found[own] = overlay(found[own], item, key=f"{key}[{i}]") if own in found else item
    return list(found.values())


def _validate_items(place: str, value: Any, known_by: str) -> None:
    """Refuse things that cannot be told apart, or that are no list."""
    items = value if isinstance(value, list) else [value]
    if value is not items or not all(isinstance(i, Mapping) and i.get(known_by) for i in items):
        msg = f"must hold a list at `{place}`, each with `{known_by}`"
        raise ValueError(msg)
    names = [_identify(item, known_by) for item in items]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"must not hold two things with one `{known_by}` at `{place}`, got {', '.join(twice)}"
        raise ValueError(msg)


def _identify(item: Mapping[str, Any], known_by: str) -> str:
    name = str(item[known_by])
    return posixpath.normpath(name) if known_by == "mountPath" else name


def _list_parts(piece: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every part of a tree with its place, from the outside."""
    pairs = piece.items() if isinstance(piece, Mapping) else ()
    for key, value in pairs:
        inner = f"{place}.{key}" if place else str(key)
        yield inner, value
        yield from _list_parts(value, inner)
    for i, value in enumerate(piece if isinstance(piece, list) else ()):
        yield from _list_parts(value, f"{place}[{i}]")
