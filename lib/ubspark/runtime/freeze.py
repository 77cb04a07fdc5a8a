"""From a job file to a frozen spec: addresses become table versions, defaults are written out."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ubspark.catalogs.addresses import TableAddress, parse_address, to_local_path
from ubspark.catalogs.catalog import Catalog
from ubspark.catalogs.delta import TableVersion, is_delta_table, open_table
from ubspark.catalogs.filters import Condition, parse_condition
from ubspark.catalogs.hats import HatsCatalog
from ubspark.catalogs.history import find_commit
from ubspark.catalogs.opening import open_catalog
from ubspark.catalogs.retention import find_deadline
from ubspark.catalogs.sources import open_source
from ubspark.catalogs.sources.hats import HatsSource
from ubspark.errors import ConflictError, ParameterError, TransientError, UbsparkError
from ubspark.lineage.manifest import compute_manifest, find_maker
from ubspark.lineage.spec import CatalogInput, FileInput, FrozenSpec, InputRecord, TableInput
from ubspark.recipes import RECIPES
from ubspark.recipes.base import ANY_NAME, JobInput, Params, Recipe
from ubspark.recipes.unsorted import open_unsorted
from ubspark.runtime.config import (
    InputConfig,
    JobConfig,
    OutputConfig,
    TableRef,
    validate_model,
)
from ubspark.runtime.foreign import warn_of_deadlines
from ubspark.runtime.home import Home
from ubspark.runtime.registry import resolve_model
from ubspark.runtime.tables import locate_table, validate_outside_tables
from ubspark.runtime.user import find_user
from ubspark.sky.regions import Region, parse_region

__all__ = ["PreparedJob", "find_recipe", "get_output_kind", "prepare_job", "validate_names"]


_INPUT_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class PreparedJob:
    """A job that can run: its recipe, opened inputs, checked parameters and frozen spec."""

    recipe: Recipe
    inputs: Mapping[str, JobInput]
    params: Params
    spec: FrozenSpec
    config: JobConfig

    def get_output_uri(self, name: str) -> str:
        """Return the place of an output."""
        return str(self.spec.outputs[name]["uri"])


def prepare_job(config: JobConfig, home: Home, *, scratch: Path) -> PreparedJob:
    """Open the inputs, check everything that can be checked without Spark, and freeze the spec.

    Parameters
    ----------
    scratch
        Folder for files that must be unpacked before Spark can read them.

    Raises
    ------
    UbsparkError
        With one sentence for the first thing that is wrong.
    """
    recipe = find_recipe(config.job)
    kinds = validate_names(config)
    given = resolve_model(validate_model(recipe.params, config.params, "params."), home)
    opened = {
        name: _identify(_open_input(name, kind, config.inputs[name], home, scratch), config)
        for name, kind in kinds.items()
    }
    params = recipe.resolve(opened, given)
    outputs = {}
    for name, output in config.outputs.items():
        if get_output_kind(recipe, name) == "folder":
            outputs[name] = _place_folder(name, output)
            validate_outside_tables(outputs[name]["uri"], f"outputs.{name}.path")
            continue
        if output.table is None:
            msg = f"`outputs.{name}.table` is missing; it names the table to make."
            raise ParameterError(msg)
        address = _to_address(output.table, f"outputs.{name}.table")
        if address.version is not None:
            msg = f"`outputs.{name}.table` must not name a version, got {address}."
            raise ParameterError(msg)
        uri = address.to_uri(home.warehouse)
        outputs[name] = {"uri": uri, "mode": output.mode}
        if output.mode == "update":
            outputs[name]["base"] = _find_base(recipe, name, uri, opened)
        _validate_place(name, uri, opened, base=outputs[name].get("base"))
    spec = FrozenSpec(
        job=recipe.name,
        job_version=recipe.version,
        inputs={name: _record_input(opened[name], config.inputs[name]) for name in kinds},
        params=params.model_dump(mode="json"),
        outputs=outputs,
        resources=config.resources.model_dump(mode="json", exclude_none=True),
        run={"user": find_user(), **config.run.model_dump(mode="json", exclude_none=True)},
    )
    warn_of_deadlines(spec)
    return PreparedJob(recipe, opened, params, spec, config)


def find_recipe(job: str) -> Recipe:
    """Return the recipe of a job.

    Raises
    ------
    ParameterError
        With the nearest name.
    """
    if job in RECIPES:
        return RECIPES[job]
    near = get_close_matches(job, RECIPES, n=1)
    hint = f" Did you mean `{near[0]}`?" if near else ""
    msg = f"There is no job `{job}`.{hint} Jobs: {', '.join(RECIPES)}."
    raise ParameterError(msg)


def get_output_kind(recipe: Recipe, name: str) -> str:
    """Return ``table`` or ``folder``."""
    return recipe.outputs[name] if isinstance(recipe.outputs, Mapping) else "table"


def _place_folder(name: str, output: OutputConfig) -> dict[str, Any]:
    """Return the place of an output that is a folder of files."""
    if not output.path:
        msg = f"`outputs.{name}.path` is missing; it names the folder to make."
        raise ParameterError(msg)
    if output.mode == "append":
        msg = f"`outputs.{name}.mode` must be error or overwrite; files are never appended to."
        raise ParameterError(msg)
    place = to_local_path(output.path)
    if "://" in place:
        msg = f"`outputs.{name}.path` must be a folder that every worker sees, got {place!r}."
        raise ParameterError(msg)
    return {"uri": str(Path(place).expanduser().absolute()), "mode": output.mode, "kind": "folder"}


def _find_input_kinds(recipe: Recipe, given: Mapping[str, Any]) -> dict[str, str]:
    """Return the kind of each input that the job gets, in the order of the recipe.

    A kind that ends in ``?`` may be left out; ``*`` stands for inputs of any name.
    """
    kinds = {name: kind for name, kind in recipe.inputs.items() if name != ANY_NAME}
    if ANY_NAME in recipe.inputs:
        further = [name for name in given if name not in kinds]
        for name in further:
            if not _INPUT_NAME.fullmatch(name):
                msg = f"`inputs.{name}` must be named in lower case letters, digits and `_`."
                raise ParameterError(msg)
        if not further:
            msg = f"The job {recipe.name} needs at least one input beside {', '.join(kinds)}."
            raise ParameterError(msg)
        kinds |= dict.fromkeys(further, recipe.inputs[ANY_NAME])
    kinds = {n: k.removesuffix("?") for n, k in kinds.items() if n in given or k[-1] != "?"}
    _validate_names("inputs", given, [*kinds, *_list_optional(recipe)], recipe.name, needed=kinds)
    return kinds


def _list_optional(recipe: Recipe) -> list[str]:
    return [name for name, kind in recipe.inputs.items() if kind.endswith("?")]


def validate_names(config: JobConfig) -> Mapping[str, str]:
    """Refuse inputs and outputs that a job does not have, or lacks; return the kinds of its inputs.

    Raises
    ------
    ParameterError
        Naming the first, with the nearest that there is.
    """
    recipe = find_recipe(config.job)
    kinds = _find_input_kinds(recipe, config.inputs)
    _validate_names("outputs", config.outputs, recipe.outputs, recipe.name)
    return kinds


def _validate_names(
    section: str,
    given: Mapping[str, Any],
    known: Iterable[str],
    job: str,
    needed: Iterable[str] | None = None,
) -> None:
    known = list(dict.fromkeys(known))
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            msg = f"The job {job} has no `{section}.{name}`.{hint} It has: {', '.join(known)}."
            raise ParameterError(msg)
    for name in known if needed is None else needed:
        if name not in given:
            msg = f"`{section}.{name}` is missing; the job {job} needs it."
            raise ParameterError(msg)


def _to_address(table: str | TableRef, key: str) -> TableAddress:
    try:
        if isinstance(table, TableRef):
            return TableAddress(table.path, table.version)
        return parse_address(table)
    except ParameterError as error:
        msg = f"`{key}`: {error}"
        raise ParameterError(msg) from error


def _find_base(recipe: Recipe, name: str, uri: str, inputs: Mapping[str, JobInput]) -> str:
    """Return the input that holds the table which an output updates."""
    known: Mapping[str, str] = getattr(recipe, "updates", {})
    base = known.get(name)
    if base is None:
        msg = f"`outputs.{name}.mode` cannot be update: the job {recipe.name} makes whole tables."
        raise ParameterError(msg)
    table = inputs[base].table if base in inputs else None
    if table is None or table.uri != uri:
        msg = (
            f"`outputs.{name}.mode` is update, so `inputs.{base}` must be the table that it "
            f"updates, `{uri}`."
        )
        raise ParameterError(msg)
    return base


def _validate_place(
    name: str, uri: str, inputs: Mapping[str, JobInput], *, base: str | None = None
) -> None:
    """Refuse an output that is an input, lies in a file, or is a table that cannot be read."""
    for given in inputs.values():
        if given.name != base and given.table is not None and given.table.uri == uri:
            msg = (
                f"`outputs.{name}.table` is the table that the job reads as `inputs.{given.name}` "
                f"({uri}); choose another one."
            )
            raise ConflictError(msg)
    in_the_way = [] if "://" in uri else [p for p in (Path(uri), *Path(uri).parents) if p.is_file()]
    if in_the_way:
        msg = f"`outputs.{name}.table` is `{uri}`, but `{in_the_way[0]}` is a file."
        raise ConflictError(msg)
    with _reaching(uri):
        validate_outside_tables(uri, f"outputs.{name}.table")
        if is_delta_table(uri):
            open_table(uri)


@contextmanager
def _reaching(uri: str) -> Iterator[None]:
    """Say what could not be reached, where the log store does not answer."""
    try:
        yield
    except OSError as error:
        first = str(error).strip().partition("\n")[0].rstrip(".")
        msg = f"The place `{uri}` cannot be reached: {first}."
        raise TransientError(msg) from error


def _open_input(name: str, kind: str, given: InputConfig, home: Home, scratch: Path) -> JobInput:
    if kind == "rows" and given.table is None and not given.path:
        msg = f"`inputs.{name}` must give a table (`table: NAME`) or a file (`path: FILE`)."
        raise ParameterError(msg)
    if kind == "file" or (kind == "rows" and given.path):
        if not given.path:
            msg = f"`inputs.{name}.path` is missing; it names the file or folder to read."
            raise ParameterError(msg)
        for key in ("region", "where"):
            if getattr(given, key) is not None:
                msg = f"`inputs.{name}.{key}` chooses rows of a table; a file is read whole."
                raise ParameterError(msg)
        source = open_source(
            to_local_path(given.path), format=given.format, options=given.options, scratch=scratch
        )
        columns = None if given.columns is None else tuple(given.columns)
        short = Path(given.path).name
        return JobInput(name, source=source, columns=columns, roles=given.roles, short_name=short)
    if kind == "catalog" and given.path:
        return _open_unsorted(name, given, scratch)
    if given.table is None:
        msg = f"`inputs.{name}.table` is missing; it names a table such as `gaia_dr3@v0`."
        raise ParameterError(msg)
    address = _to_address(given.table, f"inputs.{name}.table")
    with _naming(f"inputs.{name}.table"):
        uri = locate_table(address, home.warehouse)
    for key in ("epoch", "pm_includes_cos_dec"):
        if getattr(given, key) is not None:
            msg = f"`inputs.{name}.{key}` is for files; a table has it since it was ingested."
            raise ParameterError(msg)
    with _reaching(uri):
        table = open_catalog(uri, version=address.version, name=address.place)
    return JobInput(
        name,
        table=table,
        region=_read_region(name, given),
        where=_read_where(name, given, table, address.place),
        columns=None if given.columns is None else tuple(given.columns),
        roles=given.roles,
        short_name=address.short_name,
    )


def _identify(opened: JobInput, config: JobConfig) -> JobInput:
    """Return an input with what a HATS catalog is to be known by."""
    known_by = config.inputs[opened.name].known_by
    if known_by is None:
        return opened
    if isinstance(opened.source, HatsSource):
        catalog = replace(opened.source.catalog, known_by=known_by)
        return replace(opened, source=replace(opened.source, catalog=catalog))
    if isinstance(opened.table, HatsCatalog):
        return replace(opened, table=replace(opened.table, known_by=known_by))
    msg = (
        f"`inputs.{opened.name}.known_by` is for HATS catalogs; other files are always read whole, "
        f"and tables have versions."
    )
    raise ParameterError(msg)


def _open_unsorted(name: str, given: InputConfig, scratch: Path) -> JobInput:
    """Open a file or folder whose rows Spark will sort on the sky."""
    path = to_local_path(str(given.path))
    source = open_source(path, format=given.format, options=given.options, scratch=scratch)
    table = open_unsorted(
        source,
        given.roles,
        epoch=given.epoch,
        pm_includes_cos_dec=given.pm_includes_cos_dec,
    )
    return JobInput(
        name,
        table=table,
        source=source,
        region=_read_region(name, given),
        where=_read_where(name, given, table, path),
        columns=None if given.columns is None else tuple(given.columns),
        roles=given.roles,
        short_name=re.sub(r"\W", "_", Path(path).name.split(".")[0]),
    )


def _read_region(name: str, given: InputConfig) -> Region | None:
    if given.region is None:
        return None
    with _naming(f"inputs.{name}.region"):
        return parse_region(given.region)


def _read_where(name: str, given: InputConfig, table: Catalog, place: str) -> Condition | None:
    if given.where is None:
        return None
    with _naming(f"inputs.{name}.where"):
        return parse_condition(given.where, table.schema, table=place)


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Put the key of the job file before what is wrong with its value."""
    try:
        yield
    except UbsparkError as error:
        word = f"`{key.rpartition('.')[2]}`"
        text = str(error)
        shown = f"`{key}`{text.removeprefix(word)}" if text.startswith(word) else f"`{key}`: {text}"
        raise type(error)(shown) from error


def _record_input(opened: JobInput, given: InputConfig) -> InputRecord:
    if opened.source is not None:
        options: dict[str, Any] = {"format": opened.source.format, **given.options}
        chosen = {
            "columns": None if opened.columns is None else list(opened.columns),
            "roles": dict(opened.roles),
            "region": opened.region and str(opened.region),
            "where": opened.where and str(opened.where),
            "epoch": given.epoch,
            "pm_includes_cos_dec": given.pm_includes_cos_dec,
            "known_by": given.known_by,
        }
        options |= {key: value for key, value in chosen.items() if value not in (None, {})}
        if isinstance(opened.source, HatsSource):
            return _record_catalog(opened.source.catalog, options)
        manifest = compute_manifest(opened.source.files, opened.source.path)
        place = str(Path(opened.source.path).absolute())
        return FileInput(place, manifest, options, find_maker(place))
    table = opened.table
    if table is None:
        raise AssertionError
    options = {
        "columns": None if opened.columns is None else list(opened.columns),
        "roles": dict(opened.roles),
        "region": opened.region and str(opened.region),
        "where": opened.where and str(opened.where),
    }
    if isinstance(table, HatsCatalog):
        if given.known_by is not None:
            options["known_by"] = given.known_by
        return _record_catalog(table, options)
    if not isinstance(table, TableVersion):
        raise TypeError(table)
    deadline = find_deadline(table)
    until = None if deadline is None else f"{deadline:%Y-%m-%d}"
    commit = find_commit(table.uri, table.version)
    content = None if commit is None else commit.content
    return TableInput(table.uri, table.table_id, table.version, options, until, content)


def _record_catalog(catalog: HatsCatalog, options: Mapping[str, Any]) -> CatalogInput:
    return CatalogInput(
        catalog.uri,
        catalog.digest,
        catalog.n_files,
        catalog.n_bytes,
        options,
        "footers" if catalog.is_known_by_footers else "files",
        find_maker(catalog.uri),
    )
