"""The configuration of a job: a YAML file, settings of the command line and the environment."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from ubspark.errors import ParameterError
from ubspark.runtime.yaml_text import parse_yaml, read_text

__all__ = [
    "InputConfig",
    "JobConfig",
    "OutputConfig",
    "ResourceConfig",
    "RunConfig",
    "TableRef",
    "Text",
    "load_job",
    "merge",
    "parse_job",
    "parse_setting",
    "read_job",
    "validate_model",
]

M = TypeVar("M", bound=BaseModel)

_ENVIRONMENT = "UBSPARK_"


def _to_text(value: Any) -> Any:
    """Return a YAML scalar as the text it stands for: ``hdu: 2`` and ``cache: true`` are fine."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _validate_memory(value: str | None) -> str | None:
    if value is not None and not _MEMORY.fullmatch(value):
        msg = f"must be a size such as `4g` or `900m`, got {value!r}"
        raise ValueError(msg)
    return value


def _validate_master(value: str | None) -> str | None:
    if value is not None and not _MASTER.fullmatch(value):
        msg = (
            f"must be a Spark master such as `local[2]`, `local[*]`, `spark://HOST:PORT`, "
            f"`k8s://URL` or `yarn`, got {value!r}"
        )
        raise ValueError(msg)
    return value


_MEMORY = re.compile(r"[1-9]\d*[kmgt]b?", re.IGNORECASE)
_MASTER = re.compile(
    r"local|local\[(\*|[1-9]\d*)(,\d+)?\]|local-cluster\[\d+,\d+,\d+\]|yarn|(spark|k8s)://.+"
)
#: Names of settings and variables that hold secrets, and of those that only name one.
_SECRET = re.compile(r"(?i)secret|passw(?:or)?d|access[._]key|session[._]token|(?:^|_)token$")
_NAMES_SECRET = re.compile(r"\.(?:secrets|secretKeyRef)\.")
Text = Annotated[str, BeforeValidator(_to_text)]


def validate_no_secrets(settings: dict[str, str]) -> dict[str, str]:
    """Refuse settings that hold a secret, by their names.

    Raises
    ------
    ValueError
        Naming the first.
    """
    for key in settings:
        if _SECRET.search(key) and not _NAMES_SECRET.search(key):
            msg = (
                f"`{key}` would hold a secret, which commits and records would keep; give it by "
                f"the environment (on Kubernetes by a Secret that `k8s.secrets` names)"
            )
            raise ValueError(msg)
    return settings


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TableRef(_Section):
    """A table whose path really ends in ``@v3``."""

    path: str
    version: int | None = None


class _Place(_Section):
    """Something that is a table, or a file or folder."""

    table: str | TableRef | None = None
    path: str | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.table is not None and self.path is not None:
            msg = f"must name a `table` or a `path`, got both: `{self.table}` and `{self.path}`"
            raise ValueError(msg)
        return self


class InputConfig(_Place):
    """An input: a table, or a file for the jobs that read files."""

    format: str | None = None
    #: Options of the format, such as ``hdu``.
    options: dict[str, Text] = Field(default_factory=dict)
    #: Part of the sky, such as ``cone 56.75 24.1 2 deg``: other rows are as if not there.
    region: str | None = None
    #: Condition on the rows, such as ``phot_g_mean_mag < 18``; likewise.
    where: str | None = None
    #: Columns that the output keeps; all by default.
    columns: list[str] | None = None
    #: Column roles that win over those of the table.
    roles: dict[str, str] = Field(default_factory=dict)
    #: Of a file that a match reads: epoch of all positions, Julian year, and whether the column
    #: of role ``pmra`` includes cos(dec).
    epoch: float | None = None
    pm_includes_cos_dec: bool | None = None
    #: What a HATS catalog is known by: the bytes of all its ``files``, or of their ``footers``; by
    #: default the size decides.
    known_by: Literal["files", "footers"] | None = None


class OutputConfig(_Place):
    """An output table, or folder of files, and what to do when it is there already."""

    mode: Literal["error", "append", "overwrite", "update"] = "error"


class ResourceConfig(_Section):
    """What the run may use; never part of the run key."""

    master: Annotated[str | None, AfterValidator(_validate_master)] = None
    memory: Annotated[str | None, AfterValidator(_validate_memory)] = None
    #: Number of cells, or of sort partitions; chosen from the data by default.
    cells: int | None = Field(default=None, ge=1)
    #: How a match brings rows together: ``cells`` reads both catalogs piece by piece,
    #: ``broadcast`` holds the smaller one in memory, ``shuffle`` sorts both anew; by default
    #: the sizes decide. The answer is the same.
    plan: Literal["auto", "cells", "broadcast", "shuffle"] = "auto"
    #: Further Spark settings; no secrets, which records and commits would keep.
    spark: Annotated[dict[str, Text], AfterValidator(validate_no_secrets)] = Field(
        default_factory=dict
    )


class RunConfig(_Section):
    """Who runs it and under which names it is found again."""

    user: Text | None = None
    group: Text | None = None
    #: Runs of one campaign are the children of one run in MLflow.
    campaign: Text | None = None
    tags: dict[str, Text] = Field(default_factory=dict)
    #: Name of the request: appends under one name land once.
    submission: Text | None = None


class JobConfig(_Section):
    """A job file."""

    job: str
    inputs: dict[str, InputConfig] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)
    outputs: dict[str, OutputConfig] = Field(default_factory=dict)
    resources: ResourceConfig = ResourceConfig()
    run: RunConfig = RunConfig()


def load_job(path: str | Path, settings: Iterable[str] = ()) -> JobConfig:
    """Read a job file.

    Parameters
    ----------
    path
        YAML file.
    settings
        ``section.key=value`` pairs that win over the file; values are YAML.

    Raises
    ------
    InputMissingError
        If the file is not there.
    ParameterError
        If it is no YAML, or a key or value is wrong.
    """
    name = f"job file `{path}`"
    return read_job(read_text(path, name), settings, name=name)


def read_job(text: str, settings: Iterable[str] = (), *, name: str = "job") -> JobConfig:
    """Read the text of a job file, which messages call by a name; see `load_job`."""
    content = parse_yaml(text, name)
    if not isinstance(content, dict):
        msg = f"The {name} must hold keys such as `job`, `inputs` and `outputs`."
        raise ParameterError(msg)
    return parse_job(content, settings)


def parse_job(content: Mapping[str, Any], settings: Iterable[str] = ()) -> JobConfig:
    """Check the content of a job file; see `load_job`."""
    merged: dict[str, Any] = _read_environment(os.environ)
    merge(merged, content)
    for setting in settings:
        merge(merged, parse_setting(setting))
    return validate_model(JobConfig, merged)


def validate_model(model: type[M], content: Any, prefix: str = "") -> M:
    """Check content against a model; the first mistake becomes one sentence.

    Raises
    ------
    ParameterError
        Naming the key, what came, and for an unknown key the nearest one.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = _find_first(error.errors(include_url=False))
        raise ParameterError(_describe(model, first, prefix)) from error


def _find_first(errors: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the mistake to tell: an unknown key beside a missing one says which was meant."""
    first = errors[0]
    if first["type"] != "missing":
        return first
    unknown = (error for error in errors if error["type"] == "extra_forbidden")
    return next((error for error in unknown if error["loc"][:-1] == first["loc"][:-1]), first)


#: What pydantic puts among the keys where a value may be of several kinds.
_KINDS = re.compile(r"TableRef|str|int|float|bool|constrained-\w+|\w[\w-]*\[.*\]")


def _describe(model: type[BaseModel], error: Mapping[str, Any], prefix: str) -> str:
    path = [str(part) for part in error["loc"] if not _KINDS.fullmatch(str(part))]
    shown = prefix + ".".join(path)
    if error["type"] == "extra_forbidden":
        known = _find_keys(model, path[:-1])
        near = get_close_matches(path[-1], known, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        return f"`{shown}` is not a key.{hint} Keys here: {', '.join(known)}."
    if error["type"] == "missing":
        return f"`{shown}` is missing."
    if error["type"] == "dict_type":
        return f"`{shown}` must hold `KEY: VALUE` pairs, got {error['input']!r}."
    if error["type"] in ("model_type", "model_attributes_type"):
        keys = ", ".join(_find_keys(model, path))
        return f"`{shown}` must hold keys ({keys}), got {error['input']!r}."
    message = str(error["msg"]).removeprefix("Value error, ")
    if not path and message.startswith("`"):
        # Keys that do not go together: the sentence names them.
        return f"`{prefix}{message[1:]}."
    if error["type"] == "value_error":
        return f"`{shown}` {message}."
    return f"`{shown}`: {message[0].lower()}{message[1:]}, got {error['input']!r}."


def _find_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """Return the keys of the section at a path."""
    current: Any = model
    for part in path:
        fields = getattr(current, "model_fields", None)
        if fields is None or part not in fields:
            # A name inside a mapping of sections, such as `inputs.left`.
            continue
        annotation = fields[part].annotation
        arguments = [a for a in getattr(annotation, "__args__", ()) if hasattr(a, "model_fields")]
        current = arguments[0] if arguments else annotation
    return list(getattr(current, "model_fields", {}))


def merge(into: dict[str, Any], content: Mapping[str, Any]) -> None:
    """Lay a tree of keys over another, in place."""
    for key, value in content.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def parse_setting(setting: str) -> dict[str, Any]:
    """Return the tree that ``section.key=value`` stands for.

    Raises
    ------
    ParameterError
        If it has another shape.
    """
    key, equals, value = setting.partition("=")
    if not equals or not all(part.strip() for part in key.split(".")):
        msg = f"`--set` takes `section.key=value`, got {setting!r}."
        raise ParameterError(msg)
    try:
        nested: Any = yaml.safe_load(value)
    except yaml.YAMLError:
        nested = value
    for part in reversed(key.strip().split(".")):
        nested = {part: nested}
    return dict(nested)


def _read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the defaults that ``UBSPARK_RESOURCES_*`` and ``UBSPARK_RUN_*`` give."""
    found: dict[str, Any] = {}
    for section in ("resources", "run"):
        prefix = f"{_ENVIRONMENT}{section.upper()}_"
        for key, value in environment.items():
            if key.startswith(prefix):
                name = key.removeprefix(prefix).lower()
                found.setdefault(section, {})[name] = yaml.safe_load(value)
    return found
