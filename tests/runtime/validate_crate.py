"""Run by the Python of `.peers/rocrate`: judge a crate by a profile, without any network.

``python validate_crate.py FOLDER CACHE`` prints what the validator has to say as JSON. The context
of RO-Crate, which the metadata names by its address, comes from the package rocrate.
"""

import sys
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests_cache import CachedSession
from rocrate_validator.cli.main import cli
from urllib3 import HTTPResponse

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
PROFILE = "process-run-crate"


class ContextAdapter(HTTPAdapter):
    """Answers with the context that the package ships."""

    def send(self, request: PreparedRequest, **_: Any) -> Response:
        content = (resources.files("rocrate") / "data" / "ro-crate.jsonld").read_bytes()
        headers = {"Content-Type": "application/ld+json"}
        raw = HTTPResponse(BytesIO(content), headers, status=200, preload_content=False)
        return self.build_response(request, raw)


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
