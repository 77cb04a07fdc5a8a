"""Build hook: write the git revision into the wheel, where `describe_code` reads it."""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class RevisionHook(BuildHookInterface):  # type: ignore[type-arg]
    """Add ``ubspark/_build.json`` to a wheel that is built from a clone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file beside the build; an editable install asks git itself."""
        revision = self._ask_git("rev-parse", "HEAD")
        # An unpacked source archive may lie in somebody else's clone.
        is_ours = self._ask_git("rev-parse", "--show-toplevel") == str(Path(self.root).resolve())
        if version != "standard" or not revision or not is_ours:
            return
        content = {
            "git": revision,
            "dirty": bool(self._ask_git("status", "--porcelain", "--", "lib")),
        }
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / "_build.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        build_data["force_include"][str(path)] = "ubspark/_build.json"

    def _ask_git(self, *words: str) -> str:
        try:
            answer = subprocess.run(
                ["git", "-C", self.root, *words], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        return answer.stdout.strip()
