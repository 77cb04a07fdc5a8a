"""Runs whose outputs cannot be looked at now, such as those on a disk that is away.

Their commits cannot say what they were made from; the records of the runs can.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ubspark.catalogs.delta import is_delta_table
from ubspark.catalogs.export.manifest import is_export
from ubspark.errors import InputMissingError
from ubspark.lineage.entities import Entity
from ubspark.lineage.ledger import Ledger
from ubspark.runtime.home import Home
from ubspark.runtime.pins import Pin
from ubspark.runtime.places import read_used
from ubspark.runtime.records import RunRecord

__all__ = ["AbsentRun", "find_absent_runs", "validate_pins"]

#: Modes of an output whose version holds rows of the one before.
_ADDING = ("append", "update")


@dataclass(frozen=True)
class AbsentRun:
    """A run that wrote to a place which cannot be read now.

    Attributes
    ----------
    used
        What it read, by role.
    made
        Key of each table version that it made, as far as its record says, to the mode.
    """

    run_id: str
    place: str
    spec: Mapping[str, Any]
    used: Mapping[str, Entity]
    made: Mapping[str, str]


def find_absent_runs(ledger: Ledger, homes: Sequence[Home]) -> Iterator[AbsentRun]:
    """Yield the runs that may have made something which no place known here shows.

    Runs that committed nothing made nothing, and what replays made is theirs alone. A place with
    a scheme is not scanned, so all that lies there counts as absent.
    """
    known = {(made.run, made.output) for made in ledger.all}
    for run in (run for home in homes for run in sorted(home.runs.glob("*"))):
        spec = _read(run / "spec.json")
        record = _load_record(run)
        if "outputs" not in spec or "inputs" not in spec or _is_replay(spec):
            continue
        if record is not None and record.phase in ("ERROR", "ABORTED") and not record.outputs:
            continue
        committed = {} if record is None else record.outputs
        absent = [
            str(output["uri"])
            for name, output in spec["outputs"].items()
            if (run.name, name) not in known and not _is_there(output)
        ]
        if absent:
            keys = {
                f"{made['table_id']}@v{made['version']}": str(spec["outputs"][name]["mode"])
                for name, made in committed.items()
                if "version" in made and name in spec["outputs"]
            }
            yield AbsentRun(run.name, absent[0], spec, read_used(run), keys)


def validate_pins(pins: Iterable[Pin], ledger: Ledger, absent: Sequence[AbsentRun]) -> None:
    """Refuse to go on where nobody can say what a pinned version was made from.

    Raises
    ------
    InputMissingError
        Naming its place.
    """
    known = {key: mode for run in absent for key, mode in run.made.items()}
    for pin in pins:
        if not _is_known(pin, ledger, known):
            msg = (
                f"`{pin.uri}@v{pin.version}`, which is pinned, is in no place known here, and no "
                f"run in this home says what it was made from. Bring `{pin.uri}` back, or take the "
                f"pin off with `ubspark unpin`, before versions are removed."
            )
            raise InputMissingError(msg)


def _is_known(pin: Pin, ledger: Ledger, known: Mapping[str, str]) -> bool:
    """Whether a pinned version can be read, or records say what all its rows were made from."""
    try:
        ledger.find(Entity("delta", pin.uri, pin.table_id, pin.version))
    # Whatever its store answers, it does not show the version.
    except Exception:
        keys = (f"{pin.table_id}@v{version}" for version in range(pin.version, -1, -1))
        modes = [known.get(key) for key in keys]
        n_adding = next((i for i, mode in enumerate(modes) if mode not in _ADDING), len(modes))
        return n_adding == len(modes) or modes[n_adding] is not None
    return True


def _is_there(output: Mapping[str, Any]) -> bool:
    uri = str(output["uri"])
    if "://" in uri:
        return False
    return is_export(Path(uri)) if output.get("kind") == "folder" else is_delta_table(uri)


def _is_replay(spec: Mapping[str, Any]) -> bool:
    return "ubspark.replay_of" in (spec.get("run") or {}).get("tags", {})


def _load_record(run: Path) -> RunRecord | None:
    try:
        return RunRecord.load(run)
    except (OSError, ValueError, TypeError):
        return None


def _read(path: Path) -> Mapping[str, Any]:
    """Return a JSON object; nothing where it is damaged, of which others tell."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
