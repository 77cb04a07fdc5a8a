"""Calling the command in this process."""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import ubspark.runtime.run_job as runner
from ubspark.cli import exits, main


@dataclass(frozen=True)
class Answer:
    """What a command left: its exit code, what it printed, what it said."""

    code: int
    out: str
    said: str


Call = Callable[..., Answer]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Calls the command as a shell does."""
    # Of the process, which here is the tests'.
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(exits.signal, "signal", lambda *_: None)

    def run(*words: Any) -> Answer:
        monkeypatch.setattr(sys, "argv", ["ubspark", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, said = capfd.readouterr()
        return Answer(int(str(ended.value.code)), out, said)

    return run


@pytest.fixture
def refuse(call: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls a command that must end in one sentence before any Spark starts."""

    def start(*_: Any, **__: Any) -> None:
        msg = "Spark was started."
        raise AssertionError(msg)

    monkeypatch.setattr(runner, "build_session", start)

    def run(*words: Any) -> Answer:
        answer = call(*words)
        assert answer.code != 0
        assert answer.out == ""
        assert answer.said.startswith("ubspark: ")
        assert answer.said.count("\n") == 1, answer.said
        assert answer.said.endswith((".\n", "?\n", ").\n"))
        return answer

    return run
