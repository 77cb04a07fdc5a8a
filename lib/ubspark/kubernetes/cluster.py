"""Asking a cluster through kubectl, which knows every way to log in."""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ubspark.errors import InputMissingError, ParameterError, TransientError, UbsparkError

__all__ = ["Cluster"]

_PATIENCE_SECONDS = 60
#: Lines of kubectl that are no reason: warnings, and what its library logs.
_ASIDE = re.compile(r"Warning|[EWIF]\d{4} ")
_SILENT = re.compile(r"connection to the server|Unable to connect|no such host|i/o timeout|EOF$")


@dataclass(frozen=True)
class Cluster:
    """One namespace of the cluster that kubectl's context names."""

    namespace: str

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, None where there is none (or no such kind)."""
        try:
            return self._ask_json("get", kind, name)
        except InputMissingError:
            return None

    def select(self, kind: str, *, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the objects of a kind that carry labels."""
        chosen = ",".join(f"{key}={value}" for key, value in labels.items())
        return list(self._ask_json("get", kind, "-l", chosen).get("items", []))

    def list_events(self, kind: str, name: str) -> list[dict[str, Any]]:
        """Return the events of an object, the oldest first."""
        chosen = f"involvedObject.kind={kind},involvedObject.name={name}"
        words = ("get", "events", "--field-selector", chosen)
        found = self._ask_json(*words, "--sort-by", ".metadata.creationTimestamp")
        return list(found.get("items", []))

    def read_log(
        self,
        pod: str,
        *,
        container: str = "",
        tail: int = -1,
        since: str = "",
        stamps: bool = False,
    ) -> str:
        """Return the log of a pod, empty where it has none yet.

        Parameters
        ----------
        container
            One of the pod's; the first by default.
        tail
            Only so many lines, the last ones.
        since
            Only lines younger than this, such as ``10m``.
        stamps
            Whether each line begins with its time.
        """
        words = ["logs", *(["-c", container] if container else [])]
        words += [f"--tail={tail}"] if tail >= 0 else []
        words += [f"--since={since}"] if since else []
        words += ["--timestamps"] if stamps else []
        try:
            return self._ask(*words, pod)
        except (InputMissingError, TransientError, ParameterError):
            return ""

    def follow_log(self, pod: str, *, container: str) -> Iterator[str]:
        """Yield the lines of a log as they come, until the pod ends.

        Raises
        ------
        UbsparkError
            If kubectl ends otherwise.
        """
        words = [*self._begin(), "logs", "-f", "-c", container, pod]
        with (
            tempfile.TemporaryFile("w+") as said,
            subprocess.Popen(words, stdout=subprocess.PIPE, stderr=said, text=True) as process,
        ):
            yield from process.stdout or ()
            if process.wait():
                said.seek(0)
                error = _describe_failure("logs", said.read())
                raise error

    def apply(self, content: Mapping[str, Any]) -> None:
        """Create or change an object; an unknown key is refused."""
        words = ("apply", "--server-side", "--validate=strict", "-f", "-")
        self._ask(*words, given=json.dumps(content))

    def delete(self, kind: str, name: str) -> bool:
        """Delete an object and wait until it is gone; False where there was none."""
        said = self._ask("delete", kind, name, "--ignore-not-found", "--wait=true")
        return bool(said.strip())

    def find_master(self) -> str:
        """Return the URL of the API server."""
        words = ("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
        msg = (
            "kubectl has no context of a cluster. Name one in KUBECONFIG, or the API server in "
            "`k8s.master` of the profile."
        )
        try:
            master = self._ask(*words).strip()
        except UbsparkError as error:
            raise ParameterError(msg) from error
        if not master:
            raise ParameterError(msg)
        return master

    def _begin(self) -> list[str]:
        return [_find_program(), "-n", self.namespace]

    def _ask_json(self, *words: str) -> dict[str, Any]:
        said = self._ask(*words, "-o", "json")
        try:
            found = json.loads(said)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            msg = (
                f"{_find_program()} answers `{words[0]}` with no JSON. Is it kubectl? Name "
                f"the right one in KUBECTL."
            )
            raise ParameterError(msg)
        return found

    def _ask(self, *words: str, given: str | None = None) -> str:
        try:
            done = subprocess.run(
                [*self._begin(), *words],
                # Nobody is there to type a password.
                input=given or "",
                capture_output=True,
                text=True,
                check=False,
                timeout=_PATIENCE_SECONDS * 2,
            )
        except FileNotFoundError as error:
            msg = "kubectl is not on the PATH. Install it, or name it in KUBECTL."
            raise ParameterError(msg) from error
        except OSError as error:
            msg = f"{_find_program()} cannot be run: {error.strerror}. Name kubectl in KUBECTL."
            raise ParameterError(msg) from error
        except subprocess.TimeoutExpired as error:
            msg = f"kubectl {words[0]} got no answer from the cluster in time."
            raise TransientError(msg) from error
        if done.returncode:
            raise _describe_failure(words[0], done.stderr)
        return done.stdout


def _find_program() -> str:
    return os.environ.get("KUBECTL", "kubectl")


def _describe_failure(verb: str, said: str) -> UbsparkError:
    """Return the error that a failure of kubectl stands for."""
    lines = [line for line in said.splitlines() if line.strip() and not _ASIDE.match(line)]
    first = (lines or ["no reason given"])[0].removeprefix("error: ").strip()
    if _SILENT.search(said):
        msg = f"No cluster answers `kubectl {verb}`: {first.rstrip('.')}. Is KUBECONFIG right?"
        return TransientError(msg)
    sentence = f"The cluster refused `kubectl {verb}`: {first.rstrip('.')}."
    if "NotFound" in said or "doesn't have a resource type" in said:
        return InputMissingError(sentence)
    # Wrong content or a missing permission stays wrong; the rest may pass.
    refused = ("Invalid", "BadRequest", "Forbidden", "strict decoding", "Unauthorized")
    return (ParameterError if any(word in said for word in refused) else TransientError)(sentence)
