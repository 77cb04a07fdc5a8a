"""From the frozen spec of a run back to a job that can run: its inputs at their versions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ubspark.catalogs.delta import open_table
from ubspark.errors import InputMissingError, ParameterError
from ubspark.lineage.entities import Entity
from ubspark.lineage.ledger import Ledger
from ubspark.recipes.base import JobInput, Recipe
from ubspark.runtime.config import JobConfig, validate_model
from ubspark.runtime.foreign import list_files, read_manifest
from ubspark.runtime.freeze import find_recipe, get_output_kind

__all__ = ["thaw", "validate_catalogs", "validate_files", "validate_tables"]

#: What stands beside the options of a format in a frozen input.
_CHOSEN = ("columns", "roles", "region", "where", "epoch", "pm_includes_cos_dec", "known_by")


def thaw(
    spec: Mapping[str, Any],
    *,
    ledger: Ledger,
    sandbox: Path,
    resources: Mapping[str, Any],
    tags: Mapping[str, str],
) -> JobConfig:
    """Return the job of a frozen spec, with its outputs in a sandbox.

    Parameters
    ----------
    resources
        What wins over the resources of the spec.
    tags
        Of the new run.

    Raises
    ------
    InputMissingError
        If an input table is nowhere to be found.
    """
    recipe = find_recipe(str(spec["job"]))
    content = {
        "job": spec["job"],
        "inputs": {name: _thaw_input(entry, ledger) for name, entry in spec["inputs"].items()},
        "params": spec["params"],
        "outputs": {name: _place(recipe, name, sandbox) for name in spec["outputs"]},
        "resources": {**spec["resources"], **resources},
        "run": {"tags": dict(tags)},
    }
    return validate_model(JobConfig, content)


def validate_tables(spec: Mapping[str, Any], ledger: Ledger) -> None:
    """Refuse input tables whose version is gone.

    Raises
    ------
    InputMissingError
        Naming the input, and what would help.
    """
    for name, entry in spec["inputs"].items():
        if entry["kind"] == "delta":
            _validate_table(name, _find_table(entry, ledger), int(entry["version"]))


def validate_files(spec: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse input files whose content is not what the run read.

    Parameters
    ----------
    now
        The spec as it would be frozen now.

    Raises
    ------
    InputMissingError
        Naming the file.
    """
    for name, entry in spec["inputs"].items():
        if entry["kind"] == "files" and now["inputs"][name].get("digest") != entry["digest"]:
            _compare_files(name, entry, now["inputs"][name])


def validate_catalogs(
    spec: Mapping[str, Any], now: Mapping[str, Any], inputs: Mapping[str, JobInput], run: Path
) -> None:
    """Refuse catalogs whose files, and inputs whose options, are not those that the run read.

    Parameters
    ----------
    now
        The spec as it would be frozen now.
    inputs
        The inputs as they are opened now.
    run
        Folder of the run; its manifest of a catalog tells which file has changed.

    Raises
    ------
    InputMissingError, ParameterError
        Naming the input.
    """
    for name, entry in spec["inputs"].items():
        found = now["inputs"][name]
        if found.get("digest") != entry.get("digest"):
            files = _list_changed(read_manifest(run, name), list_files(inputs[name]))
            msg = (
                f"`inputs.{name}`: the catalog `{entry['uri']}` has changed since the run"
                f"{files}; the digest of its files is {found.get('digest')}, and was "
                f"{entry.get('digest')}."
            )
            raise InputMissingError(msg)
        if found["options"] != entry["options"]:
            msg = f"`inputs.{name}` cannot be read as it was: its options would be others."
            raise ParameterError(msg)


def _list_changed(was: Mapping[str, Any] | None, there: Mapping[str, Any]) -> str:
    """Return which files are not as they were, as far as anybody knows."""
    if was is None:
        return ""
    changed = [path for path in {**was, **there} if was.get(path) != there.get(path)]
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f" in `{changed[0]}`{more}" if changed else ""


def _thaw_input(entry: Mapping[str, Any], ledger: Ledger) -> dict[str, Any]:
    options = dict(entry.get("options", {}))
    chosen = {key: options.pop(key) for key in _CHOSEN if options.get(key) is not None}
    if entry["kind"] == "delta":
        place = {"path": _find_table(entry, ledger), "version": int(entry["version"])}
        return {"table": place, **chosen}
    if "format" not in options:
        # A HATS catalog that was read in place.
        return {"table": {"path": entry["uri"]}, **chosen}
    form = options.pop("format")
    kept = {key: value for key, value in options.items() if value is not None}
    return {"path": entry["uri"], "format": form, "options": kept, **chosen}


def _place(recipe: Recipe, name: str, sandbox: Path) -> dict[str, Any]:
    place = str(sandbox / name)
    if get_output_kind(recipe, name) == "folder":
        return {"path": place}
    return {"table": {"path": place}}


def _find_table(entry: Mapping[str, Any], ledger: Ledger) -> str:
    """Return where the table of an input lies now."""
    version, uri = int(entry["version"]), str(entry["uri"])
    content = str(entry.get("content", ""))
    entity = Entity("delta", uri, str(entry["table_id"]), version, content=content)
    return ledger.find(entity).entity.uri


def _validate_table(name: str, uri: str, version: int) -> None:
    cure = "Restore it with `ubspark restore`, if it was archived."
    try:
        table = open_table(uri, version=version)
        table.to_dataset()
    except FileNotFoundError as error:
        msg = (
            f"`inputs.{name}`: version {version} of `{uri}` was removed; its file "
            f"`{Path(str(error)).name}` is gone. {cure}"
        )
        raise InputMissingError(msg) from error
    except InputMissingError as error:
        msg = f"`inputs.{name}`: {error} {cure}"
        raise InputMissingError(msg) from error
    altered = table.find_altered_file()
    if altered is not None:
        msg = (
            f"`inputs.{name}`: version {version} of `{uri}` was altered; its file `{altered}` has "
            f"not the size that the log states. {cure}"
        )
        raise InputMissingError(msg)


def _compare_files(name: str, entry: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    root, there = entry["uri"], {str(file[0]): str(file[2]) for file in now.get("files", ())}
    for file, _, digest in entry["files"]:
        if file not in there:
            msg = f"`inputs.{name}`: the file `{file}` of `{root}` is not there any more."
            raise InputMissingError(msg)
        if digest not in there.values():
            msg = (
                f"`inputs.{name}`: the file `{file}` of `{root}` has changed since the run; its "
                f"SHA-256 is {there[file][:12]}…, and was {digest[:12]}…."
            )
            raise InputMissingError(msg)
    msg = f"`inputs.{name}`: `{root}` has more files now than when the run read it."
    raise InputMissingError(msg)
