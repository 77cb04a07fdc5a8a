"""From a job file to a frozen spec: addresses become table versions, defaults are written out."""

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ubspark.catalogs.addresses import TableAddress, parse_address, to_local_path
from ubspark.catalogs.delta import open_table
from ubspark.catalogs.sources import open_source
from ubspark.errors import ParameterError
from ubspark.lineage.manifest import compute_manifest
from ubspark.lineage.spec import FileInput, FrozenSpec, InputRecord, TableInput
from ubspark.recipes import RECIPES
from ubspark.recipes.base import JobInput, Params, Recipe
from ubspark.runtime.config import InputConfig, JobConfig, TableRef, validate_model
from ubspark.runtime.home import Home

__all__ = ["PreparedJob", "prepare_job"]


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
    _validate_names("inputs", config.inputs, recipe.inputs, recipe.name)
    _validate_names("outputs", config.outputs, recipe.outputs, recipe.name)
    given = validate_model(recipe.params, config.params, "params.")
    opened = {
        name: _open_input(name, recipe.inputs[name], config.inputs[name], home, scratch)
        for name in recipe.inputs
    }
    params = recipe.resolve(opened, given)
    outputs = {}
    for name, output in config.outputs.items():
        address = _to_address(output.table, f"outputs.{name}.table")
        if address.version is not None:
            msg = f"`outputs.{name}.table` must not name a version, got {address}."
            raise ParameterError(msg)
        outputs[name] = {"uri": address.to_uri(home.warehouse), "mode": output.mode}
    spec = FrozenSpec(
        job=recipe.name,
        job_version=recipe.version,
        inputs={name: _record_input(opened[name], config.inputs[name]) for name in recipe.inputs},
        params=params.model_dump(mode="json"),
        outputs=outputs,
        resources=config.resources.model_dump(mode="json", exclude_none=True),
        run={"user": getpass.getuser(), **config.run.model_dump(mode="json", exclude_none=True)},
    )
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


def _validate_names(section: str, given: Mapping[str, Any], known: Any, job: str) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(name, list(known), n=1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            msg = f"The job {job} has no `{section}.{name}`.{hint} It has: {', '.join(known)}."
            raise ParameterError(msg)
    for name in known:
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


def _open_input(name: str, kind: str, given: InputConfig, home: Home, scratch: Path) -> JobInput:
    if kind == "file":
        if given.path is None:
            msg = f"`inputs.{name}.path` is missing; it names the file or folder to read."
            raise ParameterError(msg)
        source = open_source(
            to_local_path(given.path), format=given.format, options=given.options, scratch=scratch
        )
        return JobInput(name, source=source, short_name=Path(given.path).name)
    if given.table is None:
        msg = f"`inputs.{name}.table` is missing; it names a table such as `gaia_dr3@v0`."
        raise ParameterError(msg)
    address = _to_address(given.table, f"inputs.{name}.table")
    table = open_table(address.to_uri(home.warehouse), version=address.version, name=address.place)
    columns = None if given.columns is None else tuple(given.columns)
    return JobInput(
        name, table=table, columns=columns, roles=given.roles, short_name=address.short_name
    )


def _record_input(opened: JobInput, given: InputConfig) -> InputRecord:
    if opened.source is not None:
        options: dict[str, Any] = {"format": opened.source.format, **given.options}
        manifest = compute_manifest(opened.source.files)
        return FileInput(str(Path(opened.source.path).absolute()), manifest, options)
    table = opened.table
    if table is None:
        raise AssertionError
    options = {"columns": opened.columns and list(opened.columns), "roles": dict(opened.roles)}
    return TableInput(table.uri, table.table_id, table.version, options)
