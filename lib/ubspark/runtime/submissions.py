"""Telling a deliberate second append from one that goes on after a failure.

Two appends of equal rows are two results, but a run that was killed and is started again must
land once. So each append has an id of its own, kept in the home from before the work starts until
the run has ended well: the same command takes up an id that was left over.
"""

import fcntl
import hashlib
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ubspark.lineage.spec import FrozenSpec, to_canonical_json

__all__ = ["hold_submission"]


@contextmanager
def hold_submission(folder: Path, spec: FrozenSpec, *, resume: bool) -> Iterator[str]:
    """Hold the id of an append while the body runs; a body that raises leaves it to the next.

    Parameters
    ----------
    folder
        Where ids wait; one file per id, locked while its run lives.
    spec
        The spec without an id.
    resume
        Whether to take up an id that a dead or failed run of the same spec left.
    """
    places = {name: output["uri"] for name, output in spec.outputs.items()}
    command = hashlib.sha256(to_canonical_json([spec.key, places]).encode()).hexdigest()
    waiting = folder / command[:32]
    waiting.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        left_over = sorted(waiting.iterdir()) if resume else []
        path = next((path for path in left_over if _lock(path, stack)), None)
        if path is None:
            path = waiting / str(uuid.uuid4())
            path.touch()
            _lock(path, stack)
        yield path.name
        path.unlink()


def _lock(path: Path, stack: ExitStack) -> bool:
    """Lock a file until the stack ends; False where it is gone or another process holds it."""
    try:
        file = stack.enter_context(path.open("r+"))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, BlockingIOError):
        return False
    # Its run may have ended between the opening and the lock.
    return path.exists()
