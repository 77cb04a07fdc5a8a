"""Reading YAML that a person wrote: what is wrong with it is one sentence."""

from pathlib import Path
from typing import Any

import yaml

from ubspark.errors import InputMissingError, ParameterError

__all__ = ["parse_yaml", "read_text"]


def read_text(path: str | Path, name: str) -> str:
    """Read a file of text, which messages call by a name.

    Raises
    ------
    InputMissingError
        If it cannot be read.
    ParameterError
        If it is no UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        msg = f"The {name} cannot be read: {error.strerror}."
        raise InputMissingError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"The {name} is no UTF-8 text: {error.reason} at byte {error.start}."
        raise ParameterError(msg) from error


def parse_yaml(text: str, name: str) -> Any:
    """Return what YAML holds.

    Raises
    ------
    ParameterError
        If it is no YAML, or a key stands twice.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        msg = f"The {name} is no valid YAML{where}: {getattr(error, 'problem', error)}."
        raise ParameterError(msg) from error


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping; YAML would keep the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                problem = f"the key `{key.value}` stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)
