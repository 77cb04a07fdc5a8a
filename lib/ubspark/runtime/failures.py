"""From an exception of Spark or the system to the one sentence a user can act on."""

import errno
import re

from ubspark import errors
from ubspark.errors import TransientError, UbsparkError

__all__ = ["describe_failure"]

#: How an error of ours looks inside the traceback of a Python worker.
_OURS = re.compile(r"ubspark\.errors\.(\w+): (.+)")
_LAST_ERROR = re.compile(r"^(?:[\w.]+(?:Error|Exception)): .+$", re.MULTILINE)


def describe_failure(error: BaseException) -> UbsparkError:
    """Return the error to show: ours as it is, a foreign one as a sentence.

    Parameters
    ----------
    error
        What ended a run.
    """
    if isinstance(error, UbsparkError):
        return error
    text = str(error)
    ours = _OURS.search(text)
    if ours:
        kind = getattr(errors, ours[1], UbsparkError)
        found: UbsparkError = kind(ours[2].strip())
        return found
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS, errno.EACCES):
        return TransientError(f"{error.strerror}: {error.filename}.")
    for sign, sentence in _SIGNS.items():
        if sign in text:
            return TransientError(sentence)
    last = _LAST_ERROR.findall(text)
    shown = last[-1] if last else text.strip().splitlines()[0] if text.strip() else repr(error)
    return UbsparkError(f"The job failed: {shown.rstrip('.')}. The log of the run has the rest.")


_JAVA_KILLED = "The Java process was killed; nothing was committed. Run again."
_SIGNS = {
    "No space left on device": "The disk is full; nothing was committed. Free some and run again.",
    "Read-only file system": "The file system is read-only; nothing was committed.",
    "Permission denied": "A file or folder may not be written; nothing was committed.",
    "java.lang.OutOfMemoryError": (
        "Spark ran out of memory; raise `resources.memory` (such as `4g`) and run again."
    ),
    "Python worker exited unexpectedly": (
        "A Python worker was killed, perhaps for lack of memory; nothing was committed. Run again."
    ),
    "Answer from Java side is empty": _JAVA_KILLED,
    "Connection refused": _JAVA_KILLED,
}
