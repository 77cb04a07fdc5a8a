"""One writer of a table at a time, where the store itself does not see to it.

Delta's log on S3 is safe for one driver only: of two that commit the same version, the later
destroys the earlier. So a run holds a lease on each table it writes: a small object beside the
log, made only where there is none and replaced only by whom it belongs to (HTTP's `If-None-Match`
and `If-Match`). The holder renews it again and again; a lease that stays as it is was left by a
dead run and passes on. Whether it changes is seen by waiting, so that clocks do not matter.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from ubspark.errors import TransientError

__all__ = ["LEASE_NAME", "LeaseObject", "Leased", "Timing", "hold_lease"]

_log = logging.getLogger(__name__)

#: Names that begin with ``_`` are no data to any reader of Delta.
LEASE_NAME = "_ubspark_lease"


@dataclass(frozen=True)
class Leased:
    """An object as it was read."""

    tag: str
    text: str


class LeaseObject(Protocol):
    """The object of a lease; each call is one atomic step of the store."""

    def read(self) -> Leased | None:
        """Return the object, None where there is none."""

    def write(self, text: str, *, tag: str | None) -> Leased | None:
        """Write where the tag is still this one, or where there is nothing yet; None if not so."""


@dataclass(frozen=True)
class Timing:
    """How often a lease is renewed, looked at, and after what silence it passes on; seconds."""

    beat: float = 10.0
    look: float = 1.0
    patience: float = 60.0


class _Lease:
    """A lease that is held; the thread of its heartbeat and the run share it."""

    def __init__(
        self, found: LeaseObject, uri: str, holder: Mapping[str, Any], timing: Timing
    ) -> None:
        self._object = found
        self._uri = uri
        self._holder = holder
        self._timing = timing
        self._lock = threading.Lock()
        self._held: Leased | None = None
        #: What was sent, and maybe written.
        self._unsure: set[str] = set()
        self._renewed = time.monotonic()
        self._done = threading.Event()

    def acquire(self) -> None:
        """Make the lease ours, or say whose it is."""
        there = self._object.read()
        if there is not None and not _is_free(there):
            there = self._wait(there)
        self._held = self._object.write(self._compose(), tag=None if there is None else there.tag)
        if self._held is None:
            raise TransientError(self._describe(self._object.read()))
        first = self._held.tag
        self.renew()
        if any(self._object.write(self._compose(), tag=tag) for tag in (None, first)):
            msg = (
                f"The object store of table `{self._uri}` ignores conditions on writing, so that "
                f"two runs could destroy each other's commits. Write to another store."
            )
            raise TransientError(msg)

    def renew(self) -> None:
        """Renew the lease now; to be called right before a commit.

        Raises
        ------
        TransientError
            If it passed on to another run.
        """
        with self._lock:
            if self._held is not None:
                self._held = self._replace(self._held)
            if self._held is None:
                msg = (
                    f"This run was silent for so long that table `{self._uri}` passed on to "
                    f"another writer; nothing more is committed. Run it again."
                )
                raise TransientError(msg)
            self._renewed = time.monotonic()

    def _replace(self, held: Leased) -> Leased | None:
        """Write the lease anew; None where it is not ours any more."""
        text = self._compose()
        self._unsure.add(text)
        written = self._object.write(text, tag=held.tag)
        if written is None:
            # An earlier call may have failed on its way back, after the store had written.
            there = self._object.read()
            if there is not None and there.text in self._unsure:
                written = self._object.write(text, tag=there.tag)
        if written is not None:
            self._unsure.clear()
        return written

    def beat(self) -> None:
        """Renew the lease until the run ends or loses it."""
        while not self._done.wait(self._timing.beat):
            try:
                self.renew()
            except TransientError:
                return
            # The store may answer again; that the lease is still ours is asked before a commit.
            except Exception:
                silence = time.monotonic() - self._renewed
                _log.warning("The lease of %s is %.0f s old.", self._uri, silence)

    def release(self) -> None:
        """Leave the lease to whoever comes next."""
        self._done.set()
        with self._lock, suppress(Exception):
            if self._held is not None:
                self._object.write(self._compose(free=True), tag=self._held.tag)

    def _wait(self, there: Leased) -> Leased | None:
        """Return the object of a dead run, after a silence; None where it is gone."""
        _log.info("Table %s has a lease; is its run alive?", self._uri)
        end = time.monotonic() + self._timing.patience
        while time.monotonic() < end:
            time.sleep(self._timing.look)
            now = self._object.read()
            if now is None or _is_free(now):
                return now
            if now.tag != there.tag:
                raise TransientError(self._describe(now))
        return there

    def _compose(self, *, free: bool = False) -> str:
        # No two texts are equal, so that no two tags are.
        return json.dumps({**self._holder, "free": free, "token": str(uuid.uuid4())})

    def _describe(self, there: Leased | None) -> str:
        holder = _parse(there) if there else {}
        whose = f"Run {holder.get('run', 'unknown')}"
        whose += f" on {holder['host']}" if "host" in holder else ""
        return f"{whose} is writing table `{self._uri}`. Run this again when it has ended."


@contextmanager
def hold_lease(
    found: LeaseObject, uri: str, *, holder: Mapping[str, Any], timing: Timing | None = None
) -> Iterator[_Lease]:
    """Hold the lease of a table while the body runs.

    Parameters
    ----------
    uri
        The table, for messages.
    holder
        What others may know of this run: ``run``, ``host``.

    Raises
    ------
    TransientError
        If a living run holds it, or the store cannot keep leases apart.
    """
    timing = timing or Timing()
    lease = _Lease(found, uri, holder, timing)
    lease.acquire()
    thread = threading.Thread(target=lease.beat, name=f"lease of {uri}", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        lease.release()
        thread.join(timing.beat)


def _parse(there: Leased) -> dict[str, Any]:
    """Return what a lease says; one that nobody can read says nothing."""
    try:
        content = json.loads(there.text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _is_free(there: Leased) -> bool:
    return bool(_parse(there).get("free", False))
