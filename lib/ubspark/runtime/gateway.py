"""Starting the Java of Spark, and what it says: a reason where it fails, silence where it chats."""

import logging
import os
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import IO

from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway

from ubspark.errors import ParameterError, TransientError, UbsparkError

__all__ = ["JavaVoice", "describe_start_failure", "start_gateway"]

_log = logging.getLogger(__name__)

#: What every JVM of Spark 4 says, and nobody can act on.
_CHAT = re.compile(r"WARNING: Using incubator modules: ")
_STDERR = 2
_PATIENCE_S = 5.0
_UNCAUGHT = re.compile(r'^Exception in thread "[^"]*" (?:[\w.$]+: )?(.+)$')
_RAISED = re.compile(r"^: (?:[\w.$]+: )?(.+)$", re.MULTILINE)
_MEMORY = re.compile(
    r"Could not reserve enough space|Invalid maximum heap size|too small for|INVALID_DRIVER_MEMORY|"
    r"exceeds the maximum representable size|insufficient memory"
)
_CURES = {
    re.compile(r"BindException|UnknownHostException|Cannot assign requested address"): (
        "Set SPARK_LOCAL_IP=127.0.0.1 and run again."
    ),
    re.compile(r"No space left on device"): "Free some disk and run again.",
    re.compile(r"ClassNotFound|NoClassDefFound"): "`ubspark doctor --fix` fetches missing JARs.",
}


class JavaVoice:
    """What Java writes: held back while it starts, then passed on to stderr without chat."""

    def __init__(self) -> None:
        self._read, self.descriptor = os.pipe()
        self._held: list[str] | None = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave the writing to Java alone; when it ends, so does the listening."""
        os.close(self.descriptor)

    def release(self) -> None:
        """Pass on what was held back, and all that comes."""
        with self._lock:
            held, self._held = self._held or [], None
        for line in held:
            _pass_on(line)

    def take(self) -> list[str]:
        """Return what was said so far, which is not passed on; all of it where Java has ended."""
        self._thread.join(_PATIENCE_S)
        with self._lock:
            held, self._held = self._held or [], []
        return held

    def _listen(self) -> None:
        stream: IO[str]
        with os.fdopen(self._read, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if _CHAT.match(line):
                    continue
                with self._lock:
                    if self._held is not None:
                        self._held.append(line)
                        continue
                _pass_on(line)


def start_gateway(settings: Mapping[str, str]) -> JavaVoice | None:
    """Start the JVM of the session to come, where this process has none yet.

    Raises
    ------
    UbsparkError
        If it does not start, with its reason.
    """
    if SparkContext._gateway is not None:
        return None
    conf = SparkConf()
    for key, value in settings.items():
        conf.set(key, value)
    voice = JavaVoice()
    try:
        gateway = launch_gateway(  # type: ignore[no-untyped-call]  # PySpark has no types for it
            # A JVM that cannot even begin says so on stdout, which belongs to results.
            conf,
            popen_kwargs={"stdout": voice.descriptor, "stderr": voice.descriptor},
        )
    except PySparkRuntimeError as error:
        voice.close()
        raise describe_start_failure("".join(voice.take())) from error
    except BaseException:
        voice.close()
        raise
    voice.close()
    SparkContext._ensure_initialized(gateway=gateway, conf=conf)
    return voice


def describe_start_failure(said: str) -> UbsparkError:
    """Return the sentence for a Spark that did not start.

    Parameters
    ----------
    said
        What Java wrote, or the text of the exception that came from it.
    """
    _log.info("Spark did not start: %s", said)
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("\t")]
    uncaught = [found[1] for line in lines if (found := _UNCAUGHT.match(line))]
    raised = _RAISED.search(said)
    last = lines[-1] if lines else "its Java ended without a word"
    reason = uncaught[0] if uncaught else raised[1] if raised else last
    reason = reason.strip().rstrip(".")
    if _MEMORY.search(said):
        msg = (
            f"Spark did not start: {reason}. Set `resources.memory` to what this machine can give, "
            f"at least 512m."
        )
        return ParameterError(msg)
    cure = next((cure for sign, cure in _CURES.items() if sign.search(said)), None)
    return TransientError(
        f"Spark did not start: {reason}. {cure or '`ubspark doctor` checks what it needs.'}"
    )


def _pass_on(line: str) -> None:
    # Not through sys.stderr, whose lock a thread must not hold when the interpreter ends.
    with suppress(OSError):
        os.write(_STDERR, line.encode("utf-8", "replace"))
