"""Run by the Python of `.peers/rocrate`: judge a crate by a profile, without any network.

``python validate_crate.py FOLDER CACHE`` prints what the validator has to say as JSON. The context
of RO-Crate, which the metadata names by its address, comes from the package rocrate.
"""

import sys
from importlib import resources
from pathlib import Path
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests_cache import CachedSession
from rocrate_validator.cli.main import cli

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
PROFILE = "process-run-crate"


class ContextAdapter(BaseAdapter):
    """Answers with the context that the package ships."""

    def send(self, request: PreparedRequest, **_: Any) -> Response:
        answer = Response()
        answer.status_code, answer.request, answer.url = 200, request, str(request.url)
        answer.headers["Content-Type"] = "application/ld+json"
        answer._content = (resources.files("rocrate") / "data" / "ro-crate.jsonld").read_bytes()
        return answer

    def close(self) -> None:
        pass


def fill_cache(cache: Path) -> None:
    with CachedSession(cache_name=str(cache), backend="sqlite", expire_after=-1) as session:
        session.mount("https://", ContextAdapter())
        session.get(CONTEXT).raise_for_status()


if __name__ == "__main__":
    folder, cache = sys.argv[1], Path(sys.argv[2])
    fill_cache(cache)
    words = ["-y", "validate", folder, "--profile-identifier", PROFILE, "--offline"]
    words += ["--cache-path", str(cache), "--requirement-severity", "recommended"]
    words += ["--output-format", "json", "--no-paging"]
    cli(words)
