"""Java property files, in which HATS keeps what it says of a catalog."""

import re

__all__ = ["parse_properties", "split_list"]

_ENTRY = re.compile(r"(?P<key>(?:\\.|[^\\=:\s])+)\s*[=:]?\s*(?P<value>.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def parse_properties(text: str) -> dict[str, str]:
    """Read the entries of a property file.

    Parameters
    ----------
    text
        Lines ``key=value``, ``key: value`` or ``key value``; those that begin with ``#`` or ``!``
        are comments, and a backslash at the end joins a line with the next.

    Returns
    -------
    dict
        In the order of the file; the last of equal keys holds.
    """
    found = {}
    for line in _join_lines(text.removeprefix("\ufeff")):
        match = _ENTRY.fullmatch(line)
        if match:
            found[_unescape(match["key"])] = _unescape(match["value"]).strip()
    return found


def split_list(text: str | None) -> tuple[str, ...]:
    """Return the items of a list, which writers separate by spaces, commas or semicolons."""
    return tuple(item for item in re.split(r"[;,\s]+", text or "") if item)


def _join_lines(text: str) -> list[str]:
    joined, waiting = [], ""
    for line in text.splitlines():
        content = line.lstrip()
        if not waiting and (not content or content[0] in "#!"):
            continue
        n_backslashes = len(content) - len(content.rstrip("\\"))
        if n_backslashes % 2:
            waiting += content[:-1]
            continue
        joined.append(waiting + content)
        waiting = ""
    return [*joined, waiting] if waiting else joined


def _unescape(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        escaped = match[1]
        if len(escaped) == 5:
            return chr(int(escaped[1:], 16))
        return _CONTROL.get(escaped, escaped)

    return _ESCAPE.sub(replace, text)
