"""Who runs a job, also where the system knows no name."""

import os

import pytest

from ubspark.runtime.user import find_user


def test_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    assert find_user() == "uid 3999999999"
    monkeypatch.setenv("USER", "vera")
    assert find_user() == "vera"
