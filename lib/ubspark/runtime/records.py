"""The record of each run, a folder in the home: what it was asked, what came of it.

A record is written before the work starts; a run that was killed is found by its dead process,
one of another machine by its silence, and closed by the next command.
"""

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from ubspark.lineage.spec import FrozenSpec

__all__ = ["Phase", "RunRecord", "create_run_id", "iterate_records"]

#: Touched by a run that works, for readers on other machines.
_ALIVE_FILE = "alive"
_ALIVE_SECONDS = 60.0
#: Clocks of machines differ, and file servers take their time.
_SILENT_SECONDS = 1800.0
#: The phases of IVOA's Universal Worker Service that a run can be in.
Phase = Literal["EXECUTING", "COMPLETED", "ERROR", "ABORTED"]


@dataclass
class RunRecord:
    """What is known of one run; `save` writes it to its folder.

    Attributes
    ----------
    folder
        Holds ``record.json``, ``spec.json``, the log and the report.
    outputs
        Name to table version, digest, rows.
    error
        The sentence a failed run ended with.
    attempt
        How often the same was tried since it last ended well, this time included.
    """

    run_id: str
    folder: Path
    job: str
    key: str
    phase: Phase = "EXECUTING"
    mlflow_run: str | None = None
    started: float = field(default_factory=time.time)
    ended: float | None = None
    pid: int = field(default_factory=os.getpid)
    pid_started: float = field(default_factory=lambda: psutil.Process().create_time())
    host: str = field(default_factory=socket.gethostname)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    attempt: int = 1

    @classmethod
    def create(cls, runs: Path, spec: FrozenSpec) -> "RunRecord":
        """Start a record and write it, with the spec beside it."""
        attempt = 1 + _count_failed(runs, spec)
        run_id = create_run_id()
        folder = runs / run_id
        folder.mkdir(parents=True)
        text = json.dumps(spec.to_json(), indent=2, ensure_ascii=False)
        (folder / "spec.json").write_text(text, encoding="utf-8")
        record = cls(run_id, folder, spec.job, spec.key, attempt=attempt)
        record.save()
        return record

    @classmethod
    def load(cls, folder: Path) -> "RunRecord":
        """Read the record of a folder."""
        content = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        return cls(folder=folder, **content)

    @property
    def is_lost(self) -> bool:
        """Whether the run claims to work, but its process is gone; of others, its sign of life."""
        if self.phase != "EXECUTING":
            return False
        if self.host != socket.gethostname():
            return self._is_silent()
        try:
            return abs(psutil.Process(self.pid).create_time() - self.pid_started) > 1
        except psutil.NoSuchProcess:
            return True

    def _is_silent(self) -> bool:
        try:
            touched = (self.folder / _ALIVE_FILE).stat().st_mtime
        except OSError:
            return False
        return time.time() - touched > _SILENT_SECONDS

    @contextmanager
    def keep_alive(self, seconds: float = _ALIVE_SECONDS) -> Iterator[None]:
        """Give a sign of life while the body runs."""
        ended = threading.Event()

        def touch() -> None:
            while True:
                with suppress(OSError):
                    (self.folder / _ALIVE_FILE).touch()
                if ended.wait(seconds):
                    return

        thread = threading.Thread(target=touch, daemon=True, name="alive")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            (self.folder / _ALIVE_FILE).unlink(missing_ok=True)

    def save(self) -> None:
        """Write the record so that a reader sees the old one or the new one."""
        content = {key: value for key, value in vars(self).items() if key != "folder"}
        part = self.folder / f"record.{os.getpid()}.part"
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
        part.replace(self.folder / "record.json")

    def end(self, phase: Phase, *, error: str | None = None) -> None:
        """Close the record."""
        self.phase, self.error, self.ended = phase, error, time.time()
        self.save()


def create_run_id() -> str:
    """Return a new id that sorts by time (UUID version 7, RFC 9562)."""
    millis = int(time.time() * 1000)
    value = (millis << 80) | (7 << 76) | (secrets.randbits(12) << 64)
    value |= (2 << 62) | secrets.randbits(62)
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def iterate_records(runs: Path) -> Iterator[RunRecord]:
    """Yield the records of a home, the newest first; a broken one is passed over."""
    for path in sorted(runs.glob("*/record.json"), reverse=True):
        try:
            yield RunRecord.load(path.parent)
        except (OSError, ValueError, TypeError):
            continue


def _count_failed(runs: Path, spec: FrozenSpec) -> int:
    """Return how many of the newest runs of a spec, into the same outputs, did not end well."""
    n_failed = 0
    for record in iterate_records(runs):
        if record.key != spec.key or not _has_outputs(record, spec):
            continue
        if record.phase not in ("ERROR", "ABORTED"):
            break
        n_failed += 1
    return n_failed


def _has_outputs(record: RunRecord, spec: FrozenSpec) -> bool:
    try:
        known = json.loads((record.folder / "spec.json").read_text(encoding="utf-8"))["outputs"]
        places = {name: output["uri"] for name, output in known.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return places == {name: output["uri"] for name, output in spec.outputs.items()}
