"""From an exception of Spark or the system to the one sentence a user can act on."""

import errno
import re
import subprocess
from contextlib import suppress

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark import SparkContext

from ubspark import errors
from ubspark.errors import InputMissingError, SourceError, TransientError, UbsparkError

__all__ = ["describe_failure"]

#: How an error of ours looks inside the traceback of a Python worker.
_OURS = re.compile(r"ubspark\.errors\.(\w+): (.+)")
#: How a task says that a file is not there: Python, Arrow, Spark.
_ABSENT = re.compile(
    r"FileNotFoundError: \[Errno 2\] (?:No such file or directory: |Failed to open local file )"
    r"'(?P<python>[^']+)'"
    r"|FAILED_READ_FILE\.FILE_NOT_EXIST\].*?reading file (?:file:)?(?P<spark>/\S+?)\.? "
)
_DEATH_S = 5.0
#: What Spark says of a file that it cannot read.
_UNREADABLE = re.compile(r"\[FAILED_READ_FILE[^\]]*\][^\n]*?reading file (?:file://)?(\S+?)\.?\s")
#: Of Python, Arrow and Java, the last one that a traceback names.
_LAST_ERROR = re.compile(
    r"^(?:Caused by: |: )?((?:[\w.]+(?:Error|Exception)|pyarrow\.lib\.\w+): .+)$", re.MULTILINE
)


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
    absent = _ABSENT.search(text)
    if absent:
        msg = (
            f"A task does not find the file `{absent['python'] or absent['spark']}`. On a cluster "
            f"it must lie where every machine sees it."
        )
        return InputMissingError(msg)
    damaged = _UNREADABLE.search(text)
    if damaged:
        msg = f"`{damaged[1]}` cannot be read: it is cut or damaged. Fetch it again."
        return SourceError(msg)
    if _has_java_ended(error):
        return TransientError("The Java process of Spark was killed. Run again.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS, errno.EACCES):
        return TransientError(f"{error.strerror}: {error.filename}.")
    for sign, sentence in _SIGNS.items():
        if sign in text:
            return TransientError(sentence)
    last = _LAST_ERROR.findall(text)
    shown = last[-1] if last else text.strip().splitlines()[0] if text.strip() else repr(error)
    return UbsparkError(f"The job failed: {shown.rstrip('.')}. The log of the run has the rest.")


_SIGNS = {
    "No space left on device": "The disk is full. Free some and run again.",
    "Read-only file system": "The file system is read-only. Make it writable and run again.",
    "Permission denied": "A file or folder may not be written. Allow it and run again.",
    "java.lang.OutOfMemoryError": (
        "Spark ran out of memory. Raise `resources.memory` (such as `4g`) and run again."
    ),
    "Python worker exited unexpectedly": (
        "A Python worker was killed, perhaps for lack of memory. Run again."
    ),
    "S3AFileSystem not found": (
        "This Spark has no JARs of object stores. Fetch them with `ubspark doctor --fix --s3`."
    ),
    "AWS Error NETWORK_CONNECTION": "The object store does not answer. Run again.",
    "software.amazon.awssdk.core.exception.SdkClientException": (
        "The object store does not answer. Run again."
    ),
    "Connection refused": "The Java process of Spark does not answer. Run again.",
}


def _has_java_ended(error: BaseException) -> bool:
    """Whether the Java that this Python started is gone; errors then have many faces."""
    process = getattr(SparkContext._gateway, "proc", None)
    if process is None:
        return False
    if not isinstance(error, Py4JError | OSError) or isinstance(error, Py4JJavaError):
        return process.poll() is not None
    # Java does not answer; where it dies, that takes longer than the error.
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_DEATH_S)
    return process.poll() is not None
