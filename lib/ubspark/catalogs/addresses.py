"""How a user names a table: a name in the home's warehouse, a path or a URI, with a version."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

from ubspark.errors import ParameterError

__all__ = ["TableAddress", "parse_address", "to_local_path"]

_NAME = re.compile(r"[a-z][a-z0-9_]*(/[a-z][a-z0-9_]*)*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
#: What delta-rs takes for something else than a part of a local path.
_MISREAD = re.compile(r"[#?\\]|%[0-9A-Fa-f]{2}")
#: `ID:SECRET@` before a bucket; of other schemes a name there is that of a container.
_CREDENTIALS = re.compile(r"(?i)(s3[an]?|gs)://[^/]*@(?!v\d+$|latest$)")
_VERSION = re.compile(r"(?P<place>.*)@(?:v(?P<version>\d+)|latest)", re.DOTALL)


@dataclass(frozen=True)
class TableAddress:
    """A table as the user wrote it; ``version`` is None for the latest."""

    place: str
    version: int | None = None

    @property
    def is_name(self) -> bool:
        """Whether ``place`` is a name under the warehouse, not a path or a URI."""
        return not (_SCHEME.match(self.place) or self.place.startswith(("/", "./", "../")))

    @property
    def short_name(self) -> str:
        """The last part of the place, fit to be a suffix of column names."""
        last = self.place.rstrip("/").rsplit("/", 1)[-1]
        return re.sub(r"[^a-z0-9_]+", "_", last.lower()).strip("_") or "table"

    def to_uri(self, warehouse: Path) -> str:
        """Return the absolute path, or the URI, that holds the table.

        Raises
        ------
        ParameterError
            If the path holds a character that the readers of Delta's log misread.
        """
        if _SCHEME.match(self.place) and not self.place.startswith("file://"):
            # One name for one place: Hadoop knows only this one of the two.
            return re.sub(r"^s3://", "s3a://", self.place).rstrip("/")
        path = warehouse / self.place if self.is_name else Path(to_local_path(self.place))
        found = str(path.absolute())
        misread = _MISREAD.search(found)
        if misread:
            msg = (
                f"The path of a table must not contain `{misread[0]}`, which readers of Delta "
                f"tables take for something else, got {found!r}."
            )
            raise ParameterError(msg)
        return found

    def __str__(self) -> str:
        """Return the address in the form that :func:`parse_address` reads."""
        return self.place if self.version is None else f"{self.place}@v{self.version}"


def parse_address(text: str, *, version: int | None = None) -> TableAddress:
    """Read a table address such as ``gaia_dr3@v3``, ``./tables/x`` or ``s3a://bucket/x@latest``.

    Parameters
    ----------
    text
        A name (``[a-z][a-z0-9_]*``, parts joined by ``/``), a path that begins with ``/``,
        ``./`` or ``../``, or a URI; it may end in ``@v<digits>`` or ``@latest``.
    version
        The version, where the configuration gives it apart from the path; ``text`` is then
        taken as it stands, so that a path may really end in ``@v3``.

    Raises
    ------
    ParameterError
        If the text is none of these, or holds the key of a store.
    """
    place = _refuse_credentials(text.strip())
    if version is None and (match := _VERSION.fullmatch(place)):
        place = match["place"]
        version = int(match["version"]) if match["version"] else None
    address = TableAddress(place, version)
    if not place or (address.is_name and not _NAME.fullmatch(place)):
        msg = (
            f"A table must be a name such as `gaia_dr3` (lower case letters, digits, `_`, parts "
            f"joined by `/`), a path that begins with `/`, `./` or `../`, or a URI, got {text!r}."
        )
        raise ParameterError(msg)
    return address


def to_local_path(place: str) -> str:
    """Return the path behind a ``file://`` URI, or the text itself.

    Raises
    ------
    ParameterError
        If it holds the key of a store.
    """
    _refuse_credentials(place)
    return unquote(urlparse(place).path) if place.startswith("file:") else place


def _refuse_credentials(place: str) -> str:
    """Refuse what would stand in every log and record; the text is not shown."""
    if found := _CREDENTIALS.match(place):
        msg = (
            f"A URI must not hold the key of a store, got {found[1]}://…@…. Give it in the "
            f"environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
        raise ParameterError(msg)
    return place
